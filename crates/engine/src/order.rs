//! What operators of a controller have this host do, once: each order has a number, and what has the same or an older one than
//! the ledger holds is not done again, however often it is said. What is done passes the gates of this host, as if said here.
//! It knows no link: who may speak for a controller is asked before.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};
use core::time::Duration;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::{Incident, Phase},
    operator::{Operation, OperatorCommand},
    order::{
        self, ASKED_TARGETS_MAX, Deed, ORDER_LATE, ORDER_TARGETS_MAX, Order, OrderOutcome, Ordered, Subject, Told,
    },
    text::Text,
    time::Shown,
};

use crate::{
    context::Context,
    effect::{Answer, Effect},
    view::View,
};

/// What an order is for: the name of that, and what it comes to here; nothing when it only asks.
type Meant = (Text, Option<Operation>);

impl Context {
    /// Does what a controller's operator orders, or says what would come of it. It was `late` on its way so long.
    pub(crate) fn order(&mut self, order: &Order, late: Duration) {
        let told = match self.view().objection_to_order(order, late) {
            Some(refused) => vec![refused],
            None => self.carry_out(order),
        };
        let Order { request, epoch, number, .. } = *order;
        self.effects.push(Effect::Ordered(Box::new(Ordered { request, epoch, number, told })));
    }

    fn carry_out(&mut self, order: &Order) -> Vec<Told> {
        if order.is_to_be_done()
            && let Some(from) = &mut self.state.controller
        {
            // It counts as heard whatever comes of it: nothing of it is done twice.
            from.ordered = from.ordered.max((order.epoch, order.number));
            self.changed();
        }
        let meant = match self.view().meant_by(order) {
            Ok(meant) => meant,
            Err(told) => return vec![told],
        };
        let by = Text::new(format!("{} at the controller", order.by));
        let mut all = Vec::new();
        for (of, operation) in meant {
            let told = match operation {
                None => {
                    Told { document: (!order.is_rehearsal).then(String::new), ..told(of, OrderOutcome::Done, "", "") }
                }
                Some(operation) => {
                    let command = OperatorCommand { by: by.clone(), operation };
                    let answer = match order.is_rehearsal {
                        true => self.clone().rehearse(command).0,
                        false => self.answer_to(command),
                    };
                    answered(of, answer)
                }
            };
            all.push(told);
        }
        if order.is_to_be_done() {
            self.reconcile_all();
        }
        all
    }
}

fn told(of: Text, outcome: OrderOutcome, text: impl Into<Text>, suggestion: impl Into<Text>) -> Told {
    Told { of, outcome, text: text.into(), suggestion: suggestion.into(), document: None }
}

fn answered(of: Text, answer: Answer) -> Told {
    match answer {
        Answer::Done(text) => told(of, OrderOutcome::Done, text, ""),
        Answer::Refused { why, suggestion } => told(of, OrderOutcome::Refused, why, suggestion),
        Answer::NotFound { what, suggestion } => told(of, OrderOutcome::Nothing, what, suggestion),
    }
}

impl View<'_> {
    /// Why nothing of an order is done, when it is not: only the controller that the host obeys gives orders, each one once and
    /// soon.
    fn objection_to_order(self, order: &Order, late: Duration) -> Option<Told> {
        let refused = |why: Text, instead: &str| Some(told("".into(), OrderOutcome::Refused, why, instead));
        let Some(from) = self.state.controller.as_ref().filter(|from| from.said.controller == order.controller) else {
            let why = "the host has heard no restraints of this controller yet, which come before any order";
            return refused(why.into(), "try again in a moment");
        };
        if order.epoch < from.newest.0 {
            let why = format!(
                "the order is of epoch {}, and the host knows epoch {} of this controller",
                order.epoch, from.newest.0
            );
            return refused(Text::new(why), "the controller was brought back from a copy: see its status");
        }
        if order.is_to_be_done() && (order.epoch, order.number) <= from.ordered {
            return refused("the host has heard it before, or a later one, and does nothing twice".into(), "");
        }
        if late > ORDER_LATE {
            let why = format!("it was given {} ago, and is not done so late", Shown(late));
            return refused(Text::new(why), "give it again");
        }
        let objection = order::check(order.deed, &order.to).err()?;
        refused(Text::new(objection.what), &objection.suggestion)
    }

    /// What an order means here.
    fn meant_by(self, order: &Order) -> Result<Vec<Meant>, Told> {
        let deed = order.deed;
        let scope = match &order.to {
            Subject::Incident(id) => return Ok(vec![(Text::new(format!("{id}")), deed.about(*id))]),
            Subject::Targets(scope) => scope,
        };
        let targets: Vec<&TargetId> = self.bundle.parts().targets.keys().filter(|target| scope.holds(target)).collect();
        if targets.is_empty() {
            let what = Text::new(format!("it has no target {scope}"));
            return Err(told("".into(), OrderOutcome::Nothing, what, ""));
        }
        let meant: Vec<Meant> = match deed {
            // Whoever has everything healed that is wrong does not ask for what is well.
            Deed::Heal => {
                let failing = targets.into_iter().filter(|target| self.open_of(target).next().is_some());
                failing.map(|target| (Text::new(target.as_str()), deed.on(target.clone()))).collect()
            }
            Deed::Approve | Deed::Reject => {
                let open = targets.into_iter().flat_map(|target| self.open_of(target));
                let asked = open.filter(|incident| self.awaits_answer(incident));
                asked.map(|incident| about(incident.id, &incident.target, deed.about(incident.id))).collect()
            }
            Deed::Drill(_) | Deed::Explain => {
                targets.into_iter().map(|target| (Text::new(target.as_str()), deed.on(target.clone()))).collect()
            }
        };
        let most = if deed.is_a_question() && !order.is_rehearsal { ASKED_TARGETS_MAX } else { ORDER_TARGETS_MAX };
        match meant.len() {
            0 => {
                let what = match deed {
                    Deed::Heal => format!("nothing is known to be wrong with {scope}"),
                    _ => format!("no incident of {scope} waits for an approval"),
                };
                Err(told("".into(), OrderOutcome::Nothing, Text::new(what), ""))
            }
            some if some <= most => Ok(meant),
            many => {
                let why = format!("{many} targets are meant here, and at most {most} may be");
                Err(told("".into(), OrderOutcome::Refused, Text::new(why), "name fewer"))
            }
        }
    }

    fn awaits_answer(self, incident: &Incident) -> bool {
        matches!(incident.phase, Phase::AwaitingApproval { .. }) || self.keeps_approval(incident)
    }
}

fn about(id: IncidentId, target: &TargetId, operation: Option<Operation>) -> Meant {
    (Text::new(format!("{id} of {target}")), operation)
}
