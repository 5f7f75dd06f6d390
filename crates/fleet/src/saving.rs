//! Save, then act: what a step changes is one save, and what was not kept is taken back as if it had never been said.
//! While nothing can be kept, hosts keep what changes on them, and operators are told so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ansai_model::{
    text::Text,
    time::{MonoTime, Now},
};
use ansai_protocol::{link::JoinAnswer, operation::FleetAnswer, record::Record};

use crate::{
    FleetEngine,
    books::Undo,
    effect::FleetEffect,
    incidents::of_the_store,
    input::{Issued, JoiningId, SessionId},
    limits::{SAVE_AGAIN, TROUBLE_TOLD_AFTER},
    sessions::Seen,
};

const COMES_AGAIN: &str = "the agent comes again by itself and tells what is not kept";

/// What waits to be durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saving {
    /// The number of the last save.
    last: u64,
    /// What the step under way wants to be kept.
    pub(crate) now: Unsaved,
    /// Saves that are not known to be durable, oldest first.
    waiting: VecDeque<(u64, Unsaved)>,
    /// Why nothing can be kept, when nothing can.
    pub(crate) trouble: Option<Text>,
    /// When it is tried again.
    again: MonoTime,
    /// Since when nothing can be kept, and whether people were told.
    since: Option<(Now, bool)>,
}

/// One save, and who hears nothing when it fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsaved {
    records: Vec<Record>,
    /// What takes it back, to be put in reverse.
    undo: Vec<Undo>,
    /// Whose commands are in it.
    pub(crate) requests: BTreeSet<u64>,
    /// What is answered meanwhile, and waits behind it.
    answers: BTreeMap<u64, FleetAnswer>,
    joinings: BTreeSet<JoiningId>,
    /// Who told what is in it, or hears of it.
    pub(crate) sessions: BTreeSet<SessionId>,
}

impl Unsaved {
    /// Notes whom an effect is for: it is not done when this is not kept.
    fn depends(&mut self, effect: &FleetEffect) {
        match effect {
            FleetEffect::Answer { request, answer } => {
                self.answers.insert(*request, answer.clone());
            }
            FleetEffect::Join { joining, .. } | FleetEffect::Issue { to: Issued::Joining(joining), .. } => {
                self.joinings.insert(*joining);
            }
            FleetEffect::Send { session, .. }
            | FleetEffect::Close { session, .. }
            | FleetEffect::Configure { session, .. } => {
                self.sessions.insert(*session);
            }
            FleetEffect::Issue { to: Issued::Session(session), .. } => {
                self.sessions.insert(*session);
            }
            FleetEffect::Save { .. } | FleetEffect::Tell(_) | FleetEffect::TellForHosts { .. } => {}
        }
    }
}

impl FleetEngine {
    /// Changes what is kept: the one door.
    pub(crate) fn put(&mut self, record: Record) {
        self.saving.now.undo.extend(self.books.change(&record));
        self.saving.now.records.push(record);
    }

    /// At the end of a step: what is to be kept comes before everything that depends on it.
    pub(crate) fn close_step(&mut self) -> Vec<FleetEffect> {
        let mut effects = std::mem::take(&mut self.effects);
        let mut unsaved = std::mem::take(&mut self.saving.now);
        let records = std::mem::take(&mut unsaved.records);
        if !records.is_empty() {
            self.saving.last += 1;
            self.saving.waiting.push_back((self.saving.last, unsaved));
        }
        // What changes nothing itself may say what is not durable yet.
        if let Some((_, last)) = self.saving.waiting.back_mut() {
            effects.iter().for_each(|effect| last.depends(effect));
        }
        if !records.is_empty() {
            effects.insert(0, FleetEffect::Save { number: self.saving.last, records });
        }
        effects
    }

    /// Everything up to this save is durable.
    pub(crate) fn saved(&mut self, through: u64) {
        let is_waiting = self.saving.waiting.iter().any(|(number, _)| *number <= through);
        self.saving.waiting.retain(|(number, _)| *number > through);
        if self.saving.waiting.is_empty() {
            self.messages.saved();
        }
        if is_waiting && self.saving.trouble.take().is_some() {
            if let Some((since, true)) = self.saving.since.take() {
                let headline = "over: the controller keeps what it is told again".to_owned();
                self.effects.extend(of_the_store(since.wall, headline, true).map(FleetEffect::Tell));
            }
            // Hosts whose changes were not taken come again and tell them.
            let stalled: Vec<_> =
                self.sessions.iter().filter(|(_, session)| session.is_stalled).map(|(id, _)| *id).collect();
            for session in stalled {
                self.close(session, "the controller can keep changes again", COMES_AGAIN);
            }
        }
    }

