//! The keys of the agent's own settings, of the dead-man's switch, and of when a probe looks.

use std::time::Duration;

use ansai_document::{Findings, Node, place_of, text};
use ansai_keys::{Key, Kind, Shape, count, joined, key};
use ansai_model::{
    cluster::{Cluster, ClusterMode, is_host_name},
    settings::{Heartbeat, HostSettings, Settings},
};

use super::{COUNT, PATIENCE, PERIOD, limits::BUDGET};
use crate::{
    fill::{Filled, fills, shape, words::word},
    keys::shared::{ADDRESS, SECRET},
};

/// What decisions go by, and what is the host's own.
const PARTS: &[&[Key]] = &[Settings::KEYS, HostSettings::KEYS];
const WHOLE: [Key; count(PARTS)] = joined(PARTS);
pub(super) static AGENT: Shape = Shape::of("The agent", &WHOLE);
pub(super) static HEARTBEAT: Shape = shape::<Heartbeat>("The heartbeat");
pub(super) static CLUSTER: Shape =
    shape::<Cluster>("The fleet").beside("management_node: ansai-controller.example.com");
pub(super) static PROBE_DEFAULTS: Shape = shape::<ProbeDefaults>("Defaults of probes");

fills! {
    Settings {
        role: key("role", Kind::Text, "What the host is for; it chooses the role layer, and conditions see it").example("web"),
        host_budget: key("host_budget", Kind::Shape(&BUDGET), "Most disruptive actions on the whole host that repeat one on the same target")
            .default("{actions: 20, per: 1h}"),
        remediations_at_once_max: key("remediations_at_once", COUNT, "Most remedies under way at once; it begins with 4, and each that succeeds lets one more begin")
            .default("32"),
        full_pass_every: key("full_pass_every", PERIOD, "The period in which everything is looked at, hinted or not").default("30s"),
        evidence_lines_max: key("evidence_lines", Kind::Whole { min: 0, max: 200 }, "Most lines of log in the evidence").default("20"),
        labels: key("labels", Kind::Named(&Kind::Text), "Labels of the host").example("{rack: a1}"),
    }
}

fills! {
    HostSettings {
        metrics_listen: key("metrics_listen", Kind::Loopback, "Where Prometheus metrics are served").example("127.0.0.1:9560"),
        journal_bytes_max: key("journal_bytes", Kind::Size, "The largest flight recorder").default("16MiB"),
        reports_kept_for: key("reports_kept_for", Kind::Duration, "How long reports are kept").default("90d"),
        memory_max: key("memory_max", Kind::Size, "The agent's own memory above which it drops what it can").default("64MiB"),
        redact: key("redact", Kind::Texts, "Words whose values are redacted, besides the shipped ones").example("[card_number]"),
    } besides {
        // They have sections of their own.
        heartbeat: None,
        cluster: None,
    }
}

fills! {
    Heartbeat {
        url: key("url", ADDRESS, "Where to ping, or a reference to it; /start and /fail are appended for those")
            .example("https://hc.example.com/ping/ansai").needed("a heartbeat needs an address", "write url: https://…"),
        every: key("every", Kind::Duration, "The period").default("5m"),
        token: key("token", SECRET, "A reference to a bearer token").example("env:HEARTBEAT_TOKEN"),
    }
}

fills! {
    Cluster {
        mode: key("mode", word::<ClusterMode>(), "How the fleet is managed").otherwise("centralized, the only one").example("centralized"),
        management_node: key("management_node", Kind::Text, "The host with the controller, as the others reach it")
            .example("ansai-controller.example.com").needed("a host must manage the fleet", "write management_node: ansai-controller.example.com"),
        managed_hosts: key("managed_hosts", Kind::Texts, "The hosts that are expected to join").example("[web-01.example.com, db-01.example.com]"),
    } checked hosts
}

fn hosts(findings: &mut Findings<'_>, node: &Node, path: &str, cluster: &Cluster) {
    for key in ["management_node", "managed_hosts"] {
        for (name, place) in node.texts_at(key).into_iter().filter(|(name, _)| !is_host_name(name)) {
            let what = format!("`{}` is no name of a host", text::cut(&name));
            findings.error(place, &text::joined(path, key), what, "write web-01.example.com".to_owned());
        }
    }
    let (place, path) = (place_of(node, "managed_hosts"), text::joined(path, "managed_hosts"));
    match cluster.managed_hosts.len() {
        0 if node.has("managed_hosts") => {
            let what = "no host is expected, so none is missed that never joins";
            findings.warning(place, &path, what, "write managed_hosts: [web-01.example.com]".to_owned());
        }
        hosts if hosts > Cluster::HOSTS_MAX => {
            let what = format!("{hosts} hosts are named, and at most {} are expected", Cluster::HOSTS_MAX);
            findings.error(place, &path, what, "leave it out: each host that joins by a token is taken in".to_owned());
        }
        _ => {}
    }
}

const EVERY: Key = key("every", PERIOD, "The period").default("10s").example("5s");
const EVERY_SOFT: Key = key(
    "every_soft",
    PERIOD,
    "The period while something may be wrong, and while a remedy is verified; never longer than `every`",
)
.default("1s");
const TIMEOUT: Key = key("timeout", PATIENCE, "The longest look").default("3s");
const FAIL_AFTER: Key = key("fail_after", COUNT, "Failing looks in a row that are believed").default("3");
const RECOVER_AFTER: Key = key("recover_after", COUNT, "Healthy looks in a row that are believed").default("2");

/// When a probe looks, as far as it says so itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) every: Option<Duration>,
    pub(crate) every_soft: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) fail_after: Option<u32>,
    pub(crate) recover_after: Option<u32>,
}

/// When a probe looks that does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeDefaults {
    pub(crate) every: Duration,
    pub(crate) every_soft: Duration,
    pub(crate) timeout: Duration,
    pub(crate) fail_after: u32,
    pub(crate) recover_after: u32,
}

fills! {
    Schedule {
        every: EVERY.below("probe_defaults.every"),
        every_soft: EVERY_SOFT.below("probe_defaults.every_soft"),
        timeout: TIMEOUT.below("probe_defaults.timeout"),
        fail_after: FAIL_AFTER.below("probe_defaults.fail_after"),
        recover_after: RECOVER_AFTER.below("probe_defaults.recover_after"),
    }
}

fills! {
    ProbeDefaults { every: EVERY, every_soft: EVERY_SOFT, timeout: TIMEOUT, fail_after: FAIL_AFTER, recover_after: RECOVER_AFTER }
}
