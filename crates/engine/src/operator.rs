//! What operators say: holds, silences, maintenance, approvals, healing and drills on request.
//! Every command is answered; what may disrupt passes the gates as well.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::time::Duration;

use ansai_model::{
    decision::Gate,
    fleet::RestraintKind,
    id::{IncidentId, TargetId},
    incident::{Incident, Phase, StepKind},
    operator::{DrillKind, Operation, OperatorCommand},
    policy::Scope,
    text::Text,
    time::Shown,
};

use crate::{
    context::Context,
    controller::said_elsewhere,
    effect::{Answer, Effect},
    gate::operator,
    invariant::{self, Behalf},
    operator::replaced::Replaced,
    state::{Hold, OpenedWindow, OperatorAnswer, PendingRun, SCOPES_MAX, Silence},
    view::View,
};

mod drilling;
mod healing;
pub mod rehearsal;
mod replaced;

const DRILL_TIMEOUT: Duration = Duration::from_secs(30);

fn done(text: impl Into<Text>) -> Answer {
    Answer::Done(text.into())
}
fn refused(why: impl Into<Text>, suggestion: impl Into<Text>) -> Answer {
    Answer::Refused { why: why.into(), suggestion: suggestion.into() }
}

fn incident_not_found(id: IncidentId) -> Answer {
    let what = Text::new(format!("there is no open incident {id}"));
    Answer::NotFound { what, suggestion: "`ansai incidents` lists them".into() }
}

fn target_not_found(target: &TargetId) -> Answer {
    let what = Text::new(format!("there is no target {target}"));
    Answer::NotFound { what, suggestion: "`ansai status` lists the targets".into() }
}

impl Context {
    pub(crate) fn operate(&mut self, request: u64, command: OperatorCommand) {
        let answer = self.answer_to(command);
        self.effects.push(Effect::Answer { request, answer });
        self.reconcile_all();
    }

    /// Does what an operator asks for, or refuses it. A rehearsal is this on a copy that nobody keeps.
    pub(crate) fn answer_to(&mut self, command: OperatorCommand) -> Answer {
        let OperatorCommand { by, operation } = command;
        if let Some(answer) = self.view().senseless(&operation) {
            return answer;
        }
        match operation {
            Operation::Hold { scope, reason, until } => self.hold(Hold::new(scope, by, reason, self.now, until)),
            Operation::Release { scope } => self.release(&scope),
            Operation::Silence { scope, reason, lasts } => {
                self.silence(Silence::new(scope, by, reason, self.now, lasts), lasts)
            }
            Operation::Unsilence { scope } => {
                let before = self.state.silences.len();
                self.state.silences.retain(|silence| scope != Scope::All && silence.scope != scope);
                let left = self.state.silences.len();
                self.ended(&scope, (before - left, left), RestraintKind::Silence)
            }
            Operation::Maintenance { scope, reason, lasts } => self.open_maintenance(scope, &by, reason, lasts),
            Operation::EndMaintenance { scope } => {
                let before = self.state.maintenance.len();
                self.state.maintenance.retain(|window| scope != Scope::All && window.scope != scope);
                let left = self.state.maintenance.len();
                self.ended(&scope, (before - left, left), RestraintKind::Maintenance)
            }
            Operation::Approve { incident } => self.approve(incident, &by),
            Operation::Reject { incident } => self.reject(incident, &by),
            Operation::Heal { target } => self.heal(&target, &by),
            Operation::Drill { target, kind } => self.drill(&target, kind),
            Operation::EndDrill { target } => self.drill_ended_by_hand(&target, &by),
            Operation::Request { target, name } => self.requested(&target, &name, &by),
        }
    }

