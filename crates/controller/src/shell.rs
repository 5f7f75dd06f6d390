//! The loop's steps: an input goes to the engine, what it wants kept goes to the store, and what it wants done is done when that
//! is kept, in order. One save is under way at a time; what comes meanwhile is kept together by the next.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ansai_fleet::{
    FleetEffect, FleetEngine, FleetInput,
    input::{Issued, JoiningId, Joins, SessionId},
};
use ansai_link::{
    Trouble,
    authority::{self, Authority},
    chance, digest,
};
use ansai_model::text::Text;
use ansai_protocol::{
    SCHEMA,
    link::{ApiToken, ControllerId, FromController, HostId, JoinAnswer, Request},
    operation::{FleetAnswer, FleetOperation},
    record::{IdentityRecord, Record},
    views::{FleetRehearsed, FreshTokenView, TokenAsked},
};
use ansai_socket::problem;
use ansai_store::Store;
use hyper::StatusCode;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    answer::{self, Reading},
    api::{Asked, Query, Reply},
    carrier::Carrier,
    figures::{self, Figures},
    home::FreshToken,
    keeper::{Done, Keeper},
    links::{self, News, Outgoing},
    permits, rollouts,
    start::now,
    telling::Telling,
    unwell::Unwell,
};

/// Records that wait for the save under way: from so many on, hosts wait before they say more.
const WAITING_MAX: usize = 20_000;

/// What a shell is put together of.
pub(crate) struct Parts {
    pub(crate) engine: FleetEngine,
    pub(crate) unwell: Unwell,
    pub(crate) controller: ControllerId,
    pub(crate) epoch: u64,
    pub(crate) authority: Authority,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keeper: Keeper,
    pub(crate) tasks: TaskTracker,
    /// The hosts that are to join, by name.
    pub(crate) expected: Vec<String>,
    pub(crate) telling: Telling,
    pub(crate) carrier: Carrier,
}

/// What steps returned and is not done yet: all of it belongs to one save.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    /// The numbers of the first and the last save in it; none when nothing is to be kept.
    numbers: Option<(u64, u64)>,
    effects: Vec<FleetEffect>,
}

/// The state of the loop.
pub(crate) struct Shell {
    parts: Parts,
    begun: Instant,
    waiting: Batch,
    /// What is done when the save under way is kept, and what is known then of targets.
    under_way: Option<(Vec<FleetEffect>, Vec<Record>)>,
    sessions: BTreeMap<SessionId, Outgoing>,
    joinings: BTreeMap<JoiningId, oneshot::Sender<JoinAnswer>>,
    requests: BTreeMap<u64, Waiting>,
    last_request: u64,
}

/// Who waits for an answer.
struct Waiting {
    reply: oneshot::Sender<Reply>,
    /// What is answered in place of the engine's words, when it is done.
    instead: Option<serde_json::Value>,
}

impl Shell {
    pub(crate) fn new(parts: Parts) -> Self {
        // The process before this one may have ended between keeping and telling; what was told is not told again.
        parts.engine.open_notices().iter().for_each(|notice| parts.telling.tell(notice));
        Self {
            parts,
            begun: Instant::now(),
            waiting: Batch::default(),
            under_way: None,
            sessions: BTreeMap::new(),
            joinings: BTreeMap::new(),
            requests: BTreeMap::new(),
            last_request: 0,
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.parts.authority
    }

    /// Whether hosts may say more.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.records.len() < WAITING_MAX
    }

    /// Whether a save is under way.
    pub(crate) fn is_saving(&self) -> bool {
        self.under_way.is_some()
    }

    /// Forgets what ended long ago.
    pub(crate) fn forget(&self, kept_for: Duration) {
        self.parts.keeper.forget(now().wall, kept_for);
    }

    /// One step, and what follows from it as far as nothing has to be kept first.
    pub(crate) fn step(&mut self, input: FleetInput) {
        self.take(input);
        self.go_on();
    }

    fn take(&mut self, input: FleetInput) {
        for effect in self.parts.engine.step(now(), input) {
            match effect {
                FleetEffect::Save { number, records } => {
                    let first = self.waiting.numbers.map_or(number, |(first, _)| first);
                    self.waiting.numbers = Some((first, number));
                    self.waiting.records.extend(records);
                }
                effect => self.waiting.effects.push(effect),
            }
        }
    }

