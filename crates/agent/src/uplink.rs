//! The agent's end of the link to its controller: a task of its own, which runs only while the host has joined one. It tells
//! what changed, hands restraints to the loop, renews the identity, and dials again when the link is gone. The loop never waits
//! for it, and heals the same with and without it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ansai_engine::Input;
use ansai_link::{Trouble, chance, dial::Link, key::Key, pause::Pause};
use ansai_model::{permit::LinkStanding, text::Text, time::WallTime};
use ansai_notify::outbox::Outbox;
use ansai_protocol::link::{
    BEAT_EVERY, Change, ControllerId, FRAME_BYTES_MAX, FromController, FromHost, Hello, LABELS_MAX, PERMITS_SINCE,
    RefusedBundle, Short, SignedBundle, VERSION, VERSION_OLDEST,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, reports::Reports};

pub mod carried;
pub(crate) mod feed;
pub(crate) mod line;
pub mod membership;
pub(crate) mod messages;
pub(crate) mod telling;

use carried::Carried;
use feed::Item;
use line::{Line, Offered};
use membership::{Folder, Membership, Told};

/// Most changes that are taken at once.
const BATCH_MAX: usize = 32;
/// A message with changes is sent when it has this many bytes.
const MESSAGE_BYTES: usize = 128 << 10;
/// Most reports that a controller is told of which it has none.
const REPORTS_MAX: usize = 100;
/// How long an answer to a request for a new certificate is waited for before it is asked again.
const RENEWED_WITHIN: Duration = Duration::from_secs(3600);
/// The longest that a controller can have us stay away.
const AWAY_MAX: Duration = Duration::from_secs(3600);

/// Links that were up in this process: what is said on one is said on no other.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// What a host says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) name: String,
    pub(crate) boot_id: String,
    pub(crate) role: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) started: WallTime,
}

/// What the task is made of.
#[derive(Debug)]
pub(crate) struct Uplink {
    pub(crate) folder: Folder,
    pub(crate) line: Line,
    pub(crate) reports: Reports,
    /// Where messages to people wait, some of them for the controller.
    pub(crate) outbox: Outbox,
    pub(crate) claims: Claims,
    pub(crate) clock: Clock,
    /// Where restraints go.
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) stop: CancellationToken,
    /// The stream on which the agent was carried, when it was.
    pub(crate) carried: Option<Arc<Carried>>,
}

/// How a session ended that did not fail.
enum Next {
    /// It was told to stop.
    Stop,
    /// It dials again at once, with the certificate that it was given.
    Again,
}

