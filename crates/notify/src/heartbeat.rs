//! The dead-man's switch: pings to an outside service, which raises the alarm when they stay away.
//!
//! A ping is sent only while the loop says that it is alive: a process whose loop hangs must not look well. A ping that
//! fails is a failure, never a success, and after some in a row the operator is told on this host.

use std::{future::Future, sync::Arc, time::Duration};

use ansai_model::{settings::Heartbeat, text::Text, time::Shown};
use bytes::Bytes;
use hyper::Method;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{
        http::{HttpClient, Request},
        render::one_line,
    },
    outbox::DeliverError,
    secrets::Resolver,
};

/// Failures in a row after which the operator is told.
pub const TELL_AFTER: u32 = 3;
/// A loop that was last alive this long ago, and longer than a period, is not alive.
const ALIVE_MAX: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
/// No period is shorter, whatever the configuration says.
const PERIOD_MIN: Duration = Duration::from_secs(1);

/// What the loop says of itself, over a watch channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// When it last went round.
    pub at: Instant,
    /// Why it is not well, when it is not: the ledger cannot be saved, say.
    pub unwell: Option<Text>,
}

impl Liveness {
    /// Alive and well, now.
    #[must_use]
    pub fn well() -> Self {
        Self { at: Instant::now(), unwell: None }
    }
}

/// What is pinged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ping {
    /// `url/start`: the agent has started.
    Start,
    /// `url`: it is alive and well.
    Alive,
    /// `url/fail`: it is alive, and not well.
    Fail(Text),
}

/// What is told of the heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A ping arrived.
    Sent(Ping),
    /// A ping did not arrive; to be logged.
    Failed {
        /// Which.
        ping: Ping,
        /// Failures in a row.
        failures: u32,
        /// The reason, as people read it.
        why: String,
    },
    /// [`TELL_AFTER`] pings in a row did not arrive; to be told to the operator on this host, once.
    Lost {
        /// Why the last one failed.
        why: String,
    },
    /// They arrive again after [`Beat::Lost`].
    Regained,
    /// No ping was sent, since the loop has not gone round for so long.
    Withheld {
        /// For how long.
        silent: Duration,
    },
}

/// Counts failures, and says when the operator is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    failures: u32,
}

impl Count {
    fn take(&mut self, ping: Ping, result: Result<(), String>) -> Vec<Beat> {
        match result {
            Ok(()) => {
                let was_lost = std::mem::take(&mut self.failures) >= TELL_AFTER;
                let mut beats = vec![Beat::Sent(ping)];
                beats.extend(was_lost.then_some(Beat::Regained));
                beats
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                let mut beats = vec![Beat::Failed { ping, failures: self.failures, why: why.clone() }];
                beats.extend((self.failures == TELL_AFTER).then_some(Beat::Lost { why }));
                beats
            }
        }
    }
}

/// Pings until `stop`: at the start, then each period, and at once when the loop becomes unwell or well again.
/// `observer` is told of each ping and must not block.
pub async fn run<H: HttpClient>(
    heartbeat: Heartbeat,
    secrets: Resolver,
    http: Arc<H>,
    mut liveness: watch::Receiver<Liveness>,
    observer: impl Fn(&Beat) + Send,
    stop: CancellationToken,
) {
    let every = heartbeat.every.max(PERIOD_MIN);
    let mut count = Count::default();
    let mut tell = |ping: Ping, result| count.take(ping, result).iter().for_each(&observer);
    let send = |ping: Ping| send(&heartbeat, &secrets, &*http, ping);
    if let Some(result) = unless_stopped(&stop, send(Ping::Start)).await {
        tell(Ping::Start, result);
    }
    let mut was_unwell = None;
    loop {
        let state = liveness.borrow_and_update().clone();
        was_unwell = Some(state.unwell.is_some()).or(was_unwell);
        let silent = state.at.elapsed();
        if silent > every.max(ALIVE_MAX) {
            observer(&Beat::Withheld { silent });
        } else {
            let ping = state.unwell.map_or(Ping::Alive, Ping::Fail);
            let Some(result) = unless_stopped(&stop, send(ping.clone())).await else { return };
            tell(ping, result);
        }
        // Each arm may be dropped at any moment: none of them holds anything.
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(Instant::now() + every) => {}
            () = changed(&mut liveness, was_unwell) => {}
        }
    }
}

async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// Waits until the loop becomes unwell, or well again.
async fn changed(liveness: &mut watch::Receiver<Liveness>, was_unwell: Option<bool>) {
    let is_other = |state: &Liveness| Some(state.unwell.is_some()) != was_unwell;
    if liveness.wait_for(is_other).await.is_err() {
        // The loop has ended; the period goes on, and what it finds is silence.
        std::future::pending::<()>().await;
    }
}

async fn send<H: HttpClient>(heartbeat: &Heartbeat, secrets: &Resolver, http: &H, ping: Ping) -> Result<(), String> {
    let words = |error: DeliverError| error.to_string();
    let url = secrets.url(&heartbeat.url).await.map_err(|error| words(error.into()))?;
    let (method, suffix, body) = match ping {
        Ping::Start => (Method::GET, "/start", Bytes::new()),
        Ping::Alive => (Method::GET, "", Bytes::new()),
        Ping::Fail(why) => (Method::POST, "/fail", Bytes::from(why.as_str().to_owned())),
    };
    let mut headers = Vec::new();
    if let Some(reference) = &heartbeat.token {
        let token = secrets.fetch(reference).await.map_err(|error| words(error.into()))?;
        headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
    }
    let url = with_suffix(url.expose(), suffix);
    let answer = http.send(Request { method, url, headers, body, timeout: TIMEOUT }).await?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(format!("HTTP {status}: {}", one_line(&answer.body, 200))),
    }
}

/// The suffix belongs to the path, before a query.
fn with_suffix(url: &str, suffix: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    format!("{}{suffix}{query}", if suffix.is_empty() { path } else { path.trim_end_matches('/') })
}

impl Beat {
    /// In words, for the log.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Sent(Ping::Start) => "the heartbeat told of the start".to_owned(),
            Self::Sent(Ping::Alive) => "the heartbeat was sent".to_owned(),
            Self::Sent(Ping::Fail(why)) => format!("the heartbeat told that the agent is not well: {why}"),
            Self::Failed { failures, why, .. } => format!("the heartbeat failed, {failures} in a row: {why}"),
            Self::Lost { why } => format!("the heartbeat does not get through, so nobody watches the agent: {why}"),
            Self::Regained => "the heartbeat gets through again".to_owned(),
            Self::Withheld { silent } => {
                format!("no heartbeat was sent: the loop has not gone round for {}", Shown(*silent))
            }
        }
    }
}

#[cfg(test)]
mod tests;
