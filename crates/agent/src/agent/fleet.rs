//! What of a fleet concerns the loop: it sees that the host has joined a controller or left it, begins and ends the link, and
//! notes which targets changed. Nothing of it is there while the host has joined none.

use std::{path::Path, time::SystemTime};

use ansai_engine::Input;
use ansai_link::chance;
use ansai_protocol::{ControllerView, link::FeedId};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Agent;
use crate::{
    answer,
    uplink::{Claims, Uplink, feed::Item, line::Line, membership::Folder, telling::Telling},
};

/// Whether the host has joined a controller, and the link to it.
pub(super) struct Fleet {
    folder: Folder,
    linked: Option<Linked>,
    tasks: TaskTracker,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
}

struct Linked {
    /// When it joined, by the file that says so.
    stamp: SystemTime,
    line: Line,
    telling: Telling,
    stop: CancellationToken,
}

impl Fleet {
    /// Nothing is begun: the first look does.
    pub(super) fn new(
        state_dir: &Path,
        tasks: TaskTracker,
        inputs: mpsc::Sender<Input>,
        stop: CancellationToken,
    ) -> Self {
        Self { folder: Folder::of(state_dir), linked: None, tasks, inputs, stop }
    }

    /// How it stands with the controller, for the status.
    pub(super) fn view(&self) -> Option<ControllerView> {
        self.linked.as_ref().map(|linked| linked.line.view())
    }
}

impl Agent {
    /// To be called about once a second.
    pub(super) fn look_at_fleet(&mut self) {
        // What cannot be known now changes nothing: no identity is given up because of an error.
        if let Ok(stamp) = self.fleet.folder.stamp() {
            self.joins_or_leaves(stamp);
        }
        self.tell_acknowledged();
        self.tell_targets();
    }

    fn joins_or_leaves(&mut self, stamp: Option<SystemTime>) {
        if self.fleet.linked.as_ref().map(|linked| linked.stamp) != stamp {
            if let Some(before) = self.fleet.linked.take() {
                before.stop.cancel();
            }
            self.shell.tells(None);
            if let Some(stamp) = stamp {
                self.link(stamp);
            }
        }
        if stamp.is_none() && self.shell.state().controller.is_some() {
            // Whoever has left a controller is not held by it any more.
            self.shell.step(Input::LeftController);
        }
    }

    fn link(&mut self, stamp: SystemTime) {
        let feed = match chance() {
            Ok(bytes) => FeedId::of_chance(bytes),
            Err(error) => return tracing::warn!("no link to the controller is begun: {error}"),
        };
        let now = self.shell.now();
        let line = Line::new(feed);
        let stop = self.fleet.stop.child_token();
        let started = now.wall.0.saturating_sub(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0));
        let uplink = Uplink {
            folder: self.fleet.folder.clone(),
            line: line.clone(),
            reports: self.shell.reports().clone(),
            claims: Claims {
                name: self.inventory.hostname.clone(),
                boot_id: self.inventory.boot_id.clone(),
                role: self.configuration.settings().role.clone(),
                started: ansai_model::time::WallTime(started),
            },
            clock: self.shell.clock(),
            inputs: self.fleet.inputs.clone(),
            stop: stop.clone(),
        };
        if let Some(acknowledged) = self.shell.engine().acknowledged(now) {
            line.acknowledge(acknowledged);
        }
        self.shell.tells(Some(line.clone()));
        self.fleet.tasks.spawn(uplink.run());
        self.fleet.linked = Some(Linked { stamp, line, telling: Telling::default(), stop });
    }

    /// Hands on which restraints are saved and obeyed.
    pub(super) fn tell_acknowledged(&mut self) {
        let Some(acknowledged) = self.shell.take_restrained() else { return };
        if let Some(linked) = &self.fleet.linked {
            linked.line.acknowledge(acknowledged);
        }
    }

    fn tell_targets(&mut self) {
        let Some(linked) = &mut self.fleet.linked else { return };
        let now = self.shell.now();
        let engine = self.shell.engine();
        let wants_all = linked.line.wants_all();
        if !wants_all && !linked.telling.is_due(now.mono, engine.revision()) {
            return;
        }
        let targets = answer::targets(engine, now, self.shell.is_held_by_file());
        if !wants_all {
            return linked.telling.of(now.mono, targets).into_iter().for_each(|item| linked.line.note(item));
        }
        linked.telling.anew();
        let reports = engine.state().incidents.keys().filter_map(|id| engine.report(now, *id));
        let incidents = reports.map(|report| Item::Incident(Box::new(answer::summary(&report))));
        linked.line.tell_all(linked.telling.of(now.mono, targets).into_iter().chain(incidents));
    }
}