impl Uplink {
    /// Keeps a link up until it is told to stop.
    pub(crate) async fn run(self) {
        if let Some(carried) = self.carried.clone() {
            // There is one stream, and whoever has carried the agent here does so again.
            if let Err(trouble) = self.session(&mut Pause::default()).await
                && self.line.lost(&trouble)
            {
                tracing::warn!("the link to the controller has ended: {trouble}");
            }
            return carried.has_ended();
        }
        let mut pause = Pause::default();
        let mut wait = self.jitter(&mut pause);
        loop {
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.cancelled() => return,
            }
            wait = match self.session(&mut pause).await {
                Ok(Next::Stop) => return,
                Ok(Next::Again) => Duration::ZERO,
                Err(trouble) => {
                    if self.line.lost(&trouble) {
                        // The loop hears of what has changed, and of no dial that fails like the one before it.
                        self.stands(LinkStanding::Away).await;
                        tracing::warn!("no link to the controller: {trouble}; {}", trouble.suggestion());
                    }
                    self.jitter(&mut pause) + trouble.again_after().unwrap_or_default().min(AWAY_MAX)
                }
            };
        }
    }

    /// Says to the loop how it stands; one that is gone stops this task too, and one that is busy does not keep it from ending.
    async fn stands(&self, standing: LinkStanding) {
        tokio::select! {
            _ = self.inputs.send(Input::Linked(standing)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn jitter(&self, pause: &mut Pause) -> Duration {
        // A system without chance has other troubles; it waits the longest.
        pause.next(chance().map_or(u32::MAX, u32::from_le_bytes))
    }

    /// One link, from dialing to its end. A host that hears there that it was removed takes back what it gave.
    async fn session(&self, pause: &mut Pause) -> Result<Next, Trouble> {
        let folder = self.folder.clone();
        let membership = beside(move || folder.read()).await?.map_err(|error| Trouble::Settings(error.to_string()))?;
        let Some(membership) = membership else { return Err(Trouble::Settings("this host has joined nobody".into())) };
        let member = messages::member(membership.joined.controller, membership.joined.host);
        let ended = self.dial_and_serve(membership, pause).await;
        if ended.as_ref().is_err_and(Trouble::is_removal) {
            self.takes_back(member).await?;
        }
        ended
    }

    async fn dial_and_serve(&self, membership: Membership, pause: &mut Pause) -> Result<Next, Trouble> {
        self.line.dials(&membership.route);
        let folder = self.folder.clone();
        // One that cannot be read is not there: the controller gives it again.
        let kept = beside(move || folder.bundle()).await?.ok().flatten();
        self.line.begins_with(kept.map(|bundle| bundle.held).unwrap_or_default());
        let hello = self.hello(membership.joined.controller).await;
        let dialing = async {
            match &self.carried {
                None => membership.caller.dial(&membership.route, hello).await,
                Some(carried) => membership.caller.dial_on(carried.road().ok_or(Trouble::Ended)?, hello).await,
            }
        };
        let (link, welcome) = tokio::select! {
            dialed = dialing => dialed?,
            () = self.stop.cancelled() => return Ok(Next::Stop),
        };
        if welcome.host != membership.joined.host {
            return Err(Trouble::SomebodyElse);
        }
        pause.reset();
        let now = self.clock.now().wall;
        self.line.connected(&welcome, now);
        tracing::info!(name = %welcome.name, "linked to the controller at {}", membership.route.controller);
        let known =
            self.folder.told().filter(|told| told.controller == welcome.controller && told.epoch == welcome.epoch);
        let told = known.unwrap_or(Told { controller: welcome.controller, epoch: welcome.epoch, reports_ms: 0 });
        if self.line.wants_all() {
            self.tell_reports(told.reports_ms).await?;
        }
        let is_expired = membership.facts.not_after < now;
        let number = LINKS.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_expired {
            let gives_permits = welcome.version >= PERMITS_SINCE;
            self.stands(LinkStanding::Up { session: number, epoch: welcome.epoch, gives_permits }).await;
        }
        let controllers_clock = (welcome.now_ms, Instant::now());
        let session = Session {
            uplink: self,
            number,
            link,
            membership,
            told,
            is_told: true,
            renewal: None,
            is_expired,
            controllers_clock,
        };
        if !is_expired {
            self.hands_over(number, &welcome).await?;
        }
        let ended = session.run().await;
        // What the controller did not want in time is sent from here.
        self.outbox.unlink(number);
        ended
    }

    async fn hello(&self, controller: ControllerId) -> Hello {
        let machine_id = beside(|| ansai_files::bytes("/etc/machine-id".as_ref(), 256)).await;
        let machine_id = machine_id.ok().and_then(Result::ok).unwrap_or_default();
        Hello {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            name: Short::new(&self.claims.name),
            machine_id: Short::new(String::from_utf8_lossy(&machine_id)),
            boot_id: Short::new(&self.claims.boot_id),
            started_ms: self.claims.started.0,
            now_ms: self.clock.now().wall.0,
            feed: self.line.feed(),
            restraints: self.line.restraints(controller),
            configuration: self.line.held(),
            role: self.claims.role.as_ref().map(Short::new),
            labels: self
                .claims
                .labels
                .iter()
                .take(LABELS_MAX)
                .map(|(key, value)| (Short::new(key), Short::new(value)))
                .collect(),
        }
    }

    /// Notes the reports that were made since then, oldest first.
    async fn tell_reports(&self, since_ms: i64) -> Result<(), Trouble> {
        let (reports, line) = (self.reports.clone(), self.line.clone());
        beside(move || {
            let mut newer = reports.newest_since(WallTime(since_ms), REPORTS_MAX);
            newer.reverse();
            newer.iter().for_each(|report| line.note_older_report(report));
        })
        .await
    }

    /// A change as it is sent; a report is read now.
    async fn change(&self, item: Item) -> Result<Change, Trouble> {
        Ok(match item {
            Item::Anew => Change::Anew,
            Item::Told => Change::Told,
            Item::Target(status) => Change::Target(status),
            Item::TargetGone(target) => Change::TargetGone(target),
            Item::Incident(summary) => Change::Incident(summary),
            Item::Going(report) => Change::Report(report),
            Item::Lost(count) => Change::Lost { count },
            Item::Report { incident, .. } => {
                let reports = self.reports.clone();
                let report = beside(move || reports.get(incident)).await?;
                // It was too old, or cannot be read any more.
                report.ok().flatten().map_or(Change::Lost { count: 1 }, |report| Change::Report(Box::new(report)))
            }
        })
    }
}

/// Files may not answer, and nobody else waits for them.
async fn beside<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(read).await.map_err(|error| Trouble::Io(error.to_string()))
}

/// One link that is up.
struct Session<'a> {
    uplink: &'a Uplink,
    /// Which link it is.
    number: u64,
    link: Link,
    membership: Membership,
    told: Told,
    /// Whether what was told is written down.
    is_told: bool,
    /// The new key for which a certificate was asked, and until when the answer is waited for.
    renewal: Option<(Key, Instant)>,
    is_expired: bool,
    /// What the controller's clock showed when it was last told, and when that was.
    controllers_clock: (i64, Instant),
}

