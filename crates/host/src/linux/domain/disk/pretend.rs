//! The fake machine's filesystems: each has its room, and some of it that cleaning gives up. They hold no files, so that no
//! kind of cleaning differs from another.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use ansai_model::{
    action::ActionOutcome,
    domain::disk::{DiskAction, DiskProbe, DiskUsage, KernelErrors, judge_errors, judge_usage, judge_writable},
    inventory::{MountFacts, Writable},
    observation::Observation,
    text::Text,
    units::ByteSize,
};

use super::clean::{brought, enough, is_reached, measured};

/// How many inodes a filesystem has; one in ten is used.
const INODES: u64 = 1_000_000;
/// The type of every filesystem.
const KIND: &str = "ext4";

/// A filesystem of the fake machine.
#[derive(Debug)]
struct Filesystem {
    size: ByteSize,
    used: ByteSize,
    /// What of it cleaning gives up.
    spare: ByteSize,
    writable: Writable,
    errors: KernelErrors,
}

/// The filesystems of the fake machine, by mount point.
#[derive(Debug, Default)]
pub struct Filesystems(BTreeMap<String, Filesystem>);

impl Filesystems {
    /// Mounts one, or gives it another size; it is empty at first.
    pub fn mount(&mut self, mount: &str, size: ByteSize) {
        match self.0.entry(mount.to_owned()) {
            Entry::Occupied(mut there) => there.get_mut().size = size,
            Entry::Vacant(place) => {
                let (used, spare) = (ByteSize(0), ByteSize(0));
                let errors = KernelErrors::default();
                place.insert(Filesystem { size, used, spare, writable: Writable::Yes, errors });
            }
        }
    }

    /// Takes one away.
    pub fn unmount(&mut self, mount: &str) {
        self.0.remove(mount);
    }

    /// So much of it is used now, of which cleaning gives up `spare`.
    pub fn fill(&mut self, mount: &str, used: ByteSize, spare: ByteSize) {
        if let Some(filesystem) = self.0.get_mut(mount) {
            filesystem.used = used.min(filesystem.size);
            filesystem.spare = spare.min(filesystem.used);
        }
    }

    /// The kernel tells of an error of its device, and stops writing to it.
    pub fn fail(&mut self, mount: &str, said: &str) {
        if let Some(filesystem) = self.0.get_mut(mount) {
            filesystem.writable = Writable::StoppedByKernel;
            filesystem.errors.count += 1;
            filesystem.errors.last = vec![Text::new(said)];
        }
    }

    /// As the inventory has them.
    pub(in crate::linux::domain) fn facts(&self) -> Vec<MountFacts> {
        let facts = |(mount, filesystem): (&String, &Filesystem)| MountFacts {
            path: mount.clone(),
            source: "/dev/fake".into(),
            kind: KIND.into(),
            is_read_only: filesystem.writable != Writable::Yes,
            size: filesystem.size,
        };
        self.0.iter().map(facts).collect()
    }

    fn at(&self, mount: &str) -> Result<&Filesystem, String> {
        if let Some(filesystem) = self.0.get(mount) {
            return Ok(filesystem);
        }
        let holders = self.0.keys().filter(|holder| Path::new(mount).starts_with(holder));
        Err(super::unmounted(mount, holders.max_by_key(|holder| holder.len()).map(String::as_str)))
    }

    /// Observes once.
    pub(super) fn look(&self, probe: &DiskProbe) -> Observation {
        let filesystem = match self.at(probe.mount()) {
            Ok(filesystem) => filesystem,
            Err(why) => return Observation::unknown(why),
        };
        match probe {
            DiskProbe::ReadOnly { mount } => judge_writable(mount, filesystem.writable),
            DiskProbe::Errors { mount, within } => judge_errors(mount, *within, &filesystem.errors),
            DiskProbe::Space { .. } | DiskProbe::Inodes { .. } | DiskProbe::Full { .. } => {
                let judged = judge_usage(probe, &filesystem.usage());
                judged.unwrap_or_else(|| Observation::unknown("no look at its room"))
            }
        }
    }