    /// Begins the next save; does at once what waits for none.
    fn go_on(&mut self) {
        while self.under_way.is_none() {
            let Batch { records, numbers, effects } = std::mem::take(&mut self.waiting);
            match numbers {
                None if effects.is_empty() => return,
                // What is done may ask for more.
                None => effects.into_iter().for_each(|effect| self.perform(effect)),
                Some((from, through)) => {
                    let told = records.iter().filter(|record| Unwell::is_about(record)).cloned().collect();
                    self.under_way = Some((effects, told));
                    if let Err(why) = self.parts.keeper.save(records, from, through) {
                        self.not_saved(from, &why);
                    }
                }
            }
        }
    }

    /// What the store's thread says of the save under way.
    pub(crate) fn saved(&mut self, done: Done) {
        match done.result {
            Ok(()) => {
                let (effects, told) = self.under_way.take().unwrap_or_default();
                told.iter().for_each(|record| self.parts.unwell.take(record));
                effects.into_iter().for_each(|effect| self.perform(effect));
                self.take(FleetInput::Saved { through: done.through });
            }
            Err(why) => self.not_saved(done.from, &why),
        }
        self.go_on();
    }

    /// Nothing of that save, nor of what was built on it, is done. Who waits for an answer hears why.
    fn not_saved(&mut self, from: u64, why: &str) {
        tracing::error!("{why}");
        let waiting = std::mem::take(&mut self.waiting);
        let undone = self.under_way.take().unwrap_or_default().0.into_iter().chain(waiting.effects);
        for effect in undone {
            match effect {
                FleetEffect::Answer { request, answer: _ } => {
                    let what = format!("nothing was changed: {why}");
                    let todo = "make room on the filesystem of the controller's store, and try again";
                    self.reply(request, Err(problem(StatusCode::SERVICE_UNAVAILABLE, what, todo)));
                }
                // It hears nothing, and asks again.
                FleetEffect::Join { joining, .. } => drop(self.joinings.remove(&joining)),
                FleetEffect::Save { .. }
                | FleetEffect::Send { .. }
                | FleetEffect::Close { .. }
                | FleetEffect::Issue { .. }
                | FleetEffect::Configure { .. }
                | FleetEffect::Tell(_)
                | FleetEffect::TellForHosts { .. } => {}
            }
        }
        self.take(FleetInput::NotSaved { from, why: Text::new(why) });
    }

    fn perform(&mut self, effect: FleetEffect) {
        match effect {
            // It was taken out when it came.
            FleetEffect::Save { .. } => {}
            FleetEffect::Send { session, message } => self.tell(session, &message),
            FleetEffect::Close { session, message } => self.close(session, &message),
            FleetEffect::Configure { session, bundle } => match self.parts.authority.sign_bundle(&bundle) {
                Ok(signed) => self.tell(session, &FromController::Bundle(Box::new(signed))),
                // It is not told, and the roll-out stops for want of an answer.
                Err(trouble) => tracing::error!("a configuration is not given to a host: {trouble}"),
            },
            FleetEffect::Issue { to, host, request } => {
                let issued = self.issued(to, host, &request);
                let issued = issued.unwrap_or_else(|trouble| FleetInput::NotIssued {
                    to,
                    why: Text::new(format!("{trouble}: {}", trouble.suggestion())),
                });
                self.take(issued);
            }
            FleetEffect::Join { joining, answer } => {
                // Whoever asked may have gone.
                let _ = self.joinings.remove(&joining).map(|asked| asked.send(answer));
            }
            FleetEffect::Answer { request, answer } => self.answered(request, answer),
            FleetEffect::Tell(notice) => {
                match notice.is_over {
                    true => tracing::info!("{}", notice.headline),
                    false => tracing::warn!("{}", notice.headline),
                }
                self.parts.telling.tell(&notice);
            }
            FleetEffect::TellForHosts { number, notice } => {
                tracing::info!("{}", notice.report.headline);
                self.parts.telling.tell_for_hosts(number, *notice);
            }
        }
    }

    fn tell(&mut self, session: SessionId, message: &FromController) {
        if self.sessions.get(&session).is_some_and(|to| !to.tell(message)) {
            // It takes nothing: without its queue its link ends, and it comes again.
            self.sessions.remove(&session);
        }
    }

    fn close(&mut self, session: SessionId, message: &FromController) {
        // Its task says what is left, and ends when nobody can say more.
        let _ = self.sessions.remove(&session).map(|to| to.tell(message));
    }

