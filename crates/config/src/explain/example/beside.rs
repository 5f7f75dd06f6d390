//! What a key needs beside it in an example: in its own mapping, and elsewhere in the file.

use ansai_keys::{Key, Shape};

use crate::domain::long::PROBE_KEYS;

/// The mapping in which the looks of the domains stand.
const PROBE: &str = "A probe";

/// By mapping and key, what stands beside it there; a line without keys is for all others of its mapping.
const BESIDE: &[(&str, &[&str], &str)] = &[
    ("A route", &["to", "smtp"], "to: ops@example.com, smtp: \"smtp://127.0.0.1:25\""),
    ("A route", &["webhook"], ""),
    ("A route", &["format", "headers"], "webhook: \"https://hooks.example.com/ansai\""),
    ("A route", &["secret"], "webhook: \"https://hooks.example.com/ansai\""),
    ("A route", &["exec"], ""),
    (
        "A route",
        &["user", "password"],
        "to: ops@example.com, smtp: \"smtps://mail.example.com\", user: ansai, password: file:/etc/ansai/smtp-password",
    ),
    ("A route", &["ca"], "to: ops@example.com, smtp: \"smtps://mail.example.com\""),
    ("A route", &[], "to: ops@example.com, smtp: \"smtp://127.0.0.1:25\""),
    // What is urgent and never healed would be warned of.
    ("A service", &["critical"], "autonomy: act"),
    ("A declared process", &["start"], ""),
    ("A declared process", &["critical"], "start: [/usr/bin/worker], autonomy: act"),
    ("A declared process", &[], "start: [/usr/bin/worker]"),
    ("A process", &["start"], ""),
    ("A process", &[], "start: [/usr/bin/worker]"),
    ("A certificate", &["file"], ""),
    ("A certificate", &["server_name"], "file: /etc/nginx/ssl/api.pem, endpoints: [\"https://127.0.0.1\"]"),
    ("A certificate", &[], "file: /etc/nginx/ssl/api.pem"),
    ("An ACME issuer", &["webroot", "listen", "dns"], "contact: ops@example.com"),
    ("An ACME issuer", &[], "contact: ops@example.com, webroot: /var/www/acme"),
    ("A record in the DNS", &[], "set: [/usr/local/bin/dns-set], clear: [/usr/local/bin/dns-clear]"),
    ("A place of a certificate", &["bundle"], "certificate: /etc/postfix/certs/api.pem"),
    ("A place of a certificate", &[], "certificate: /etc/postfix/certs/api.pem, key: /etc/postfix/certs/api.key"),
    (
        "A maintenance window",
        &["from", "until"],
        "scope: \"*\", from: 2030-01-31T08:00:00Z, until: 2030-01-31T10:00:00Z",
    ),
    ("A maintenance window", &[], "scope: \"*\", days: [sun], at: \"03:00\", lasts: 2h"),
    ("Quiet hours", &["at"], "lasts: 2h"),
    ("Quiet hours", &[], "at: \"02:00\""),
    ("The heartbeat", &["url"], ""),
    ("The heartbeat", &[], "url: \"https://hc.example.com/ping/ansai\""),
    ("Files that may be given up", &["path"], ""),
    ("Files that may be given up", &[], "path: /var/log/app"),
    ("What must be there", &["file", "directory"], ""),
    ("What must be there", &["symlink", "to"], "symlink: /etc/app/current, to: /etc/app/releases/7"),
    ("What must be there", &["create"], "file: /etc/app.conf"),
    ("What must be there", &[], "directory: /run/app"),
    ("A command", &["argv"], ""),
    ("A command", &[], "argv: [/usr/bin/app, --check]"),
    ("A probe", &["tcp", "unix", "exec", "nagios", "file", "executable", "unit", "process"], ""),
    ("A probe", &["http"], ""),
    ("A probe", &["speaks"], "tcp: \"127.0.0.1:6379\""),
    ("A probe", &["fail_on"], "nagios: [/usr/lib/nagios/plugins/check_load]"),
    ("A probe", &["age_max", "size_max"], "file: /var/backups/latest"),
    ("A probe", &["count_min", "count_max"], "executable: /usr/sbin/nginx"),
    ("A probe", &["state"], "unit: app.service"),
    ("A probe", &["insecure", "ca"], "http: \"https://127.0.0.1/health\""),
    ("A probe", &[], "http: \"http://127.0.0.1/health\""),
    ("A look at a unit's memory", &["unit"], ""),
    ("A look at a unit's memory", &[], "unit: app.service"),
    ("A look at the clock", &["unit"], ""),
    ("A look at the clock", &[], "unit: chrony.service"),
    ("A look at a certificate", &["file", "endpoint"], "names: [api.example.com]"),
    ("A look at a certificate", &["server_name"], "endpoint: \"https://127.0.0.1\""),
    ("A look at a certificate", &[], "file: /etc/nginx/ssl/api.pem"),
    ("A look at a disk", &["look"], "mount: /var, fails_at: 90%"),
    ("A look at a disk", &["available_min"], "mount: /var, look: full"),
    ("A look at a disk", &["within"], "mount: /var, look: errors"),
    ("A look at a disk", &[], "mount: /var, look: space, fails_at: 90%"),
    ("Long form: a check", &["probe"], ""),
    ("Long form: a check", &[], "probe: \"http://127.0.0.1/\""),
    ("Long form: a trend", &[], "figure: size, limit: limit"),
    ("Long form: a rule", &[], "target: service/app.service, checks: [unit], runbook: gentle"),
    ("Long form: a rung", &["steps"], "name: restart"),
    ("Long form: a rung", &[], "name: restart, steps: [{restart_unit: app.service}]"),
    ("Long form: a target", &["process"], ""),
    ("Long form: a target", &["unit"], ""),
    ("Long form: a target", &[], "unit: app.service"),
    ("Long form: a step", &["disruption"], "exec: [/usr/local/bin/mend]"),
    ("Long form: a step", &["timeout"], "restart_unit: app.service"),
    ("Long form: an action", &["disruption"], "exec: [/usr/local/bin/mend]"),
    ("A copy of a configuration", &[], "unit: nginx.service, paths: [/etc/nginx], validator: [nginx, -t]"),
    ("A port to free", &[], "unit: app.service, port: 5000"),
    ("Something about a disk", &["clean"], "mount: /var, goal: 80%"),
    ("Something about a disk", &["keep", "yields"], "mount: /var, clean: journal, goal: 80%, keep: 100MB"),
    (
        "Something about a disk",
        &["path", "older_than"],
        "mount: /var, clean: rotated, goal: 80%, path: /var/log, older_than: 30d",
    ),
    ("Something about a disk", &["rules"], "mount: /var, clean: logs, goal: 80%"),
    ("Something about a disk", &["images"], "mount: /var, clean: containers, goal: 80%"),
    ("Something about a disk", &["command"], "mount: /var, clean: grow, goal: 80%"),
    ("Something about a disk", &["measure"], "mount: /var"),
    ("Something about a disk", &[], "mount: /var, clean: packages, goal: 80%"),
    ("Something about a unit's memory", &["unit"], "release: SIGUSR1"),
    ("Something about a unit's memory", &[], "unit: app.service"),
    ("A renewal", &[], "name: api.example.com, file: /etc/nginx/ssl/api.pem, by: {certbot: api.example.com}"),
    (
        "A deployment",
        &[],
        "name: api.example.com, source: {certificate: /etc/nginx/ssl/api.pem}, units: [nginx.service]",
    ),
    ("What is put back", &[], "name: api.example.com, units: [nginx.service]"),
    ("A revocation", &[], "name: api.example.com, by: {certbot: api.example.com}"),
    (
        "A replacement",
        &[],
        "renew: {name: api.example.com, file: /etc/nginx/ssl/api.pem, by: {certbot: api.example.com}}, \
         deploy: {name: api.example.com, source: {certificate: /etc/nginx/ssl/api.pem}, units: [nginx.service]}",
    ),
];

