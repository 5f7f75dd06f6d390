//! A host before it is there: as it is made, and as the controller knows it at first. What it does stands in `host`.

use std::collections::BTreeMap;

use ansai_engine::State;
use ansai_model::{text::Text, time::Now};
use ansai_protocol::{
    link::{Held, HostId, RestraintsAt, Short},
    record::HostRecord,
};

use super::checks::Books;

/// A host as it is made.
pub(super) struct Made {
    pub(super) id: HostId,
    pub(super) serial: Text,
    pub(super) name: Short,
    pub(super) role: Option<Short>,
    pub(super) machine: u64,
    pub(super) skew_ms: i64,
    pub(super) saved: State,
    pub(super) books: Books,
}

/// A member as the controller knows it at first.
pub(super) fn record(id: HostId, number: u64, now: Now) -> HostRecord {
    let role = match number % 3 {
        0 => "db",
        _ => "web",
    };
    HostRecord {
        id,
        name: Short::new(format!("host-{number}")),
        role: Some(role.into()),
        labels: BTreeMap::new(),
        machine_id: "".into(),
        boot_id: "".into(),
        program: "".into(),
        address: "".into(),
        joined: now.wall,
        heard: None,
        ahead_ms: 0,
        acknowledged: RestraintsAt::default(),
        under_way: Vec::new(),
        configuration: Held::default(),
        refused: None,
        over_ssh: None,
    }
}
