//! What a unit uses, in words, as evidence. It judges nothing.

use std::{fmt::Write as _, path::Path};

use ansai_model::{id::UnitName, units::ByteSize};

use super::{
    bus::{Bus, CallError},
    life::figure,
    unit::processes,
};

/// Most processes of a unit whose memory is summed.
const PROCESSES_MAX: usize = 1024;
const STATUS_BYTES_MAX: u64 = 64 * 1024;

/// What the unit's processes use now: memory and CPU time from systemd; where its controllers are absent, memory summed
/// over the processes.
///
/// # Errors
/// When systemd does not answer.
pub async fn usage(bus: &Bus, root: &Path, unit: &UnitName) -> Result<String, CallError> {
    let pids = processes(bus, unit).await?;
    let mut text = if pids.len() == 1 { "1 process".to_owned() } else { format!("{} processes", pids.len()) };
    text.push_str(stopped(root, &pids));
    match figure(bus, unit, "MemoryCurrent").await {
        Some(bytes) => {
            // Writing into a string cannot fail.
            let _ = write!(text, "; memory {}", ByteSize(bytes));
        }
        None if !pids.is_empty() => {
            let kib: u64 = pids.iter().take(PROCESSES_MAX).filter_map(|pid| resident_kib(root, *pid)).sum();
            let _ = write!(text, "; memory {} (summed over its processes)", ByteSize(kib.saturating_mul(1024)));
        }
        None => {}
    }
    if let Some(nanos) = figure(bus, unit, "CPUUsageNSec").await {
        let _ = write!(text, "; CPU time {} ms", nanos / 1_000_000);
    }
    Ok(text)
}

/// That none of these processes can run because all are stopped, by a signal or by a debugger; nothing when one is not.
fn stopped(root: &Path, pids: &[u32]) -> &'static str {
    // What has ended and was not asked for its end says nothing of the others.
    let states: Option<Vec<char>> = pids.iter().take(PROCESSES_MAX).map(|pid| state(root, *pid)).collect();
    let states: Vec<char> = states.unwrap_or_default().into_iter().filter(|state| *state != 'Z').collect();
    let is_all = |state: &str| !states.is_empty() && states.iter().all(|of| state.contains(*of));
    if is_all("T") {
        "; all stopped (state T)"
    } else if is_all("Tt") {
        "; all stopped (state t, by a debugger)"
    } else {
        ""
    }
}

fn state(root: &Path, pid: u32) -> Option<char> {
    let status = ansai_files::head_text(&root.join(format!("proc/{pid}/status")), STATUS_BYTES_MAX).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().chars().next()
}

fn resident_kib(root: &Path, pid: u32) -> Option<u64> {
    let status = ansai_files::head_text(&root.join(format!("proc/{pid}/status")), STATUS_BYTES_MAX).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use ansai_model::incident::Evidence;

    use super::*;

    #[test]
    fn resident_memory_is_read_below_the_root() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("proc/7")).expect("made");
        std::fs::write(root.path().join("proc/7/status"), "Name:\tx\nVmRSS:\t  2048 kB\n").expect("written");
        assert_eq!(resident_kib(root.path(), 7), Some(2048));
        assert_eq!(resident_kib(root.path(), 8), None);
    }

    #[test]
    fn processes_are_called_stopped_only_when_all_are() {
        let root = tempfile::tempdir().expect("a folder");
        for (pid, state) in [(1, "T (stopped)"), (2, "Z (zombie)"), (3, "t (tracing stop)"), (4, "S (sleeping)")] {
            std::fs::create_dir_all(root.path().join(format!("proc/{pid}"))).expect("made");
            let status = format!("Name:\tx\nState:\t{state}\nVmRSS:\t  2048 kB\n");
            std::fs::write(root.path().join(format!("proc/{pid}/status")), status).expect("written");
        }
        for (pids, said) in [
            (&[1, 2][..], "; all stopped (state T)"),
            (&[1, 3], "; all stopped (state t, by a debugger)"),
            (&[1, 4], ""),
            (&[1, 9], ""),
            (&[2], ""),
            (&[], ""),
        ] {
            assert_eq!(stopped(root.path(), pids), said, "{pids:?}");
            assert_eq!(said.contains(Evidence::STOPPED), !said.is_empty());
        }
    }
}
