//! The agent: feeds the shell with inputs until it is told to stop, and reloads configuration.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ansai_config::Resting;
use ansai_engine::Input;
use ansai_host::{linux::LinuxHost, port::Host};
use ansai_model::{bundle::Bundle, hint::Hint, id::UnitName, inventory::Inventory, permit::LinkStanding};
use ansai_notify::channel::{Notifier, http::HyperClient};
use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    api::Asked,
    ledger::{FileStore, Predecessor},
    shell::Shell,
    sources::{self, Sources},
    trial::Trials,
    uplink::carried::Carried,
    warnings::Warnings,
};

mod abilities;
mod alone;
mod background;
mod beat;
mod beside;
mod configuration;
mod fleet;
mod ground;
mod housekeeping;
mod in_force;
mod plight;
mod questions;
mod reading;
mod socket;
mod start;
mod stop_time;

use abilities::Abilities;
use background::BackgroundTasks;
use beat::{Beat, Watchdog};
use beside::Beside;
use fleet::Fleet;
use housekeeping::Housekeeping;
use in_force::InForce;
pub use in_force::instead_of as in_force_instead_of;
use plight::Plight;
use reading::{News, Reader};
use start::Started;
use stop_time::StopTime;

/// How often the loop sees to files and to itself.
const FILES_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for systemd when the agent starts.
const INVENTORY_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for actions under way when the agent stops.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// Where the agent finds and keeps things.
#[derive(Clone, Debug)]
pub struct Options {
    /// A configuration file, or a folder of them.
    pub config: PathBuf,
    /// Where state outlives the agent.
    pub state_dir: PathBuf,
    /// Where the socket is.
    pub runtime_dir: PathBuf,
    /// The file that stops all action.
    pub hold_file: PathBuf,
    /// The stream to the controller that has carried it here, with which it ends; none when it has a host of its own.
    pub carried: Option<Arc<Carried>>,
}

struct Agent {
    options: Options,
    shell: Shell<LinuxHost, FileStore>,
    host: LinuxHost,
    configuration: Arc<Resting>,
    configuration_error: Option<String>,
    in_force: InForce,
    reader: Reader,
    /// Who looks at the files each second; none when there was no thread for it.
    beside: Option<Beside>,
    watchdog: Watchdog,
    /// An agent before this one that was killed and has not ended.
    predecessor: Option<Predecessor>,
    inventory: Inventory,
    stamp: Option<SystemTime>,
    begun: Instant,
    has_new_units: bool,
    warnings: Warnings,
    background: BackgroundTasks,
    abilities: Abilities,
    housekeeping: Housekeeping,
    plight: Plight,
    trials: Trials<Notifier<HyperClient>>,
    fleet: Fleet,
}

/// Runs the agent until SIGTERM or SIGINT, or until the stream ends on which it was carried.
///
/// # Errors
/// When it cannot start: no valid configuration, no usable state directory, or another agent has it.
pub async fn run(options: Options) -> Result<()> {
    let Started { mut agent, inputs, questions, news, tasks, stop, alone } = start::start(options).await?;
    agent.begin();
    agent.turn(inputs, questions, news).await?;
    stop.cancel();
    tasks.close();
    // The locks go here: a thread that hangs keeps the process, and must not keep them.
    drop(alone);
    Ok(())
}

/// A systemd that says nothing has not lost its units: the templates' instances stay, and so do their incidents.
fn known(before: &Inventory, asked: Option<Inventory>) -> Inventory {
    match asked {
        None => before.clone(),
        Some(now) if now.units.is_empty() => Inventory { units: before.units.clone(), ..now },
        Some(now) => now,
    }
}

/// Limits hints to the units of interest.
fn watch(host: &LinuxHost, configuration: &Resting, bundle: &Bundle) {
    let units: BTreeSet<UnitName> = bundle.parts().targets.values().filter_map(|target| target.unit.clone()).collect();
    host.watch(units, configuration.patterns().to_vec());
}

impl Agent {
    fn begin(&mut self) {
        self.background.apply(self.configuration.host_settings());
        self.warn_of_configuration();
        match &self.configuration_error {
            None => self.in_force.keep(&self.configuration, self.fingerprint()),
            Some(why) => {
                self.in_force.was_kept(self.fingerprint());
                self.tell_configuration(Some(why));
            }
        }
        if self.fleet.has_joined() {
            // Before the first decision: what still serves is not disturbed by a host of a fleet that has not asked.
            self.shell.step(Input::Linked(LinkStanding::Away));
        }
        self.shell.start(&self.inventory);
        self.tell_predecessor();
    }

