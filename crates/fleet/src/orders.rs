//! What hosts are to do now, once: an order goes to each host that is there, and is answered when each has said what came of it,
//! or the time for that is over. It is kept by nobody: a host that is not there is never told, nor is one that comes back, and
//! a controller that begins knows of none. What a host does with it is the host's own decision.

use std::collections::BTreeMap;

use ansai_model::{
    fleet::FleetScope,
    order::{
        ASKED_TARGETS_MAX, DOCUMENT_BYTES_MAX, Deed, ORDER_TARGETS_MAX, Order, OrderOutcome, Ordered, Subject, Told,
        check,
    },
    text::Text,
    time::MonoTime,
};
use ansai_protocol::{
    link::{FromController, HostId, Short},
    operation::{FleetAnswer, HostTold},
    record::HostRecord,
};

use crate::{
    FleetEngine,
    effect::FleetEffect,
    input::SessionId,
    limits::{ASKED_MAX, ORDERED_WITHIN, WAITING_MAX},
    words,
};

/// What is wanted.
pub(crate) struct Wanted {
    pub(crate) deed: Deed,
    pub(crate) over: FleetScope,
    pub(crate) to: Subject,
    pub(crate) is_rehearsal: bool,
}

/// An order that hosts were told, and who has answered.
#[derive(Clone, Debug)]
pub(crate) struct Ordering {
    by: Text,
    what: String,
    number: u64,
    is_to_be_done: bool,
    until: MonoTime,
    /// Those that were told, by their connections: an answer on another one is none.
    awaited: BTreeMap<SessionId, HostId>,
    told: BTreeMap<HostId, (Short, Vec<Told>)>,
}

impl FleetEngine {
    /// Has hosts do something, and the operator wait for their answers.
    pub(crate) fn order(&mut self, request: u64, by: &Text, wanted: Wanted) {
        let hosts = match self.may_order(&wanted) {
            Ok(hosts) => hosts,
            Err(refusal) => return self.answer(request, refusal),
        };
        let Wanted { deed, over, to, is_rehearsal } = wanted;
        let is_to_be_done = !is_rehearsal && !deed.is_a_question();
        let what = format!("{} {to} on {over}", words::deed(deed));
        let number = if is_to_be_done { self.next_generation() } else { 0 };
        let order = Order {
            request,
            controller: Text::new(self.books.controller.to_string()),
            epoch: self.books.epoch,
            number,
            by: by.clone(),
            deed,
            to,
            is_rehearsal,
        };
        let (mut awaited, mut told) = (BTreeMap::new(), BTreeMap::new());
        for host in &hosts {
            let Some(record) = self.books.hosts.get(host) else { continue };
            let of_host = match self.session_to_order(*host) {
                Ok(session) => {
                    awaited.insert(session, *host);
                    let message = FromController::Order { order: Box::new(order.clone()), at_ms: self.now.wall.0 };
                    self.effects.push(FleetEffect::Send { session, message });
                    Vec::new()
                }
                Err(why) => vec![of_whole(OrderOutcome::Unreached, why, "it is not told later: give the order again")],
            };
            told.insert(*host, (record.name.clone(), of_host));
        }
        if is_to_be_done {
            self.audit(by, &what, hosts.len());
        }
        let until = self.now.mono.plus(ORDERED_WITHIN);
        let ordering = Ordering { by: by.clone(), what, number, is_to_be_done, until, awaited, told };
        self.orders.insert(request, ordering);
        self.answer_order(request);
    }

    /// The hosts that are meant, or why it may not be ordered: whatever a host would say, no such order is given.
    pub(crate) fn may_order(&self, wanted: &Wanted) -> Result<Vec<HostId>, FleetAnswer> {
        let Wanted { deed, over, to, is_rehearsal } = wanted;
        if let Err(objection) = check(*deed, to).and_then(|()| over.check()) {
            let (why, suggestion) = (objection.what.into(), objection.suggestion.into());
            return Err(FleetAnswer::Refused { why, suggestion });
        }
        let hosts = self.meant(over);
        if hosts.is_empty() {
            let what = Text::new(format!("{over}: none of the {} hosts is meant by that", self.books.hosts.len()));
            return Err(FleetAnswer::NotFound { what, suggestion: "`ansai hosts list` lists them".into() });
        }
        if let (Subject::Incident(incident), false) = (to, matches!(over, FleetScope::Host(_))) {
            let why = format!("{incident} is another incident on each host");
            return Err(words::refused(why, "name its host with --host, or targets in place of its number"));
        }
        if let (Deed::Drill(_), Some(refusal)) = (deed, self.objection_to_drills(&hosts)) {
            return Err(refusal);
        }
        let most = match deed {
            Deed::Explain if !is_rehearsal => ASKED_MAX,
            _ => usize::MAX,
        };
        if hosts.len() > most {
            let why =
                format!("{over}: {} are meant, and at most {most} may be at once", words::count(hosts.len(), "host"));
            return Err(words::refused(why, "name fewer: --host NAME, a role or a label that fewer have"));
        }
        if self.orders.len() >= WAITING_MAX {
            let why = format!("{WAITING_MAX} orders are not answered yet");
            return Err(words::refused(why, "try again in a few seconds"));
        }
        Ok(hosts)
    }

