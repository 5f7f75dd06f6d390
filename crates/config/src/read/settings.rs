//! The agent's own settings and the dead-man's switch.

use std::time::Duration;

use ansai_model::{
    policy::Budget,
    settings::{Heartbeat, Settings},
    units::ByteSize,
};

use super::{
    notify::{address, secret},
    policy::budget,
};
use crate::{
    diagnostics::{Findings, place_of},
    document::Node,
    form::cut,
};

const HEARTBEAT_EVERY: Duration = Duration::from_secs(300);

/// The settings. The shipped layer sets every one that has no other default here.
pub(crate) fn settings(findings: &mut Findings<'_>, root: &Node) -> Settings {
    let empty = Node::null(root.place);
    let agent = root.section("agent").unwrap_or(&empty);
    let hour = Duration::from_secs(3_600);
    Settings {
        role: agent.string_at("role"),
        host_budget: budget(agent, "host_budget", Budget { actions_max: 1, per: hour }),
        remediations_at_once_max: agent.count_at("remediations_at_once").unwrap_or(1),
        full_pass_every: period(findings, agent).unwrap_or(Duration::from_secs(60)),
        evidence_lines_max: agent.whole_at("evidence_lines").unwrap_or(20).min(200),
        metrics_listen: listen(findings, agent),
        heartbeat: heartbeat(findings, root),
        journal_bytes_max: agent.size_at("journal_bytes").unwrap_or(ByteSize(1 << 20)),
        reports_kept_for: agent.duration_at("reports_kept_for").unwrap_or(hour * 24),
        memory_max: agent.size_at("memory_max").unwrap_or(ByteSize(64 << 20)),
        redact: agent.strings_at("redact"),
        labels: agent.table_at("labels"),
    }
}

fn period(findings: &mut Findings<'_>, agent: &Node) -> Option<Duration> {
    let every = agent.duration_at("full_pass_every")?;
    if every < ansai_model::check::Check::EVERY_MIN {
        let help = "write 100ms or more".to_owned();
        findings.error(place_of(agent, "full_pass_every"), "agent.full_pass_every", "the period is too short", help);
        return None;
    }
    Some(every)
}

fn listen(findings: &mut Findings<'_>, agent: &Node) -> Option<String> {
    let text = agent.text_at("metrics_listen")?;
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(text.to_owned()),
        Ok(_) => {
            let what = format!("`{}` can be reached from outside", cut(text));
            let help = "metrics are served on loopback only: write 127.0.0.1:PORT or [::1]:PORT".to_owned();
            findings.error(place_of(agent, "metrics_listen"), "agent.metrics_listen", what, help);
            None
        }
        Err(_) => {
            let what = format!("`{}` is no address", cut(text));
            findings.error(
                place_of(agent, "metrics_listen"),
                "agent.metrics_listen",
                what,
                "write 127.0.0.1:PORT".to_owned(),
            );
            None
        }
    }
}

fn heartbeat(findings: &mut Findings<'_>, root: &Node) -> Option<Heartbeat> {
    let node = root.section("heartbeat")?;
    if !node.has("url") {
        let help = "write url: https://…".to_owned();
        findings.error(node.place, "heartbeat", "a heartbeat needs an address", help);
        return None;
    }
    Some(Heartbeat {
        url: address(findings, node, "url", "heartbeat.url")?,
        every: node.duration_at("every").unwrap_or(HEARTBEAT_EVERY),
        token: secret(findings, node, "token", "heartbeat.token"),
    })
}
