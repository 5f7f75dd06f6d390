//! What of a fleet concerns the loop: it sees that the host has joined a controller or left it, begins and ends the link, and
//! notes which targets changed. Nothing of it is there while the host has joined none.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use ansai_engine::Input;
use ansai_link::chance;
use ansai_model::{permit::LinkStanding, text::Text};
use ansai_protocol::{
    ControllerView,
    link::{FeedId, Held, RefusedBundle},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Agent, Options, reading::Edition};
use crate::{
    answer,
    uplink::{
        Claims, Uplink,
        carried::Carried,
        feed::Item,
        line::Line,
        membership::{Folder, Joined},
        messages::member,
        telling::Telling,
    },
};

/// Whether the host has joined a controller, and the link to it.
pub(super) struct Fleet {
    folder: Folder,
    carried: Option<Arc<Carried>>,
    linked: Option<Linked>,
    tasks: TaskTracker,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
}

struct Linked {
    /// When it joined, by the file that says so.
    stamp: SystemTime,
    /// As whom; nothing when that could not be read.
    joined: Option<Joined>,
    /// What the link says of the host: what it is for, and its labels.
    says: Says,
    line: Line,
    telling: Telling,
    stop: CancellationToken,
}

/// What a host's configuration says of it to its controller.
type Says = (Option<String>, BTreeMap<String, String>);

impl Fleet {
    /// Nothing is begun: the first look does.
    pub(super) fn new(
        options: &Options,
        tasks: TaskTracker,
        inputs: mpsc::Sender<Input>,
        stop: CancellationToken,
    ) -> Self {
        let (folder, carried) = (Folder::of(&options.state_dir), options.carried.clone());
        Self { folder, carried, linked: None, tasks, inputs, stop }
    }

    /// Whether the host has joined a controller, as far as that is known: in doubt it has.
    pub(super) fn has_joined(&self) -> bool {
        !matches!(self.folder.stamp(), Ok(None))
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
        self.take_offered();
    }

    /// Takes a configuration that the controller has given, when nothing is being read.
    fn take_offered(&mut self) {
        if self.reader.is_reading() {
            return;
        }
        let Some(offered) = self.fleet.linked.as_ref().and_then(|linked| linked.line.take_offered()) else { return };
        self.reader.take(offered, self.inventory.clone(), Edition::of(self.shell.state()));
    }

    /// Says what became of a configuration that the controller has given.
    pub(super) fn tell_configured(&self, held: Held, refused: Option<&str>) {
        let Some(linked) = &self.fleet.linked else { return };
        match refused {
            None => linked.line.has_configuration(held),
            Some(why) => {
                let Held { epoch, generation, .. } = held;
                linked.line.refuses_configuration(RefusedBundle { epoch, generation, why: Text::new(why) });
            }
        }
    }

    fn joins_or_leaves(&mut self, stamp: Option<SystemTime>) {
        let settings = self.configuration.settings();
        let is_as_it_is = |linked: &Linked| {
            Some(linked.stamp) == stamp && (&linked.says.0, &linked.says.1) == (&settings.role, &settings.labels)
        };
        if self.fleet.linked.as_ref().map_or(stamp.is_some(), |linked| !is_as_it_is(linked)) {
            let before = self.fleet.linked.take();
            if let Some(before) = &before {
                before.stop.cancel();
                // What another controller's fleet said holds no more.
                self.reader.is_wanted |= Some(before.stamp) != stamp;
            }
            self.shell.tells(None);
            if let Some(stamp) = stamp {
                // It was read a moment ago, or is read by the link; what cannot be read ends nothing.
                let joined = self.fleet.folder.joined().ok().flatten();
                let before = before.and_then(|before| before.joined);
                if joined.as_ref().is_some_and(|joined| self.has_left(before.as_ref(), joined)) {
                    self.shell.step(Input::LeftController);
                }
                if let Some(Joined { controller, host, .. }) = &joined {
                    // Whoever leaves and joins within a second is another member, or another controller's.
                    self.shell.outbox().belongs_to(Some(&member(*controller, *host)));
                }
                self.link(stamp, joined);
            }
        }
        if stamp.is_none() {
            // Nobody asks that controller any more for what it was given.
            self.shell.outbox().belongs_to(None);
        }
        if stamp.is_none() && (self.shell.state().controller.is_some() || self.shell.engine().is_linked()) {
            // Whoever has left a controller is not held by it any more.
            self.shell.step(Input::LeftController);
        }
    }