    fn hold(&mut self, mut hold: Hold) -> Answer {
        let now = self.now;
        self.state.holds.retain(|before| before.is_on(now));
        // A person may change their own hold; that of another is released, not shortened.
        let same = self.state.holds.iter().position(|old| old.scope == hold.scope && old.by == hold.by);
        let before = same.map(|at| self.state.holds.remove(at));
        let before = before.map(|old| Replaced { what: "hold", end: old.end(now), by: old.by, reason: old.reason });
        hold.reason = replaced::reason(hold.reason, before.as_ref());
        if self.state.holds.len() >= SCOPES_MAX {
            return refused(
                format!("there are {SCOPES_MAX} holds already"),
                "`ansai release` ends some; `ansai hold --all` holds everything",
            );
        }
        let targets = self.view().targets_in(&hold.scope).len();
        let s = if targets == 1 { "" } else { "s" };
        let until = hold.end(self.now).map_or_else(String::new, |until| format!("until {}, or ", until.wall));
        let (scope, release) = (&hold.scope, hold.scope.arguments());
        let before = before.map(|before| before.told(&hold.reason, hold.end(now))).unwrap_or_default();
        let text = format!(
            "held: {scope} ({targets} target{s}); nothing is done there {until}until `ansai release {release}`{before}"
        );
        self.state.holds.push(hold);
        self.changed();
        done(text)
    }

    fn release(&mut self, scope: &Scope) -> Answer {
        let before = self.state.holds.len();
        self.state.holds.retain(|hold| *scope != Scope::All && hold.scope != *scope);
        let ended = before - self.state.holds.len();
        // Whoever has ended a hold believes that something is done again.
        let still = self.state.holds.iter().find(|hold| hold.is_on(self.now) && self.view().share(&hold.scope, scope));
        if let Some(hold) = still.filter(|_| ended > 0) {
            let s = if ended == 1 { "" } else { "s" };
            let text = format!("{ended} hold{s} ended; still held by another, on {}, by {}", hold.scope, hold.by);
            self.changed();
            return done(text);
        }
        if self.outside.hold_file.is_some() && *scope == Scope::All {
            self.changed();
            return refused("the HOLD file is still there", format!("remove {} to end that hold", operator::HOLD_FILE));
        }
        self.ended(scope, (ended, self.state.holds.len()), RestraintKind::Hold)
    }

    /// What came of ending `count` of them on a scope; so many are left on others.
    fn ended(&mut self, scope: &Scope, (count, left): (usize, usize), kind: RestraintKind) -> Answer {
        self.changed();
        let what = kind.as_str();
        if let Some((why, instead)) = self.view().by_controller(kind, scope).map(said_elsewhere) {
            let s = if count == 1 { "" } else { "s" };
            return match count {
                0 => refused(why, instead),
                _ => done(format!("{count} {what}{s} ended; {why}; {instead}")),
            };
        }
        match count {
            0 if *scope == Scope::All || left == 0 => Answer::NotFound {
                what: Text::new(format!("there is no {what}, so nothing was ended")),
                suggestion: "`ansai status` says what stops ansai".into(),
            },
            0 => Answer::NotFound {
                what: Text::new(format!("there is no {what} on exactly this scope")),
                suggestion: "`ansai status` lists them with their scopes; --all ends every one".into(),
            },
            1 => done(format!("1 {what} ended")),
            _ => done(format!("{count} {what}s ended")),
        }
    }

    fn silence(&mut self, mut silence: Silence, lasts: Duration) -> Answer {
        let now = self.now;
        self.state.silences.retain(|before| before.end(now).is_some());
        let same = self.state.silences.iter().position(|old| old.scope == silence.scope);
        let before = same.map(|at| self.state.silences.remove(at));
        let before = before.map(|old| Replaced { what: "silence", end: old.end(now), by: old.by, reason: old.reason });
        silence.reason = replaced::reason(silence.reason, before.as_ref());
        if self.state.silences.len() >= SCOPES_MAX {
            return refused(format!("there are {SCOPES_MAX} silences already"), "`ansai unsilence` ends some");
        }
        let before = before.map(|before| before.told(&silence.reason, silence.end(now))).unwrap_or_default();
        let text = format!("silenced for {}: {}; healing goes on{before}", Shown(lasts), silence.scope);
        self.state.silences.push(silence);
        self.changed();
        done(text)
    }

