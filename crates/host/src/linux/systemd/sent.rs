//! Which signals ansai itself has sent to the main processes of units: by these a death is known that is its own doing, and no
//! other is taken for one. It sends nothing, and forgets with the agent.

use std::{collections::VecDeque, time::Duration};

use ansai_model::{
    id::UnitName,
    time::WallTime,
    unit::{Exit, OwnSignal},
};
use rustix::process::Signal;

/// Most signals that are remembered; the oldest go first.
const SENT_MAX: usize = 256;
/// Whoever lives on for longer has survived it.
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// The stamps of systemd and of the agent are of one clock, read a moment apart.
const APART: Duration = Duration::from_secs(1);

/// The signals that were sent, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sent(VecDeque<One>);

#[derive(Debug)]
struct One {
    unit: UnitName,
    pid: u32,
    at: WallTime,
    own: OwnSignal,
}

impl Sent {
    /// Notes a signal that is about to be sent: who gets it may end before the sender knows that it was sent.
    pub(super) fn note(&mut self, unit: &UnitName, pid: u32, own: OwnSignal, at: WallTime) {
        if self.0.len() >= SENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(One { unit: unit.clone(), pid, at, own });
    }

    /// The last one noted was not sent.
    pub(super) fn take_back(&mut self, unit: &UnitName, pid: u32) {
        if let Some(last) = self.0.iter().rposition(|one| one.pid == pid && one.unit == *unit) {
            self.0.remove(last);
        }
    }

    /// The signal because of which a main process has ended so, when it was one of these.
    pub(super) fn why_ended(&self, unit: &UnitName, pid: u32, exit: Exit, at: Option<WallTime>) -> Option<OwnSignal> {
        let is_it = |one: &&One| {
            let is_in_time = at.is_none_or(|at| one.at <= at.plus(APART) && at.since(one.at) <= ENDS_WITHIN);
            one.pid == pid && one.unit == *unit && is_in_time && ends_so(one.own.signal, exit)
        };
        self.0.iter().rev().find(is_it).map(|one| one.own)
    }
}

/// Whether a signal may be why a process has ended so: one that asks for an end may be answered with a code.
fn ends_so(signal: i32, exit: Exit) -> bool {
    match exit {
        Exit::Signal(by) | Exit::Dumped(by) => by == signal,
        Exit::Code(_) => [Signal::TERM, Signal::INT, Signal::QUIT].map(Signal::as_raw).contains(&signal),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::unit::Sender;

    use super::*;

    fn unit(name: &str) -> UnitName {
        UnitName::new(name).expect("valid")
    }

    fn own(signal: i32) -> OwnSignal {
        OwnSignal { signal, by: Sender::Drill }
    }

    #[test]
    fn only_the_process_that_got_a_signal_and_ended_of_it_soon_after_is_our_doing() {
        let (app, at) = (unit("app.service"), WallTime(1_000_000));
        let mut sent = Sent::default();
        sent.note(&app, 7, own(9), at);
        sent.note(&app, 8, own(15), at);
        let ended = |name: &str, pid, exit, at| sent.why_ended(&unit(name), pid, exit, at).map(|own| own.signal);
        let soon = Some(WallTime(at.0 + 5));
        assert_eq!(ended("app.service", 7, Exit::Signal(9), soon), Some(9));
        assert_eq!(ended("app.service", 7, Exit::Signal(9), None), Some(9));
        assert_eq!(ended("app.service", 8, Exit::Code(0), soon), Some(15));
        for (name, pid, exit, when) in [
            ("app.service", 9, Exit::Signal(9), soon),
            ("db.service", 7, Exit::Signal(9), soon),
            // Somebody else's came after it.
            ("app.service", 8, Exit::Signal(9), soon),
            ("app.service", 7, Exit::Code(1), soon),
            // It has survived it, or its number was another's before.
            ("app.service", 8, Exit::Signal(15), Some(WallTime(at.0 + 121_000))),
            ("app.service", 7, Exit::Signal(9), Some(WallTime(at.0 - 60_000))),
        ] {
            assert_eq!(ended(name, pid, exit, when), None, "{name} {pid} {exit:?}");
        }
    }

    #[test]
    fn what_was_not_sent_is_taken_back_and_the_oldest_go_first() {
        let (app, at) = (unit("app.service"), WallTime(0));
        let mut sent = Sent::default();
        sent.note(&app, 7, own(9), at);
        sent.take_back(&app, 7);
        assert_eq!(sent.why_ended(&app, 7, Exit::Signal(9), None), None);
        for pid in 0..=u32::try_from(SENT_MAX).expect("small") {
            sent.note(&app, pid, own(9), at);
        }
        assert_eq!(sent.why_ended(&app, 0, Exit::Signal(9), None), None);
        assert_eq!((sent.0.len(), sent.why_ended(&app, 1, Exit::Signal(9), None)), (SENT_MAX, Some(own(9))));
    }
}
