//! What a look at a container means: when it fails, when nobody can say, when somebody wants it so, and what a restart mends.

use alloc::{format, string::String};

use super::{
    ContainerProbe, ContainerSnapshot, ContainerState, EndedBy, FAILED_IN_A_ROW, HealthSeen, RESTARTS, RESTARTS_LATELY,
    Shared, Verdict,
};
use crate::{
    condition::Value,
    observation::{Details, Observation},
    time::{Shown, WallTime},
    unit::{ActiveState, Intent, UnitSnapshot},
};

/// A health check that has not been run for so many of its rounds says nothing any more.
const STALE_ROUNDS: u32 = 3;
/// And never before so long: an engine that has just started runs them late.
const STALE_MIN: core::time::Duration = core::time::Duration::from_secs(30);

/// What a look means; `now` is the clock by which the engine stamps.
///
/// Failing: its health check says so and was run lately; it is still starting after all the time that it has for that; its
/// engine restarts it again and again; it has ended by itself though its engine was told to bring it back; the network that it
/// shares is gone. What somebody stopped or paused is wanted so; what ended without anybody wanting it back is well.
#[must_use]
pub fn judge(probe: &ContainerProbe, seen: &ContainerSnapshot, now: WallTime) -> Observation {
    let made = match seen.state {
        ContainerState::Running => running(probe, seen, now),
        ContainerState::Restarting => match is_in_a_loop(probe, seen) {
            Some(symptom) => Observation::failing(symptom),
            None => {
                Observation::unknown(format!("it ended with code {}, and its engine starts it again", seen.exit_code))
            }
        },
        ContainerState::Exited | ContainerState::Dead => return ended(probe, seen),
        ContainerState::Paused => return wanted_so(seen, "paused by somebody"),
        ContainerState::Created => return wanted_so(seen, "made, and not started yet"),
        ContainerState::Removing => return wanted_so(seen, "being stopped or removed"),
        ContainerState::Other => {
            Observation::unknown(format!("its engine calls it `{}`, which is not known here", seen.word))
        }
    };
    with_figures(made, seen)
}

/// Whether a restart mends what was seen; otherwise why not, in words.
///
/// # Errors
/// When it would not, or when it is not to be touched.
pub fn mends(probe: &ContainerProbe, seen: &ContainerSnapshot, now: WallTime) -> Result<(), String> {
    match seen.state {
        ContainerState::Running => {}
        ContainerState::Exited if seen.comes_back && seen.ended_by == EndedBy::Itself => return Ok(()),
        ContainerState::Exited if seen.ended_by == EndedBy::Somebody => return Err("somebody stopped it".into()),
        ContainerState::Exited => return Err("it has ended, and nothing says that it is to come back".into()),
        ContainerState::Restarting => return Err("its engine restarts it already".into()),
        ContainerState::Paused => return Err("somebody paused it".into()),
        ContainerState::Created | ContainerState::Removing | ContainerState::Dead | ContainerState::Other => {
            return Err(format!("its engine calls it `{}`", seen.word));
        }
    }
    match (&seen.shared, &seen.health) {
        (Some(Shared::OwnerGone(_)), _) => {
            Err("the container whose network it shares is gone: it must be made anew".into())
        }
        (Some(Shared::OwnerYounger(_)), _) => Ok(()),
        (None, Some(health)) if stale(health, seen, now).is_some() => {
            Err("its health check is not run any more".into())
        }
        (None, Some(health)) if is_late(health, seen, now) || health.verdict == Verdict::Unhealthy => Ok(()),
        _ if is_in_a_loop(probe, seen).is_some() => Err("its engine restarts it already".into()),
        _ => Err("its health check does not call it unhealthy any more".into()),
    }
}

fn running(probe: &ContainerProbe, seen: &ContainerSnapshot, now: WallTime) -> Observation {
    if let Some(symptom) = is_in_a_loop(probe, seen) {
        return Observation::failing(symptom);
    }
    match &seen.shared {
        Some(Shared::OwnerGone(owner)) => {
            return Observation::failing(format!(
                "it shares the network of {owner}, which is gone: nothing reaches it"
            ));
        }
        Some(Shared::OwnerYounger(owner)) => {
            return Observation::failing(format!(
                "it shares a network of {owner} that is gone: {owner} was started later than it was"
            ));
        }
        None => {}
    }
    let well = |words: String| match seen.is_oom_killed {
        true => Observation::warning(format!("{words}; the kernel has ended a process of it for lack of memory")),
        false => Observation::healthy(words),
    };
    let ran = seen.started.map(|started| format!(" for {}", Shown(now.since(started)))).unwrap_or_default();
    let Some(health) = &seen.health else { return well(format!("running{ran}; it has no health check")) };
    // One that starts for long has a verdict only where its check is run at all.
    if (health.verdict != Verdict::Starting || is_late(health, seen, now))
        && let Some(why) = stale(health, seen, now)
    {
        return Observation::unknown(why);
    }
    let said = if health.said.as_str().is_empty() { String::new() } else { format!(": {}", health.said) };
    match health.verdict {
        Verdict::Healthy if health.failed_in_a_row == 0 => well(format!("running{ran}, healthy by its own check")),
        // Whoever needs it waits for its verdict.
        Verdict::Healthy => Observation::unknown(format!(
            "its own check has failed {} of {} times in a row that make it unhealthy{said}",
            health.failed_in_a_row, health.retries
        )),
        Verdict::Unhealthy => Observation::failing(format!(
            "unhealthy by its own check, which has failed {} times in a row{said}",
            health.failed_in_a_row
        )),
        Verdict::Starting if is_late(health, seen, now) => Observation::failing(format!(
            "still starting{ran}, and its own check has {} for a verdict{said}",
            Shown(health.settles_within())
        )),
        Verdict::Starting => Observation::unknown(format!(
            "starting{ran}; its own check has {} for a verdict",
            Shown(health.settles_within())
        )),
    }
}

