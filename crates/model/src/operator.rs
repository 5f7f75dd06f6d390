//! What an operator may tell the engine to do.

use alloc::{format, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, NAME_BYTES_MAX, TargetId},
    listed::listed,
    policy::Scope,
    text::Text,
    time::{Shown, WallTime},
};

/// Longest reason, in characters: it is shown wherever it stops something.
pub const REASON_MAX: usize = 500;
/// Most patterns of one scope.
pub const PATTERNS_MAX: usize = 100;
/// Longest silence and longest maintenance window.
pub const LASTS_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The furthest end of a hold: what is to last longer has none.
pub const UNTIL_MAX: Duration = Duration::from_secs(3_660 * 86_400);

/// A command with its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    /// Who said it, as far as the socket's credentials tell.
    pub by: Text,
    /// The operation that was asked for.
    pub operation: Operation,
}

/// What an operator may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// No action on a scope until released (or until a time, when one is given).
    Hold {
        /// The targets that it covers.
        scope: Scope,
        /// The reason, as people read it.
        reason: Text,
        /// When it ends by itself, if ever.
        until: Option<WallTime>,
    },
    /// End the holds on exactly this scope; `All` ends every one but the HOLD file's.
    Release {
        /// The targets that it covers.
        scope: Scope,
    },
    /// No notifications about a scope; healing goes on.
    Silence {
        /// The targets that it covers.
        scope: Scope,
        /// The reason, as people read it.
        reason: Text,
        /// How long it lasts at most.
        lasts: Duration,
    },
    /// End the silences on exactly this scope; `All` ends every one.
    Unsilence {
        /// The targets that it covers.
        scope: Scope,
    },
    /// A maintenance window from now.
    Maintenance {
        /// The targets that it covers.
        scope: Scope,
        /// The reason, as people read it.
        reason: Text,
        /// How long it lasts at most.
        lasts: Duration,
    },
    /// End the maintenance windows on exactly this scope that an operator opened; `All` ends every one.
    EndMaintenance {
        /// The targets that it covers.
        scope: Scope,
    },
    /// Allow what an incident proposes.
    Approve {
        /// The incident, by its number.
        incident: IncidentId,
    },
    /// Refuse what an incident proposes: a person sees to it.
    Reject {
        /// The incident, by its number.
        incident: IncidentId,
    },
    /// Run the runbook of a target now. Holds, maintenance and budgets still apply; cooldown and autonomy do not.
    Heal {
        /// The target, by its name.
        target: TargetId,
    },
    /// Inject a failure on purpose to see the healing work.
    Drill {
        /// Into which target.
        target: TargetId,
        /// The kind of failure.
        kind: DrillKind,
    },
    /// Say that a drill is ended by hand: nothing is begun, and what is started for it is told as its end.
    EndDrill {
        /// On which target.
        target: TargetId,
    },
    /// Do what the target offers under this name. Holds, maintenance and budgets still apply.
    Request {
        /// Of which target.
        target: TargetId,
        /// Under which name.
        name: Text,
    },
}

/// Why an operation makes no sense, whatever the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// What is wrong.
    pub what: String,
    /// What to do instead.
    pub suggestion: String,
}

fn objection<T>(what: String, suggestion: &str) -> Result<T, Objection> {
    Err(Objection { what, suggestion: suggestion.into() })
}

impl Operation {
    /// What is wrong with it at `now`, if anything: an end that is over, no length or one of years, an empty scope, a
    /// reason that nobody reads to its end. Whether there are such targets is not known here.
    #[must_use]
    pub fn objection(&self, now: WallTime) -> Option<Objection> {
        self.judge(now).err()
    }

    fn judge(&self, now: WallTime) -> Result<(), Objection> {
        match self {
            Self::Hold { scope, reason, until } => {
                sensible_scope(scope).and_then(|()| short(reason))?;
                until.map_or(Ok(()), |until| sensible_end(until, now))
            }
            Self::Silence { scope, reason, lasts } => {
                sensible_scope(scope).and_then(|()| short(reason))?;
                sensible_length("silence", "ansai unsilence", *lasts)
            }
            Self::Maintenance { scope, reason, lasts } => {
                sensible_scope(scope).and_then(|()| short(reason))?;
                sensible_length("maintenance window", "ansai maintenance end", *lasts)
            }
            Self::Release { scope } | Self::Unsilence { scope } | Self::EndMaintenance { scope } => {
                sensible_scope(scope)
            }
            Self::Approve { .. } | Self::Reject { .. } | Self::Heal { .. } | Self::Drill { .. } => Ok(()),
            Self::EndDrill { .. } | Self::Request { .. } => Ok(()),
        }
    }
}

pub(crate) fn sensible_scope(scope: &Scope) -> Result<(), Objection> {
    let Scope::Matching(patterns) = scope else { return Ok(()) };
    let name = "name targets as `ansai status` lists them, or write --all for every one";
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.trim().is_empty()) {
        return objection("the scope is empty, and an empty scope never means all".into(), name);
    }
    if patterns.len() > PATTERNS_MAX {
        let what = format!("the scope has {} patterns; at most {PATTERNS_MAX} are taken", patterns.len());
        return objection(what, "write patterns with * and ?, or do it in several steps");
    }
    match patterns.iter().map(String::len).find(|length| *length > NAME_BYTES_MAX) {
        Some(length) => objection(format!("a pattern has {length} bytes; names have at most {NAME_BYTES_MAX}"), name),
        None => Ok(()),
    }
}

