//! What becomes of a configuration that was read beside the loop: a valid one is applied, any other changes nothing and
//! is told for as long as it is so.

use std::{sync::Arc, time::SystemTime};

use ansai_engine::Input;
use ansai_model::{bundle::Bundle, id::TargetId};
use ansai_protocol::{Done, EventKind, Problem, SCHEMA};
use hyper::StatusCode;

use super::{
    Agent,
    reading::{Edition, Evaluated, News, Refused},
    watch,
};
use crate::{
    answer,
    api::Reply,
    events::short,
    warnings::{CHECK_SAYS, Topic},
};

/// Most targets that a dry run of a reload names; the rest are counted.
const TARGETS_SAID_MAX: usize = 10;
/// Most warnings of the configuration that stand in the status; `ansai check` says all.
const WARNINGS_SAID_MAX: usize = 3;

impl Agent {
    /// Takes in what was found out beside the loop.
    pub(super) fn hear(&mut self, news: News) {
        self.has_new_units |= self.reader.has_heard(&news);
        let is_of_files = matches!(news, News::Seen);
        if !matches!(news, News::Stamp(_) | News::Seen | News::Inventory(Ok(None))) {
            self.housekeeping.evaluated(self.shell.now());
        }
        match news {
            News::Seen => {
                self.hear_of_files();
                // HOLD is looked at when it is not what it was.
                self.shell.step(Input::Tick);
            }
            News::Stamp(Ok(stamp)) => self.has_stamp(stamp),
            News::Stamp(Err(late)) => self.refuse(Refused::Late(late)),
            News::Read(read) => {
                match read {
                    Ok(read) => self.accept(*read),
                    Err(refused) => self.refuse(refused),
                }
                let reply = self.reloaded();
                self.reader.answer(&reply);
            }
            News::Offered(held, read) => match read {
                Ok(read) => {
                    tracing::info!(generation = held.generation, "the fleet's configuration is taken");
                    self.accept(*read);
                    self.tell_configured(held, None);
                }
                Err(refused) => {
                    tracing::error!("the fleet's configuration {} is not taken:\n{}", held.generation, refused.why());
                    self.tell_configured(held, Some(refused.why()));
                }
            },
            News::Rehearsed(read, reply) => {
                let answer = match read {
                    Ok(read) => answer::json(&Done { schema: SCHEMA, text: self.would_be(&read.bundle).into() }),
                    Err(refused) => self.refusal(refused.why(), matches!(refused, Refused::Late(_))),
                };
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            News::Inventory(Ok(None)) => {}
            News::Inventory(Ok(Some(evaluated))) => {
                let is_other = evaluated.says_another_thing(&self.configuration, self.shell.bundle());
                (self.configuration, self.inventory) = (Arc::new(evaluated.configuration), evaluated.inventory);
                if is_other {
                    self.apply(evaluated.bundle);
                }
                self.warn_of_configuration();
            }
            News::Inventory(Err(refused)) => {
                tracing::error!("new units do not fit the configuration:\n{}", refused.why());
            }
        }
        // New units wait for the next look at the files, however soon whoever looks at these is heard: of what a start has
        // just found systemd would be asked again in the midst of the first looks.
        if !is_of_files || self.reader.is_wanted {
            self.go_on_reading();
        }
    }

    /// The files were changed then, for the last time.
    pub(super) fn has_stamp(&mut self, stamp: Option<SystemTime>) {
        if stamp != self.stamp {
            self.stamp = stamp;
            self.reader.is_wanted = true;
        }
    }

    /// Begins what is to be read or evaluated, when nothing is.
    pub(super) fn go_on_reading(&mut self) {
        if self.reader.is_reading() {
            return;
        }
        let (inventory, last) = (self.inventory.clone(), Edition::of(self.shell.state()));
        if std::mem::take(&mut self.reader.is_wanted) {
            self.reader.read(inventory, last);
        } else if std::mem::take(&mut self.has_new_units) {
            self.reader.evaluate(Arc::clone(&self.configuration), inventory, last);
        }
    }

    /// Whether an emergency layer has ended, or the civil time has changed: the same files say something else now.
    pub(super) fn has_expired(&self) -> bool {
        let now = self.shell.now().wall;
        self.configuration_error.is_none() && self.configuration.holds_until().is_some_and(|at| at <= now)
    }

    fn accept(&mut self, read: Evaluated) {
        self.configuration = Arc::new(read.configuration);
        self.inventory = read.inventory;
        self.configuration_error = None;
        self.reader.is_late = false;
        self.apply(read.bundle);
        self.apply_settings();
        self.in_force.keep(&self.configuration, self.fingerprint());
        self.tell_configuration(None);
        tracing::info!(generation = self.generation(), "configuration applied");
    }

    /// What is said to whoever waited for a reading.
    fn reloaded(&self) -> Reply {
        let Some(why) = &self.configuration_error else {
            let text = format!("configuration {} is in force", self.generation()).into();
            return answer::json(&Done { schema: SCHEMA, text });
        };
        self.refusal(why, self.reader.is_late)
    }

    /// Why a configuration is not applied, in the words of a run and of a dry run.
    fn refusal(&self, why: &str, is_late: bool) -> Reply {
        if is_late {
            let what = format!("the configuration has not been read, and the old one stays in force: {why}");
            let todo = "it is read again by itself; see what its file system waits for";
            return Err((StatusCode::SERVICE_UNAVAILABLE, Problem::new(what, todo)));
        }
        // Whoever restarts an agent wants to know whether there is one afterwards.
        let restart = match self.in_force.has(self.fingerprint()) {
            true => "also after a restart",
            false => "and a restart would leave no agent",
        };
        let what = format!("the new configuration is not applied; the old one stays in force, {restart}:\n{why}");
        Err((StatusCode::UNPROCESSABLE_ENTITY, Problem::new(what, "mend it; `ansai check` says all that is wrong")))
    }

    /// What a reload would come to.
    fn would_be(&self, bundle: &Bundle) -> String {
        let (before, after) = (self.shell.bundle().parts(), bundle.parts());
        if before.fingerprint == after.fingerprint {
            return format!("configuration {} is in force already", self.generation());
        }
        let gone = before.targets.keys().filter(|target| !after.targets.contains_key(target));
        let come = after.targets.keys().filter(|target| !before.targets.contains_key(target));
        let list = |word: &str, targets: Vec<&TargetId>| {
            let shown: Vec<&str> = targets.iter().take(TARGETS_SAID_MAX).map(|target| target.as_str()).collect();
            let more = match targets.len().saturating_sub(TARGETS_SAID_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (!targets.is_empty()).then(|| format!("; {word}: {}{more}", shown.join(", ")))
        };
        let changes = [list("watched then", come.collect()), list("watched no longer", gone.collect())];
        let said: String = changes.into_iter().flatten().collect();
        let same = if said.is_empty() { "; the same targets are watched" } else { "" };
        format!("configuration {} would be in force{said}{same}", after.generation)
    }

    /// What is late is asked for again and again, and told once.
    fn refuse(&mut self, refused: Refused) {
        let is_late = matches!(refused, Refused::Late(_));
        let is_news = !(is_late && self.reader.is_late);
        let why = refused.why().to_owned();
        self.reader.is_late = is_late;
        if is_late {
            self.stamp = None;
        }
        if is_news {
            tracing::error!("the new configuration is not applied; the old one stays in force:\n{why}");
            self.tell_configuration(Some(&why));
        }
        self.configuration_error = Some(why);
    }

    /// Of the bundle in force.
    pub(super) fn generation(&self) -> u64 {
        self.shell.bundle().parts().generation
    }

    /// Of the texts of the bundle in force.
    pub(super) fn fingerprint(&self) -> u64 {
        self.shell.bundle().parts().fingerprint
    }

    fn apply_settings(&mut self) {
        let settings = self.configuration.host_settings();
        self.shell.set_recorder_bytes_max(settings.journal_bytes_max.0);
        self.background.apply(settings);
        self.warn_of_configuration();
    }

    /// What is allowed and dangerous in the configuration stands in the status for as long as it is so.
    pub(super) fn warn_of_configuration(&self) {
        let warnings = self.configuration.warnings();
        if warnings.is_empty() {
            self.warnings.end(Topic::Configuration);
            return;
        }
        let said = warnings[..warnings.len().min(WARNINGS_SAID_MAX)].join("; ");
        let more = match warnings.len().saturating_sub(WARNINGS_SAID_MAX) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let text = format!("{said}{more}{CHECK_SAYS}");
        self.warnings.raise(self.shell.now().wall, Topic::Configuration, text);
    }

    pub(super) fn tell_configuration(&self, error: Option<&str>) {
        let error = error.map(|error| short(&error.into()));
        let event = EventKind::Configuration { generation: self.generation(), error };
        self.shell.tell(event);
    }

    fn apply(&mut self, bundle: Bundle) {
        watch(&self.host, &self.configuration, &bundle);
        self.shell.apply(bundle, &self.inventory.facts);
        self.housekeeping.applied(self.shell.now());
        self.try_abilities();
    }
}