    /// From this save on nothing was kept: it is as if none of that had been said.
    pub(crate) fn not_saved(&mut self, from: u64, why: Text) {
        let mut all = Unsaved::default();
        while self.saving.waiting.back().is_some_and(|(number, _)| *number >= from) {
            let Some((_, unsaved)) = self.saving.waiting.pop_back() else { break };
            for undo in unsaved.undo.iter().rev() {
                self.books.take_back(undo);
            }
            all.requests.extend(unsaved.requests);
            all.answers.extend(unsaved.answers);
            all.joinings.extend(unsaved.joinings);
            all.sessions.extend(unsaved.sessions);
        }
        self.take_back(all, &why);
        let generation = self.books.generation;
        for host in self.books.hosts.values() {
            self.seen.entry(host.id).or_insert_with(|| Seen::from_record(host, generation, self.now));
        }
        self.says_otherwise.extend(self.sessions.values().map(|session| session.host));
        self.saving.again = self.now.mono.plus(SAVE_AGAIN);
        self.silent.not_saved();
        self.messages.not_saved();
        self.tell_of_trouble(&why);
        self.saving.trouble = Some(why);
    }

    /// People are told once when nothing can be kept for a while. It is said in a step of which nothing is to be kept: what is
    /// said beside a save is not done when that fails.
    fn tell_of_trouble(&mut self, why: &Text) {
        let (since, is_told) = *self.saving.since.get_or_insert((self.now, false));
        let is_due = self.now.mono.since(since.mono) >= TROUBLE_TOLD_AFTER && self.saving.now.records.is_empty();
        if is_told || !is_due {
            return;
        }
        let headline = format!("the controller keeps nothing new, and hosts keep what they have to tell: {why}");
        self.effects.extend(of_the_store(since.wall, headline, false).map(FleetEffect::Tell));
        self.saving.since = Some((since, true));
    }

    /// Tells everybody whom it concerns that it was not kept, each once.
    fn take_back(&mut self, mut unsaved: Unsaved, why: &Text) {
        for request in unsaved.requests {
            self.waiting.retain(|waiting| waiting.request != request);
            self.orders.remove(&request);
            unsaved.answers.insert(request, not_kept(why));
        }
        // What was asked before, and is kept, is answered as it would have been.
        for (request, answer) in unsaved.answers {
            self.effects.push(FleetEffect::Answer { request, answer });
        }
        for joining in unsaved.joinings {
            self.issuing.remove(&Issued::Joining(joining));
            let what = Text::new(format!("the controller cannot keep anything at this moment: {why}"));
            let answer = JoinAnswer::Refused { what, suggestion: "join again when there is room in its store".into() };
            self.effects.push(FleetEffect::Join { joining, answer });
        }
        // It may wait for what was never said, or go on behind what is lost: it comes again and tells what is not kept.
        for session in unsaved.sessions {
            self.issuing.remove(&Issued::Session(session));
            self.close(session, "the controller could not keep what was said", COMES_AGAIN);
        }
    }

    /// Whether what is said now waits for no save, and so is said whatever becomes of the next one.
    pub(crate) fn is_settled(&self) -> bool {
        self.saving.waiting.is_empty() && self.saving.now.records.is_empty()
    }

    /// Why nothing that must be kept may be begun, when it may not.
    pub(crate) fn objection_to_saving(&self) -> Option<FleetAnswer> {
        self.saving.trouble.as_ref().map(not_kept)
    }

    /// While nothing can be kept it is tried again and again with as little as can be.
    pub(crate) fn try_to_save(&mut self) {
        if self.saving.trouble.is_some() && self.saving.waiting.is_empty() && self.now.mono >= self.saving.again {
            self.saving.again = self.now.mono.plus(SAVE_AGAIN);
            self.put(Record::Generation(self.books.generation));
        }
    }

    /// Why nothing can be kept at this moment, when nothing can.
    #[must_use]
    pub fn trouble(&self) -> Option<&Text> {
        self.saving.trouble.as_ref()
    }
}

fn not_kept(why: &Text) -> FleetAnswer {
    FleetAnswer::Refused {
        why: Text::new(format!("nothing was changed, because it could not be kept: {why}")),
        suggestion: "free space for the controller's store; on a host the file /etc/ansai/HOLD holds without it".into(),
    }
}