/// Why nobody can go by a health check, when its last run is too long ago.
fn stale(health: &HealthSeen, seen: &ContainerSnapshot, now: WallTime) -> Option<String> {
    let round = health.every.saturating_add(health.timeout);
    let longest = round.saturating_mul(STALE_ROUNDS).max(STALE_MIN);
    let last = health.last_run.or(seen.started)?;
    let ago = now.since(last);
    (ago > longest).then(|| {
        let help = match seen.is_rootless {
            true => "; the timers of a user who is not logged in need `loginctl enable-linger`",
            false => "",
        };
        format!("its own check was last run {} ago, and ought to be every {}{help}", Shown(ago), Shown(health.every))
    })
}

/// Whether it is starting for longer than that can take.
fn is_late(health: &HealthSeen, seen: &ContainerSnapshot, now: WallTime) -> bool {
    // A round more: the first one begins an interval after the start, and stamps are an engine's.
    let longest = health.settles_within().saturating_add(health.every).saturating_add(health.timeout);
    health.verdict == Verdict::Starting && seen.started.is_some_and(|started| now.since(started) > longest)
}

fn is_in_a_loop(probe: &ContainerProbe, seen: &ContainerSnapshot) -> Option<String> {
    (seen.restarts_lately > probe.restarts_max).then(|| {
        format!(
            "restart loop: its engine restarted it {} times within {}; it ended last with code {}",
            seen.restarts_lately,
            Shown(probe.within),
            seen.exit_code
        )
    })
}

fn ended(probe: &ContainerProbe, seen: &ContainerSnapshot) -> Observation {
    let how = match (seen.is_oom_killed, seen.error.as_str()) {
        (true, _) => "the kernel ended it for lack of memory".into(),
        (false, "") => format!("it ended with code {}", seen.exit_code),
        (false, error) => format!("it could not be started: {error}"),
    };
    match seen.ended_by {
        EndedBy::Somebody => return wanted_so(seen, "stopped by somebody"),
        EndedBy::Itself if seen.comes_back => {
            let symptom = is_in_a_loop(probe, seen)
                .unwrap_or_else(|| format!("{how}, and its engine, which was told to, does not bring it back"));
            return with_figures(Observation::failing(symptom), seen);
        }
        EndedBy::Unknown if seen.comes_back => {
            let why = format!("{how}; its engine does not remember whether somebody wanted that");
            return with_figures(wanted_so(seen, &why), seen);
        }
        // A restart that went half of its way: it was to run, and does not.
        EndedBy::Itself if !seen.error.as_str().is_empty() => {
            return with_figures(Observation::failing(how), seen);
        }
        EndedBy::Itself | EndedBy::Unknown => {}
    }
    let words = format!("{how}, and nothing says that it is to come back");
    with_figures(
        match seen.is_oom_killed && seen.ended_by == EndedBy::Itself {
            true => Observation::warning(words),
            false => Observation::healthy(words),
        },
        seen,
    )
}

/// It is down because somebody wants it so, as a unit that somebody stopped.
fn wanted_so(seen: &ContainerSnapshot, words: &str) -> Observation {
    let unit = UnitSnapshot {
        intent: Intent::Stopped,
        sub: seen.word.clone(),
        since: seen.finished,
        ..UnitSnapshot::plain(ActiveState::Inactive)
    };
    Observation::unknown(words).with_details(Details::Unit(unit.into()))
}

fn with_figures(made: Observation, seen: &ContainerSnapshot) -> Observation {
    let number = |count: u32| Value::Number(f64::from(count));
    made.with_figure(RESTARTS, number(seen.restarts))
        .with_figure(RESTARTS_LATELY, number(seen.restarts_lately))
        .with_figure(FAILED_IN_A_ROW, number(seen.health.as_ref().map_or(0, |health| health.failed_in_a_row)))
}

#[cfg(test)]
mod tests;
