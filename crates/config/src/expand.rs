//! The long form of a bundle: everything that follows from the short form, written out.
//! What is written here is read back as the same bundle.

use ansai_document::written::{self, Fields, Written, size, time};
use ansai_model::{
    bundle::{Bundle, BundleParts},
    check::Check,
    probe::{HttpProbe, Probe, Protocol},
    rule::Rule,
    settings::HostSettings,
};

use crate::{
    domain::long,
    fill::{
        Filled,
        choice::Choice,
        simple::command,
        words::{FailsOn, Words},
    },
    keys::probe::Way,
    read::{notify, policy},
};

fn named<'a, K: ToString + 'a, V: 'a>(
    map: impl IntoIterator<Item = (&'a K, &'a V)>,
    write: impl Fn(&V) -> Written,
) -> Written {
    Written::Map(map.into_iter().map(|(name, value)| (name.to_string(), write(value))).collect())
}

/// The long form of a configuration, as YAML: its bundle for a host, and what is the host's own.
#[must_use]
pub fn expanded(bundle: &Bundle, own: &HostSettings) -> String {
    let parts: &BundleParts = bundle.parts();
    let fields = Fields::default()
        .put("agent", parts.settings.fields().and(own.fields()).done())
        .maybe("heartbeat", own.heartbeat.as_ref().map(|heartbeat| heartbeat.fields().done()))
        .maybe("ansai_cluster", own.cluster.as_ref().map(|cluster| cluster.fields().done()))
        .put("notify", named(&parts.routes, notify::written))
        .put("maintenance", Written::List(parts.maintenance.iter().map(policy::written).collect()))
        .put("policies", named(&parts.policies, |policy| policy.fields().done()))
        .put("targets", named(&parts.targets, |target| target.fields().done()))
        .put("checks", named(&parts.checks, |it| check(it)))
        .put("rules", named(&parts.rules, rule))
        .put(
            "runbooks",
            named(&parts.runbooks, |runbook| {
                Written::List(runbook.rungs.iter().map(|rung| rung.fields().done()).collect())
            }),
        );
    fields.document()
}

fn check(check: &Check) -> Written {
    Fields::default()
        .put("probe", probe(&check.probe))
        .time("every", check.every)
        .time("every_soft", check.every_soft)
        .time("timeout", check.timeout)
        .put("fail_after", Written::plain(check.fail_after))
        .put("recover_after", Written::plain(check.recover_after))
        .put("flap", check.flap.fields().done())
        .maybe("trend", check.trend.as_deref().map(|trend| trend.fields().done()))
        .done()
}

fn probe(probe: &Probe) -> Written {
    let of = |way: Way, value| Fields::default().put(way.name(), value);
    match probe {
        Probe::Unit { unit, expect } => of(Way::Unit, Written::text(unit)).put("state", Written::text(expect.word())),
        Probe::Tcp { host, port, speaks } => {
            // An address of the newer protocol would not be told from its port.
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            of(Way::Tcp, Written::Text(format!("{host}:{port}"))).maybe("speaks", speaks.map(spoken))
        }
        Probe::Http(probe) => http(probe),
        Probe::UnixSocket { path, speaks } => of(Way::Unix, Written::text(path)).maybe("speaks", speaks.map(spoken)),
        Probe::Exec(line) => of(Way::Exec, command(line)),
        Probe::Nagios(plugin) => {
            let fails_on = if plugin.fails_on_warning { FailsOn::Warning } else { FailsOn::Critical };
            of(Way::Nagios, command(&plugin.command)).put("fail_on", Written::text(fails_on.word()))
        }
        Probe::Process { name } => of(Way::Process, Written::text(name)),
        Probe::ProcessCount { executable, count_min, count_max } => of(Way::Executable, Written::text(executable))
            .put("count_min", Written::plain(count_min))
            .put("count_max", Written::plain(count_max)),
        Probe::File { path, age_max, size_max } => {
            of(Way::File, Written::text(path)).maybe("age_max", age_max.map(time)).maybe("size_max", size_max.map(size))
        }
        // No configuration can ask for it, so none has it.
        Probe::UnitFiles { unit, .. } => of(Way::Unit, Written::text(unit)),
        Probe::Domain(probe) => long::written_probe(probe),
    }
    .done()
}

fn spoken(protocol: Protocol) -> Written {
    Written::text(protocol.word())
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
        .maybe("header", written::table(&probe.answer_headers));
    Fields::default()
        .put(Way::Http.name(), Written::text(&probe.url))
        .put("method", Written::text(&probe.method))
        .maybe("headers", written::table(&probe.headers))
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
        .put("autonomy", Written::text(rule.autonomy.word()))
        .put("severity", Written::text(rule.severity.word()))
        .done()
}