    /// Makes room, or measures it.
    pub(super) fn act(&mut self, action: &DiskAction) -> ActionOutcome {
        let (DiskAction::Clean { mount, .. } | DiskAction::Measure { mount, .. }) = action;
        if let Err(why) = self.at(mount) {
            return ActionOutcome::Refused { why: Text::new(why) };
        }
        let Some(filesystem) = self.0.get_mut(mount) else {
            return ActionOutcome::Refused { why: "it is gone".into() };
        };
        let before = filesystem.usage();
        match action {
            DiskAction::Measure { below, .. } => measured(mount, *below, &before),
            DiskAction::Clean { goal, .. } if is_reached(&before, *goal) => {
                ActionOutcome::NotNeeded { why: Text::new(enough(mount, &before, *goal)) }
            }
            DiskAction::Clean { .. } if filesystem.spare == ByteSize(0) => {
                ActionOutcome::NotNeeded { why: "nothing is found that may be given up".into() }
            }
            DiskAction::Clean { goal, .. } => {
                let freed = filesystem.spare.min(ByteSize(before.bytes_above(*goal)));
                filesystem.spare = ByteSize(filesystem.spare.0 - freed.0);
                filesystem.used = ByteSize(filesystem.used.0 - freed.0);
                ActionOutcome::Succeeded { note: Text::new(brought(mount, &before, &filesystem.usage())) }
            }
        }
    }
}

impl Filesystem {
    fn usage(&self) -> DiskUsage {
        DiskUsage {
            size: self.size,
            used: self.used,
            available: ByteSize(self.size.0.saturating_sub(self.used.0)),
            inodes: INODES,
            inodes_used: INODES / 10,
            inodes_available: INODES - INODES / 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::{
        action::ActionRun,
        domain::disk::Cleaning,
        id::{RunId, TargetId},
        observation::Health,
        probe::Probe,
        units::Percent,
    };

    use super::*;
    use crate::fake::Machine;

    const GIB: u64 = 1 << 30;

    fn percent(percent: u8) -> Percent {
        Percent::new(percent).expect("valid")
    }

    fn full() -> Machine {
        let mut machine = Machine::new();
        machine.domains().filesystems.mount("/var", ByteSize(100 * GIB));
        machine.domains().filesystems.fill("/var", ByteSize(95 * GIB), ByteSize(10 * GIB));
        machine
    }

    fn health(machine: &Machine, probe: DiskProbe) -> Health {
        machine.observe(&Probe::from(probe), Duration::from_secs(1)).health()
    }

    fn done(machine: &mut Machine, action: DiskAction) -> ActionOutcome {
        let target = TargetId::new("disk//var").expect("valid");
        let run = ActionRun { id: RunId(1), incident: None, target, action: action.into(), timeout: Duration::MAX };
        machine.begin(&run);
        machine.ended(run.id).expect("it has ended")
    }

    #[test]
    fn cleaning_makes_room_up_to_its_goal_and_as_far_as_something_may_go() {
        let mut machine = full();
        let space = || DiskProbe::Space { mount: "/var".into(), fails_at: percent(90) };
        let clean = |goal| {
            let (mount, what, protect) = ("/var".into(), Cleaning::PackageCache, Vec::new());
            DiskAction::Clean { mount, goal: percent(goal), what, protect }
        };
        assert_eq!(health(&machine, space()), Health::Failing);
        let ActionOutcome::Succeeded { note } = done(&mut machine, clean(89)) else { panic!("room is made") };
        assert!(note.as_str().starts_with("6.0 GiB freed on /var: 95.0 % → 89.0 % used"), "{note}");
        assert_eq!(health(&machine, space()), Health::Healthy);
        assert!(matches!(done(&mut machine, clean(89)), ActionOutcome::NotNeeded { .. }));
        assert!(matches!(done(&mut machine, clean(10)), ActionOutcome::Succeeded { .. }));
        // Nothing is left that may go.
        assert!(matches!(done(&mut machine, clean(10)), ActionOutcome::NotNeeded { .. }));
        let measure = DiskAction::Measure { mount: "/var".into(), below: percent(80) };
        assert!(matches!(done(&mut machine, measure), ActionOutcome::Failed { .. }));
    }

    #[test]
    fn what_the_kernel_tells_of_is_seen_and_what_is_not_mounted_is_not_judged() {
        let mut machine = full();
        let read_only = |mount: &str| DiskProbe::ReadOnly { mount: mount.into() };
        let errors = || DiskProbe::Errors { mount: "/var".into(), within: Duration::from_secs(60) };
        assert_eq!([health(&machine, read_only("/var")), health(&machine, errors())], [Health::Healthy; 2]);
        machine.domains().filesystems.fail("/var", "I/O error, dev fake");
        assert_eq!([health(&machine, read_only("/var")), health(&machine, errors())], [Health::Failing; 2]);
        assert_eq!(machine.inventory().mounts.iter().map(|mount| mount.is_read_only).collect::<Vec<_>>(), [true]);
        let seen = machine.observe(&Probe::from(read_only("/var/lib")), Duration::from_secs(1));
        assert_eq!(seen.summary().as_str(), "nothing is mounted at /var/lib; it lies on the filesystem at /var");
        machine.domains().filesystems.unmount("/var");
        assert_eq!(health(&machine, read_only("/var")), Health::Unknown);
    }
}
