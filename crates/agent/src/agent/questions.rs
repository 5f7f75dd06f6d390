//! What the agent answers on its socket. Operators' commands go on to the engine; nothing is decided here.

use std::path::Path;

use ansai_engine::Input;
use ansai_model::{policy, text::Text};
use ansai_protocol::{SCHEMA, Status};

use super::{Agent, reading::Edition};
use crate::deliveries::routes;
use crate::{
    answer,
    api::{Asked, Query, Reply},
};

impl Agent {
    pub(super) fn answer(&mut self, asked: Asked) {
        let now = self.shell.now();
        let reply = match asked.query {
            Query::Operate(command) => return self.shell.operate(command, asked.reply),
            Query::Rehearse(command) => {
                let hold = self.shell.look_at_hold_file();
                self.shell.step(Input::HoldFile(hold));
                return self.shell.rehearse(command, asked.reply);
            }
            Query::Status => self.status(),
            Query::Incidents => answer::incidents(self.shell.engine(), self.shell.reports(), self.shell.outbox(), now),
            Query::Report(id) => self.shell.report_on(id, &self.inventory.hostname),
            Query::Explain(target) => self.shell.explain(&target),
            Query::Plan(target) => {
                let hold = self.shell.look_at_hold_file();
                self.shell.step(Input::HoldFile(hold));
                return self.shell.plan(&target, asked.reply);
            }
            Query::ReachRoutes => return self.trials.reach(routes(self.shell.bundle()), asked.reply),
            Query::SendTest(by) => {
                return self.trials.begin(routes(self.shell.bundle()), by, now.wall, asked.reply);
            }
            Query::Abilities => return self.abilities.begin(&self.host, self.needs(), Some(asked.reply)),
            Query::Reload => {
                // Answered when it has been read, or is refused.
                self.reader.want(asked.reply);
                return self.go_on_reading();
            }
            Query::RehearseReload => {
                let last = Edition::of(self.shell.state());
                return self.reader.rehearse(self.inventory.clone(), last, asked.reply);
            }
        };
        // Whoever asked may have gone.
        let _ = asked.reply.send(reply);
    }

    fn status(&mut self) -> Reply {
        let now = self.shell.now();
        if !self.housekeeping.has_looked() {
            self.look_at_itself(now);
        }
        let own = self.housekeeping.own(self.configuration.host_settings());
        let held = self.shell.look_at_hold_file().map(|text| held_by_file(&self.options.hold_file, &text));
        let is_idle =
            |pattern: &&String| !self.inventory.units.iter().any(|unit| policy::matches(pattern, unit.name.as_str()));
        let idle_patterns = self.configuration.patterns().iter().filter(is_idle).cloned().collect();
        let engine = self.shell.engine();
        let (holds, silences) = answer::scopes(engine, now);
        let targets = answer::targets(engine, now, held.is_some());
        answer::json(&Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            host: self.inventory.hostname.clone(),
            role: self.configuration.settings().role.clone(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            generation: self.generation(),
            configuration_error: self.configuration_error.clone(),
            ledger_error: self.shell.ledger_error().map(str::to_owned),
            held,
            holds,
            silences,
            maintenance: answer::maintenance(engine, now),
            messages_waiting: self.shell.outbox().len(),
            warnings: self.warnings.all(),
            own,
            idle_patterns,
            controller: self.fleet.view(),
            targets,
        })
    }
}

/// That everything is held by the file HOLD, with what it says or is.
fn held_by_file(file: &Path, text: &Text) -> String {
    let says = if text.as_str().is_empty() { String::new() } else { format!(" ({text})") };
    format!("the file {} is there{says}; remove it when healing may go on", file.display())
}
