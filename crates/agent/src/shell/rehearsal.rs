//! What a command would come to, with what only the host knows: it is asked beside the loop, and only reads. What the engine says
//! of it is the engine's; nothing is begun here.

use std::time::Duration;

use ansai_engine::operator::rehearsal::RungPlan;
use ansai_host::port::Host;
use ansai_model::{
    action::Action,
    id::{IncidentId, TargetId},
    operator::{Operation, OperatorCommand},
    runbook::Step,
    text::Text,
    time::Shown,
};
use ansai_protocol::Problem;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Shell;
use crate::{answer::about, api::Reply, ledger::Store};

/// Longest that the host is asked: whoever asks is answered before the connection is given up.
const PLAN_MAX: Duration = Duration::from_secs(25);

impl<H: Host, S: Store> Shell<H, S> {
    /// What an operator's command would be answered, and step by step what it would do; nothing is done.
    pub(crate) fn rehearse(&self, command: OperatorCommand, reply: oneshot::Sender<Reply>) {
        if let Operation::Heal { target } = &command.operation {
            let target = target.clone();
            let would = self.acknowledged(self.engine().rehearse(self.now(), command).0);
            return self.rehearse_healing(&target, would, reply);
        }
        let target = target_of(&command.operation).cloned();
        let (answer, action) = self.engine().rehearse(self.now(), command);
        let answer = self.acknowledged(answer);
        let (Ok(mut would), Some(action), Some(target)) = (answer.clone(), action, target) else {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
            return;
        };
        let host = self.host.clone();
        self.tasks.spawn(async move {
            let planned = tokio::time::timeout(PLAN_MAX, host.plan(&action)).await;
            let answer = planned.map_err(|_| late()).and_then(|plan| match plan.refusal {
                Some(why) => Err((StatusCode::CONFLICT, Problem::refused(why, &target))),
                None => {
                    would["steps"] = json!(plan.steps);
                    Ok(would)
                }
            });
            let _ = reply.send(answer);
        });
    }

    /// What healing would be answered: where the engine would begin it, the host may know that nothing would come of it. What
    /// the host cannot say in time is found out by doing it.
    fn rehearse_healing(&self, target: &TargetId, would: Reply, reply: oneshot::Sender<Reply>) {
        let Some(plan) = self.engine().rehearse_heal(self.now(), target).filter(|_| would.is_ok()) else {
            // Whoever asked may have gone.
            let _ = reply.send(would);
            return;
        };
        let (host, incident) = (self.host.clone(), plan.incident);
        self.tasks.spawn(async move {
            let asked = tokio::time::timeout(PLAN_MAX, in_vain(&host, &plan.rungs)).await;
            let answer = match asked.ok().flatten() {
                Some(why) => Err((StatusCode::CONFLICT, Problem::new(nothing_done(&why), instead(incident)))),
                None => would,
            };
            let _ = reply.send(answer);
        });
    }

    /// What healing a target on request would do, rung by rung and step by step.
    pub(crate) fn plan(&self, target: &TargetId, reply: oneshot::Sender<Reply>) {
        let mut plan = match about(target, self.engine().rehearse_heal(self.now(), target)) {
            Ok(plan) => plan,
            problem => {
                let _ = reply.send(problem);
                return;
            }
        };
        // What the engine would begin may be refused all the same, as when nothing can be saved.
        let operation = Operation::Heal { target: target.clone() };
        let would = self.engine().rehearse(self.now(), OperatorCommand { by: "a rehearsal".into(), operation }).0;
        if let (true, Err((_, problem))) = (plan["refused"].is_null(), self.acknowledged(would)) {
            (plan["refused"], plan["suggestion"]) = (json!(problem.what), json!(problem.suggestion));
        }
        let host = self.host.clone();
        self.tasks.spawn(async move {
            let planned = tokio::time::timeout(PLAN_MAX, async {
                let mut idle = Vec::new();
                for rung in plan["rungs"].as_array_mut().into_iter().flatten() {
                    rung["steps"] = said(&host, rung["steps"].take(), &mut idle).await;
                }
                if let Some(why) = all_idle(idle).filter(|_| plan["refused"].is_null()) {
                    let incident = serde_json::from_value(plan["incident"].clone()).unwrap_or_default();
                    (plan["refused"], plan["suggestion"]) = (json!(nothing_done(&why)), json!(instead(incident)));
                }
                plan
            });
            let _ = reply.send(planned.await.map_err(|_| late()));
        });
    }
}

/// Why nothing would come of a ladder: the host says of every action in it that there is nothing for it to do. Nothing when one
/// would do something, or may: what would be refused now need not be by then, and a rung that is passed over now may be reached
/// when another has failed. The last is asked first, which as a rule does most and is quick to say so.
async fn in_vain<H: Host>(host: &H, rungs: &[RungPlan]) -> Option<Text> {
    let mut idle = Vec::new();
    for action in rungs.iter().flat_map(|rung| &rung.steps).rev().filter_map(may_change) {
        idle.push(Some(host.plan(action).await.idle?));
    }
    idle.reverse();
    all_idle(idle)
}

