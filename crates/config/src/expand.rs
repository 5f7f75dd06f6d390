//! The long form of a bundle: everything that follows from the short form, written out.
//! What is written here is read back as the same bundle.

mod act;
mod yaml;

use ansai_model::{
    action::ProcessDeclaration,
    bundle::{Bundle, BundleParts, Target},
    check::{Check, Flap, Trend, TrendKind},
    domain::service::UnitExpectation,
    notify::{Channel, Email, Route, SmtpSecurity, WebhookFormat, WebhookUrl},
    policy::{Budget, MaintenanceWindow, Policy, QuietHours, Scope, WindowSchedule},
    probe::{CommandLine, HttpProbe, Probe, Protocol},
    rule::{Rule, Severity},
    settings::Settings,
    time::WallTime,
    units::ByteSize,
};

pub(crate) use self::yaml::Written;
use self::yaml::document;
use crate::{
    domain,
    keys::DAYS,
    units::{shown_bytes, shown_duration},
};

/// A mapping that is being written.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Written)>);

impl Fields {
    pub(crate) fn put(mut self, key: &str, value: Written) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// Only when there is something.
    pub(crate) fn maybe(self, key: &str, value: Option<Written>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Only when it is so.
    pub(crate) fn only_if(self, key: &str, is_so: bool) -> Self {
        self.maybe(key, is_so.then(|| Written::plain(true)))
    }

    pub(crate) fn time(self, key: &str, duration: std::time::Duration) -> Self {
        self.put(key, time(duration))
    }

    pub(crate) fn done(self) -> Written {
        Written::Map(self.0)
    }
}

pub(crate) fn time(duration: std::time::Duration) -> Written {
    Written::Plain(shown_duration(duration))
}

pub(crate) fn size(size: ByteSize) -> Written {
    Written::Plain(shown_bytes(size))
}

fn table(map: &std::collections::BTreeMap<String, String>) -> Option<Written> {
    let entries = map.iter().map(|(key, value)| (key.clone(), Written::text(value)));
    (!map.is_empty()).then(|| Written::Map(entries.collect()))
}

fn named<'a, K: ToString + 'a, V: 'a>(
    map: impl IntoIterator<Item = (&'a K, &'a V)>,
    write: impl Fn(&V) -> Written,
) -> Written {
    Written::Map(map.into_iter().map(|(name, value)| (name.to_string(), write(value))).collect())
}

/// The long form of a bundle, as YAML.
#[must_use]
pub fn expanded(bundle: &Bundle) -> String {
    let parts: &BundleParts = bundle.parts();
    let fields = Fields::default()
        .put("agent", agent(&parts.settings))
        .maybe(
            "heartbeat",
            parts.settings.heartbeat.as_ref().map(|heartbeat| {
                let fields = Fields::default().put("url", address(&heartbeat.url)).time("every", heartbeat.every);
                fields.maybe("token", heartbeat.token.as_ref().map(Written::text)).done()
            }),
        )
        .put("notify", named(&parts.routes, route))
        .put("maintenance", Written::List(parts.maintenance.iter().map(window).collect()))
        .put("policies", named(&parts.policies, policy))
        .put("targets", named(&parts.targets, target))
        .put("checks", named(&parts.checks, |it| check(it)))
        .put("rules", named(&parts.rules, rule))
        .put(
            "runbooks",
            named(&parts.runbooks, |runbook| Written::List(runbook.rungs.iter().map(act::rung).collect())),
        );
    document(&fields.0)
}

fn agent(settings: &Settings) -> Written {
    Fields::default()
        .maybe("role", settings.role.as_ref().map(Written::text))
        .put("host_budget", budget(settings.host_budget))
        .put("remediations_at_once", Written::plain(settings.remediations_at_once_max))
        .time("full_pass_every", settings.full_pass_every)
        .put("evidence_lines", Written::plain(settings.evidence_lines_max))
        .maybe("metrics_listen", settings.metrics_listen.as_ref().map(Written::text))
        .put("journal_bytes", size(settings.journal_bytes_max))
        .time("reports_kept_for", settings.reports_kept_for)
        .put("memory_max", size(settings.memory_max))
        .put("redact", Written::texts(&settings.redact))
        .maybe("labels", table(&settings.labels))
        .done()
}

fn budget(budget: Budget) -> Written {
    Fields::default().put("actions", Written::plain(budget.actions_max)).time("per", budget.per).done()
}