    fn open_maintenance(&mut self, scope: Scope, by: &Text, reason: Text, lasts: Duration) -> Answer {
        let now = self.now;
        self.state.maintenance.retain(|window| window.end(now).is_some());
        let same = self.state.maintenance.iter().position(|old| old.scope == scope);
        let before = same.map(|at| self.state.maintenance.remove(at)).map(|old| {
            let (by, reason) = old.author();
            Replaced { what: "window", by: by.into(), reason: reason.into(), end: old.end(now) }
        });
        let reason = replaced::reason(reason, before.as_ref());
        if self.state.maintenance.len() >= SCOPES_MAX {
            return refused(
                format!("there are {SCOPES_MAX} maintenance windows already"),
                "`ansai maintenance end` ends some",
            );
        }
        let before = before.map(|before| before.told(&reason, Some(now.plus(lasts)))).unwrap_or_default();
        let lasting = Shown(lasts);
        let text =
            format!("in maintenance for {lasting}: {scope}; nothing is healed there, and nobody is told of it{before}");
        self.state.maintenance.push(OpenedWindow::new(scope, by, &reason, now, lasts));
        self.changed();
        done(text)
    }

    fn approve(&mut self, id: IncidentId, by: &Text) -> Answer {
        let Some(incident) = self.state.incidents.get(&id) else { return incident_not_found(id) };
        if self.view().keeps_approval(incident) {
            return refused(format!("{id} is approved already"), format!("`ansai reject {id}` takes that back"));
        }
        if !matches!(incident.phase, Phase::AwaitingApproval { .. }) {
            return not_asked(incident);
        }
        let restraint = self.view().restraint_on(&incident.target);
        self.state.answers.insert(id, OperatorAnswer::Approved);
        self.record(id, StepKind::Answered { text: Text::new(format!("approved by {by}")) });
        self.set_phase(id, Phase::Open);
        // What was said once is not asked for again: it is kept, and that it waits is told.
        done(match restraint {
            Some(restraint) => {
                let why = restraint.words();
                format!(
                    "{id} is approved, and that is kept: nothing is done now: {why}; `ansai reject {id}` takes it back"
                )
            }
            None => format!("{id} is approved; healing begins when no other gate objects"),
        })
    }

    fn reject(&mut self, id: IncidentId, by: &Text) -> Answer {
        let Some(incident) = self.state.incidents.get(&id) else { return incident_not_found(id) };
        let was_approved = self.view().keeps_approval(incident);
        if !was_approved && !matches!(incident.phase, Phase::AwaitingApproval { .. }) {
            return not_asked(incident);
        }
        self.record(id, StepKind::Answered { text: Text::new(format!("rejected by {by}")) });
        self.escalate(id, Text::new(format!("the proposal was rejected by {by}")));
        let back = if was_approved { "the approval is taken back, and " } else { "" };
        done(format!("{id} is rejected; {back}nothing will be done about it"))
    }

    fn drill(&mut self, target: &TargetId, kind: DrillKind) -> Answer {
        let action = match self.view().drill_to_do(target, kind) {
            Ok(action) => action,
            Err(refusal) => return refusal,
        };
        let what = action.describe();
        let run = self.begin_run(None, target.clone(), action, DRILL_TIMEOUT);
        self.remember_drill(target, kind);
        self.effects.push(Effect::Perform(Box::new(run)));
        done(format!("drill: ansai will {what}"))
    }

