//! What a command would come to, with what only the host knows: it is asked beside the loop, and only reads. What the engine says
//! of it is the engine's; nothing is begun here.

use std::time::Duration;

use ansai_host::port::Host;
use ansai_model::{
    id::TargetId,
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

    /// What healing a target on request would do, rung by rung and step by step.
    pub(crate) fn plan(&self, target: &TargetId, reply: oneshot::Sender<Reply>) {
        let mut plan = match about(target, self.engine().rehearse_heal(self.now(), target)) {
            Ok(plan) => plan,
            problem => {
                let _ = reply.send(problem);
                return;
            }
        };
        let host = self.host.clone();
        self.tasks.spawn(async move {
            let planned = tokio::time::timeout(PLAN_MAX, async {
                for rung in plan["rungs"].as_array_mut().into_iter().flatten() {
                    rung["steps"] = said(&host, rung["steps"].take()).await;
                }
                plan
            });
            let _ = reply.send(planned.await.map_err(|_| late()));
        });
    }
}

/// The steps of a rung, in words.
async fn said<H: Host>(host: &H, steps: Value) -> Value {
    let mut said: Vec<Text> = Vec::new();
    for step in serde_json::from_value::<Vec<Step>>(steps).unwrap_or_default() {
        match step {
            Step::Wait(wait) => said.push(Text::new(format!("wait {}", Shown(wait)))),
            Step::Act { action, .. } => said.extend(host.plan(&action).await.steps),
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