fn policy(policy: &Policy) -> Written {
    let breaker = Fields::default()
        .put("failures", Written::plain(policy.breaker.failures_max))
        .time("within", policy.breaker.window)
        .time("open_for", policy.breaker.open_for);
    let backoff = Fields::default()
        .time("initial", policy.backoff.initial)
        .put("factor", Written::plain(policy.backoff.factor))
        .time("max", policy.backoff.wait_max)
        .put("jitter", Written::plain(policy.backoff.jitter_percent))
        .time("reset_after", policy.backoff.reset_after);
    Fields::default()
        .time("cooldown", policy.cooldown)
        .put("budget", budget(policy.target_budget))
        .put("breaker", breaker.done())
        .put("backoff", backoff.done())
        .put("attempts", Written::plain(policy.attempts_max))
        .time("verify_within", policy.verify_within)
        .time("stable_for", policy.stable_for)
        .time("approval_expires", policy.approval_expires)
        .time("dependency_wait", policy.dependency_wait)
        .maybe("tell_unknown_after", policy.tell_unknown_after.map(time))
        .maybe("quiet", policy.quiet.map(quiet))
        .put("retry", Written::Text(policy.retry.as_str().into()))
        .put("loud_after", Written::plain(policy.loud_after))
        .done()
}

fn scope(scope: &Scope) -> Option<Written> {
    match scope {
        Scope::All => None,
        Scope::Matching(patterns) => Some(Written::texts(patterns)),
    }
}

fn moment(at: WallTime) -> Written {
    Written::Text(jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default())
}

fn window(window: &MaintenanceWindow) -> Written {
    let every = || Written::texts(["*"]);
    let fields = Fields::default().put("scope", scope(&window.scope).unwrap_or_else(every));
    let fields = fields.put("reason", Written::text(&window.reason));
    match window.schedule {
        WindowSchedule::Once { from, until } => fields.put("from", moment(from)).put("until", moment(until)).done(),
        WindowSchedule::Weekly { .. } => weekly(fields, window.schedule).done(),
    }
}

fn weekly(fields: Fields, schedule: WindowSchedule) -> Fields {
    let WindowSchedule::Weekly { days, from_minute, lasts, .. } = schedule else { return fields };
    let days = DAYS.iter().enumerate().filter(|(day, _)| days >> day & 1 == 1).map(|(_, name)| name);
    let at = format!("{:02}:{:02}", from_minute / 60, from_minute % 60);
    fields.put("days", Written::texts(days)).put("at", Written::Text(at)).time("lasts", lasts)
}

fn quiet(hours: QuietHours) -> Written {
    match hours {
        QuietHours::Declared(schedule) => weekly(Fields::default(), schedule).done(),
        QuietHours::Learned => Written::text("learned"),
    }
}

fn severity(severity: Severity) -> Written {
    Written::text(match severity {
        Severity::Now => "now",
        Severity::Day => "day",
        Severity::Week => "week",
    })
}

fn address(url: &WebhookUrl) -> Written {
    match url {
        WebhookUrl::Plain(url) => Written::text(url),
        WebhookUrl::Secret(secret) => Written::text(secret),
    }
}

fn route(route: &Route) -> Written {
    let fields = match &route.channel {
        Channel::Email(mail) => email(mail),
        Channel::Webhook(hook) => Fields::default()
            .put("webhook", address(&hook.url))
            .put(
                "format",
                Written::text(match hook.format {
                    WebhookFormat::Generic => "generic",
                    WebhookFormat::Slack => "slack",
                    WebhookFormat::Discord => "discord",
                }),
            )
            .maybe("secret", hook.secret.as_ref().map(Written::text))
            .maybe("headers", table(&hook.headers)),
        Channel::Exec(line) => Fields::default().put("exec", command(line)),
    };
    let digest = Fields::default().put("after", Written::plain(route.digest_after)).time("within", route.digest_window);
    fields
        .maybe("scope", scope(&route.scope))
        .put("severity", severity(route.severity_min))
        .only_if("healed", route.tell_healed)
        .maybe("fallback", route.fallback.as_ref().map(Written::text))
        .put("digest", digest.done())
        .done()
}

fn email(mail: &Email) -> Fields {
    let scheme = match mail.security {
        SmtpSecurity::None => "smtp",
        SmtpSecurity::Starttls => "smtp+starttls",
        SmtpSecurity::Tls => "smtps",
    };
    Fields::default()
        .put("smtp", Written::Text(format!("{scheme}://{}:{}", mail.host, mail.port)))
        .put("to", Written::texts(&mail.to))
        .maybe("from", mail.from.as_ref().map(Written::text))
        .maybe("user", mail.user.as_ref().map(Written::text))
        .maybe("password", mail.password.as_ref().map(Written::text))
        .maybe("ca", mail.ca_file.as_ref().map(Written::text))
}

pub(crate) fn command(line: &CommandLine) -> Written {
    let argv = Written::texts(&line.argv);
    if line.environment.is_empty() && line.user.is_none() && line.directory.is_none() {
        return argv;
    }
    Fields::default()
        .put("argv", argv)
        .maybe("environment", table(&line.environment))
        .maybe("user", line.user.as_ref().map(Written::text))
        .maybe("directory", line.directory.as_ref().map(Written::text))
        .done()
}

