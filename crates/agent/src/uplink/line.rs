//! What the loop and the link have in common: the loop notes what changed and goes on, the link takes it when it can. Each
//! holds the lock for a moment only, and neither waits for the other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ansai_link::{Trouble, dial::Route};
use ansai_model::{
    fleet::Acknowledged,
    order::Ordered,
    permit::PermitsSaid,
    report::Report,
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::{
    ControllerView,
    link::{Configured, ControllerId, FeedId, Held, HostBundle, RefusedBundle, RestraintsAt, SignedBundle, Welcome},
};
use tokio::sync::Notify;

use super::feed::{Feed, Item};
use crate::answer;

/// Clocks that are further apart than this are told of.
const SKEW_MAX_MS: u64 = 5_000;

/// Most answers to orders that wait to be said.
const ORDERED_MAX: usize = 16;

/// One end of it; a clone is another.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    feed: Feed,
    /// The restraints that are in force and saved, and whether that has still to be said.
    acknowledged: Option<(Acknowledged, bool)>,
    /// What came of orders and has still to be said on this link.
    ordered: VecDeque<Ordered>,
    /// A configuration that was checked and that the loop has not taken.
    offered: Option<Offered>,
    /// What the host has of the fleet's configuration, and whether that has still to be said.
    configured: (Configured, bool),
    /// What is wanted of the controller and what is held, on which link that is to be said, and whether it has still to be.
    permits: Option<(u64, PermitsSaid, bool)>,
    view: ControllerView,
}

impl Line {
    /// A line on which nothing was said.
    pub(crate) fn new(feed: FeedId) -> Self {
        let configured = (Configured { held: Held::default(), refused: None }, false);
        let (acknowledged, ordered, offered) = (None, VecDeque::new(), None);
        let (permits, view) = (None, ControllerView::default());
        let state = State { feed: Feed::new(feed), acknowledged, ordered, offered, configured, permits, view };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half-changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed.
    pub(crate) fn note(&self, item: Item) {
        self.lock().feed.note(item);
        self.0.changed.notify_one();
    }

    /// A report was made; whether it lies on the disk to be read says `is_kept`.
    pub(crate) fn note_report(&self, report: Report, is_kept: Kept) {
        let summary = answer::summary(&report);
        self.note(Item::Incident(Box::new(summary)));
        self.note(match is_kept {
            Kept::Yes => Item::Report { incident: report.incident, at_ms: report.at.wall.0 },
            Kept::No => Item::Going(Box::new(report)),
        });
    }

    /// A report that was made before, as it lies on the disk: what is known by now says more.
    pub(super) fn note_older_report(&self, report: &Report) {
        let mut state = self.lock();
        state.feed.note_older(Item::Incident(Box::new(answer::summary(report))));
        state.feed.note_older(Item::Report { incident: report.incident, at_ms: report.at.wall.0 });
        drop(state);
        self.0.changed.notify_one();
    }

    /// Whether the loop is to tell everything.
    pub(crate) fn wants_all(&self) -> bool {
        self.lock().feed.wants_all()
    }

    /// Everything as it stands.
    pub(crate) fn tell_all(&self, all: impl IntoIterator<Item = Item>) {
        self.lock().feed.tell_all(all);
        self.0.changed.notify_one();
    }

    /// The restraints that are in force and saved.
    pub(crate) fn acknowledge(&self, acknowledged: Acknowledged) {
        self.lock().acknowledged = Some((acknowledged, true));
        self.0.changed.notify_one();
    }

    /// What came of an order; of too many the oldest are not said.
    pub(crate) fn answer(&self, said: Ordered) {
        let mut state = self.lock();
        while state.ordered.len() >= ORDERED_MAX {
            state.ordered.pop_front();
        }
        state.ordered.push_back(said);
        self.0.changed.notify_one();
    }

    /// What came of an order and has to be said, once.
    pub(super) fn take_ordered(&self) -> Option<Ordered> {
        self.lock().ordered.pop_front()
    }

    /// What is wanted of the controller and what is held, for one link; of several the newest.
    pub(crate) fn wants_permits(&self, session: u64, said: PermitsSaid) {
        self.lock().permits = Some((session, said, true));
        self.0.changed.notify_one();
    }

    /// What has to be said of permits on this link, once.
    pub(super) fn take_permits(&self, session: u64) -> Option<PermitsSaid> {
        let mut state = self.lock();
        let (_, said, is_due) = state.permits.as_mut().filter(|(of, ..)| *of == session)?;
        std::mem::take(is_due).then(|| said.clone())
    }

    /// A configuration that the loop is to take; of several the newest.
    pub(crate) fn offer(&self, offered: Offered) {
        self.lock().offered = Some(offered);
    }

    /// The configuration that the loop is to take, once.
    pub(crate) fn take_offered(&self) -> Option<Offered> {
        self.lock().offered.take()
    }

    /// The host has this configuration of its fleet, in force.
    pub(crate) fn has_configuration(&self, held: Held) {
        self.lock().configured = (Configured { held, refused: None }, true);
        self.0.changed.notify_one();
    }

    /// The host does not take a configuration; it keeps what it has.
    pub(crate) fn refuses_configuration(&self, refused: RefusedBundle) {
        let mut state = self.lock();
        state.configured.0.refused = Some(refused);
        state.configured.1 = true;
        self.0.changed.notify_one();
    }

    /// What the host has on its disk, when nothing else was said yet.
    pub(super) fn begins_with(&self, held: Held) {
        self.lock().configured.0.held = held;
    }

    /// The configuration of the fleet that the host has.
    pub(super) fn held(&self) -> Held {
        self.lock().configured.0.held.clone()
    }

    /// What has to be said of the configuration, once.
    pub(super) fn take_configured(&self) -> Option<Configured> {
        let mut state = self.lock();
        let (configured, is_due) = &mut state.configured;
        std::mem::take(is_due).then(|| configured.clone())
    }

    /// How it stands, for people.
    pub(crate) fn view(&self) -> ControllerView {
        let state = self.lock();
        ControllerView { waiting: state.feed.len(), ..state.view.clone() }
    }

    /// Ends when something is to be said; what is noted before it is asked counts.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn feed(&self) -> FeedId {
        self.lock().feed.id()
    }