    fn issued(&self, to: Issued, host: HostId, request: &Request) -> Result<FleetInput, Trouble> {
        let now = now().wall;
        let signed = self.parts.authority.sign_host(request, host, now)?;
        let identity = IdentityRecord {
            serial: Text::new(signed.facts.serial.to_string()),
            host,
            fingerprint: signed.facts.key,
            since: now,
            until: signed.facts.not_after,
            revoked: None,
        };
        let roots = self.parts.authority.roots()?;
        Ok(FleetInput::Issued { to, identity, certificate: signed.certificate, roots })
    }

    /// What a link's task tells.
    pub(crate) fn hear(&mut self, news: News) {
        match news {
            News::Connected(connected) => {
                let links::Connected { session, came, hello, to } = *connected;
                self.sessions.insert(session, to);
                self.step(FleetInput::Connected { session, came, hello: Box::new(hello) });
            }
            // What was said before the link was closed is heard no more.
            News::Heard(session, _) if !self.sessions.contains_key(&session) => {}
            News::Heard(session, message) => self.step(FleetInput::Heard { session, message: *message }),
            News::Gone(session, why) => {
                tracing::debug!("a link ended: {why}");
                self.sessions.remove(&session);
                self.step(FleetInput::Disconnected { session });
            }
            News::Joins(joins) => self.hear_joining(*joins),
        }
    }

    fn hear_joining(&mut self, joins: links::Joins) {
        let links::Joins { joining, join, address, carried, answer } = joins;
        let known = authority::fingerprint(&join.request).and_then(|key| Ok((key, HostId::of_chance(chance()?))));
        let (fingerprint, fresh) = match known {
            Ok(known) => known,
            Err(trouble) => {
                let refused =
                    JoinAnswer::Refused { what: Text::new(trouble.to_string()), suggestion: trouble.suggestion() };
                // Whoever asked may have gone.
                return drop(answer.send(refused));
            }
        };
        self.joinings.insert(joining, answer);
        let token = join.token.map(|(id, secret)| (id, digest(secret.expose())));
        self.step(FleetInput::Joins(Box::new(Joins {
            joining,
            token,
            fingerprint,
            request: join.request,
            address,
            fresh,
            name: join.name,
            machine_id: join.machine_id,
            program: join.program,
            role: join.role,
            labels: join.labels.into_iter().collect(),
            carried,
        })));
    }

    /// Has agents carried to the hosts that are kept well over SSH, and to no others.
    pub(crate) fn carry(&mut self) {
        let Parts { engine, carrier, .. } = &mut self.parts;
        carrier.see(engine.over_ssh());
    }

