//! The gate of the fleet: what takes away a service that still serves needs a permit of the controller that the host has joined.
//! What is down is mended without asking, with and without a controller, and a host that has joined none is asked nothing.

use alloc::format;

use ansai_model::{action::Disruption, permit::LinkStanding, text::Text};

use super::proposal::{Proposal, ProposalKind, Ruling, allow, defer, moment_at};

pub(super) fn permit(p: &Proposal<'_>) -> Ruling {
    let view = p.view;
    let Some(link) = view.outside.permits.link else { return allow("the host has joined no controller") };
    if p.kind == ProposalKind::Start {
        return allow("it is asked for before the first step that takes a service away");
    }
    if p.kind == ProposalKind::Undo || view.has_taken_away(p.incident.id) {
        return allow("what has begun to disrupt is brought to its end");
    }
    if p.disruption < Disruption::Full {
        return allow("this step takes no service away");
    }
    if !view.serves_still(&p.incident.target) {
        return allow("it is down already, so mending it disturbs nobody");
    }
    let LinkStanding::Up { epoch, gives_permits, .. } = link else {
        return defer(
            None,
            "the controller is away, and without its permit nothing is disturbed that still serves; what is down is mended \
             all the same",
        );
    };
    if !gives_permits {
        return allow("the controller is of a version that gives no permits");
    }
    let (now, id) = (view.now, p.incident.id);
    if let Some(held) = view.state.permits.get(&id).filter(|held| held.lets_begin(now.mono, epoch)) {
        let until = moment_at(now, held.begins_before).wall;
        return allow(format!("the controller has permitted it ({}), until {until}", held.id));
    }
    match view.outside.permits.reason(id) {
        Some(why) => defer(None, Text::new(format!("the controller has not permitted it yet: {why}"))),
        None => defer(None, "it still serves, so the controller is asked for a permit"),
    }
}