fn target(target: &Target) -> Written {
    Fields::default()
        .maybe("unit", target.unit.as_ref().map(Written::text))
        .maybe("process", target.process.as_deref().map(process))
        .maybe("port", target.port.map(Written::plain))
        .put("configuration", Written::texts(&target.configuration))
        .put("needs", Written::texts(&target.needs))
        .maybe("waits_for", (!target.waits_for.is_empty()).then(|| Written::texts(&target.waits_for)))
        .only_if("run_again", target.runs_again)
        .maybe("start_period", target.start_period.map(time))
        .only_if("critical", target.is_critical)
        .only_if("notifier", target.is_notifier)
        .maybe("requests", (!target.requests.is_empty()).then(|| named(&target.requests, act::request)))
        .done()
}

fn process(process: &ProcessDeclaration) -> Written {
    Fields::default()
        .put("start", command(&process.start))
        .maybe("stop", process.stop.as_ref().map(command))
        .maybe("pid_file", process.pid_file.as_ref().map(Written::text))
        .done()
}

fn check(check: &Check) -> Written {
    let Flap { changes_max, window } = check.flap;
    let flap = Fields::default().put("changes", Written::plain(changes_max)).time("within", window);
    Fields::default()
        .put("probe", probe(&check.probe))
        .time("every", check.every)
        .time("every_soft", check.every_soft)
        .time("timeout", check.timeout)
        .put("fail_after", Written::plain(check.fail_after))
        .put("recover_after", Written::plain(check.recover_after))
        .put("flap", flap.done())
        .maybe("trend", check.trend.as_deref().map(trend))
        .done()
}

fn trend(trend: &Trend) -> Written {
    let kind = match trend.kind {
        TrendKind::Fill => "fill",
        TrendKind::Leak => "leak",
    };
    Fields::default()
        .put("figure", Written::text(&trend.figure))
        .put("limit", Written::text(&trend.limit))
        .maybe("life", trend.life.as_ref().map(Written::text))
        .put("kind", Written::text(kind))
        .time("horizon", trend.horizon)
        .done()
}

fn probe(probe: &Probe) -> Written {
    let fields = Fields::default();
    match probe {
        Probe::Unit { unit, expect } => {
            let state = match expect {
                UnitExpectation::Running => "running",
                UnitExpectation::NotFailed => "not-failed",
            };
            fields.put("unit", Written::text(unit)).put("state", Written::text(state))
        }
        Probe::Tcp { host, port, speaks } => {
            // An address of the newer protocol would not be told from its port.
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            fields.put("tcp", Written::Text(format!("{host}:{port}"))).maybe("speaks", speaks.map(protocol))
        }
        Probe::Http(probe) => http(probe),
        Probe::UnixSocket { path, speaks } => {
            fields.put("unix", Written::text(path)).maybe("speaks", speaks.map(protocol))
        }
        Probe::Exec(line) => fields.put("exec", command(line)),
        Probe::Nagios(plugin) => fields
            .put("nagios", command(&plugin.command))
            .put("fail_on", Written::text(if plugin.fails_on_warning { "warning" } else { "critical" })),
        Probe::Process { name } => fields.put("process", Written::text(name)),
        Probe::ProcessCount { executable, count_min, count_max } => fields
            .put("executable", Written::text(executable))
            .put("count_min", Written::plain(count_min))
            .put("count_max", Written::plain(count_max)),
        Probe::File { path, age_max, size_max } => fields
            .put("file", Written::text(path))
            .maybe("age_max", age_max.map(time))
            .maybe("size_max", size_max.map(size)),
        // No configuration can ask for it, so none has it.
        Probe::UnitFiles { unit, .. } => fields.put("unit", Written::text(unit)),
        Probe::Domain(probe) => domain::written_probe(probe),
    }
    .done()
}

fn protocol(protocol: Protocol) -> Written {
    Written::text(protocol.name())
}

fn http(probe: &HttpProbe) -> Fields {
    let statuses = probe.statuses.iter().map(|(from, to)| match from == to {
        true => Written::plain(from),
        false => Written::Text(format!("{from}-{to}")),
    });
    let expect = Fields::default()
        .put("status", Written::List(statuses.collect()))
        .maybe("body", probe.body_contains.as_ref().map(Written::text))
        .maybe("within", probe.within.map(time))
        .maybe("header", table(&probe.answer_headers));
    Fields::default()
        .put("http", Written::text(&probe.url))
        .put("method", Written::text(&probe.method))
        .maybe("headers", table(&probe.headers))
        .put("expect", expect.done())
        .only_if("insecure", !probe.verify_certificate)
        .maybe("ca", probe.ca_file.as_ref().map(Written::text))
}

fn rule(rule: &Rule) -> Written {
    Fields::default()
        .put("target", Written::text(&rule.target))
        .put("checks", Written::texts(&rule.checks))
        .maybe("when", rule.condition.as_ref().map(|condition| Written::text(&condition.source)))
        .put("runbook", Written::text(&rule.runbook))
        .put("policy", Written::text(&rule.policy))
        .put("autonomy", Written::text(rule.autonomy.as_str()))
        .put("severity", severity(rule.severity))
        .done()
}