pub(crate) fn short(reason: &Text) -> Result<(), Objection> {
    match reason.as_str().chars().count() {
        0..=REASON_MAX => Ok(()),
        _ => objection(
            format!("the reason is longer than {REASON_MAX} characters"),
            "say in a sentence why, and where more is written",
        ),
    }
}

fn sensible_length(what: &str, end: &str, lasts: Duration) -> Result<(), Objection> {
    if lasts.is_zero() {
        let instead = format!("`{end}` ends one; write for how long, as 30m or 2h");
        return objection(format!("a {what} of no length changes nothing"), &instead);
    }
    if lasts > LASTS_MAX {
        let what = format!("a {what} of {} is too long; at most {} are taken", Shown(lasts), Shown(LASTS_MAX));
        return objection(
            what,
            "a hold has no end unless it is given one; what is never looked after need not be declared",
        );
    }
    Ok(())
}

fn sensible_end(until: WallTime, now: WallTime) -> Result<(), Objection> {
    let instead = "write a time to come, as --until 2h, or none: a hold without an end lasts until it is released";
    if until.0 < 0 {
        return objection("the hold would end before 1970".into(), instead);
    }
    if until <= now {
        return objection(format!("the hold would be over already: it ends {} ago", Shown(now.since(until))), instead);
    }
    if until.since(now) > UNTIL_MAX {
        let what = format!("the hold would end in {}; at most {} are taken", Shown(until.since(now)), Shown(UNTIL_MAX));
        return objection(what, instead);
    }
    Ok(())
}

listed! {
    /// A failure that can be injected.
    pub enum DrillKind {
        /// SIGKILL to the main process.
        Crash => "crash",
        /// SIGSTOP to the main process.
        Hang => "hang",
        /// SIGTERM to the main process, past systemd: it ends by itself.
        Exit => "exit",
        /// Something else listens on its port when it starts.
        Port => "port",
        /// A broken line in its configuration, and a crash.
        Configuration => "configuration",
        /// A crash, and one more after its next start.
        Loop => "loop",
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn objects(operation: &Operation) -> Option<String> {
        operation.objection(NOW).map(|objection| {
            assert!(!objection.suggestion.is_empty(), "{operation:?}");
            objection.what
        })
    }

    fn hold(scope: Scope, until: Option<i64>) -> Operation {
        Operation::Hold { scope, reason: "moving".into(), until: until.map(WallTime) }
    }

    #[test]
    fn a_hold_ends_in_a_time_to_come_or_not_at_all() {
        assert_eq!(objects(&hold(Scope::All, None)), None);
        assert_eq!(objects(&hold(Scope::All, Some(NOW.0 + 1))), None);
        for (until, why) in [
            (-1, "before 1970"),
            (i64::MIN, "before 1970"),
            (0, "over already"),
            (NOW.0, "over already"),
            (i64::MAX, "at most"),
        ] {
            let said = objects(&hold(Scope::All, Some(until))).expect("an objection");
            assert!(said.contains(why), "{until}: {said}");
        }
    }

    #[test]
    fn silences_and_windows_have_a_length_that_somebody_lives_to_see() {
        for (lasts, is_fine) in [
            (Duration::from_secs(1), true),
            (LASTS_MAX, true),
            (Duration::ZERO, false),
            (LASTS_MAX + Duration::from_secs(1), false),
            (Duration::MAX, false),
        ] {
            let (scope, reason) = (Scope::All, Text::from(""));
            let silence = Operation::Silence { scope: scope.clone(), reason: reason.clone(), lasts };
            let window = Operation::Maintenance { scope, reason, lasts };
            assert_eq!(objects(&silence).is_none(), is_fine, "{lasts:?}");
            assert_eq!(objects(&window).is_none(), is_fine, "{lasts:?}");
        }
    }

    #[test]
    fn an_empty_scope_never_means_all() {
        let empty = [vec![], vec!["".into()], vec!["app".into(), " ".into()], vec!["x".into(); PATTERNS_MAX + 1]];
        let long = vec!["x".repeat(NAME_BYTES_MAX + 1)];
        for patterns in empty.into_iter().chain([long]) {
            let scope = Scope::Matching(patterns);
            let operations: Vec<Operation> = vec![
                hold(scope.clone(), None),
                Operation::Release { scope: scope.clone() },
                Operation::Unsilence { scope: scope.clone() },
                Operation::EndMaintenance { scope },
            ];
            for operation in operations {
                assert!(objects(&operation).is_some(), "{operation:?}");
            }
        }
        assert_eq!(objects(&hold(Scope::Matching(vec!["app@*".into()]), None)), None);
    }

    #[test]
    fn a_reason_is_a_sentence() {
        let reasons =
            [("x".repeat(REASON_MAX), true), ("ä".repeat(REASON_MAX + 1), false), ("x".repeat(1 << 20), false)];
        for (reason, is_fine) in reasons {
            let hold = Operation::Hold { scope: Scope::All, reason: reason.into(), until: None };
            assert_eq!(objects(&hold).is_none(), is_fine);
        }
    }
}