    /// Does what a target offers, though nothing may be wrong with it.
    fn requested(&mut self, target: &TargetId, name: &Text, by: &Text) -> Answer {
        let Some(found) = self.bundle.parts().targets.get(target) else { return target_not_found(target) };
        let Some(request) = found.requests.get(name.as_str()).cloned() else {
            let known: Vec<&str> = found.requests.keys().map(|name| name.as_str()).collect();
            let suggestion = match known.is_empty() {
                true => {
                    "nothing is declared that would do it: the page of its domain says by which key that is done".into()
                }
                false => format!("it offers {}; `ansai config show --expanded` has its declaration", known.join(", ")),
            };
            return Answer::NotFound {
                what: Text::new(format!("{target} does not offer to `{name}`")),
                suggestion: Text::new(suggestion),
            };
        };
        if let Some(refusal) = self.view().restrained(target) {
            return refusal;
        }
        let is_healed = |id: &IncidentId| self.state.remediations.contains_key(id);
        if let Some(id) = self.checks.open_of(target).find(is_healed) {
            return refused(
                format!("{target} is being healed ({id})"),
                format!("`ansai report {id}` says how it goes"),
            );
        }
        if let Some(refusal) = self.view().busy(target) {
            return refusal;
        }
        if let Err(violation) =
            invariant::before_action(self.view(), target, Behalf::Request, request.action.disruption())
        {
            return refused(violation.what, format!("`ansai explain {target}` has every limit"));
        }
        let what = request.action.describe();
        let run = self.begin_run(None, target.clone(), request.action, request.timeout);
        self.changed();
        self.effects.push(Effect::Perform(Box::new(run)));
        done(format!("asked for by {by}: ansai will {what}"))
    }
}

impl<'a> View<'a> {
    /// The answer while something is done to a target already, with what that is: a target has one action at a time.
    fn busy(self, target: &TargetId) -> Option<Answer> {
        let is_on_it = |run: &&PendingRun| run.target == *target && run.lost_after > self.now.mono;
        let run = self.state.runs.values().find(is_on_it)?;
        let what = if run.is_keeping {
            "its configuration is being validated, to keep a copy of it as the last known good one"
        } else if run.is_drill && run.incident.is_none() {
            "a drill on it is about to begin"
        } else {
            "an action on it is under way"
        };
        let age = Shown(self.now.mono.since(run.decided.mono));
        Some(refused(format!("{target}: {what}, for {age} so far"), "give the command again in some seconds"))
    }

    /// The answer to what makes no sense, or is about nothing that is there: a misspelled scope would stop nothing.
    fn senseless(self, operation: &Operation) -> Option<Answer> {
        if let Some(objection) = operation.objection(self.now.wall) {
            return Some(refused(objection.what, objection.suggestion));
        }
        let (Operation::Hold { scope, .. } | Operation::Silence { scope, .. } | Operation::Maintenance { scope, .. }) =
            operation
        else {
            return None;
        };
        let is_empty = *scope != Scope::All && self.targets_in(scope).is_empty();
        is_empty.then(|| Answer::NotFound {
            what: Text::new(format!("{scope} holds none of the {} targets", self.bundle.parts().targets.len())),
            suggestion: "`ansai status` lists them; --all is every one".into(),
        })
    }

    /// Whether an incident was approved and nothing has begun for it yet, as under a hold.
    pub(crate) fn keeps_approval(self, incident: &Incident) -> bool {
        self.state.answers.get(&incident.id) == Some(&OperatorAnswer::Approved)
            && incident.phase == Phase::Open
            && !self.state.remediations.contains_key(&incident.id)
    }

    /// Whether a target is in both.
    pub(crate) fn share(self, one: &Scope, other: &Scope) -> bool {
        self.bundle.parts().targets.keys().any(|target| one.holds(target) && other.holds(target))
    }

    fn targets_in(self, scope: &Scope) -> Vec<&'a TargetId> {
        self.bundle.parts().targets.keys().filter(|target| scope.holds(target)).collect()
    }
}

/// The refusal of an answer to what nobody was asked, and why not yet when it will be.
fn not_asked(incident: &Incident) -> Answer {
    let id = incident.id;
    let decision = incident.decision.as_ref().filter(|_| incident.phase == Phase::Open);
    let asks = decision.and_then(|decision| decision.objections().find(|said| said.gate == Gate::Autonomy));
    let yet = asks.map(|asks| format!(" yet: {}", asks.why)).unwrap_or_default();
    refused(format!("{id} does not wait for an approval{yet}"), format!("`ansai report {id}` says where it stands"))
}
