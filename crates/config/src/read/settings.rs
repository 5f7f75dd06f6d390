//! The agent's own settings and the dead-man's switch.

use ansai_document::{Findings, Node};
use ansai_model::settings::{Heartbeat, Settings};

use crate::fill::{Filled, section};

/// The settings.
pub(crate) fn settings(findings: &mut Findings<'_>, root: &Node) -> Settings {
    let heartbeat = root.section("heartbeat").and_then(|node| Heartbeat::filled(findings, node, "heartbeat", None));
    let settings = section(findings, root, ("", "agent"), None).expect("each setting has a default");
    Settings { heartbeat, ..settings }
}