/// By mapping and key, what the file must say elsewhere.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("The file", "targets", "services: {db.service: {}}, disks: {/var: {}}"),
    ("The file", "checks", "services: {nginx.service: {}}"),
    (
        "The file",
        "rules",
        "services: {app.service: {probe: \"http://127.0.0.1/\"}}, runbooks: {gentle: [{name: restart, steps: [{restart_unit: app.service}]}]}",
    ),
    ("The file", "expires", "autonomy: observe"),
    ("A service", "needs", "services: {postgresql.service: {}}"),
    ("A declared process", "needs", "services: {postgresql.service: {}}"),
    ("A route", "fallback", "notify: {hook: {webhook: file:/etc/ansai/hook}}"),
    ("A probe", "process", "processes: {worker: {start: [/usr/bin/worker]}}"),
    ("Long form: an action", "start_process", "processes: {worker: {start: [/usr/bin/worker]}}"),
    ("Long form: an action", "stop_process", "processes: {worker: {start: [/usr/bin/worker]}}"),
    ("Long form: a step", "start_process", "processes: {worker: {start: [/usr/bin/worker]}}"),
    ("Long form: a step", "stop_process", "processes: {worker: {start: [/usr/bin/worker]}}"),
];

/// What a key needs: in its own mapping, and elsewhere.
pub(super) fn of(shape: &Shape, key: &Key) -> (&'static str, &'static str) {
    let here = |is_it: &dyn Fn(&[&str]) -> bool| {
        BESIDE.iter().find(|(title, keys, _)| *title == shape.title && is_it(keys)).map(|(.., text)| *text)
    };
    // The look of a domain is one by itself.
    let is_of_domain = shape.title == PROBE && PROBE_KEYS.iter().any(|own| own.name == key.name);
    let own = here(&|keys| keys.contains(&key.name))
        .or_else(|| is_of_domain.then_some(""))
        .or_else(|| here(&|keys| keys.is_empty()));
    let elsewhere = ELSEWHERE.iter().find(|(title, name, _)| *title == shape.title && *name == key.name);
    (own.unwrap_or_default(), elsewhere.map(|(.., text)| *text).unwrap_or_default())
}

#[cfg(test)]
mod tests;
