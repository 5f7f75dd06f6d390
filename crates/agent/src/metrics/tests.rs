//! The figures as they are scraped, and the listener as a client sees it.

use std::sync::Arc;

use ansai_model::{id::RouteId, text::Text, units::ByteSize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{
    serve::{ListenError, listen, serve},
    *,
};
use crate::selfwatch::Pressure;

fn some() -> Metrics {
    let metrics = Metrics::new();
    metrics.observed(Health::Healthy);
    metrics.observed(Health::Unknown);
    metrics.acted(&ActionOutcome::Failed { why: Text::new("no") });
    metrics.decided(Choice::Defer);
    metrics.delivery(&Delivery::Delivered {
        route: RouteId::new("ops").unwrap(),
        messages: 3,
        took: Duration::from_millis(4),
    });
    metrics.ledger_saved(Duration::from_micros(180));
    metrics.ledger_saved(Duration::from_secs(60));
    metrics.ledger_failed();
    metrics.loop_lagged(Duration::from_micros(20));
    metrics.set_incidents(Incidents { open: 1, escalated: 2, ..Incidents::default() });
    metrics.set_watched(5, 9);
    metrics.set_own(&Reading {
        rss: ByteSize(9 << 20),
        cpu: Duration::from_millis(1500),
        load: None,
        pressure: Pressure::None,
    });
    metrics
}

#[test]
fn the_figures_as_text() {
    insta::assert_snapshot!(some().text());
}

/// What a scraper requires: each family once, with its type before its figures, and numbers that are numbers.
#[test]
fn the_text_keeps_to_the_format() {
    let text = some().text();
    let mut family = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(seen.insert(family.clone()), "{family} twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(&family), "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite());
        }
    }
    assert_eq!(seen.len(), 18);
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn it_answers_on_loopback_also_when_many_hold_their_connections() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let client = async {
        // Connections that say nothing: fewer than the limit, so that others are still served.
        let mut idle = Vec::new();
        for _ in 0..7 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("ansai_checks 9"), "{answer}");
        assert!(ask(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
        stop.cancel();
    };
    tokio::join!(serve(listener, Arc::new(some()), stop.clone()), client);
}

#[tokio::test]
async fn what_others_could_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9188"] {
        assert!(matches!(listen(address).await, Err(ListenError::NotLoopback { .. })), "{address}");
    }
    let error = listen("localhost").await.unwrap_err().to_string();
    assert_eq!(error, "`localhost` is not an address with a port, as 127.0.0.1:9188");
    let taken = listen("127.0.0.1:0").await.unwrap();
    let again = listen(&taken.local_addr().unwrap().to_string()).await;
    assert!(matches!(again, Err(ListenError::Bind { .. })));
}

#[test]
fn the_page_for_operators_names_every_figure_as_it_is_served() {
    let page = include_str!("../../../../docs/watching.md");
    let served = Metrics::new().text();
    let mut lines = served.lines().filter_map(|line| line.strip_prefix("# ")).peekable();
    let mut figures = 0;
    while let (Some(help), Some(kind)) = (lines.next(), lines.next()) {
        let (name, help) = help.strip_prefix("HELP ").and_then(|rest| rest.split_once(' ')).expect("a help line");
        let kind = kind.rsplit(' ').next().expect("a kind");
        let row = format!("| `{name}` | {kind} | {help} |\n");
        assert!(page.contains(&row), "docs/watching.md lacks: {row}");
        figures += 1;
    }
    assert_eq!(page.matches("| `").count(), figures, "docs/watching.md names what is not served");
    let yaml = |part: &str| part.split("```").next().map(str::to_owned);
    for (at, text) in page.split("```yaml\n").skip(1).filter_map(yaml).enumerate() {
        let parsed = ansai_config::parse(&[(format!("snippet-{at}.yaml").into(), text.clone())]);
        assert!(parsed.is_ok(), "{text}: {:?}", parsed.err().map(|error| error.to_string()));
    }
}
