//! The stream of events of each engine: what a container does is looked at at once, that one has come or gone is told, and who
//! asked for a stop is remembered. An event is a hint and no truth; a look that comes all the same finds what was missed.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use ansai_model::{
    domain::container::{DOMAIN, EndedBy},
    hint::Hint,
    id::TargetId,
    time::WallTime,
};
use http_body_util::BodyExt as _;
use hyper::{Method, Response, body::Incoming};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::task::TaskTracker;

use super::{
    api::{self, Trouble},
    engines::Engine,
    read::{is_id, text},
    seen::{Stops, held},
};
use crate::linux::{clock::wall_now, systemd::Bus};

/// Longest line of the stream.
const LINE_MAX: usize = 64 * 1024;
/// How long an engine that went away is left alone, at first and at most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Those that come and go are told together.
const TOGETHER: Duration = Duration::from_secs(2);
/// How often they are listed whatever is told: events are hints, and Podman tells of some containers late or not at all.
const LISTED_EVERY: Duration = Duration::from_secs(30);
/// Signals that ask for something else than an end: HUP, USR1, USR2, WINCH.
const HARMLESS: &[&str] = &["1", "10", "12", "28", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "HUP", "USR1", "USR2"];
/// What of Docker's events is asked for; its health checks alone tell three times of each run.
const WANTED: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22destroy%22%2C\
                      %22die%22%2C%22health_status%22%2C%22kill%22%2C%22oom%22%2C%22pause%22%2C%22rename%22%2C%22start%22%2C\
                      %22stop%22%2C%22unpause%22%5D%7D";
/// Podman has other words for some of them, and takes no word that it does not know.
const WANTED_OF_PODMAN: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";

/// Who listens, one for each engine.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<BTreeMap<Engine, Listener>>);

#[derive(Debug)]
struct Listener {
    heard: Arc<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What was heard of one engine.
#[derive(Debug, Default)]
struct Heard {
    stops: Mutex<Stops>,
    /// Since when it is listened to without a break.
    since: Mutex<Option<WallTime>>,
}

impl Listeners {
    /// Listens to these engines, where that is not done yet; not to those of users, at whose sockets a connection may hang.
    pub(super) fn listen(
        &self,
        engines: &[Engine],
        tasks: &TaskTracker,
        bus: Option<&Bus>,
        wakes: &mpsc::Sender<Hint>,
    ) {
        let mut all = held(&self.0);
        all.retain(|engine, listener| engines.contains(engine) && !listener.task.is_finished());
        let new = engines.iter().filter(|engine| engine.is_ours() && !all.contains_key(engine));
        for engine in new.cloned().collect::<Vec<_>>() {
            let heard = Arc::new(Heard::default());
            let (told, bus, wakes) = (Arc::clone(&heard), bus.cloned(), wakes.clone());
            let own = engine.clone();
            let listening = async move {
                tokio::select! {
                    () = wakes.closed() => {}
                    () = listen(own, told, bus, wakes.clone()) => {}
                }
            };
            all.insert(engine, Listener { heard, task: tasks.spawn(listening) });
        }
    }

    /// Who ended the last run of a container.
    pub(super) fn ended_by(&self, engine: &Engine, id: &str, run: (Option<WallTime>, Option<WallTime>)) -> EndedBy {
        let all = held(&self.0);
        let Some(listener) = all.get(engine) else { return EndedBy::Unknown };
        let since = *held(&listener.heard.since);
        held(&listener.heard.stops).ended_by(id, run, since)
    }

