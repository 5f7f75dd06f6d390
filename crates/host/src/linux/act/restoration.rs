//! Puts the last known good configuration back, when that is what mends a validator's no. A name that does not resolve, a
//! full disk, a missing folder: these make every configuration invalid, and then the present one is no worse than the copy.
//! So the copy must be valid now, or what was there comes back as it was.

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    id::UnitName,
    probe::CommandLine,
    text::Text,
};

use super::{configuration, given_up, validate, work};
use crate::linux::{LinuxHost, aside};

/// Puts the kept copies back; what they replace is kept beside them.
pub(super) async fn restore(
    host: &LinuxHost,
    unit: &UnitName,
    paths: &[String],
    validator: Option<&CommandLine>,
    run: &ActionRun,
) -> ActionOutcome {
    let third = ActionRun { timeout: run.timeout / 3, ..run.clone() };
    let before = match validator {
        None => None,
        Some(validator) => match validate::ask(host, Some(unit), validator, &third).await {
            ActionOutcome::Failed { why } => Some((validator, why)),
            ActionOutcome::Succeeded { .. } => {
                return ActionOutcome::NotNeeded {
                    why: "the configuration is valid now, so nothing is put back".into(),
                };
            }
            // It has not said that the configuration is wrong.
            other => return other,
        },
    };
    let trusted = host.trusted_for(unit).await;
    let (state_dir, of, at, by) = (host.inner.options.state_dir.clone(), unit.clone(), paths.to_vec(), trusted.clone());
    let restores = move || configuration::restore(&state_dir, &of, &at, &by);
    let (outcome, replaced) = match aside::run(work(run), third.timeout, restores).await {
        Ok(restored) => restored,
        Err(late) => return given_up(&late),
    };
    let Some((validator, before)) = before else { return outcome };
    match &outcome {
        ActionOutcome::Succeeded { .. } => {}
        ActionOutcome::NotNeeded { why } => {
            return ActionOutcome::Failed { why: Text::new(format!("{why}: {before}")) };
        }
        _ => return outcome,
    }
    let after = match validate::ask(host, Some(unit), validator, &third).await {
        ActionOutcome::Succeeded { .. } => return outcome,
        ActionOutcome::Failed { why } | ActionOutcome::NotNeeded { why } => why,
        other => Text::new(other.to_string()),
    };
    let takes_back = move || configuration::take_back(replaced, &trusted);
    let back = match aside::run(work(run), third.timeout, takes_back).await {
        Ok(Ok(left)) if left.is_empty() => "what was there is back".to_owned(),
        Ok(Ok(left)) => format!("what was there is back, but for what somebody has changed since: {}", left.join(", ")),
        Ok(Err(why)) => format!("AND WHAT WAS THERE COULD NOT BE PUT BACK ({why}): it lies beside, as .ansai-broken"),
        Err(late) => format!("AND WHETHER WHAT WAS THERE IS BACK IS NOT KNOWN ({late}): look for .ansai-broken"),
    };
    ActionOutcome::Failed { why: Text::new(said(&before, &after, &back)) }
}

fn said(before: &Text, after: &Text, back: &str) -> String {
    let same = if before == after { "the same" } else { after.as_str() };
    format!(
        "the last known good configuration is not valid now either, so something else is wrong; {back}. Of what is there: {before}. Of the last known good one: {same}"
    )
}
