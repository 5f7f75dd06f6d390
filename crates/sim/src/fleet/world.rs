//! The world of a fleet: hosts, their controller, the network between them, and time. A connection keeps the order of what goes
//! through it and loses nothing but its end: it breaks, what is behind the break is gone, and each side sees that when it does.

mod breaking;
mod messages;

use std::collections::BTreeMap;
use std::time::Duration;

use ansai_engine::Input;
use ansai_fleet::{
    FleetEffect, FleetInput,
    input::{Came, SessionId},
    invariant,
};
use ansai_model::{
    order::Order,
    permit::LinkStanding,
    text::Text,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{
    link::{ControllerId, FromController, FromHost, HostId, PERMITS_SINCE, RestraintsAt},
    record::{IdentityRecord, Record},
};
use ansai_store::volatile::Records;

use super::{
    Totals,
    checks::{self, Books},
    controller::{Controller, Output},
    host::{Link, SimHost},
    made::{Made, record},
    operators::Operators,
};
use crate::random::Random;
use messages::{Told, taker};

/// How long a fleet is troubled.
pub(super) const TURMOIL: Duration = Duration::from_secs(120);
/// Most events of one run; more means that something goes round in circles.
const EVENTS_MAX: u64 = 5_000_000;

/// Something that happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    /// Something is due on a host.
    HostWakes(usize),
    /// A host dials.
    Dials(usize),
    /// A host says that it is there.
    Beats(usize),
    /// A message reaches the controller.
    ToController(u64, Box<FromHost>),
    /// A message reaches a host.
    ToHost(u64, Box<FromController>),
    /// An order reaches a host once more, as if it had just been given.
    OrderAgain(usize, Box<Order>),
    /// The controller sees that a connection is gone.
    ControllerSees(u64),
    /// A host sees that its connection is gone.
    HostSees(u64),
    /// A second has passed at the controller.
    Tick,
    /// A save of the controller ends.
    SaveEnds,
    /// The controller is started.
    Starts,
    /// The outbox of the controller has a message for hosts on its disk.
    Queued(u64),
    /// Something goes wrong.
    Trouble,
    /// An operator speaks.
    Operator,
}

/// A connection.
#[derive(Debug)]
struct Connection {
    host: usize,
    last_up: MonoTime,
    last_down: MonoTime,
    /// What would arrive after this is lost.
    breaks: Option<MonoTime>,
}

/// A fleet.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: Now,
    pub(super) hosts: Vec<SimHost>,
    pub(super) controller: Controller,
    connections: BTreeMap<u64, Connection>,
    sessions: u64,
    events: BTreeMap<(MonoTime, u64), Event>,
    counted: u64,
    wakes: BTreeMap<usize, MonoTime>,
    pub(super) operators: Operators,
    /// What people were told.
    pub(super) told: Told,
    /// Most milliseconds that a message takes.
    pub(super) slowness: u64,
    /// Since when nothing has happened that twins could slip through.
    pub(super) calm_since: MonoTime,
    /// The newest epoch there ever was.
    pub(super) epoch: u64,
    pub(super) is_in_turmoil: bool,
    pub(super) failed: Option<String>,
    pub(super) totals: Totals,
}

