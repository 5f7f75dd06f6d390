//! What this agent may do, tried from where it runs: at its start, when the configuration needs something else, and when
//! somebody asks. Beside the loop, one trial at a time. What it may not do stands in the status; nothing is decided here.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use ansai_host::linux::{
    LinuxHost,
    ability::{self, Needs, Tried},
};
use ansai_protocol::{AbilityTrial, SCHEMA};
use tokio::sync::{Mutex, oneshot};
use tokio_util::task::TaskTracker;

use super::Agent;
use crate::{
    answer,
    api::Reply,
    clock::Clock,
    warnings::{DOCTOR_SAYS, Topic, Warnings},
};

/// Most that are named in the warning.
const NAMED_MAX: usize = 3;

/// Trials, one after the other.
pub(super) struct Abilities {
    /// The hash of what was tried last by itself: the names of all who need it would be as large as the configuration.
    known: Option<u64>,
    turn: Arc<Mutex<()>>,
    warnings: Warnings,
    clock: Clock,
    tasks: TaskTracker,
}

impl Abilities {
    /// Nothing is tried yet.
    pub(super) fn new(warnings: Warnings, clock: Clock, tasks: TaskTracker) -> Self {
        Self { known: None, turn: Arc::default(), warnings, clock, tasks }
    }

    /// Tries them beside the loop, warns of what cannot be done, and answers who asked.
    pub(super) fn begin(&self, host: &LinuxHost, needs: Needs, reply: Option<oneshot::Sender<Reply>>) {
        let (turn, warnings, clock, host) =
            (self.turn.clone(), self.warnings.clone(), self.clock.clone(), host.clone());
        self.tasks.spawn(async move {
            let _turn = turn.lock().await;
            let tried = ability::try_all(&host, needs).await;
            match warning(&tried) {
                Some(text) => warnings.raise(clock.now().wall, Topic::Abilities, text),
                None => drop(warnings.end(Topic::Abilities)),
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(answer::json(&shown(&tried)));
            } else {
                tried.iter().filter_map(in_a_line).for_each(|line| tracing::warn!("{line}"));
            }
        });
    }
}

impl Agent {
    /// What the configuration in force needs.
    pub(super) fn needs(&self) -> Needs {
        ability::needs(self.shell.bundle(), &self.options.state_dir)
    }

    /// Tries what is needed, when that is not what was tried last.
    pub(super) fn try_abilities(&mut self) {
        let needs = self.needs();
        let mut hasher = DefaultHasher::new();
        needs.hash(&mut hasher);
        if self.abilities.known.replace(hasher.finish()) != Some(hasher.finish()) {
            self.abilities.begin(&self.host, needs, None);
        }
    }
}

/// What cannot be done and who needs it; nothing when it can.
fn in_a_line(tried: &Tried) -> Option<String> {
    let who: Vec<&str> = tried.needed_by.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = match tried.needed_by.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let why = tried.error.as_ref()?;
    Some(format!("the agent may not {}, which {}{more} needs: {why}", tried.ability, who.join(", ")))
}

fn warning(tried: &[Tried]) -> Option<String> {
    let lines: Vec<String> = tried.iter().filter_map(in_a_line).collect();
    let more = match lines.len() {
        0 => return None,
        1 => String::new(),
        many => format!("; and {} more that it may not do", many - 1),
    };
    Some(format!("{}{more}{DOCTOR_SAYS}", lines.first()?))
}

fn shown(tried: &[Tried]) -> ansai_protocol::Abilities {
    let trial = |tried: &Tried| AbilityTrial {
        what: tried.ability.to_string().into(),
        needed_by: tried.needed_by.iter().cloned().collect(),
        error: tried.error.as_deref().map(Into::into),
        suggestion: tried.ability.suggestion().into(),
    };
    ansai_protocol::Abilities { schema: SCHEMA, abilities: tried.iter().map(trial).collect() }
}

#[cfg(test)]
mod tests {
    use ansai_host::linux::ability::Ability;

    use super::*;

    #[test]
    fn what_cannot_be_done_is_told_with_who_needs_it() {
        let tried = |ability, by: &[&str], error: Option<&str>| Tried {
            ability,
            needed_by: by.iter().map(|name| (*name).to_owned()).collect(),
            error: error.map(Into::into),
        };
        let fine = tried(Ability::Bus, &["service/a.service"], None);
        assert_eq!(warning(std::slice::from_ref(&fine)), None);
        let beneath =
            tried(Ability::OpenBeneath, &["disk//", "disk//a", "disk//b", "disk//c"], Some("not implemented"));
        let icmp = tried(Ability::RawIcmp { user: None }, &["service/a.service"], Some("not permitted"));
        let text = warning(&[fine, beneath, icmp]).expect("two are missing");
        let wanted = "the agent may not open files beneath a directory (openat2), which disk//, disk//a, disk//b and 1 more \
                      needs: not implemented; and 1 more that it may not do; `ansai doctor` says what to do";
        assert_eq!(text, wanted);
    }
}