    /// Why these hosts are not broken on purpose at once: a drill takes away what serves, so it is one host of a role at a time, and
    /// none while another one of it may be away by permit.
    fn objection_to_drills(&self, hosts: &[HostId]) -> Option<FleetAnswer> {
        let mut roles: BTreeMap<Option<&Short>, Vec<&HostRecord>> = BTreeMap::new();
        for record in hosts.iter().filter_map(|host| self.books.hosts.get(host)) {
            roles.entry(record.role.as_ref()).or_default().push(record);
        }
        let of = |role: Option<&Short>| role.map_or("hosts without a role".to_owned(), |role| format!("role {role}"));
        roles.into_iter().find_map(|(role, members)| {
            if let [_, _, ..] = members.as_slice() {
                let all = words::count(members.len(), "host");
                let why = format!("{}: {all} are meant, and a drill breaks one at a time", of(role));
                return Some(words::refused(why, "name one of them: --host NAME"));
            }
            let mut permits = self.books.permits.values();
            let held = permits.find(|permit| permit.role.as_ref() == role && permit.host != members[0].id)?;
            let why = format!("{}: {} is held, and a drill would take away one more", of(role), self.described(held));
            Some(words::refused(why, "order it again when that is given back: ansai permits list"))
        })
    }

    /// The one connection on which a host can be told, or why there is none.
    fn session_to_order(&self, host: HostId) -> Result<SessionId, Text> {
        if self.seen.get(&host).is_some_and(|seen| seen.are_twins) {
            return Err("two hosts have its identity, and neither can be known to be the one that is meant".into());
        }
        match self.sessions_of(host).last() {
            Some((_, session)) if session.is_expired => Err("its certificate has ended, and it renews it first".into()),
            Some((id, _)) => Ok(id),
            None => Err(words::not_reached(self, host)),
        }
    }

    /// A host says what came of an order.
    pub(crate) fn ordered(&mut self, session: SessionId, said: Ordered) {
        let epoch = self.books.epoch;
        let Some(ordering) = self.orders.get_mut(&said.request) else { return };
        if said.epoch != epoch || said.number != ordering.number {
            return;
        }
        let Some(host) = ordering.awaited.remove(&session) else { return };
        if let Some((_, told)) = ordering.told.get_mut(&host) {
            *told = bounded(said.told);
        }
        self.answer_order(said.request);
    }

    /// A link is gone: what was told on it is not answered any more.
    pub(crate) fn order_is_cut_off(&mut self, session: SessionId) {
        let mut cut_off = Vec::new();
        for (request, ordering) in &mut self.orders {
            if let Some(host) = ordering.awaited.remove(&session) {
                let why = "its link ended before it answered: whether it was done is not known";
                ordering.unanswered(host, why);
                cut_off.push(*request);
            }
        }
        cut_off.into_iter().for_each(|request| self.answer_order(request));
    }

    /// Who has waited long enough is answered with what is known.
    pub(crate) fn answer_orders_in_time(&mut self) {
        let now = self.now.mono;
        let due = self.orders.iter().filter(|(_, ordering)| ordering.until <= now).map(|(request, _)| *request);
        for request in due.collect::<Vec<_>>() {
            if let Some(ordering) = self.orders.get_mut(&request) {
                for host in std::mem::take(&mut ordering.awaited).into_values() {
                    let why =
                        "it has not answered in time: whether it was done is not known; an older agent knows no orders";
                    ordering.unanswered(host, why);
                }
            }
            self.answer_order(request);
        }
    }

    /// Answers an operator for whom nobody is waited for any more.
    fn answer_order(&mut self, request: u64) {
        if !self.orders.get(&request).is_some_and(|ordering| ordering.awaited.is_empty()) {
            return;
        }
        let Some(ordering) = self.orders.remove(&request) else { return };
        let mut hosts: Vec<HostTold> =
            ordering.told.into_values().map(|(host, told)| HostTold { host, told }).collect();
        hosts.sort_unstable_by(|one, other| one.host.cmp(&other.host));
        let came = words::came_of(&hosts);
        let text = Text::new(format!("{}: {came}", ordering.what));
        if ordering.is_to_be_done && self.saving.trouble.is_none() {
            self.audit(&ordering.by, text.as_str(), hosts.len());
        }
        self.answer(request, FleetAnswer::Ordered { text, hosts });
    }
}

impl Ordering {
    fn unanswered(&mut self, host: HostId, why: &str) {
        if let Some((_, told)) = self.told.get_mut(&host) {
            told.push(of_whole(
                OrderOutcome::Unanswered,
                why.into(),
                "`ansai incidents --host` says what happened there",
            ));
        }
    }
}

fn of_whole(outcome: OrderOutcome, text: Text, suggestion: &str) -> Told {
    Told { of: "".into(), outcome, text, suggestion: suggestion.into(), document: None }
}

/// What a host says, as far as it may say it: it speaks for itself, and cannot say that it was not reached.
fn bounded(mut told: Vec<Told>) -> Vec<Told> {
    told.truncate(ORDER_TARGETS_MAX);
    for (place, one) in told.iter_mut().enumerate() {
        if place >= ASKED_TARGETS_MAX || one.document.as_ref().is_some_and(|text| text.len() > DOCUMENT_BYTES_MAX) {
            one.document = None;
        }
        if matches!(one.outcome, OrderOutcome::Unreached) {
            one.outcome = OrderOutcome::Unanswered;
        }
    }
    if told.is_empty() {
        told.push(of_whole(OrderOutcome::Unanswered, "it has answered without a word".into(), ""));
    }
    told
}
