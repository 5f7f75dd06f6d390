//! Ways to break the agent's shell, and what of the engine only a shell that is killed can show. How each is tried
//! stands beside the engine's.

use super::Break;

pub(super) const BREAKS: &[Break] = &[
    Break {
        what: "effects begin before the ledger is saved",
        file: "crates/agent/src/shell.rs",
        find: "            self.save(&mut following);\n            self.telemetry.follows(self.clock.now(), &self.engine);\n            for effect in effects {\n                self.begin(effect, &mut following);\n            }",
        replace: "            for effect in effects {\n                self.begin(effect, &mut following);\n            }\n            self.save(&mut following);\n            self.telemetry.follows(self.clock.now(), &self.engine);",
    },
    Break {
        what: "actions begin though the ledger could not be saved",
        file: "crates/agent/src/shell.rs",
        find: "        if let Some(why) = &self.ledger_error {\n            return inputs",
        replace: "        if let Some(why) = self.ledger_error.as_ref().filter(|_| false) {\n            return inputs",
    },
    Break {
        what: "a report is confirmed without being kept",
        file: "crates/agent/src/shell.rs",
        find: "let kept = self.reports.save(&report);",
        replace: "let kept = Ok::<(), crate::reports::ReportError>(());",
    },
    Break {
        what: "a hold that could not be saved is answered with \"done\"",
        file: "crates/agent/src/answer.rs",
        find: "(Some(why), Answer::Done(text)) => Answer::Refused",
        replace: "(Some(why), Answer::Done(text)) if text.as_str().is_empty() => Answer::Refused",
    },
    Break {
        what: "the older of two whole slots is loaded",
        file: "crates/agent/src/ledger.rs",
        find: "let a_is_newer = a_generation > b_generation;",
        replace: "let a_is_newer = a_generation < b_generation;",
    },
    Break {
        what: "the checksum of a slot is not looked at",
        file: "crates/agent/src/ledger/frame.rs",
        find: "if checksum(&header",
        replace: "if false && checksum(&header",
    },
    Break {
        what: "the host's actions are not in the ledger",
        file: "crates/engine/src/state.rs",
        find: "    pub host_actions: VecDeque<MonoTime>,",
        replace: "    #[serde(skip)]\n    pub host_actions: VecDeque<MonoTime>,",
    },
    Break {
        what: "a target's actions are not in the ledger",
        file: "crates/engine/src/state.rs",
        find: "    pub actions: VecDeque<MonoTime>,",
        replace: "    #[serde(skip)]\n    pub actions: VecDeque<MonoTime>,",
    },
    Break {
        what: "numbers of actions begin anew after a restart",
        file: "crates/engine/src/state.rs",
        find: "    pub runs_counted: u64,",
        replace: "    #[serde(skip)]\n    pub runs_counted: u64,",
    },
    Break {
        what: "the gate that asks whether the unit was seen is gone",
        file: "crates/engine/src/gate/operator.rs",
        find: "if let Some(doubt) = view.checks.of(&p.incident.target).find_map(CheckState::is_blind) {",
        replace: "if let Some(doubt) = view.checks.of(&p.incident.target).find_map(CheckState::is_blind).filter(|_| false) {",
    },
    Break {
        what: "what left the configuration while no agent ran stays open",
        file: "crates/agent/src/shell.rs",
        find: "if !inventory.units.is_empty() && self",
        replace: "if false && self",
    },
    Break {
        what: "a message is confirmed without being queued",
        file: "crates/agent/src/shell.rs",
        find: "let queued = self.outbox.put(id, &notice);",
        replace: "let queued = Ok::<(), crate::outbox::PutError>(drop((id, &notice)));",
    },
    Break {
        what: "what waits for evidence before it is told is forgotten by a restart",
        file: "crates/engine/src/evidence.rs",
        find: "            if let Some(kind) = kind {\n                self.tell(id, kind);",
        replace: "            if let Some(kind) = kind.filter(|_| false) {\n                self.tell(id, kind);",
    },
];