fn of_number<T>(number: u64, make: impl FnOnce([u8; 16]) -> T) -> T {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    make(bytes)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = Now { mono: MonoTime(1_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        let count = match random.below(100) {
            0..80 => 3 + random.below(5),
            80..98 => 8 + random.below(20),
            _ => 30 + random.below(171),
        };
        let mut disk = Records::new(of_number(1, ControllerId::of_chance), 1);
        for number in 0..count {
            let (id, serial) = (of_number(100 + number, HostId::of_chance), Text::new(format!("{number:x}")));
            let fingerprint = ansai_protocol::link::Fingerprint([0; 32]);
            let until = WallTime(i64::MAX);
            let identity =
                IdentityRecord { serial: serial.clone(), host: id, fingerprint, since: now.wall, until, revoked: None };
            disk.keep(vec![Record::Host(record(id, number, now)), Record::Identity(identity)]);
        }
        let controller = Controller::new(disk, now);
        let slowness = if random.chance(20) { 4_000 } else { 1 + random.below(300) };
        let mut world = Self {
            random,
            now,
            hosts: Vec::new(),
            controller,
            connections: BTreeMap::new(),
            sessions: 0,
            events: BTreeMap::new(),
            counted: 0,
            wakes: BTreeMap::new(),
            operators: Operators::default(),
            told: Told::default(),
            slowness,
            calm_since: now.mono,
            epoch: 1,
            is_in_turmoil: true,
            failed: None,
            totals: Totals { hosts: count, ..Totals::default() },
        };
        for number in 0..count {
            let id = of_number(100 + number, HostId::of_chance);
            let record = record(id, number, now);
            let skew_ms = i64::try_from(world.random.below(7_200_000)).unwrap_or(0) - 3_600_000;
            let made = Made {
                id,
                serial: Text::new(format!("{number:x}")),
                name: record.name,
                role: record.role,
                machine: number,
                skew_ms,
                saved: ansai_engine::State::default(),
                books: Books::default(),
            };
            world.adds(made);
        }
        world.after(Duration::from_secs(1), Event::Tick);
        world.after(Duration::from_millis(500), Event::Trouble);
        world.after(Duration::from_secs(3), Event::Operator);
        world
    }

    /// A host comes into the world.
    pub(super) fn adds(&mut self, made: Made) {
        match SimHost::new(made, self.now, &mut self.random) {
            Ok(host) => {
                self.hosts.push(host);
                let index = self.hosts.len() - 1;
                let soon = Duration::from_millis(self.random.below(2_000));
                self.after(soon, Event::Dials(index));
                self.after(Duration::from_secs(10), Event::Beats(index));
                self.follows(index);
            }
            Err(broken) => self.failed = Some(broken),
        }
    }

    /// Lets everything happen, then leaves the fleet in peace and asks whether it has come together.
    pub(super) fn run(mut self) -> Result<Totals, String> {
        self.passes(TURMOIL)?;
        self.comes_to_peace()?;
        self.totals.actions = self.hosts.iter().map(|host| host.actions).sum();
        self.totals.unsaved = self.controller.unsaved;
        Ok(self.totals)
    }

    pub(super) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now.mono.plus(wait), event);
    }

    fn at(&mut self, at: MonoTime, event: Event) {
        self.counted += 1;
        self.events.insert((at.max(self.now.mono), self.counted), event);
    }

    /// Time passes, with everything that becomes due in it.
    pub(super) fn passes(&mut self, duration: Duration) -> Result<(), String> {
        let end = self.now.mono.plus(duration);
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.plus(at.since(self.now.mono));
            self.happens(event)?;
            if let Some(broken) = self.failed.take() {
                return Err(broken);
            }
            if self.counted > EVENTS_MAX {
                return Err("comes_to_rest: there is no end to what happens".into());
            }
        }
        self.now = self.now.plus(end.since(self.now.mono));
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::HostWakes(index) => {
                self.wakes.remove(&index);
                self.on_host(index, SimHost::wakes)
            }
            Event::Dials(index) => {
                self.dials(index);
                Ok(())
            }
            Event::Beats(index) => {
                self.after(Duration::from_secs(10), Event::Beats(index));
                let now_ms = self.hosts[index].now(self.now).wall.0;
                if let Some(link) = self.hosts[index].link.filter(|link| link.is_up) {
                    self.sends_up(link.session, FromHost::Beat { now_ms });
                }
                Ok(())
            }
            Event::ToController(session, message) => self.reaches_controller(session, *message),
            Event::ToHost(session, message) => self.reaches_host(session, *message),
            Event::ControllerSees(session) if self.controller.is_up => {
                self.controls(FleetInput::Disconnected { session: SessionId(session) })
            }
            Event::ControllerSees(_) => Ok(()),
            Event::HostSees(session) => {
                self.loses_link(session);
                Ok(())
            }
            Event::Tick => {
                self.after(Duration::from_secs(1), Event::Tick);
                if !self.controller.is_up {
                    return Ok(());
                }
                if self.controller.is_settled() {
                    checks::books_match_disk(&self.controller.engine, &self.controller.disk)?;
                }
                self.controls(FleetInput::Tick)
            }
            Event::SaveEnds if self.controller.is_up => {
                let output = self.controller.save_ends(self.now);
                self.follows_controller(output)
            }
            Event::SaveEnds => Ok(()),
            Event::Queued(number) if self.controller.is_up => self.controls(FleetInput::Told { number }),
            Event::Queued(_) => Ok(()),
            Event::Starts => {
                self.controller.starts(self.now);
                Ok(())
            }
            Event::Trouble => self.trouble(),
            Event::Operator => self.operator(),
            Event::OrderAgain(index, order) => self.is_ordered_again(index, *order),
        }
    }

    /// Something happens on a host, and what follows from it.
    pub(super) fn on_host(
        &mut self,
        index: usize,
        what: impl FnOnce(&mut SimHost, Now, &mut Random) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.hosts[index].is_gone {
            return Ok(());
        }
        let before = self.hosts[index].actions;
        what(&mut self.hosts[index], self.now, &mut self.random)?;
        if self.hosts[index].actions > before {
            checks::twins_are_held(index, &self.hosts, self.now, self.calm_since)?;
            checks::few_are_disturbed(index, &self.hosts, self.epoch)?;
        }
        self.follows(index);
        self.host_has_told(index)
    }

    /// What a host says goes out, and it is woken when it wants to be.
    fn follows(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let (says, due) = (std::mem::take(&mut host.says), host.due());
        if let Some(link) = host.link {
            let messages = host.outbox.says(link.session).into_iter().map(FromHost::Message);
            for message in says.into_iter().chain(messages) {
                if let FromHost::Restrained(said) = &message {
                    self.hosts[index].promises(said);
                    self.totals.acknowledged += u64::from(!said.under_way.is_empty() || said.refused.is_none());
                }
                self.sends_up(link.session, message);
            }
        }
        let known = self.wakes.get(&index);
        if let Some(due) = due.filter(|due| known.is_none_or(|known| due < known)) {
            self.wakes.insert(index, due);
            self.at(due, Event::HostWakes(index));
        }
    }

    fn takes(&mut self) -> Duration {
        Duration::from_millis(1 + self.random.below(self.slowness))
    }

    fn sends_up(&mut self, session: u64, message: FromHost) {
        let takes = self.takes();
        let Some(connection) = self.connections.get_mut(&session) else { return };
        let at = connection.last_up.max(self.now.mono.plus(takes));
        connection.last_up = at;
        if connection.breaks.is_none_or(|breaks| at < breaks) {
            self.at(at, Event::ToController(session, Box::new(message)));
        }
    }

    fn sends_down(&mut self, session: u64, message: FromController) {
        let takes = self.takes();
        let Some(connection) = self.connections.get_mut(&session) else { return };
        let at = connection.last_down.max(self.now.mono.plus(takes));
        connection.last_down = at;
        if connection.breaks.is_none_or(|breaks| at < breaks) {
            self.at(at, Event::ToHost(session, Box::new(message)));
        }
    }

    fn dials(&mut self, index: usize) {
        let host = &self.hosts[index];
        if host.link.is_some() || host.is_gone {
            return;
        }
        if host.is_cut || !self.controller.is_up {
            let again = Duration::from_millis(500 + self.random.below(4_000));
            return self.after(again, Event::Dials(index));
        }
        self.sessions += 1;
        let (session, now) = (self.sessions, self.now.mono);
        self.connections.insert(session, Connection { host: index, last_up: now, last_down: now, breaks: None });
        let hello = self.hosts[index].hello(self.now);
        if hello.restraints != RestraintsAt::default() {
            self.hosts[index].books.promises((hello.restraints.epoch, hello.restraints.generation));
        }
        self.hosts[index].link = Some(Link { session, is_up: false });
        self.sends_up(session, FromHost::Hello(Box::new(hello)));
    }

    fn arrives(&self, session: u64) -> Option<usize> {
        let connection = self.connections.get(&session)?;
        connection.breaks.is_none_or(|breaks| self.now.mono < breaks).then_some(connection.host)
    }

    fn reaches_controller(&mut self, session: u64, message: FromHost) -> Result<(), String> {
        let Some(index) = self.arrives(session).filter(|_| self.controller.is_up) else { return Ok(()) };
        let (host, serial) = (self.hosts[index].id, self.hosts[index].serial.clone());
        let session = SessionId(session);
        self.controls(match message {
            FromHost::Hello(hello) => {
                let came = Came { host, serial, address: "10.0.0.1".into(), is_expired: false, is_beside: false };
                FleetInput::Connected { session, came, hello }
            }
            message => FleetInput::Heard { session, message },
        })
    }

    fn reaches_host(&mut self, session: u64, message: FromController) -> Result<(), String> {
        let Some(index) = self.arrives(session) else { return Ok(()) };
        if self.hosts[index].link.is_none_or(|link| link.session != session) {
            return Ok(());
        }
        match message {
            FromController::Welcome(welcome) => {
                let host = &mut self.hosts[index];
                host.link = Some(Link { session, is_up: true });
                host.linked_since = Some(self.now.mono);
                host.is_welcomed(welcome.kept, self.now);
                host.outbox.link(taker(session, &welcome));
                let (epoch, gives_permits) = (welcome.epoch, welcome.version >= PERMITS_SINCE);
                let up = Input::Linked(LinkStanding::Up { session, epoch, gives_permits });
                self.on_host(index, |host, now, random| host.step(now, up, random))
            }
            FromController::Kept { through } => {
                self.hosts[index].is_kept(through);
                Ok(())
            }
            FromController::Restraints(set) => self.on_host(index, |host, now, random| host.is_told(*set, now, random)),
            FromController::StandBack { why, lasts_ms } => {
                let lasts = Duration::from_millis(lasts_ms);
                self.on_host(index, |host, now, random| host.step(now, Input::StandBack { why, lasts }, random))
            }
            FromController::Order { order, at_ms } => self.is_ordered(index, *order, at_ms),
            FromController::Closing { .. } => {
                self.loses_link(session);
                Ok(())
            }
            FromController::Permit(news) => {
                self.on_host(index, |host, now, random| host.step(now, Input::Permit(news), random))
            }
            FromController::Message(news) => self.on_host(index, |host, now, _| {
                host.outbox.hears(session, news, now.mono, host.disk_is_full);
                Ok(())
            }),
            FromController::Renewed { .. } | FromController::Beat { .. } | FromController::Bundle(_) => Ok(()),
        }
    }

    /// Something happens at the controller, and what follows from it.
    pub(super) fn controls(&mut self, input: FleetInput) -> Result<(), String> {
        let output = self.controller.step(self.now, input);
        self.follows_controller(output)
    }

    fn follows_controller(&mut self, output: Output) -> Result<(), String> {
        if output.has_begun_save {
            let takes = Duration::from_millis(1 + self.random.below(120));
            self.after(takes, Event::SaveEnds);
        }
        invariant::of_engine(&self.controller.engine)
            .map_err(|violation| format!("{}: {}", violation.invariant, violation.what))?;
        for effect in output.effects {
            match effect {
                FleetEffect::Send { session, message } => {
                    checks::permit_is_durable(&message, &self.controller.disk)?;
                    if let FromController::Restraints(set) = &message {
                        checks::said_is_durable(set, &self.controller.disk)?;
                        if let Some(connection) = self.connections.get(&session.0) {
                            let host = &self.hosts[connection.host];
                            checks::told_what_concerns(set, host, &self.controller.disk)?;
                        }
                    }
                    self.sends_down(session.0, message);
                }
                FleetEffect::Close { session, message } => {
                    self.sends_down(session.0, message);
                    self.closes(session.0);
                }
                FleetEffect::Answer { request, answer } => self.is_answered(request, answer)?,
                FleetEffect::TellForHosts { number, .. } => self.is_told_for_hosts(number)?,
                FleetEffect::Save { .. }
                | FleetEffect::Configure { .. }
                | FleetEffect::Issue { .. }
                | FleetEffect::Join { .. }
                | FleetEffect::Tell(_) => {}
            }
        }
        Ok(())
    }
}
