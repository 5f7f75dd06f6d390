//! What housekeeping and the answers to people ask of the loop's parts: nobody outside the shell holds one of them. What is
//! decided here is nothing, and what is done for the engine's effects is elsewhere.

use std::{collections::BTreeMap, time::Duration};

use ansai_engine::{HostEngine, Input, State, state::FromController};
use ansai_host::port::Host;
use ansai_model::{
    bundle::Bundle,
    condition::Value,
    fleet::RestraintKind,
    permit::PermitsSaid,
    text::Text,
    time::{Now, WallTime},
};
use ansai_notify::outbox::Outbox;
use ansai_protocol::EventKind;

use super::Shell;
use crate::{
    clock::Clock, deliveries::routes, journal::Notice, ledger::Store, reports::Reports, selfwatch::Reading,
    uplink::line::Line,
};

impl<H: Host, S: Store> Shell<H, S> {
    /// What the controller is to be told of permits, once, and on which link.
    pub fn take_permits(&mut self) -> Option<(u64, PermitsSaid)> {
        self.permits.take()
    }

    /// What decides, to be looked at only.
    #[must_use]
    pub fn engine(&self) -> &HostEngine {
        &self.engine
    }

    /// What is in force.
    pub(crate) fn bundle(&self) -> &Bundle {
        self.engine.bundle()
    }

    /// What the engine knows.
    pub(crate) fn state(&self) -> &State {
        self.engine.state()
    }

    /// This moment.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Why the ledger cannot be saved, when it cannot; nothing is done then.
    #[must_use]
    pub fn ledger_error(&self) -> Option<&str> {
        self.ledger_error.as_deref()
    }

    /// Why the agent is not well, when it is not.
    pub(crate) fn unwell(&self) -> Option<String> {
        let ledger = self.ledger_error.as_ref().map(|why| format!("the ledger cannot be saved: {why}"));
        ledger.or_else(|| Some(self.shedding.as_ref()?.as_str().to_owned()))
    }

    /// Messages on their way to people.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Reports kept.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Puts a bundle in force, with what the host says of itself.
    pub(crate) fn apply(&mut self, bundle: Bundle, facts: &BTreeMap<Box<str>, Value>) {
        self.outbox.set_routes(&routes(&bundle));
        self.step(Input::Apply(Box::new(bundle)));
        self.step(Input::Facts(facts.clone()));
    }

    /// What the file HOLD says by who looks at it beside the loop; none when that is not known.
    pub(crate) fn hears_of_hold(&mut self, hold: Option<Option<Text>>) {
        self.hold_beside = hold;
    }

    /// Tells what happens to those who follow it.
    pub(crate) fn tell(&self, event: EventKind) {
        self.telemetry.events.tell(self.clock.now().wall, event);
    }

    /// Nobody is told of anything more.
    pub(crate) fn ends_telling(&self) {
        self.telemetry.events.close();
    }

    /// Writes what the flight recorder holds back, and says when it stops or goes on.
    pub(crate) fn flush_recorder(&mut self, now: Now) -> Option<Notice> {
        self.recorder.flush(now)
    }

    /// What tells the time.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What happens is told to this controller from now on, or to none.
    pub(crate) fn tells(&mut self, line: Option<Line>) {
        self.telemetry.tells(line);
    }

    /// Whether the file HOLD was there when the loop was told of it last.
    pub(crate) fn is_held_by_file(&self) -> bool {
        self.hold_told.as_ref().is_some_and(Option::is_some)
    }

    /// Largest flight recorder from now on, in bytes.
    pub(crate) fn set_recorder_bytes_max(&mut self, bytes: u64) {
        self.recorder.set_bytes_max(bytes);
    }

    /// Lets reports go that are older than this; says how many.
    pub(crate) fn prune_reports(&self, now: WallTime, kept_for: Duration) -> usize {
        self.reports.prune(now, kept_for)
    }

    /// Gives back what the start left half empty; says whether nothing is broken.
    pub(crate) fn settles(&mut self) -> bool {
        self.recorder.pack();
        self.engine.state().incidents.is_empty()
    }

    /// Begins nothing that can wait from now on, since there is no room.
    pub(crate) fn sheds(&mut self, now: Now, why: &str) {
        self.recorder.pause(now, why);
        self.shedding = Some(why.into());
    }

    /// Takes everything on again; says whether it did not before.
    pub(crate) fn ends_shedding(&mut self) -> bool {
        self.shedding.take().is_some()
    }

    /// Gives back memory that is only kept to be used again.
    pub(crate) fn shrink(&mut self) {
        self.ledger.shrink();
        self.recorder.shrink(self.clock.now());
    }

    /// How busy the host is now, for its quiet hour.
    pub(crate) fn learns_load(&mut self, now: WallTime, load: f64) {
        self.trends.load(now, load);
    }

    /// The hour in which the host is least busy, once that is known.
    pub(crate) fn quiet_hour(&self, now: WallTime) -> Option<Value> {
        self.trends.quiet_hour(now)
    }

    /// Saves what the figures were, for a start that comes without a stop.
    pub(crate) fn save_trends(&mut self) -> std::io::Result<()> {
        self.trends.save(&self.engine)
    }

    /// What the agent takes becomes figures.
    pub(crate) fn measured(&self, reading: &Reading) {
        self.telemetry.metrics.set_own(reading);
    }

    /// What is counted at a moment becomes figures.
    pub(crate) fn gauge(&self) {
        let (metrics, parts) = (&self.telemetry.metrics, self.engine.bundle().parts());
        metrics.set_watched(parts.targets.len(), parts.checks.len());
        metrics.set_probes_in_flight(self.probe_queue.under_way());
        metrics.set_outbox_length(self.outbox.len());
        let from = self.engine.state().controller.as_ref();
        let holds =
            |from: &FromController| from.in_force(self.now()).filter(|one| one.kind == RestraintKind::Hold).count();
        metrics.set_holds(self.engine.state().holds.len() + from.map_or(0, holds));
    }
}