/// The action of a step that does more than look.
fn may_change(step: &Step) -> Option<&Action> {
    match step {
        Step::Act { action, .. } => Some(action).filter(|action| !action.only_looks()),
        Step::Wait(_) => None,
    }
}

/// Why none of these actions would do anything, when that is known of each; what only looks says nothing of it.
fn all_idle(actions: Vec<Option<Text>>) -> Option<Text> {
    let whys: Vec<Text> = actions.into_iter().collect::<Option<_>>()?;
    let whys: Vec<&str> = whys.iter().map(Text::as_str).collect();
    (!whys.is_empty()).then(|| Text::new(whys.join("; ")))
}

fn nothing_done(why: &Text) -> Text {
    Text::new(format!("nothing would be done: {why}"))
}

fn instead(incident: Option<IncidentId>) -> Text {
    match incident {
        Some(id) => Text::new(format!("`ansai report {id}` says what was found; a person mends it")),
        None => "a person mends it".into(),
    }
}

/// The steps of a rung, in words, and of each action that does more than look why it would do nothing.
async fn said<H: Host>(host: &H, steps: Value, idle: &mut Vec<Option<Text>>) -> Value {
    let mut said: Vec<Text> = Vec::new();
    for step in serde_json::from_value::<Vec<Step>>(steps).unwrap_or_default() {
        match &step {
            Step::Wait(wait) => said.push(Text::new(format!("wait {}", Shown(*wait)))),
            Step::Act { action, .. } => {
                let plan = host.plan(action).await;
                said.extend(plan.steps);
                idle.extend(may_change(&step).map(|_| plan.idle));
            }
        }
    }
    json!(said)
}

/// The target of an operation that may begin an action of its own.
fn target_of(operation: &Operation) -> Option<&TargetId> {
    match operation {
        Operation::Drill { target, .. } | Operation::Request { target, .. } => Some(target),
        _ => None,
    }
}

fn late() -> (StatusCode, Problem) {
    let what = format!("what the host says of it did not come within {}", Shown(PLAN_MAX));
    (StatusCode::GATEWAY_TIMEOUT, Problem::new(what, "try again; `ansai doctor` says what does not answer"))
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        action::{ActionOutcome, ActionPlan, ActionRun, Disruption},
        hint::Hint,
        id::{RungId, UnitName},
        incident::{Evidence, EvidenceRequest},
        inventory::Inventory,
        observation::Observation,
        probe::{CommandLine, Probe},
    };

    use super::*;

    /// A host that says beforehand which of its actions would do nothing, those of this unit, and refuses all others.
    #[derive(Clone)]
    struct Idle(&'static str);

    impl Host for Idle {
        async fn observe(&self, _: &Probe, _: Duration) -> Observation {
            Observation::unknown("nobody looks")
        }

        async fn perform(&self, _: &ActionRun) -> ActionOutcome {
            ActionOutcome::Lost { why: "nothing is done".into() }
        }

        async fn plan(&self, action: &Action) -> ActionPlan {
            let is_idle = action.job_of().is_some_and(|unit| unit.as_str() == self.0);
            let idle = is_idle.then(|| Text::new(format!("{} has nothing to do", self.0)));
            let refusal = (!is_idle).then(|| "somebody else is at work".into());
            ActionPlan { steps: Vec::new(), refusal, idle, disruption: Disruption::None }
        }

        async fn gather(&self, _: &EvidenceRequest) -> Vec<Evidence> {
            Vec::new()
        }

        async fn inventory(&self) -> Inventory {
            Inventory::default()
        }

        fn hints(&self) -> impl futures_util::Stream<Item = Hint> + Send + Unpin {
            futures_util::stream::pending()
        }
    }

    fn rung(action: Action, passed_over: Option<&str>) -> RungPlan {
        RungPlan {
            rung: RungId::new("rung").expect("valid"),
            attempts_max: 1,
            passed_over: passed_over.map(Text::new),
            steps: vec![Step::Wait(Duration::ZERO), Step::Act { action, timeout: Duration::ZERO }],
        }
    }

    #[tokio::test]
    async fn healing_is_in_vain_only_when_every_action_that_may_be_reached_has_nothing_to_do() {
        let start = |unit: &str| Action::StartUnit { unit: UnitName::new(unit).expect("valid") };
        let asks = || Action::Validate { command: Box::new(CommandLine::new(["/bin/ask"])) };
        let (host, only_by_name) = (Idle("idle.service"), Some("only after another rung has failed"));
        let cases = [
            (vec![rung(asks(), None), rung(start("idle.service"), None)], Some("idle.service has nothing to do")),
            (vec![rung(start("idle.service"), None), rung(start("app.service"), None)], None),
            (vec![rung(start("app.service"), only_by_name), rung(start("idle.service"), None)], None),
            // What only looks says nothing of it.
            (vec![rung(asks(), None)], None),
            (vec![], None),
        ];
        for (rungs, expected) in cases {
            assert_eq!(in_vain(&host, &rungs).await.as_ref().map(Text::as_str), expected, "{rungs:?}");
            let mut idle = Vec::new();
            for rung in &rungs {
                said(&host, json!(rung.steps), &mut idle).await;
            }
            assert_eq!(all_idle(idle).as_ref().map(Text::as_str), expected, "{rungs:?}");
        }
    }
}
