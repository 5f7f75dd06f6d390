//! The restart of a container: only of the run that was seen failing, only when a restart mends that, and by whoever runs it.

use std::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    domain::container::{ContainerAction, ContainerProbe, Owner, judge, mends},
    observation::Health,
    text::Text,
};

use super::{Found, Unseen, api, find, own, read, snapshot};
use crate::linux::{
    LinuxHost,
    act::Planned,
    aside::{self, Kind, Work},
    clock::wall_now,
    systemd,
};

/// What holds where nobody has looked at it yet.
const RESTARTS_MAX: u32 = 3;
const WITHIN: Duration = Duration::from_secs(600);

/// What is to be done, or why nothing is.
enum Ruling {
    /// By its engine.
    Restart,
    /// By its unit.
    Unit(ansai_model::id::UnitName),
    /// It was started since it was seen failing: whether that helped is seen by and by.
    Anew,
    /// There is nothing to mend.
    Well(Text),
    /// It would be wrong.
    No(Text),
}

/// Does it.
pub(super) async fn perform(host: &LinuxHost, action: &ContainerAction, run: &ActionRun) -> ActionOutcome {
    let ContainerAction::Restart { name } = action;
    let found = match find(host, name).await {
        Ok(found) => found,
        Err(Unseen::Missing) => {
            return ActionOutcome::Refused { why: Text::new(format!("no engine here has a container {name}")) };
        }
        Err(Unseen::Unknown(why)) => return ActionOutcome::Failed { why: Text::new(why) },
    };
    let ruling = ruling(host, name, &found).await;
    let _under_way = matches!(ruling, Ruling::Restart | Ruling::Unit(_)).then(|| UnderWay::begin(host, name));
    match ruling {
        Ruling::Restart => restart(host, &found, run.timeout).await,
        Ruling::Unit(unit) => by_unit(host, unit, run).await,
        Ruling::Anew => ActionOutcome::Succeeded {
            note: "nothing was done: it was started anew since it was seen failing, and is left to start".into(),
        },
        Ruling::Well(why) => ActionOutcome::NotNeeded { why },
        Ruling::No(why) => ActionOutcome::Refused { why },
    }
}

/// A restart under way, also when whoever waits for it gives it up.
struct UnderWay<'a> {
    host: &'a LinuxHost,
    name: &'a str,
}

impl<'a> UnderWay<'a> {
    fn begin(host: &'a LinuxHost, name: &'a str) -> Self {
        host.inner.kept.container.change(name, |known| known.is_being_restarted = true);
        Self { host, name }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.host.inner.kept.container.change(self.name, |known| known.is_being_restarted = false);
    }
}

/// What it would do.
pub(super) async fn plan(host: &LinuxHost, action: &ContainerAction) -> Planned {
    let ContainerAction::Restart { name } = action;
    let found = match find(host, name).await {
        Ok(found) => found,
        Err(Unseen::Missing) => return Err(Text::new(format!("no engine here has a container {name}"))),
        Err(Unseen::Unknown(why)) => return Ok(vec![Text::new(why)].into()),
    };
    let step = match ruling(host, name, &found).await {
        Ruling::Restart => format!("{} restarts it, within its own stop time-out", found.engine.name()),
        Ruling::Unit(unit) => format!("systemd restarts {unit}, which runs it"),
        Ruling::Anew => "nothing: it was started anew since it was seen failing".into(),
        Ruling::Well(why) | Ruling::No(why) => return Err(why),
    };
    Ok(vec![Text::new(step)].into())
}

async fn ruling(host: &LinuxHost, name: &str, found: &Found) -> Ruling {
    let known = host.inner.kept.container.of(name);
    let owner = match (read::owner(&found.value, own()), found.engine.is_podman) {
        // Only Podman's own answer says whether it acts itself.
        (owner, true) if !matches!(owner, Owner::Other(_)) => {
            let Some(own_form) = super::libpod(&found.engine, &found.run.id).await else {
                return Ruling::No("Podman does not say whether it acts itself (--health-on-failure)".into());
            };
            Some(read::owner(&own_form, own())).filter(|acts| matches!(acts, Owner::Other(_))).unwrap_or(owner)
        }
        // An image brings its labels along, and Docker's containers have no unit.
        (Owner::Unit(_), false) => Owner::Nobody,
        (owner, _) => owner,
    };
    let owner = match owner {
        Owner::Unit(unit) if !runs_it(host, &unit, &found.value).await => Owner::Other(Text::new(format!(
            "it says that {unit} runs it, and no `podman` that this unit starts names it"
        ))),
        owner => owner,
    };
    let snapshot = snapshot(host, found).await;
    let probe = known.failing.as_ref().map(|(_, probe)| probe.clone());
    let probe =
        probe.unwrap_or_else(|| ContainerProbe { name: name.into(), restarts_max: RESTARTS_MAX, within: WITHIN });
    if let Owner::Other(who) = owner {
        return Ruling::No(Text::new(format!("{who}: it is observed only")));
    }
    if known.failing.is_some_and(|(run, _)| run != found.run) {
        return Ruling::Anew;
    }
    if let Err(why) = mends(&probe, &snapshot, wall_now()) {
        let seen = judge(&probe, &snapshot, wall_now());
        let is_well = seen.health() != Health::Failing && seen.unit().is_none();
        return if is_well { Ruling::Well(Text::new(why)) } else { Ruling::No(Text::new(why)) };
    }
    match owner {
        Owner::Unit(unit) => Ruling::Unit(unit),
        Owner::Nobody | Owner::Other(_) => Ruling::Restart,
    }
}

/// Whether a unit runs a container, by the unit's own word: a label may come with an image, and units are root's.
async fn runs_it(host: &LinuxHost, unit: &ansai_model::id::UnitName, value: &serde_json::Value) -> bool {
    let (Some(bus), Some(name)) = (&host.inner.bus, read::name(value)) else { return false };
    systemd::is_started_with(bus, unit, "podman", name).await.unwrap_or(false)
}

/// By its id, so that one which takes its name meanwhile is not meant.
async fn restart(host: &LinuxHost, found: &Found, within: Duration) -> ActionOutcome {
    let (socket, id) = (found.engine.socket.clone(), found.run.id.clone());
    let done = match found.engine.is_ours() {
        true => tokio::time::timeout(within, api::restart(&socket, &id)).await.ok(),
        false => {
            let work = Work::new(Kind::Act, format!("the restart of {id}"));
            let restarts = move || async move { api::restart(&socket, &id).await };
            Box::pin(aside::run_future(work, within, restarts)).await.ok()
        }
    };
    // The stop that its engine told of was this one.
    host.inner.kept.container.listeners.forget_stop(&found.engine, &found.run.id);
    match done {
        Some(Ok(_)) => ActionOutcome::Succeeded { note: Text::new(format!("restarted by {}", found.engine.name())) },
        Some(Err(why)) => ActionOutcome::Failed { why: Text::new(why.to_string()) },
        None => ActionOutcome::TimedOut { after: within },
    }
}

async fn by_unit(host: &LinuxHost, unit: ansai_model::id::UnitName, run: &ActionRun) -> ActionOutcome {
    let Some(bus) = &host.inner.bus else {
        return ActionOutcome::Refused { why: Text::new(format!("{unit} runs it, and no systemd answers")) };
    };
    let run = ActionRun { action: Action::RestartUnit { unit }, ..run.clone() };
    let outcome = systemd::perform(bus, &run).await;
    outcome.unwrap_or_else(|| ActionOutcome::Refused { why: "no systemd runs here".into() })
}