    /// The stop that was heard of was ansai's own, in a restart.
    pub(super) fn forget_stop(&self, engine: &Engine, id: &str) {
        if let Some(listener) = held(&self.0).get(engine) {
            held(&listener.heard.stops).started(id);
        }
    }
}

/// Listens for as long as somebody wants to hear it.
async fn listen(engine: Engine, heard: Arc<Heard>, bus: Option<Bus>, wakes: mpsc::Sender<Hint>) {
    let mut pause = PAUSE;
    while !wakes.is_closed() {
        if engine.runs(bus.as_ref()).await {
            let begun = Instant::now();
            let socket: PathBuf = engine.socket.clone();
            let wanted = if engine.is_podman { WANTED_OF_PODMAN } else { WANTED };
            let follow = async |response| follow(response, &heard, &wakes).await;
            let ended = api::exchange(&socket, Method::GET, wanted, follow).await;
            let was_there = held(&heard.since).take().is_some();
            if let Err(why) = ended {
                tracing::debug!(engine = engine.name(), %why, "the stream of events has ended");
            }
            // Whatever happened from now on is not heard of.
            if was_there && wakes.send(Hint::Targets).await.is_err() {
                return;
            }
            if begun.elapsed() > PAUSE_MAX {
                pause = PAUSE;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Takes in what an engine tells, until it ends.
async fn follow(response: Response<Incoming>, heard: &Heard, wakes: &mpsc::Sender<Hint>) -> Result<(), Trouble> {
    if !response.status().is_success() {
        return Err(Trouble::Refused(response.status().as_u16(), "no events".into()));
    }
    *held(&heard.since) = Some(wall_now());
    // What was missed is looked for: containers that came, and what became of those that are known.
    let gone = || api::silent("nobody listens");
    wakes.send(Hint::Everything).await.map_err(|_| gone())?;
    let (mut body, mut kept, mut changed) = (response.into_body(), Vec::new(), None::<Instant>);
    let mut listed = Instant::now();
    loop {
        let next = changed.map_or(listed + LISTED_EVERY, |at| at + TOGETHER);
        let Ok(frame) = tokio::time::timeout_at(next, body.frame()).await else {
            (changed, listed) = (None, Instant::now());
            wakes.send(Hint::Targets).await.map_err(|_| gone())?;
            continue;
        };
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|error| api::silent(error.to_string()))?;
        frame.data_ref().into_iter().for_each(|data| kept.extend_from_slice(data));
        while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = kept.drain(..=end).collect();
            let Some(event) = Event::read(&line) else { continue };
            heard.take_in(&event);
            if event.comes_or_goes() {
                changed.get_or_insert_with(Instant::now);
            }
            if let Ok(target) = TargetId::of(DOMAIN.key, &event.name) {
                wakes.send(Hint::Target(target)).await.map_err(|_| gone())?;
            }
        }
        if kept.len() > LINE_MAX {
            return Err(api::silent("a line of its events has no end"));
        }
    }
}

/// Something that happened to a container.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    what: String,
    id: String,
    name: String,
    signal: String,
    at: WallTime,
}

impl Event {
    /// Of a line; nothing for what is of no interest.
    fn read(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let attribute = |name: &str| attribute(&value, name).to_owned();
        let what = [text(&value, "/Action"), text(&value, "/status")].into_iter().find(|word| !word.is_empty())?;
        let what = what.split(':').next().unwrap_or_default();
        let is_noise =
            what.starts_with("exec") || matches!(what, "attach" | "resize" | "top" | "copy" | "init" | "prune");
        let id = [text(&value, "/Actor/ID"), text(&value, "/id")].into_iter().find(|id| is_id(id))?;
        if is_noise || text(&value, "/Type") != "container" {
            return None;
        }
        let nanos = value.get("timeNano").and_then(Value::as_i64).unwrap_or_default();
        let at = if nanos > 0 { WallTime(nanos / 1_000_000) } else { wall_now() };
        Some(Self { what: what.into(), id: id.into(), name: attribute("name"), signal: attribute("signal"), at })
    }

    /// Whether others are there after it than before.
    fn comes_or_goes(&self) -> bool {
        matches!(&*self.what, "create" | "destroy" | "remove" | "rename")
    }
}

fn attribute<'a>(value: &'a Value, name: &str) -> &'a str {
    value.pointer("/Actor/Attributes").and_then(|all| all.get(name)?.as_str()).unwrap_or_default()
}

impl Heard {
    fn take_in(&self, event: &Event) {
        let mut stops = held(&self.stops);
        match &*event.what {
            "stop" => stops.asked(&event.id, event.at),
            "kill" if !HARMLESS.contains(&&*event.signal) => stops.asked(&event.id, event.at),
            "start" | "destroy" | "remove" => stops.started(&event.id),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: &str, signal: &str) -> Event {
        let line = format!(
            r#"{{"status":"{what}","id":"abc","Type":"container","Action":"{what}","Actor":{{"ID":"abc","Attributes":{{"name":"web","signal":"{signal}"}}}},"time":5,"timeNano":5000000000}}"#
        );
        Event::read(line.as_bytes()).expect("an event")
    }

    #[test]
    fn an_event_says_what_happened_to_which_container() {
        let read = event("health_status: unhealthy", "");
        let expected = Event {
            what: "health_status".into(),
            id: "abc".into(),
            name: "web".into(),
            signal: String::new(),
            at: WallTime(5_000),
        };
        assert_eq!(read, expected);
        assert!(event("create", "").comes_or_goes() && !event("die", "").comes_or_goes());
        for noise in
            ["", "{", "[]", "7", r#"{"Type":"image","Action":"pull","id":"a"}"#, r#"{"Type":"container","id":"a"}"#]
        {
            assert_eq!(Event::read(noise.as_bytes()), None, "{noise}");
        }
        let noise = r#"{"Type":"container","Action":"exec_create: /bin/true","Actor":{"ID":"a"}}"#;
        assert_eq!(Event::read(noise.as_bytes()), None);
    }

    #[test]
    fn a_stop_is_somebody_s_and_a_signal_that_only_asks_is_none() {
        let heard = Heard::default();
        let ended_by = || held(&heard.stops).ended_by("abc", (None, Some(WallTime(6_000))), Some(WallTime(1)));
        heard.take_in(&event("die", ""));
        heard.take_in(&event("kill", "1"));
        assert_eq!(ended_by(), EndedBy::Itself);
        heard.take_in(&event("kill", "15"));
        assert_eq!(ended_by(), EndedBy::Somebody);
        heard.take_in(&event("start", ""));
        assert_eq!(ended_by(), EndedBy::Itself);
        heard.take_in(&event("stop", ""));
        assert_eq!(ended_by(), EndedBy::Somebody);
    }
}
