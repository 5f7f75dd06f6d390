//! One simulated agent: it dials with jitter, says hello, tells what changes until it is kept, obeys restraints, and beats, as
//! `crates/agent/src/uplink.rs` does.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ansai_link::{
    Trouble, chance,
    dial::{Caller, Link, Route},
    pause::Pause,
};
use ansai_model::{
    fleet::{Acknowledged, RestraintSet},
    time::WallTime,
};
use ansai_protocol::link::{
    BEAT_EVERY, Change, FeedId, FromController, FromHost, Held, Hello, HostId, RestraintsAt, VERSION, VERSION_OLDEST,
    Welcome,
};
use anyhow::Result;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
};

use crate::{
    made::Member,
    said::{self, Stage},
    tally::Tally,
};

/// How long a service is down, and how long it is watched: shorter than on real hosts, so that a minute sees all of it.
const STAGE_LASTS: Duration = Duration::from_millis(200);

/// A change that is not kept yet.
struct Unkept {
    change: Change,
    said: Instant,
}

/// An incident that goes on.
struct Ongoing {
    number: u64,
    opened: WallTime,
    next: Stage,
    at: Instant,
}

pub(crate) struct Agent {
    host: HostId,
    name: String,
    caller: Caller,
    route: Arc<Route>,
    longest: Duration,
    tally: Tally,
    orders: mpsc::Receiver<()>,
    feed: FeedId,
    /// The number of the first change in `unkept`.
    first: u64,
    unkept: VecDeque<Unkept>,
    restraints: RestraintsAt,
    ongoing: VecDeque<Ongoing>,
    last_incident: u64,
}

impl Agent {
    /// One that has never dialed; `longest` bounds its pauses before it does.
    pub(crate) fn new(
        member: Member,
        route: Arc<Route>,
        longest: Duration,
        tally: Tally,
        orders: mpsc::Receiver<()>,
    ) -> Result<Self> {
        let Member { host, name, caller } = member;
        let feed = FeedId::of_chance(chance()?);
        Ok(Self {
            host,
            name,
            caller,
            route,
            longest,
            tally,
            orders,
            feed,
            first: 1,
            unkept: VecDeque::new(),
            restraints: RestraintsAt::default(),
            ongoing: VecDeque::new(),
            // Numbers that no incident in the store has.
            last_incident: 1_000_000_000,
        })
    }

    /// Keeps a link up for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut pause = Pause::default();
        self.note(said::everything());
        loop {
            let wait = pause.next(chance().map_or(u32::MAX, u32::from_le_bytes)).min(self.longest);
            sleep(wait).await;
            let trouble = match self.caller.dial(&self.route, self.hello()).await {
                Ok((link, welcome)) => {
                    pause.reset();
                    self.tally.linked();
                    // The future of a session is small and lives long; that of a handshake is large, and has ended.
                    let trouble = Box::pin(self.session(link, *welcome)).await;
                    self.tally.parted();
                    trouble
                }
                Err(trouble) => trouble,
            };
            if let Trouble::Closing { why, .. } = trouble {
                self.tally.closed(why.to_string());
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            name: self.name.as_str().into(),
            machine_id: self.host.to_string().replace('-', "").as_str().into(),
            boot_id: self.feed.to_string().as_str().into(),
            started_ms: said::now().0,
            now_ms: said::now().0,
            feed: self.feed,
            restraints: self.restraints,
            configuration: Held::default(),
            role: Some(said::ROLE.into()),
            labels: Vec::new(),
        }
    }

    /// Has something to tell.
    fn note(&mut self, changes: Vec<Change>) {
        self.tally.said(changes.len());
        let said = Instant::now();
        self.unkept.extend(changes.into_iter().map(|change| Unkept { change, said }));
    }

