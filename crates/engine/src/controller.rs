//! What the operators of a controller want of this host: a set of restraints beside the local ones, replaced whole, and
//! never by an older one. The gates obey it as they obey what is said here; what is said here changes nothing of it.
//! It knows no link: who may speak for a controller is asked before.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::time::Duration;

use ansai_model::{
    fleet::{Acknowledged, Restraint, RestraintKind, RestraintSet},
    id::TargetId,
    policy::Scope,
    text::Text,
    time::Now,
};

use crate::{context::Context, effect::Effect, state::FromController, view::View};

/// The longest that a controller has a host stand back by saying so once: for longer there are holds.
const STANDS_BACK_MAX: Duration = Duration::from_secs(60);

impl Context {
    /// A controller says which restraints its operators have for this host. What is in force then is acknowledged, and why it
    /// is not what was said when it is not.
    pub(crate) fn restrain(&mut self, set: RestraintSet) {
        let refused = self.view().objection_to(&set);
        if refused.is_none() && !self.view().has_in_force(&set) {
            let before = self.state.controller.as_ref().filter(|before| before.said.controller == set.controller);
            let newest = before.map_or(set.age(), |before| before.newest.max(set.age()));
            let ordered = before.map_or((0, 0), |before| before.ordered);
            self.state.controller = Some(FromController { said: set.clone(), came: self.now, newest, ordered });
            self.changed();
            self.reconcile_all();
        }
        let in_force = self.view().acknowledged();
        let (controller, under_way) = (set.controller, Vec::new());
        let nothing = Acknowledged { controller, epoch: 0, generation: 0, under_way, refused: None };
        let said = Acknowledged { refused, ..in_force.unwrap_or(nothing) };
        self.effects.push(Effect::Restrained(Box::new(said)));
    }

    /// The controller has the host begin nothing for a while. It is no restraint: it has no number, the ledger does not hold it,
    /// nobody acknowledges it, and it is over by itself soon, whatever becomes of the controller.
    pub(crate) fn stand_back(&mut self, why: Text, lasts: Duration) {
        let is_new = self.view().stands_back().is_none();
        self.outside.stands_back = Some((why, self.now.mono.plus(lasts.min(STANDS_BACK_MAX))));
        if is_new {
            self.reconcile_all();
        }
    }

    /// The host is in no fleet any more: what its controller's operators said ends.
    pub(crate) fn left_controller(&mut self) {
        let was_linked = self.unlinked();
        let stood_back = self.outside.stands_back.take().is_some();
        let was_restrained = self.state.controller.take().is_some();
        if was_restrained {
            self.changed();
        }
        if was_linked || stood_back || was_restrained {
            self.reconcile_all();
        }
    }

    /// What could not be saved was not acknowledged; it is as soon as the ledger holds it.
    pub(crate) fn acknowledge_again(&mut self) {
        let said = self.view().acknowledged().map(|said| Effect::Restrained(Box::new(said)));
        self.effects.extend(said);
    }
}

impl<'a> View<'a> {
    /// Why a set does not come into force, when it does not: nothing that is older than what was said ever does.
    fn objection_to(self, set: &RestraintSet) -> Option<Text> {
        if let Err(objection) = set.check() {
            return Some(Text::new(format!("{}; {}", objection.what, objection.suggestion)));
        }
        // Root has joined this host to another controller: the numbers of two cannot be compared.
        let before = self.state.controller.as_ref().filter(|before| before.said.controller == set.controller)?;
        let (newest, (epoch, generation)) = (before.newest, set.age());
        if set.age() < newest {
            let (of_newest, newest) = newest;
            return Some(Text::new(format!(
                "epoch {epoch}, generation {generation} is older than epoch {of_newest}, generation {newest}, which is in force"
            )));
        }
        (set.age() == newest && before.said.restraints != set.restraints).then(|| {
            Text::new(format!("epoch {epoch}, generation {generation} is in force with other restraints than these"))
        })
    }

    fn has_in_force(self, set: &RestraintSet) -> bool {
        let same = |before: &FromController| before.said.controller == set.controller && before.said.age() == set.age();
        self.state.controller.as_ref().is_some_and(same)
    }

    /// Why the controller has the host begin nothing at this moment, and until when.
    pub(crate) fn stands_back(self) -> Option<(&'a Text, Now)> {
        let (why, until) = self.outside.stands_back.as_ref().filter(|(_, until)| self.now.mono < *until)?;
        Some((why, self.now.plus(until.since(self.now.mono))))
    }

    /// What the controller's operators have in force here, and what was begun before and goes on.
    pub(crate) fn acknowledged(self) -> Option<Acknowledged> {
        let from = self.state.controller.as_ref()?;
        let stops = [RestraintKind::Hold, RestraintKind::Maintenance];
        let is_stopped = |target: &TargetId| stops.iter().any(|kind| from.on(self.now, *kind, target).next().is_some());
        let runs = self.state.runs.values().filter(|run| run.lost_after > self.now.mono);
        let mut under_way: Vec<TargetId> =
            runs.map(|run| &run.target).filter(|target| is_stopped(target)).cloned().collect();
        under_way.sort();
        under_way.dedup();
        let RestraintSet { controller, epoch, generation, .. } = &from.said;
        let (controller, epoch, generation) = (controller.clone(), *epoch, *generation);
        Some(Acknowledged { controller, epoch, generation, under_way, refused: None })
    }

    /// The restraint of a kind that a controller's operator has on any target of a scope, when there is one.
    pub(crate) fn by_controller(self, kind: RestraintKind, scope: &Scope) -> Option<&'a Restraint> {
        let mut in_force = self.state.controller.as_ref()?.in_force(self.now).filter(|one| one.kind == kind);
        in_force.find(|restraint| self.share(&restraint.scope, scope))
    }
}

/// That a command given here does not end what was said at the controller, and what does.
pub(crate) fn said_elsewhere(restraint: &Restraint) -> (String, String) {
    let Restraint { kind, by, over, .. } = restraint;
    let why =
        format!("{by} has set a {} at the controller, for {over}, which nothing said on this host ends", kind.as_str());
    (why, format!("`{}` on the controller ends that", restraint.end_command()))
}
