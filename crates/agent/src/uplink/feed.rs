//! What a host has to tell its controller: numbered, bounded, and of each thing the newest only. It is told again until the
//! controller says that it is kept. It sends nothing and reads nothing.

use std::collections::VecDeque;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::Phase,
    report::Report,
};
use ansai_protocol::{IncidentSummary, TargetStatus, link::FeedId};

/// Most changes that are sent and not kept yet.
const SENT_MAX: usize = 256;
/// Most changes that wait, beside those of targets, of which there are as many as are watched.
const WAITING_MAX: usize = 1024;
/// Most of those that are held as whole reports; what was sent may be as many more as [`SENT_MAX`].
const GOING_MAX: usize = 64;

/// Something to tell. Of a report that was made for people only its number is held: it lies on the disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// Everything is told anew.
    Anew,
    /// All that there was is told.
    Told,
    /// A target as it stands.
    Target(Box<TargetStatus>),
    /// It is no target any more.
    TargetGone(TargetId),
    /// An incident as it stands.
    Incident(Box<IncidentSummary>),
    /// The report on an incident that goes on, as it stands; or on one that has ended, which could not be written.
    Going(Box<Report>),
    /// The report on an incident, made at this moment (milliseconds since 1970).
    Report {
        /// Which one.
        incident: IncidentId,
        /// When it was made.
        at_ms: i64,
    },
    /// So much was dropped.
    Lost(u64),
}

impl Item {
    /// Whether the other one says a newer state of the same thing.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        let target = |item: &Self| match item {
            Self::Target(status) => Some(status.target.clone()),
            Self::TargetGone(target) => Some(target.clone()),
            _ => None,
        };
        match (self, newer) {
            (Self::Incident(one), Self::Incident(other)) => one.id == other.id,
            (Self::Report { incident: one, .. }, Self::Report { incident: other, .. }) => one == other,
            (Self::Going(one), Self::Going(other)) => one.incident == other.incident,
            (Self::Going(one), Self::Report { incident: other, .. }) => one.incident == *other,
            (one, other) => target(one).is_some_and(|one| Some(one) == target(other)),
        }
    }

    /// Whether it is a report that lies nowhere else, and that nothing follows.
    fn is_of_an_end(&self) -> bool {
        matches!(self, Self::Going(report) if matches!(report.phase, Phase::Resolved(_)))
    }

    fn is_of_a_target(&self) -> bool {
        matches!(self, Self::Target(_) | Self::TargetGone(_))
    }
}

/// The changes of one process of the agent.
#[derive(Debug)]
pub(crate) struct Feed {
    id: FeedId,
    /// The number of the next change that is taken.
    next: u64,
    waiting: VecDeque<Item>,
    /// Taken and not kept; the last has the number before `next`.
    sent: VecDeque<Item>,
    /// How many of these were sent in this session.
    cursor: usize,
    wants_all: bool,
}

impl Feed {
    /// One of which nothing has been told.
    pub(crate) fn new(id: FeedId) -> Self {
        Self { id, next: 1, waiting: VecDeque::new(), sent: VecDeque::new(), cursor: 0, wants_all: false }
    }

    pub(crate) fn id(&self) -> FeedId {
        self.id
    }

    /// How much waits to be told or kept.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// Whether everything has to be told, because the controller has not what this goes on from.
    pub(crate) fn wants_all(&self) -> bool {
        self.wants_all
    }

    /// A change, which takes the place of an older state of the same thing that waits.
    pub(crate) fn note(&mut self, item: Item) {
        if let Some(older) = self.waiting.iter_mut().find(|older| older.is_replaced_by(&item)) {
            *older = item;
            return;
        }
        self.waiting.push_back(item);
        self.keep_few_whole();
        while self.waiting.iter().filter(|item| !item.is_of_a_target()).count() > WAITING_MAX {
            if !self.drop_oldest() {
                return;
            }
        }
    }

