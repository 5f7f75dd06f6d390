//! `ansai heal`: the runbook of a target, now; and with `--dry-run` what it would do, rung by rung. The agent's gates decide.

use ansai_model::{id::TargetId, operator::Operation};
use ansai_protocol::Problem;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{
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
    if consent.rehearsal.dry_run {
        return rehearse(paths, &target);
    }
    let operation = Operation::Heal { target: target.clone() };
    // Nobody is asked about what would be refused; and whoever asks for it hears at once when there is nothing to do.
    client::rehearse(paths, operation.clone())?;
    consent::ask(&format!("run the runbook of {target}"), &Proof::Yes, consent)?;
    operate::run(paths, operation)
}

/// What would be done for a target now, rung by rung.
pub(super) fn plan(paths: &Paths, target: &TargetId) -> Result<Value, Failure> {
    client::get(paths, &format!("/v1/plan/{target}"))
}

/// Says what would be done; what would be refused is refused in the same words, below what is known of it.
fn rehearse(paths: &Paths, target: &TargetId) -> Result<Code, Failure> {
    let plan = plan(paths, target)?;
    if let Some(why) = plan["refused"].as_str() {
        let (gates, rungs) = (plan["gates"].as_array(), plan["rungs"].as_array());
        if !paths.json && [gates, rungs].into_iter().flatten().any(|list| !list.is_empty()) {
            show::print(planned(&plan, &show::terminal().zone));
        }
        let suggestion = plan["suggestion"].as_str().unwrap_or_default();
        return Err(Failure::refused(&Problem::new(why, suggestion)));
    }
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
    lines.extend(ladder(plan, zone));
    show::Page::lines(lines)
}

/// The rungs of a plan as a person reads them.
pub(super) fn ladder(plan: &Value, zone: &TimeZone) -> Vec<String> {
    let text = |value: &Value| show::told(value.as_str().unwrap_or_default(), zone);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = Vec::new();
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
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
