//! What the host says of itself: its name, its boot, memory, load and uptime, from files below the root.

use std::{collections::BTreeMap, path::Path, time::Duration};

use ansai_model::{
    condition::Value,
    inventory::{Inventory, UnitFacts},
    units::Percent,
};

/// Most that is read of each file.
const BYTES_MAX: u64 = 64 * 1024;

/// Memory, load and uptime at this moment; what cannot be read is left out.
pub(super) fn figures(root: &Path) -> BTreeMap<Box<str>, Value> {
    let read = |path: &str| ansai_files::head_text(&root.join(path), BYTES_MAX).unwrap_or_default();
    let mut facts: BTreeMap<Box<str>, Value> = BTreeMap::new();
    if let Some(share) = memory_available(&read("proc/meminfo")) {
        facts.insert("host.memory_available".into(), Value::Percent(share));
    }
    if let Some(load) = first_number(&read("proc/loadavg")) {
        let cores = std::thread::available_parallelism()
            .map_or(1.0, |cores| f64::from(u32::try_from(cores.get()).unwrap_or(1)));
        facts.insert("host.load".into(), Value::Number(load / cores));
    }
    if let Some(seconds) = first_number(&read("proc/uptime")).filter(|seconds| *seconds >= 0.0 && *seconds < 1e10) {
        facts.insert("host.uptime".into(), Value::Duration(Duration::from_secs_f64(seconds)));
    }
    facts
}

/// The inventory with these units, and with nothing of the domains.
#[must_use]
pub(super) fn inventory(root: &Path, units: Vec<UnitFacts>) -> Inventory {
    let boot_id = ansai_files::head_text(&root.join("proc/sys/kernel/random/boot_id"), BYTES_MAX).unwrap_or_default();
    Inventory {
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        boot_id: boot_id.trim().to_owned(),
        units,
        facts: figures(root),
        ..Inventory::default()
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

fn memory_available(meminfo: &str) -> Option<Percent> {
    let field = |name: &str| -> Option<u64> {
        meminfo.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    Some(Percent::of(field("MemAvailable:")?, field("MemTotal:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_missing_ones_left_out() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("proc")).expect("made");
        std::fs::write(root.path().join("proc/meminfo"), "MemTotal: 1000 kB\nMemAvailable: 250 kB\n").expect("written");
        let facts = inventory(root.path(), Vec::new()).facts;
        assert_eq!(facts.get("host.memory_available"), Some(&Value::Percent(Percent::of(1, 4))));
        assert!(!facts.contains_key("host.uptime"));
    }
}