    /// What was made before and is read or told now: it takes the place of nothing that says more.
    pub(crate) fn note_older(&mut self, item: Item) {
        let says_more = |other: &Item| match (other, &item) {
            // The report on its end would have taken the place of this one.
            (Item::Going(going), Item::Report { incident, .. }) => going.incident == *incident,
            _ => item.is_replaced_by(other),
        };
        if !self.waiting.iter().any(says_more) {
            self.note(item);
        }
    }

    fn keep_few_whole(&mut self) {
        while self.waiting.iter().filter(|item| matches!(item, Item::Going(_))).count() > GOING_MAX {
            self.drop_going();
        }
    }

    /// What is said of an incident that goes on is said again when it goes further, so nothing is lost by it; the report on an
    /// end that could not be written is lost. No when there is none.
    fn drop_going(&mut self) -> bool {
        let place = self.waiting.iter().position(|item| matches!(item, Item::Going(_)));
        let Some(dropped) = place.and_then(|place| self.waiting.remove(place)) else { return false };
        if dropped.is_of_an_end() {
            self.count_lost();
        }
        true
    }

    /// Incidents go before reports, which say more; what is dropped is counted. No when there is nothing to drop.
    fn drop_oldest(&mut self) -> bool {
        if self.drop_going() {
            return true;
        }
        let is_incident = |item: &Item| matches!(item, Item::Incident(_));
        let is_report = |item: &Item| matches!(item, Item::Report { .. });
        let place = self.waiting.iter().position(is_incident).or_else(|| self.waiting.iter().position(is_report));
        if place.and_then(|place| self.waiting.remove(place)).is_none() {
            return false;
        }
        self.count_lost();
        true
    }

    fn count_lost(&mut self) {
        match self.waiting.iter_mut().find(|item| matches!(item, Item::Lost(_))) {
            Some(Item::Lost(count)) => *count += 1,
            _ => self.waiting.push_front(Item::Lost(1)),
        }
    }

    /// Everything as it stands; of what waited, only reports and what was lost are not in it.
    pub(crate) fn tell_all(&mut self, all: impl IntoIterator<Item = Item>) {
        let rest = std::mem::take(&mut self.waiting);
        self.waiting.push_back(Item::Anew);
        for item in all {
            let is_whole = matches!(item, Item::Going(_));
            self.waiting.push_back(item);
            if is_whole {
                self.keep_few_whole();
            }
        }
        self.waiting.push_back(Item::Told);
        for item in rest {
            match item {
                // It has ended, or what is told says more of it.
                Item::Report { .. } | Item::Incident(_) => self.note_older(item),
                Item::Lost(_) => self.note(item),
                Item::Going(_) if item.is_of_an_end() => self.note_older(item),
                Item::Going(_) | Item::Target(_) | Item::TargetGone(_) | Item::Anew | Item::Told => {}
            }
        }
        self.wants_all = false;
    }

    /// A session begins with a controller that has this much. It goes on behind it, or tells everything.
    pub(crate) fn connected(&mut self, kept: Option<(FeedId, u64)>) {
        self.cursor = 0;
        let first = self.first_sent();
        match kept {
            Some((feed, through)) if feed == self.id && through < self.next && through + 1 >= first => {
                self.kept(through);
            }
            Some(_) | None => {
                // What was sent is told anew; the reports among it wait again.
                let reports = std::mem::take(&mut self.sent);
                let is_report =
                    |item: &Item| matches!(item, Item::Report { .. } | Item::Lost(_)) || item.is_of_an_end();
                let reports = reports.into_iter().filter(is_report);
                reports.collect::<Vec<_>>().into_iter().for_each(|report| self.note(report));
                self.wants_all = true;
            }
        }
    }

    fn first_sent(&self) -> u64 {
        self.next - u64::try_from(self.sent.len()).unwrap_or(0)
    }

