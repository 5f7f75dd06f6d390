//! `ansai heal`: the runbook of a target, now; and with `--dry-run` what it would do, rung by rung. The agent's gates decide.

use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_model::{id::TargetId, operator::Operation, runbook::Step, time::Shown};
use ansai_protocol::SCHEMA;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::{
    config,
    consent::{self, Proof},
    explain, operate, target,
};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show,
};

pub(super) fn heal(paths: &Paths, name: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let target = target::target_id(paths, name)?;
    let operation = Operation::Heal { target: target.clone() };
    if consent.rehearsal.dry_run || !consent.yes {
        // Nobody is asked about what would be refused, or told what it would do.
        client::rehearse(paths, operation.clone())?;
    }
    if consent.rehearsal.dry_run {
        return planned_for(paths, &target);
    }
    consent::ask(&format!("run the runbook of {target}"), &Proof::Yes, consent)?;
    operate::run(paths, operation)
}

/// Says what would be done for a target now, rung by rung.
pub(super) fn planned_for(paths: &Paths, target: &TargetId) -> Result<Code, Failure> {
    rehearse(paths, client::get(paths, &format!("/v1/plan/{target}"))?)
}

/// Says what would be done.
fn rehearse(paths: &Paths, mut plan: Value) -> Result<Code, Failure> {
    let runtime = config::runtime()?;
    let options = Options { buses: Vec::new(), ..Options::this_machine(paths.state_dir.clone()) };
    for rung in plan["rungs"].as_array_mut().into_iter().flatten() {
        let steps: Vec<Step> = serde_json::from_value(rung["steps"].take()).unwrap_or_default();
        let said = runtime.block_on(async {
            let host = LinuxHost::new(options.clone(), &TaskTracker::new());
            let mut said = Vec::new();
            for step in &steps {
                match step {
                    Step::Wait(wait) => said.push(format!("wait {}", Shown(*wait))),
                    Step::Act { action, .. } => {
                        said.extend(host.plan(action).await.steps.iter().map(ToString::to_string))
                    }
                }
            }
            said
        });
        rung["steps"] = json!(said);
    }
    runtime.shutdown_background();
    plan["schema"] = SCHEMA.into();
    match paths.json {
        true => show::print_json(&plan),
        false => {
            show::print(planned(&plan, &show::terminal().zone));
            show::note("\nnothing was changed (--dry-run)");
        }
    }
    Ok(Code::Ok)
}

/// A plan as a person reads it.
fn planned(plan: &Value, zone: &TimeZone) -> show::Page {
    let text = |value: &Value| show::told(value.as_str().unwrap_or_default(), zone);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let verdict = match plan["refused"].as_str() {
        Some(why) => format!("  it would be refused: {}", show::told(why, zone)),
        None => format!("  it would begin, for incident i{}", plan["incident"]),
    };
    let mut lines = vec![text(&plan["target"]), verdict];
    let gates = list(&plan["gates"]);
    lines.extend((!gates.is_empty()).then(String::new));
    lines.extend(gates.iter().map(|gate| explain::gate(gate, zone)));
    let rungs = list(&plan["rungs"]);
    if !rungs.is_empty() {
        lines.extend([String::new(), "one after the other, until one helps".to_owned()]);
    }
    for rung in rungs {
        let times = match rung["attempts_max"].as_u64() {
            Some(times @ 2..) => format!(", at most {times} times"),
            _ => String::new(),
        };
        let passed_over = rung["passed_over"].as_str().map(|why| format!(", passed over: {why}")).unwrap_or_default();
        lines.push(format!("  {}{times}{passed_over}", text(&rung["rung"])));
        lines.extend(list(&rung["steps"]).iter().map(|step| format!("    - {}", text(step))));
    }
    show::Page::lines(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(plan: &Value) -> String {
        planned(plan, &TimeZone::UTC).to_string()
    }

    #[test]
    fn a_plan_names_the_gates_and_the_rungs_in_order_and_says_what_is_passed_over() {
        let plan = json!({
            "target": "service/app.service", "incident": 3, "refused": null,
            "gates": [{"gate": "hold", "verdict": "allow", "why": "nothing is held"}],
            "rungs": [
                {"rung": "validate", "attempts_max": 1, "passed_over": null, "steps": ["ask `app -t`"]},
                {"rung": "restore", "attempts_max": 1, "passed_over": "only after another rung has failed", "steps": []},
                {"rung": "restart", "attempts_max": 2, "passed_over": null, "steps": ["restart app.service"]},
            ],
        });
        let expected = "\
service/app.service
  it would begin, for incident i3

  allow  hold             nothing is held

one after the other, until one helps
  validate
    - ask `app -t`
  restore, passed over: only after another rung has failed
  restart, at most 2 times
    - restart app.service";
        assert_eq!(shown(&plan).trim_end(), expected);
        let refused =
            json!({"target": "service/a", "incident": null, "refused": "held by ann", "gates": [], "rungs": []});
        assert_eq!(shown(&refused).trim_end(), "service/a\n  it would be refused: held by ann");
    }
}
