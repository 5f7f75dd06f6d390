//! Puts the last known good configuration back, when that is what mends a validator's no. A name that does not resolve, a
//! full disk, a missing folder: these make every configuration invalid, and then the present one is no worse than the copy.
//! So the copy must be valid now, or what was there comes back as it was. What is missing is put back first, alone: when that
//! is all that was wrong, no change of anybody's is lost.

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    id::UnitName,
    probe::CommandLine,
    text::Text,
};

use super::{
    configuration::{self, Reach},
    given_up, validate, work,
};
use crate::linux::{
    LinuxHost,
    aside::{self, Late},
    owned_path::Refused,
};

/// Puts the kept copies back; what they replace is kept beside them.
pub(super) async fn restore(
    host: &LinuxHost,
    unit: &UnitName,
    paths: &[String],
    validator: Option<&CommandLine>,
    run: &ActionRun,
) -> ActionOutcome {
    // Up to three answers of the validator, and the work on the files.
    let share = ActionRun { timeout: run.timeout / 4, ..run.clone() };
    let before = match validator {
        None => None,
        Some(validator) => match validate::ask(host, Some(unit), validator, &share).await {
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
    let restores = |reach| {
        let (state_dir, of, at) = (host.inner.options.state_dir.clone(), unit.clone(), paths.to_vec());
        let by = trusted.clone();
        aside::run(work(run), share.timeout, move || configuration::restore(&state_dir, &of, &at, reach, &by))
    };
    let Some((validator, before)) = before else {
        return match restores(Reach::All).await {
            Ok((outcome, _)) => outcome,
            Err(late) => given_up(&late),
        };
    };
    let mut replaced = Vec::new();
    let mut after = None;
    for reach in [Reach::Missing, Reach::All] {
        let (outcome, more) = match restores(reach).await {
            Ok(restored) => restored,
            Err(late) => return given_up(&late),
        };
        replaced.extend(more);
        after = match &outcome {
            ActionOutcome::Succeeded { note } => match validate::ask(host, Some(unit), validator, &share).await {
                ActionOutcome::Succeeded { .. } if reach == Reach::Missing => {
                    return ActionOutcome::Succeeded {
                        note: Text::new(format!("{note}; nothing else was touched, since that was enough")),
                    };
                }
                ActionOutcome::Succeeded { .. } => {
                    return ActionOutcome::Succeeded {
                        note: configuration::put_back_note(&host.inner.options.state_dir, unit, &replaced),
                    };
                }
                ActionOutcome::Failed { why } | ActionOutcome::NotNeeded { why } => Some(why),
                other => Some(Text::new(other.to_string())),
            },
            // Nothing more to put back than what has been, or nothing yet.
            ActionOutcome::NotNeeded { .. } if reach == Reach::Missing || after.is_some() => after,
            ActionOutcome::NotNeeded { why } => {
                return ActionOutcome::Failed { why: Text::new(format!("{why}. The validator says: {before}")) };
            }
            _ if replaced.is_empty() => return outcome,
            other => Some(Text::new(other.to_string())),
        };
    }
    let after = after.unwrap_or_else(|| before.clone());
    let (state_dir, of, at) = (host.inner.options.state_dir.clone(), unit.clone(), paths.to_vec());
    let takes_back = move || {
        let other = configuration::other_than_kept(&state_dir, &of, &at, &trusted);
        configuration::take_back(replaced, &trusted).map(|left| (left, other))
    };
    let back = back(aside::run(work(run), share.timeout, takes_back).await);
    ActionOutcome::Failed { why: Text::new(said(&before, &after, &back)) }
}

/// What somebody has changed since, and what is another than the copy.
type TakenBack = (Vec<String>, Option<String>);

/// What became of what was replaced: what somebody has changed since stays, and what is another than the copy is named.
fn back(taken: Result<Result<TakenBack, Refused>, Late>) -> String {
    match taken {
        Ok(Ok((left, other))) => {
            let left = match left.is_empty() {
                true => String::new(),
                false => format!(", but for what somebody has changed since: {}", left.join(", ")),
            };
            let other = other.map(|other| format!("; {other}")).unwrap_or_default();
            format!("what was there is back{left}{other}")
        }
        Ok(Err(why)) => format!("AND WHAT WAS THERE COULD NOT BE PUT BACK ({why}): it lies beside, as .ansai-broken"),
        Err(late) => format!("AND WHETHER WHAT WAS THERE IS BACK IS NOT KNOWN ({late}): look for .ansai-broken"),
    }
}

fn said(before: &Text, after: &Text, back: &str) -> String {
    let same = if before == after { "the same" } else { after.as_str() };
    format!(
        "the last known good configuration is not valid now either, so something else is wrong; {back}. Of what is there: {before}. Of the last known good one: {same}"
    )
}
