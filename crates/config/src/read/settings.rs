//! The agent's own settings and the dead-man's switch.

use ansai_document::{Findings, Node};
use ansai_model::{
    cluster::Cluster,
    settings::{Heartbeat, HostSettings, Settings},
};

use crate::fill::{Filled, section};

/// What decisions go by.
pub(crate) fn settings(findings: &mut Findings<'_>, root: &Node) -> Settings {
    section(findings, root, ("", "agent"), None).expect("each setting has a default")
}

/// What is the host's own.
pub(crate) fn host_settings(findings: &mut Findings<'_>, root: &Node) -> HostSettings {
    let heartbeat = root.section("heartbeat").and_then(|node| Heartbeat::filled(findings, node, "heartbeat", None));
    let cluster = root.section("ansai_cluster").and_then(|node| Cluster::filled(findings, node, "ansai_cluster", None));
    let settings = section(findings, root, ("", "agent"), None).expect("each setting has a default");
    HostSettings { heartbeat, cluster, ..settings }
}
