//! The memory of a unit's processes: looked at where the kernel keeps count of it (cgroup v2, then v1), and summed over
//! the processes where no memory controller is there. What the figures mean is `ansai_model::domain::memory`'s.
//! It ends nothing: a restart is systemd's work, and asked for like any other.

mod act;
mod cgroup;
mod evidence;
mod figures;
mod listed;
mod pretend;
mod sum;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{
    domain::memory::{LimitKind, MemoryLimit, MemoryProbe, MemorySnapshot, judge},
    id::UnitName,
    observation::Observation,
    units::ByteSize,
};

use crate::linux::{
    aside::{self, Kind, Work},
    probe::Context,
    systemd::{self, Bus, CallError},
};

/// How long a process that the kernel ended counts as ended lately.
const LATELY: Duration = Duration::from_secs(600);
/// Most units of which it is known where their processes are.
const UNITS_MAX: usize = 10_000;
/// Longest wait for the sum over the processes of a unit.
const SUM_TIME: Duration = Duration::from_secs(5);
/// Digits of an invocation that make a number: 52 bits, which a figure holds exactly.
const LIFE_DIGITS: usize = 13;

/// What is remembered of the units between two looks.
#[derive(Debug, Default)]
pub(super) struct Seen {
    units: Mutex<BTreeMap<UnitName, Known>>,
}

/// What is remembered of a run of a unit.
#[derive(Clone, Debug)]
struct Known {
    invocation: String,
    /// Its control group, from the root of the hierarchy on.
    group: String,
    /// How many of its processes the kernel had ended when it was last looked at.
    oom_kills: Option<u64>,
    /// When that number was last seen to grow.
    killed: Option<Instant>,
}

impl Seen {
    fn of(&self, unit: &UnitName, invocation: &str) -> Option<Known> {
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.get(unit).filter(|known| known.invocation == invocation).cloned()
    }

    fn keep(&self, unit: &UnitName, known: Known) {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if units.len() >= UNITS_MAX && !units.contains_key(unit) {
            // They are found anew by the next looks.
            units.clear();
        }
        units.insert(unit.clone(), known);
    }
}

impl Known {
    /// Takes the count of a look in, and says whether a process was ended lately. What was counted before the first look
    /// is not known to be of late.
    fn counts(&mut self, oom_kills: Option<u64>, now: Instant) -> bool {
        if let (Some(before), Some(count)) = (self.oom_kills, oom_kills)
            && count > before
        {
            self.killed = Some(now);
        }
        self.oom_kills = oom_kills.or(self.oom_kills);
        self.killed.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
    }
}

/// Observes at the memory of a unit.
pub(super) async fn observe(
    context: &Context,
    seen: &Seen,
    bus: Option<&Bus>,
    probe: &MemoryProbe,
    timeout: Duration,
) -> Observation {
    let Some(bus) = bus else { return Observation::unknown("no systemd runs here") };
    match tokio::time::timeout(timeout, look(context, seen, bus, probe)).await {
        Ok(Ok(found)) => judge(found.as_ref()),
        Ok(Err(error)) => Observation::unknown(error.to_string()),
        Err(_) => Observation::unknown("systemd did not answer in time"),
    }
}

async fn look(
    context: &Context,
    seen: &Seen,
    bus: &Bus,
    probe: &MemoryProbe,
) -> Result<Option<MemorySnapshot>, CallError> {
    let unit = &probe.unit;
    let Some(invocation) = systemd::invocation(bus, unit).await? else { return Ok(None) };
    let mut known = match seen.of(unit, &invocation) {
        Some(known) => known,
        None => {
            let group = systemd::control_group(bus, unit).await?;
            Known { group, oom_kills: None, killed: None, invocation: invocation.clone() }
        }
    };
    let counted = cgroup::read(&context.root, &known.group);
    let mut found = match counted {
        Some(found) => found,
        None => {
            let pids = systemd::processes(bus, unit).await?;
            let Some(mut found) = summed(context, unit, pids).await? else { return Ok(None) };
            // Nobody enforces them here, and they are what somebody thought of as its share all the same.
            let (max, high) =
                tokio::join!(systemd::figure(bus, unit, "MemoryMax"), systemd::figure(bus, unit, "MemoryHigh"));
            let limits = [(max, LimitKind::Max), (high, LimitKind::High)];
            found
                .limits
                .extend(limits.into_iter().filter_map(|(at, kind)| Some(MemoryLimit { at: ByteSize(at?), kind })));
            found
        }
    };
    figures::add_host(&context.root, &mut found);
    found.limits.extend(probe.limit.map(|at| MemoryLimit { at, kind: LimitKind::Declared }));
    found.is_killed_lately = known.counts(found.oom_kills, Instant::now());
    found.life = life(&invocation);
    seen.keep(unit, known);
    Ok(Some(found))
}

/// The sum over these processes: a process that waits for a disk may keep whoever asks for its pages waiting as well.
async fn summed(context: &Context, unit: &UnitName, pids: Vec<u32>) -> Result<Option<MemorySnapshot>, CallError> {
    let root = context.root.clone();
    let work = Work::new(Kind::Look, format!("the memory of {unit}"));
    aside::run(work, SUM_TIME, move || sum::of(&root, &pids)).await.map_err(|late| CallError::Gone(late.to_string()))
}

/// A number for an invocation.
fn life(invocation: &str) -> Option<u64> {
    u64::from_str_radix(invocation.get(..LIFE_DIGITS)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_counts_as_ended_lately_when_the_count_grew_before_our_eyes() {
        let mut known = Known { invocation: "1".into(), group: "/a".into(), oom_kills: None, killed: None };
        let begun = Instant::now();
        // It was so before anybody looked.
        assert!(!known.counts(Some(3), begun));
        assert!(!known.counts(None, begun));
        assert!(known.counts(Some(4), begun));
        assert!(known.counts(Some(4), begun + LATELY / 2));
        assert!(!known.counts(Some(4), begun + LATELY));
    }

    #[test]
    fn what_is_known_of_a_run_is_not_taken_for_the_next() {
        let (seen, unit) = (Seen::default(), UnitName::new("app.service").expect("valid"));
        let known = Known { invocation: "1".into(), group: "/a".into(), oom_kills: None, killed: None };
        seen.keep(&unit, known);
        assert_eq!(seen.of(&unit, "1").map(|known| known.group), Some("/a".to_owned()));
        assert!(seen.of(&unit, "2").is_none());
        assert_eq!(life("0123456789abcdef0123456789abcdef"), Some(0x0001_2345_6789_abc0 >> 4));
        assert_eq!(life("short"), None);
    }
}