    pub(super) fn take(&self, count_max: usize) -> Option<(u64, Vec<Item>)> {
        self.lock().feed.take(count_max)
    }

    pub(super) fn kept(&self, through: u64) -> Option<i64> {
        self.lock().feed.kept(through)
    }

    /// Which restraints of this controller are saved; zeros when none are, or those of another.
    pub(super) fn restraints(&self, of: ControllerId) -> RestraintsAt {
        let state = self.lock();
        let acknowledged = state.acknowledged.as_ref().map(|(acknowledged, _)| acknowledged);
        let own = acknowledged.filter(|acknowledged| acknowledged.controller.as_str() == of.to_string());
        own.map_or_else(RestraintsAt::default, |own| RestraintsAt { epoch: own.epoch, generation: own.generation })
    }

    /// What has to be said of restraints, once.
    pub(super) fn take_acknowledged(&self) -> Option<Acknowledged> {
        let mut state = self.lock();
        let (acknowledged, is_due) = state.acknowledged.as_mut()?;
        std::mem::take(is_due).then(|| acknowledged.clone())
    }

    /// Where it dials.
    pub(super) fn dials(&self, route: &Route) {
        self.lock().view.address = route.controller.to_string();
    }

    pub(super) fn connected(&self, welcome: &Welcome, now: WallTime) {
        let mut state = self.lock();
        state.feed.connected(welcome.kept);
        // Nobody waits on this link for what was asked on the one before.
        state.ordered.clear();
        // Another session is told what was said in the one before.
        if let Some((_, is_due)) = &mut state.acknowledged {
            *is_due = true;
        }
        state.configured.1 |= state.configured.0.refused.is_some();
        let skew = now.0.abs_diff(welcome.now_ms);
        let skewed = (skew > SKEW_MAX_MS).then(|| {
            let apart = Shown(std::time::Duration::from_millis(skew));
            Text::new(format!("the clocks of this host and of the controller are {apart} apart"))
        });
        let address = std::mem::take(&mut state.view.address);
        state.view = ControllerView {
            address,
            host: Some(welcome.host),
            name: Some(welcome.name.to_string()),
            connected_since_ms: Some(now.0),
            heard_ms: Some(now.0),
            waiting: 0,
            suggestion: skewed.as_ref().map(|_| "let NTP set both".into()),
            trouble: skewed,
        };
    }

    pub(super) fn heard(&self, now: WallTime) {
        self.lock().view.heard_ms = Some(now.0);
    }

    /// There is no link, or none any more. Says whether that is news.
    pub(super) fn lost(&self, trouble: &Trouble) -> bool {
        let mut state = self.lock();
        let why = Some(Text::new(trouble.to_string()));
        let is_news = state.view.connected_since_ms.take().is_some() || state.view.trouble != why;
        state.view.trouble = why;
        state.view.suggestion = Some(trouble.suggestion());
        is_news
    }
}

/// A configuration of the fleet whose signature was checked.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    /// As it is kept.
    pub(crate) signed: SignedBundle,
    /// What it says.
    pub(crate) bundle: HostBundle,
}

/// Whether a report lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It can be read.
    Yes,
    /// It could not be written.
    No,
}
