//! The heartbeat in paused time, against an outside service that answers as it is told.

use std::sync::Mutex;

use ansai_model::notify::{SecretRef, WebhookUrl};

use super::*;
use crate::channel::http::Response;

const PERIOD: Duration = Duration::from_secs(60);

/// The outside service.
#[derive(Default)]
struct Outside {
    asked: Mutex<Vec<(u64, String)>>,
    status: Mutex<Option<u16>>,
    begun: Mutex<Option<Instant>>,
}

impl HttpClient for Outside {
    async fn send(&self, request: Request) -> Result<Response, String> {
        let begun = *self.begun.lock().unwrap().get_or_insert_with(Instant::now);
        let tail = request.url.strip_prefix("http://hc.test/uuid").unwrap().to_owned();
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.asked.lock().unwrap().push((begun.elapsed().as_secs(), format!("{tail}{body}")));
        let status = *self.status.lock().unwrap();
        match status {
            None => Err("no connection".into()),
            Some(status) => Ok(Response { status, body: "OK".into() }),
        }
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat { url: WebhookUrl::Plain("http://hc.test/uuid".into()), every: PERIOD, token: None }
}

/// Runs the heartbeat beside a loop, and says what was asked and told.
async fn beside(
    status: Option<u16>,
    the_loop: impl AsyncFnOnce(&Outside, watch::Sender<Liveness>),
) -> (Vec<(u64, String)>, Vec<Beat>) {
    let outside = Arc::new(Outside { status: Mutex::new(status), ..Outside::default() });
    let (tx, rx) = watch::channel(Liveness::well());
    let (stop, beats) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let observer = |beat: &Beat| beats.lock().unwrap().push(beat.clone());
    let work = run(heartbeat(), Resolver::default(), outside.clone(), rx, observer, stop.clone());
    let the_loop = async {
        the_loop(&outside, tx).await;
        stop.cancel();
    };
    tokio::join!(work, the_loop);
    let asked = outside.asked.lock().unwrap().clone();
    (asked, beats.into_inner().unwrap())
}

/// Goes round each second.
async fn live(tx: &watch::Sender<Liveness>, seconds: u64, unwell: Option<&str>) {
    for _ in 0..seconds {
        tx.send_replace(Liveness { at: Instant::now(), unwell: unwell.map(Text::from) });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_living_loop_is_told_each_period_and_a_sick_one_at_once() {
    let (asked, beats) = beside(Some(200), async |_, tx| {
        live(&tx, 130, None).await;
        live(&tx, 10, Some("ledger")).await;
        live(&tx, 10, None).await;
    })
    .await;
    let asked: Vec<(u64, &str)> = asked.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(asked, [(0, "/start"), (0, ""), (60, ""), (120, ""), (130, "/failledger"), (140, "")]);
    assert!(beats.iter().all(|beat| matches!(beat, Beat::Sent(_))), "{beats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_loop_is_not_told_to_be_alive() {
    let (asked, beats) = beside(Some(200), async |_, _tx| {
        tokio::time::sleep(Duration::from_secs(200)).await;
    })
    .await;
    assert_eq!(asked.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 0, 60]);
    assert!(matches!(beats.last(), Some(Beat::Withheld { silent }) if *silent > PERIOD), "{beats:?}");
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_are_told_once_and_so_is_the_return() {
    for status in [None, Some(404), Some(302)] {
        let (_, beats) = beside(status, async |outside, tx| {
            live(&tx, 290, None).await;
            *outside.status.lock().unwrap() = Some(200);
            live(&tx, 120, None).await;
        })
        .await;
        let failed = beats.iter().filter(|beat| matches!(beat, Beat::Failed { .. })).count();
        assert_eq!(failed, 6, "{beats:?}");
        let lost: Vec<usize> = (0..beats.len()).filter(|at| matches!(beats[*at], Beat::Lost { .. })).collect();
        assert_eq!(lost, [3]);
        assert_eq!(beats.iter().filter(|beat| **beat == Beat::Regained).count(), 1);
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_is_a_failure() {
    let heartbeat = Heartbeat { token: Some(SecretRef::Env("MISSING".into())), ..heartbeat() };
    let resolver = Resolver::with_environment(|_| None);
    let result = send(&heartbeat, &resolver, &Outside::default(), Ping::Alive).await;
    assert!(result.unwrap_err().contains("env:MISSING"));
}

#[test]
fn the_suffix_goes_before_the_query() {
    assert_eq!(with_suffix("http://x/uuid", "/start"), "http://x/uuid/start");
    assert_eq!(with_suffix("http://x/uuid/?rid=1", "/fail"), "http://x/uuid/fail?rid=1");
    assert_eq!(with_suffix("http://x/uuid/", ""), "http://x/uuid/");
}