impl Session<'_> {
    async fn run(mut self) -> Result<Next, Trouble> {
        let mut beat = interval_at(Instant::now() + BEAT_EVERY, BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.renew_in_time().await?;
            // Whoever has expired may renew, and nothing else.
            if !self.is_expired {
                self.say().await?;
            }
            let uplink = self.uplink;
            // Every arm only receives, so nothing is lost when another is chosen first.
            tokio::select! {
                message = self.link.receive() => {
                    uplink.line.heard(uplink.clock.now().wall);
                    if let Some(next) = self.hear(message?).await? {
                        return Ok(next);
                    }
                }
                () = uplink.line.changed() => {}
                () = uplink.outbox.has_to_say() => {}
                _ = beat.tick() => {
                    self.link.send(&FromHost::Beat { now_ms: uplink.clock.now().wall.0 }).await?;
                    self.write_down().await?;
                }
                () = uplink.stop.cancelled() => {
                    self.write_down().await?;
                    self.link.close().await;
                    return Ok(Next::Stop);
                }
            }
        }
    }

    /// Says all that there is to say.
    async fn say(&mut self) -> Result<(), Trouble> {
        let line = &self.uplink.line;
        if let Some(acknowledged) = line.take_acknowledged() {
            self.link.send(&FromHost::Restrained(Box::new(acknowledged))).await?;
        }
        self.say_messages().await?;
        while let Some(ordered) = line.take_ordered() {
            self.link.send(&FromHost::Ordered(Box::new(ordered))).await?;
        }
        if let Some(configured) = line.take_configured() {
            self.link.send(&FromHost::Configured(Box::new(configured))).await?;
        }
        while let Some((first, items)) = line.take(BATCH_MAX) {
            let mut message = Message::new(first);
            for item in items {
                // What cannot be written is told as lost.
                let change = serde_json::to_vec(&self.uplink.change(item).await?).unwrap_or_default();
                if message.has_no_room_for(&change) {
                    let next = Message::new(message.next);
                    self.link.send_frame(std::mem::replace(&mut message, next).ended()).await?;
                }
                message.add(&change);
            }
            self.link.send_frame(message.ended()).await?;
        }
        // Behind the changes: whoever is permitted something by it knows how the host stands.
        if let Some(said) = line.take_permits(self.number) {
            self.link.send(&FromHost::Permits(Box::new(said))).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, message: FromController) -> Result<Option<Next>, Trouble> {
        match message {
            FromController::Beat { now_ms } => self.controllers_clock = (now_ms, Instant::now()),
            FromController::Order { order, at_ms } => {
                // By the controller's own clock as it was heard last: that of this host may be an hour apart.
                let (then_ms, heard) = self.controllers_clock;
                let since_ms = i64::try_from(heard.elapsed().as_millis()).unwrap_or(i64::MAX);
                let late_ms = then_ms.saturating_add(since_ms).saturating_sub(at_ms);
                let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or_default());
                let _ = self.uplink.inputs.send(Input::Order { order, late }).await;
            }
            FromController::Kept { through } => {
                if let Some(at_ms) = self.uplink.line.kept(through)
                    && at_ms > self.told.reports_ms
                {
                    self.told.reports_ms = at_ms;
                    self.is_told = false;
                }
            }
            FromController::Restraints(set) => {
                // A loop that is busy hears it when it comes to it; one that is gone stops this task too.
                let _ = self.uplink.inputs.send(Input::Restraints(set)).await;
            }
            FromController::StandBack { why, lasts_ms } => {
                let lasts = Duration::from_millis(lasts_ms);
                let _ = self.uplink.inputs.send(Input::StandBack { why, lasts }).await;
            }
            FromController::Permit(news) => {
                let _ = self.uplink.inputs.send(Input::Permit(news)).await;
            }
            FromController::Message(news) => self.hear_of_message(news).await?,
            FromController::Bundle(signed) => self.hear_configuration(*signed).await?,
            FromController::Renewed { certificate, roots } => {
                let Some((key, _)) = self.renewal.take() else {
                    return Err(Trouble::NoMessage("a certificate that nobody asked for".into()));
                };
                let (folder, host) = (self.uplink.folder.clone(), self.membership.joined.host);
                let renewed =
                    beside(move || folder.renew(&key, host, &certificate, &roots).and_then(|()| folder.read()));
                let renewed = renewed.await?.map_err(|error| Trouble::Settings(error.to_string()))?;
                if let Some(renewed) = renewed {
                    tracing::info!("the certificate for the controller was renewed, until {}", renewed.facts.not_after);
                    self.membership = renewed;
                }
                if self.is_expired {
                    return Ok(Some(Next::Again));
                }
            }
            FromController::Closing { why, suggestion, again_after_ms, is_removed } => {
                let again_after = again_after_ms.map(Duration::from_millis);
                return Err(Trouble::Closing { why, suggestion, again_after, is_removed });
            }
            FromController::Welcome(_) => return Err(Trouble::NoMessage("a second welcome".into())),
        }
        Ok(None)
    }

    /// Checks a configuration, and has the loop take it. What is not signed for this host, or is older than what it has, is
    /// never taken, and that is said.
    async fn hear_configuration(&mut self, signed: SignedBundle) -> Result<(), Trouble> {
        let (folder, line) = (self.uplink.folder.clone(), &self.uplink.line);
        let checked = beside(move || folder.verified(&signed).map(|bundle| Offered { signed, bundle })).await?;
        let refused = match checked {
            Ok(offered) => {
                let (held, has) = (offered.bundle.held.clone(), line.held());
                if held.age() >= has.age() {
                    line.offer(offered);
                    return Ok(());
                }
                let why = format!(
                    "generation {} of epoch {} is older than generation {} of epoch {}, which it has",
                    held.generation, held.epoch, has.generation, has.epoch
                );
                RefusedBundle { epoch: held.epoch, generation: held.generation, why: Text::new(why) }
            }
            Err(error) => RefusedBundle { epoch: 0, generation: 0, why: Text::new(error.to_string()) },
        };
        tracing::warn!("a configuration of the fleet is not taken: {}", refused.why);
        line.refuses_configuration(refused);
        Ok(())
    }

    /// Asks for the next certificate once a third of this one's life is over, with a new key.
    async fn renew_in_time(&mut self) -> Result<(), Trouble> {
        let is_waiting = self.renewal.as_ref().is_some_and(|(_, until)| Instant::now() < *until);
        if is_waiting || self.uplink.clock.now().wall < self.membership.facts.renew_from() {
            return Ok(());
        }
        let key = Key::generate()?;
        self.link.send(&FromHost::Renew { request: key.request()? }).await?;
        self.renewal = Some((key, Instant::now() + RENEWED_WITHIN));
        Ok(())
    }

    /// Writes down what the controller has, so that the next process need not tell it.
    async fn write_down(&mut self) -> Result<(), Trouble> {
        if std::mem::replace(&mut self.is_told, true) {
            return Ok(());
        }
        let (folder, told) = (self.uplink.folder.clone(), self.told);
        if let Err(error) = beside(move || folder.keep_told(&told)).await? {
            // It is told again then, which does no harm.
            tracing::debug!("{error}");
        }
        Ok(())
    }
}

/// A message with changes, written change by change so that its length is known.
struct Message {
    first: u64,
    next: u64,
    text: Vec<u8>,
}

impl Message {
    fn new(first: u64) -> Self {
        Self { first, next: first, text: format!(r#"{{"changes":{{"first":{first},"changes":["#).into_bytes() }
    }

    /// Whether this change is for the next message; a message has one at least.
    fn has_no_room_for(&self, change: &[u8]) -> bool {
        self.next > self.first && self.text.len() + change.len() > MESSAGE_BYTES
    }

    fn add(&mut self, change: &[u8]) {
        if self.next > self.first {
            self.text.push(b',');
        }
        self.next += 1;
        // The message has its end yet to come.
        let is_fit = !change.is_empty() && self.text.len() + change.len() + 3 <= FRAME_BYTES_MAX;
        self.text.extend_from_slice(if is_fit { change } else { br#"{"lost":{"count":1}}"# });
    }

    fn ended(mut self) -> Vec<u8> {
        self.text.extend(b"]}}");
        self.text
    }
}

#[cfg(test)]
mod tests;