    /// One link, until it ends; why.
    async fn session(&mut self, mut link: Link, welcome: Welcome) -> Trouble {
        if let Some((feed, through)) = welcome.kept
            && feed == self.feed
        {
            self.kept(through);
        }
        // The number of the next change that this link has not heard.
        let mut next = self.first;
        let mut beat = interval_at(Instant::now() + BEAT_EVERY, BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(trouble) = self.say(&mut link, &mut next).await {
                return trouble;
            }
            let stage = self.ongoing.front().map_or_else(|| Instant::now() + BEAT_EVERY, |ongoing| ongoing.at);
            tokio::select! {
                message = link.receive() => {
                    let heard = match message {
                        Ok(message) => self.hear(&mut link, message).await,
                        Err(trouble) => Err(trouble),
                    };
                    if let Err(trouble) = heard {
                        return trouble;
                    }
                }
                Some(()) = self.orders.recv() => self.fails(),
                () = sleep_until(stage) => self.goes_on(),
                _ = beat.tick() => {
                    if let Err(trouble) = link.send(&FromHost::Beat { now_ms: said::now().0 }).await {
                        return trouble;
                    }
                }
            }
        }
    }

    /// Tells what this link has not heard yet.
    async fn say(&self, link: &mut Link, next: &mut u64) -> Result<(), Trouble> {
        let known = usize::try_from(*next - self.first).unwrap_or(usize::MAX);
        let changes: Vec<Change> = self.unkept.iter().skip(known).map(|unkept| unkept.change.clone()).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let (first, count) = (*next, u64::try_from(changes.len()).unwrap_or(u64::MAX));
        *next += count;
        link.send(&FromHost::Changes { first, changes }).await
    }

    async fn hear(&mut self, link: &mut Link, message: FromController) -> Result<(), Trouble> {
        match message {
            FromController::Kept { through } => self.kept(through),
            FromController::Restraints(set) => {
                let at = RestraintsAt { epoch: set.epoch, generation: set.generation };
                if at < self.restraints {
                    self.tally.told_older();
                    return Ok(());
                }
                self.restraints = at;
                let RestraintSet { controller, epoch, generation, .. } = *set;
                let said = Acknowledged { controller, epoch, generation, under_way: Vec::new(), refused: None };
                link.send(&FromHost::Restrained(Box::new(said))).await?;
                self.tally.obeys();
            }
            FromController::Closing { why, suggestion, .. } => {
                return Err(Trouble::Closing { why, suggestion, again_after: None, is_removed: false });
            }
            FromController::Beat { .. }
            | FromController::Order { .. }
            | FromController::StandBack { .. }
            | FromController::Welcome(_)
            | FromController::Renewed { .. }
            | FromController::Permit(_)
            | FromController::Message(_)
            | FromController::Bundle(_) => {}
        }
        Ok(())
    }

    /// Everything up to this number is kept.
    fn kept(&mut self, through: u64) {
        while self.first <= through {
            let Some(Unkept { change, said }) = self.unkept.pop_front() else { break };
            self.first += 1;
            let ended = if let Change::Report(report) = change { Some((self.host, report.incident)) } else { None };
            self.tally.kept(said.elapsed(), ended);
        }
    }

    /// A service of it fails.
    fn fails(&mut self) {
        self.last_incident += 1;
        let (number, opened) = (self.last_incident, said::now());
        self.note(said::changes(number, opened, Stage::Failed));
        self.ongoing.push_back(Ongoing { number, opened, next: Stage::Back, at: Instant::now() + STAGE_LASTS });
    }

    /// What goes on comes to its next stage, when it is time.
    fn goes_on(&mut self) {
        while let Some(ongoing) = self.ongoing.pop_front_if(|ongoing| ongoing.at <= Instant::now()) {
            let Ongoing { number, opened, next, .. } = ongoing;
            self.note(said::changes(number, opened, next));
            if let Some(next) = next.next() {
                self.ongoing.push_back(Ongoing { number, opened, next, at: Instant::now() + STAGE_LASTS });
            }
        }
    }
}