    /// Whether what a controller's operators have said here was said to what the host is no more: it has left, and joined anew.
    fn has_left(&self, before: Option<&Joined>, joined: &Joined) -> bool {
        let said = self.shell.state().controller.as_ref().map(|from| &from.said.controller);
        said.is_some_and(|by| is_over(by, before, joined))
    }

    fn link(&mut self, stamp: SystemTime, joined: Option<Joined>) {
        let feed = match chance() {
            Ok(bytes) => FeedId::of_chance(bytes),
            Err(error) => return tracing::warn!("no link to the controller is begun: {error}"),
        };
        let settings = self.configuration.settings();
        let says = (settings.role.clone(), settings.labels.clone());
        let now = self.shell.now();
        let line = Line::new(feed);
        let stop = self.fleet.stop.child_token();
        let started = now.wall.0.saturating_sub(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0));
        let uplink = Uplink {
            folder: self.fleet.folder.clone(),
            line: line.clone(),
            reports: self.shell.reports().clone(),
            outbox: self.shell.outbox().clone(),
            claims: Claims {
                name: self.inventory.hostname.clone(),
                boot_id: self.inventory.boot_id.clone(),
                role: says.0.clone(),
                labels: says.1.clone(),
                started: ansai_model::time::WallTime(started),
            },
            clock: self.shell.clock(),
            inputs: self.fleet.inputs.clone(),
            stop: stop.clone(),
            carried: self.fleet.carried.clone(),
        };
        if let Some(acknowledged) = self.shell.engine().acknowledged(now) {
            line.acknowledge(acknowledged);
        }
        self.shell.step(Input::Linked(LinkStanding::Away));
        self.shell.tells(Some(line.clone()));
        self.fleet.tasks.spawn(uplink.run());
        self.fleet.linked = Some(Linked { stamp, joined, says, line, telling: Telling::default(), stop });
    }

    /// Hands on which restraints are saved and obeyed, and what came of orders, and what is wanted of the controller.
    pub(super) fn tell_acknowledged(&mut self) {
        let ordered = self.shell.take_ordered();
        if let Some(linked) = &self.fleet.linked {
            ordered.into_iter().for_each(|said| linked.line.answer(said));
        }
        if let Some((session, said)) = self.shell.take_permits()
            && let Some(linked) = &self.fleet.linked
        {
            linked.line.wants_permits(session, said);
        }
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
        let incidents = reports
            .flat_map(|report| [Item::Incident(Box::new(answer::summary(&report))), Item::Going(Box::new(report))]);
        linked.line.tell_all(linked.telling.of(now.mono, targets).into_iter().chain(incidents));
    }
}

/// Whether what the operators of the controller `by` have said is over, now that the host is `joined`: that is another controller,
/// or the host was another one `before` there. While no agent runs nobody sees that it was, and it holds until it is told anew.
fn is_over(by: &Text, before: Option<&Joined>, joined: &Joined) -> bool {
    by.as_str() != joined.controller.to_string() || before.is_some_and(|before| before != joined)
}

#[cfg(test)]
mod tests {
    use ansai_protocol::link::{ControllerId, HostId};

    use super::*;

    #[test]
    fn who_leaves_and_joins_within_a_second_is_held_by_nobody_of_before() {
        let joined = |controller: u8, host: u8| Joined {
            address: "controller:7443".into(),
            proxy: None,
            controller: ControllerId::of_chance([controller; 16]),
            host: HostId::of_chance([host; 16]),
            name: "web-01".into(),
            joined_ms: 0,
        };
        let (one, other, renewed) = (joined(1, 1), joined(2, 1), joined(1, 2));
        let by = Text::new(one.controller.to_string());
        assert!(!is_over(&by, Some(&one), &one), "nothing has changed");
        assert!(is_over(&by, Some(&one), &other), "it is another controller's");
        assert!(is_over(&by, Some(&one), &renewed), "it is another host there");
        // An agent that starts knows only what its ledger says.
        assert!(is_over(&by, None, &other));
        assert!(!is_over(&by, None, &renewed), "what was acknowledged is obeyed until something newer is told");
    }
}