    async fn turn(
        &mut self,
        inputs: mpsc::Receiver<Input>,
        mut questions: mpsc::Receiver<Asked>,
        mut news: mpsc::Receiver<News>,
    ) -> Result<()> {
        let host = self.host.clone();
        let mut hints = host.hints();
        // Every first look is still to begin: what was hinted at until now would only have it begun twice.
        sources::waiting(&mut hints).iter().for_each(|hint| self.note(hint));
        let mut sources = Sources::new(inputs, hints);
        let (mut terminate, mut interrupt, mut hangup) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
        let _time = StopTime::watch();
        // What was read at the start is new enough, and the first looks come first.
        let files = Beat::every(FILES_EVERY)?;
        let carried = self.options.carried.clone();
        tracing::info!(targets = self.shell.bundle().parts().targets.len(), "watching");
        // Without a service manager nobody listens, which is fine.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        // The first looks come first here as well.
        self.try_abilities();
        loop {
            let wait = self.shell.until_deadline();
            // Every arm only receives: nothing is lost when another one is chosen first. One is chosen at random, so
            // that none starves another: the watchdog hears of the loop only through the arm of the files.
            tokio::select! {
                input = sources.next(wait) => {
                    let together = sources.with_waiting(input);
                    let is_many = together.len() > 1;
                    self.take_in(together);
                    if is_many {
                        // What was decided begins, and everybody else has a turn, before the next ones are taken.
                        tokio::task::yield_now().await;
                    }
                }
                Some(asked) = questions.recv() => self.answer(asked),
                Some(news) = news.recv() => self.hear(news),
                () = files.next() => self.look_at_files(),
                _ = hangup.recv() => {
                    self.reader.is_wanted = true;
                    self.go_on_reading();
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = Carried::over(carried.as_deref()) => break,
            }
        }
        self.stop(sources.into_results()).await;
        Ok(())
    }

    fn take_in(&mut self, inputs: Vec<Input>) {
        for input in &inputs {
            match input {
                Input::Hint(hint) => self.note(hint),
                Input::Tick => self.shell.notice_lag(),
                _ => {}
            }
        }
        self.shell.step_together(inputs);
        self.tell_acknowledged();
    }

    /// New units change the bundle, which takes a moment: the next look at the files does it.
    fn note(&mut self, hint: &Hint) {
        self.has_new_units |= matches!(hint, Hint::Units | Hint::Mounts | Hint::Targets | Hint::Everything);
    }

    /// What only changes now and then: the configuration, new units, HOLD, and the watchdog that shows that we turn.
    fn look_at_files(&mut self) {
        self.watchdog.turns();
        if !self.hear_of_files() {
            self.reader.ask_stamp();
        }
        self.has_new_units |= self.reader.is_to_evaluate_again();
        self.reader.is_wanted |= self.has_expired() && !self.reader.is_reading();
        self.go_on_reading();
        self.shell.step(Input::Tick);
        self.look_at_fleet();
        self.look_after_itself();
    }

    /// What the files say by who looks at them beside the loop; whether that is known. When it is not, one of them does not
    /// answer: then each is looked at alone, as HOLD is before everything that is not calm.
    fn hear_of_files(&mut self) -> bool {
        let seen = self.beside.as_ref().and_then(Beside::seen);
        self.shell.hears_of_hold(seen.as_ref().map(|seen| seen.hold.clone()));
        seen.map(|seen| self.has_stamp(seen.stamp)).is_some()
    }

    async fn stop(&mut self, results: mpsc::Receiver<Input>) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        self.shell.ends_telling();
        self.shell.wind_down(results, STOP_WAIT).await;
        // What is to end in a minute or two has nobody then who sees to it.
        self.host.end_all_drills().await;
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{inventory::UnitFacts, unit::ActiveState};

    use super::*;

    fn inventory(units: &[&str], boot_id: &str) -> Inventory {
        let unit = |name: &&str| UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active);
        Inventory { units: units.iter().map(unit).collect(), boot_id: boot_id.into(), ..Inventory::default() }
    }

    #[test]
    fn units_stay_known_while_systemd_says_nothing() {
        let before = inventory(&["worker@1.service"], "one");
        assert_eq!(known(&before, None), before);
        assert_eq!(known(&before, Some(inventory(&[], "two"))), inventory(&["worker@1.service"], "two"));
        let fewer = inventory(&["worker@2.service"], "one");
        assert_eq!(known(&before, Some(fewer.clone())), fewer);
    }
}