    /// A question of somebody, on this host or by a token.
    pub(crate) fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Query(query, reply) => self.answer_query(query, reply),
            Asked::Access(token, secret, reply) => {
                let access = self.parts.engine.access_by(token, secret).cloned();
                let is_good = access.is_ok();
                let refused = |(what, todo): (Text, &'static str)| problem(StatusCode::UNAUTHORIZED, what, todo);
                // Whoever asked may have gone.
                let _ = reply.send(access.map_err(refused));
                if is_good {
                    self.step(FleetInput::TokenUsed { token });
                }
            }
        }
    }

    fn answer_query(&mut self, query: Query, reply: oneshot::Sender<Reply>) {
        let reading = Reading {
            engine: &self.parts.engine,
            unwell: &self.parts.unwell,
            store: &self.parts.store,
            tasks: &self.parts.tasks,
            expected: &self.parts.expected,
            now: now(),
            controller: self.parts.controller,
            epoch: self.parts.epoch,
            uptime: self.begun.elapsed(),
            untold: self.parts.telling.untold(),
            ssh_troubles: &self.parts.carrier.troubles(),
        };
        let answer = match query {
            // It may take a while, and nobody waits for it but who asked.
            Query::LookOverSsh(asked) => return self.parts.carrier.look(asked, reply),
            Query::Rehearse(operation) => match self.parts.engine.rehearse(&operation) {
                Ok(hosts) => answer::json(&FleetRehearsed { schema: SCHEMA, hosts }),
                Err(refusal) => in_words(&refusal, None),
            },
            Query::Operate(by, operation) => return self.operate(by, operation, reply),
            Query::CreateToken(by, asked) => return self.create_token(by, &asked, reply),
            Query::Incidents(asked) => return answer::incidents(&reading, asked, reply),
            Query::Report(host, incident) => return answer::report(&reading, &host, incident, reply),
            Query::Figures => {
                let figures = Figures::of(&reading, self.sessions.len());
                return answer::page(&reading, reply, figures);
            }
            Query::Scraped(port) => answer::json(&figures::scraped(&reading, port)),
            Query::Audit => return answer::audit(&reading, reply),
            Query::Status => return answer::status(&reading, reply),
            Query::Hosts => return answer::hosts(&reading, reply),
            Query::HostsOf(asked) => return answer::hosts_of(&reading, asked, reply),
            Query::Tokens => answer::tokens(&reading),
            Query::Permits => answer::json(&permits::permits(&reading)),
            Query::Rollouts => answer::json(&rollouts::rollouts(&reading)),
            Query::Drift => answer::json(&rollouts::drift(&reading)),
            Query::Plan(asked) => match rollouts::plan(&reading, &asked) {
                Ok(plan) => answer::json(&plan),
                Err(refusal) => in_words(&refusal, None),
            },
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }

    fn operate(&mut self, by: Text, operation: FleetOperation, reply: oneshot::Sender<Reply>) {
        let operation = match (operation, chance()) {
            (FleetOperation::Accept { fingerprint, fresh: _ }, Ok(bytes)) => {
                FleetOperation::Accept { fingerprint, fresh: Some(HostId::of_chance(bytes)) }
            }
            (FleetOperation::AddOverSsh { name, role, over, fresh: _ }, Ok(bytes)) => {
                FleetOperation::AddOverSsh { name, role, over, fresh: Some(HostId::of_chance(bytes)) }
            }
            (operation, _) => operation,
        };
        self.ask(by, operation, Waiting { reply, instead: None });
    }

    fn create_token(&mut self, by: Text, asked: &TokenAsked, reply: oneshot::Sender<Reply>) {
        let fresh = match FreshToken::new(&self.parts.authority) {
            Ok(fresh) => fresh.token,
            Err(trouble) => {
                let refused = problem(StatusCode::SERVICE_UNAVAILABLE, trouble.to_string(), trouble.suggestion());
                return drop(reply.send(Err(refused)));
            }
        };
        let lasts = Duration::from_millis(asked.lasts_ms);
        let view = FreshTokenView {
            schema: SCHEMA,
            token: match asked.access {
                None => fresh.expose(),
                Some(_) => ApiToken(fresh.clone()).expose(),
            },
            uses: asked.uses,
            until_ms: now().wall.plus(lasts).0,
            access: asked.access.clone(),
        };
        let operation = FleetOperation::CreateToken {
            id: fresh.id,
            secret: digest(fresh.secret.expose()),
            role: asked.role.clone(),
            uses: asked.uses,
            lasts,
            access: asked.access.clone(),
        };
        self.ask(by, operation, Waiting { reply, instead: serde_json::to_value(view).ok() });
    }

    fn ask(&mut self, by: Text, operation: FleetOperation, waiting: Waiting) {
        self.last_request += 1;
        let request = self.last_request;
        self.requests.insert(request, waiting);
        self.step(FleetInput::Operator { request, by, operation });
    }

    fn answered(&mut self, request: u64, answer: FleetAnswer) {
        let instead = self.requests.get_mut(&request).and_then(|waiting| waiting.instead.take());
        self.reply(request, in_words(&answer, instead));
    }

    fn reply(&mut self, request: u64, reply: Reply) {
        // Whoever asked may have gone.
        let _ = self.requests.remove(&request).map(|waiting| waiting.reply.send(reply));
    }
}

/// What the engine answers, as whoever asked gets it; `instead` of what was done, when there is more to say.
fn in_words(answer: &FleetAnswer, instead: Option<serde_json::Value>) -> Reply {
    match answer {
        FleetAnswer::Done { .. } => instead.map_or_else(|| answer::json(answer), |instead| answer::json(&instead)),
        FleetAnswer::Ordered { .. } => answer::json(answer),
        FleetAnswer::Refused { why, suggestion } => Err(problem(StatusCode::CONFLICT, why.clone(), suggestion.clone())),
        FleetAnswer::NotFound { what, suggestion } => {
            Err(problem(StatusCode::NOT_FOUND, what.clone(), suggestion.clone()))
        }
    }
}