    /// The next changes with the number of the first; none when nothing is to be sent now.
    pub(crate) fn take(&mut self, count_max: usize) -> Option<(u64, Vec<Item>)> {
        if self.wants_all {
            return None;
        }
        while self.sent.len() < SENT_MAX && self.sent.len() < self.cursor + count_max {
            let Some(item) = self.waiting.pop_front() else { break };
            self.sent.push_back(item);
            self.next += 1;
        }
        let first = self.first_sent() + u64::try_from(self.cursor).unwrap_or(0);
        let taken: Vec<Item> = self.sent.iter().skip(self.cursor).take(count_max).cloned().collect();
        self.cursor += taken.len();
        (!taken.is_empty()).then_some((first, taken))
    }

    /// The controller keeps all up to this number. Says when the newest report of them was made.
    pub(crate) fn kept(&mut self, through: u64) -> Option<i64> {
        let mut newest = None;
        while !self.sent.is_empty() && self.first_sent() <= through {
            if let Some(Item::Report { at_ms, .. }) = self.sent.pop_front() {
                newest = newest.max(Some(at_ms));
            }
            self.cursor = self.cursor.saturating_sub(1);
        }
        newest
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{id::CheckId, incident::Resolution, observation::Health, rule::Severity, time::Now};

    use super::*;

    fn feed() -> Feed {
        Feed::new(FeedId::of_chance([1; 16]))
    }

    fn target(name: &str) -> TargetId {
        TargetId::of("service", name).unwrap()
    }

    fn status(name: &str, summary: &str) -> Item {
        Item::Target(Box::new(TargetStatus {
            target: target(name),
            health: Health::Healthy,
            summary: summary.into(),
            incident: None,
            explanation: "".into(),
            is_critical: false,
            autonomy: None,
            is_held: false,
            stopped: None,
            warning: None,
        }))
    }

    fn incident(id: u64) -> Item {
        Item::Incident(Box::new(IncidentSummary {
            id: IncidentId(id),
            target: target("app"),
            check: CheckId::of(&target("app"), "unit").unwrap(),
            severity: Severity::Now,
            phase: Phase::Open,
            headline: "".into(),
            is_drill: false,
            opened_ms: 0,
            downtime_ms: None,
            is_well_again: false,
            is_kept: false,
            well_since_ms: None,
            seen_to: None,
            told: None,
        }))
    }

    fn report(id: u64) -> Item {
        Item::Report { incident: IncidentId(id), at_ms: i64::try_from(id).unwrap() }
    }

    /// Connected to a controller that has nothing, which was told everything there was: nothing.
    fn connected() -> Feed {
        let mut feed = feed();
        feed.connected(None);
        assert!(feed.wants_all() && feed.take(9).is_none());
        feed.tell_all([]);
        assert_eq!(feed.take(9), Some((1, vec![Item::Anew, Item::Told])));
        feed.kept(2);
        feed
    }

    #[test]
    fn a_thing_that_changed_five_times_is_told_once() {
        let mut feed = connected();
        for summary in ["1", "2", "3", "4", "5"] {
            feed.note(status("a", summary));
        }
        feed.note(status("b", ""));
        feed.note(Item::TargetGone(target("a")));
        assert_eq!(feed.take(9), Some((3, vec![Item::TargetGone(target("a")), status("b", "")])));
        feed.note(status("a", "6"));
        assert_eq!(feed.take(9), Some((5, vec![status("a", "6")])), "what was sent is not changed any more");
        assert_eq!(feed.take(9), None);
    }

    #[test]
    fn what_is_not_kept_is_told_again_and_nothing_else() {
        let mut feed = connected();
        (1..=5).for_each(|id| feed.note(incident(id)));
        assert_eq!(feed.take(9).unwrap().0, 3);
        feed.kept(4);
        feed.note(incident(6));
        feed.connected(Some((feed.id(), 5)));
        assert_eq!(feed.take(2), Some((6, vec![incident(4), incident(5)])));
        assert_eq!(feed.take(2), Some((8, vec![incident(6)])));
        feed.kept(8);
        assert_eq!(feed.len(), 0);
        feed.connected(Some((feed.id(), 8)));
        assert!(feed.take(9).is_none() && !feed.wants_all(), "nothing has changed");
    }

    #[test]
    fn a_controller_that_has_not_what_this_goes_on_from_is_told_everything() {
        let kept_by_feed = |kept: fn(&Feed) -> Option<(FeedId, u64)>| {
            let mut feed = connected();
            (1..=3).for_each(|id| feed.note(report(id)));
            feed.take(9);
            feed.kept(3);
            let kept = kept(&feed);
            feed.connected(kept);
            feed.wants_all()
        };
        assert!(kept_by_feed(|_| None), "it has nothing");
        assert!(kept_by_feed(|_| Some((FeedId::of_chance([9; 16]), 4))), "it has another process's");
        assert!(kept_by_feed(|feed| Some((feed.id(), 2))), "it was restored from an older copy");
        assert!(kept_by_feed(|feed| Some((feed.id(), 99))), "it has what was never told");
        assert!(kept_by_feed(|feed| Some((feed.id(), u64::MAX))));
        assert!(!kept_by_feed(|feed| Some((feed.id(), 3))) && !kept_by_feed(|feed| Some((feed.id(), 5))));
    }

    #[test]
    fn telling_everything_loses_no_report_and_no_end_of_an_incident() {
        let mut feed = connected();
        [report(1), incident(1), status("gone", ""), incident(2)].into_iter().for_each(|item| feed.note(item));
        feed.take(2);
        feed.note(report(3));
        feed.connected(None);
        feed.tell_all([status("a", ""), incident(2)]);
        let told = feed.take(99).unwrap().1;
        assert_eq!(told, [Item::Anew, status("a", ""), incident(2), Item::Told, report(3), report(1)]);
    }

    #[test]
    fn what_waits_is_bounded_and_what_was_dropped_is_counted() {
        let mut feed = connected();
        (0..20_000).for_each(|id| feed.note(incident(id)));
        (0..500).for_each(|id| feed.note(report(id)));
        (0..3_000).for_each(|id| feed.note(status(&id.to_string(), "")));
        let others = feed.waiting.iter().filter(|item| !item.is_of_a_target()).count();
        assert!(others <= WAITING_MAX, "{others}");
        let lost = feed.waiting.iter().find_map(|item| if let Item::Lost(lost) = item { Some(*lost) } else { None });
        let reports = feed.waiting.iter().filter(|item| matches!(item, Item::Report { .. })).count();
        assert_eq!((lost, reports), (Some(20_500 - u64::try_from(WAITING_MAX - 1).unwrap()), 500));
        while let Some((_, taken)) = feed.take(64) {
            assert!(taken.len() <= 64 && feed.sent.len() <= SENT_MAX);
        }
        assert_eq!(feed.sent.len(), SENT_MAX, "it waits until that is kept");
    }

    fn going(id: u64, steps: u32) -> Item {
        let check = CheckId::of(&target("app"), "unit").unwrap();
        let mut report = Report::bare(IncidentId(id), target("app"), check, Now::default(), Phase::Open);
        report.steps_dropped = steps;
        Item::Going(Box::new(report))
    }

    #[test]
    fn what_goes_on_is_told_as_it_stands_until_its_report_is_made() {
        let mut feed = connected();
        [going(1, 1), incident(1), going(1, 2), going(2, 1)].into_iter().for_each(|item| feed.note(item));
        feed.note(report(1));
        assert_eq!(feed.take(9), Some((3, vec![report(1), incident(1), going(2, 1)])));
        feed.note(report(2));
        feed.note(going(2, 2));
        assert_eq!(
            feed.take(9),
            Some((6, vec![report(2), going(2, 2)])),
            "a report that was made is told all the same"
        );
        feed.note(going(3, 1));
        feed.connected(None);
        feed.tell_all([incident(3), going(3, 2)]);
        let told = feed.take(9).unwrap().1;
        assert_eq!(told, [Item::Anew, incident(3), going(3, 2), Item::Told, report(1), report(2)]);
    }

    #[test]
    fn no_older_report_takes_the_place_of_what_goes_on_when_everything_is_told() {
        let told = |tells: [fn(&mut Feed); 2]| {
            let mut feed = connected();
            // Of the first there is a report since a person has it; the second has ended.
            [report(1), incident(2), report(2)].into_iter().for_each(|item| feed.note(item));
            feed.take(1);
            feed.connected(None);
            tells.into_iter().for_each(|tells| tells(&mut feed));
            feed.take(9).unwrap().1
        };
        let from_disk: fn(&mut Feed) =
            |feed| [incident(1), report(1), report(2)].into_iter().for_each(|item| feed.note_older(item));
        let all: fn(&mut Feed) = |feed| feed.tell_all([incident(1), going(1, 2)]);
        let expected = [Item::Anew, incident(1), going(1, 2), Item::Told, incident(2), report(2)];
        assert_eq!(told([from_disk, all]), expected);
        assert_eq!(told([all, from_disk]), expected);
    }

    #[test]
    fn few_reports_on_what_goes_on_wait_and_none_of_them_is_missed() {
        let mut feed = connected();
        (0..200).for_each(|id| [incident(id), going(id, 1)].into_iter().for_each(|item| feed.note(item)));
        let going = feed.waiting.iter().filter(|item| matches!(item, Item::Going(_))).count();
        assert_eq!((going, feed.waiting.len()), (GOING_MAX, 200 + GOING_MAX));
        (0..2_000).for_each(|id| feed.note(report(id)));
        assert!(!feed.waiting.iter().any(|item| matches!(item, Item::Going(_))), "they go first");
        let lost = feed.waiting.iter().find_map(|item| if let Item::Lost(lost) = item { Some(*lost) } else { None });
        assert_eq!(lost, Some(2_200 - u64::try_from(WAITING_MAX - 1).unwrap()), "and are not counted");
    }

    #[test]
    fn few_whole_reports_wait_when_everything_is_told_and_those_of_an_end_are_counted() {
        let whole = |feed: &Feed| feed.waiting.iter().filter(|item| matches!(item, Item::Going(_))).count();
        let mut feed = connected();
        feed.connected(None);
        feed.tell_all((0..200).flat_map(|id| [incident(id), going(id, 1)]));
        assert_eq!((whole(&feed), feed.waiting.len()), (GOING_MAX, 2 + 200 + GOING_MAX));
        assert!(
            !feed.waiting.iter().any(|item| matches!(item, Item::Lost(_))),
            "it is said again when it goes further"
        );
        let mut feed = connected();
        let ended = |id| match going(id, 1) {
            Item::Going(mut report) => {
                report.phase = Phase::Resolved(Resolution::ByItself);
                Item::Going(report)
            }
            other => other,
        };
        (0..100).for_each(|id| feed.note(ended(id)));
        assert_eq!(whole(&feed), GOING_MAX);
        assert_eq!(feed.waiting[0], Item::Lost(100 - u64::try_from(GOING_MAX).unwrap()));
        feed.take(9);
        feed.connected(None);
        feed.tell_all([]);
        assert_eq!(whole(&feed), GOING_MAX, "they are told all the same");
    }

    #[test]
    fn the_newest_report_that_is_kept_is_known() {
        let mut feed = connected();
        [report(5), incident(1), report(4)].into_iter().for_each(|item| feed.note(item));
        feed.take(9);
        assert_eq!((feed.kept(2), feed.kept(4), feed.kept(9), feed.kept(9)), (None, Some(5), Some(4), None));
    }
}
