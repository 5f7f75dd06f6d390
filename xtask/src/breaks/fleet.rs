//! Ways to break the fleet engine. How each is tried stands beside the engine's.

use super::Break;

pub(super) const BREAKS: &[Break] = &[
    Break {
        what: "a release is told under the number of the hold before it",
        file: "crates/fleet/src/restraints.rs",
        find: "        self.next_generation();\n        let hosts = self.meant(over);",
        replace: "        let hosts = self.meant(over);",
    },
    Break {
        what: "a host that has acknowledged something older is counted",
        file: "crates/fleet/src/acknowledged.rs",
        find: "if seen.acknowledged.epoch == at.epoch && seen.acknowledged.generation >= generation {",
        replace: "if seen.acknowledged.epoch == at.epoch || generation == 0 {",
    },
    Break {
        what: "what depends on a save is done before it",
        file: "crates/fleet/src/saving.rs",
        find: "effects.insert(0, FleetEffect::Save { number: self.saving.last, records });",
        replace: "effects.push(FleetEffect::Save { number: self.saving.last, records });",
    },
    Break {
        what: "what could not be kept is not taken back",
        file: "crates/fleet/src/saving.rs",
        find: "for undo in unsaved.undo.iter().rev() {",
        replace: "for undo in unsaved.undo.iter().rev().take(0) {",
    },
    Break {
        what: "two hosts with one identity are not told apart from a lost connection",
        file: "crates/fleet/src/twins.rs",
        find: "seen.are_twins = true;",
        replace: "seen.are_twins = false;",
    },
    Break {
        what: "changes are taken behind one that could not be kept",
        file: "crates/fleet/src/changes.rs",
        find: "session.is_stalled |= is_not_taken;\n        let (host, feed) = (session.host, session.feed);\n        if session.is_stalled {",
        replace: "let (host, feed) = (session.host, session.feed);\n        if is_not_taken {",
    },
    Break {
        what: "what two hosts with one identity have told goes on from one of them",
        file: "crates/fleet/src/changes.rs",
        find: "let through = if self.mixed.contains(&host) { 0 } else { last };",
        replace: "let through = last;",
    },
    Break {
        what: "a hold over a role reaches every host",
        file: "crates/fleet/src/restraints.rs",
        find: "FleetScope::Role(role) => host.role.as_ref().is_some_and(|own| own.as_str() == role.as_str()),",
        replace: "FleetScope::Role(role) => host.role.is_some() && !role.as_str().is_empty(),",
    },
    Break {
        what: "a host takes over an older set of restraints",
        file: "crates/engine/src/controller.rs",
        find: "if set.age() < newest {",
        replace: "if set.age() < newest && set.epoch > newest.0 {",
    },
    Break {
        what: "a host acknowledges a hold that its gates overlook",
        file: "crates/engine/src/gate/operator.rs",
        find: "let elsewhere = by_controller(view, RestraintKind::Hold, target).map(",
        replace: "let elsewhere = by_controller(view, RestraintKind::Hold, target).take(0).map(",
    },
    Break {
        what: "more of a role are disturbed at once than may be",
        file: "crates/fleet/src/permits/members.rs",
        find: "let most = disturbed_max(rule.disturbed_max, all);",
        replace: "let most = disturbed_max(rule.disturbed_max, all).max(all);",
    },
    Break {
        what: "a permit is free before its holder has done what it is for",
        file: "crates/fleet/src/permits.rs",
        find: "until: at.plus(lasts.saturating_add(PERMIT_MARGIN)),",
        replace: "until: at.plus(lasts.saturating_add(PERMIT_MARGIN) / 500),",
    },
    Break {
        what: "a permit that its host has not heard of yet is taken for given back",
        file: "crates/fleet/src/permits.rs",
        find: "(permit.id <= said.through || !is_of_now(permit))",
        replace: "(permit.id <= said.through || is_of_now(permit))",
    },
    Break {
        what: "a host disturbs what serves without asking",
        file: "crates/engine/src/gate/permit.rs",
        find: "if p.disruption < Disruption::Full {",
        replace: "if p.disruption <= Disruption::Full {",
    },
    Break {
        what: "an order that is said again is done again",
        file: "crates/engine/src/order.rs",
        find: "from.ordered = from.ordered.max((order.epoch, order.number));",
        replace: "from.ordered = (from.ordered.0, from.ordered.1);",
    },
    Break {
        what: "who does not answer an order is said to have done it",
        file: "crates/fleet/src/orders.rs",
        find: "            told.push(of_whole(\n                OrderOutcome::Unanswered,\n                why.into(),",
        replace: "            told.push(of_whole(\n                OrderOutcome::Done,\n                why.into(),",
    },
    Break {
        what: "a message that is given again is taken for another",
        file: "crates/fleet/src/messages.rs",
        find: "if before.is_some_and(|keys| keys.contains(&key)) {",
        replace: "if before.is_some_and(|keys| keys.is_empty()) {",
    },
    Break {
        what: "what a host has given is sent by the host as well when its link breaks",
        file: "crates/notify/src/outbox/duty.rs",
        find: "            Some(_) => Duty::Given,",
        replace: "            Some(_) if self.taker.is_some() => Duty::Given,\n            Some(_) => Duty::Own,",
    },
    Break {
        what: "what a host has given is not given again on the next link",
        file: "crates/notify/src/outbox/duty.rs",
        find: "self.says.extend(own.map(|given| Say::Give(given.key)));",
        replace: "self.says.extend(own.take(0).map(|given| Say::Give(given.key)));",
    },
    Break {
        what: "what is told is forgotten before the outbox has it",
        file: "crates/fleet/src/messages.rs",
        find: "            self.effects.extend(tell);",
        replace: "            self.effects.extend(tell.filter(|_| number % 2 == 0));\n            if number % 2 == 1 {\n                self.is_queued(number);\n            }",
    },
];
