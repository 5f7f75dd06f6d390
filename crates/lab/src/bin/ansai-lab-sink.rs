//! A fixture that receives webhooks and dead-man's pings: each request becomes one JSON line of a file, and the first N can be refused.
//!
//! It deliberately understands nothing of what it receives, and speaks no SMTP (a real postfix does).

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_lab::fixture::http::{self, Request, json_string};
use ansai_lab::fixture::notify::notify;

const USAGE: &str = "usage: ansai-lab-sink --listen ADDRESS --record FILE [--fail-first N] [--status CODE]";

struct Settings {
    listen: String,
    record: String,
    fail_first: u64,
    status: u16,
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = parse(std::env::args().skip(1))?;
    let mut record = File::options().create(true).append(true).open(&settings.record)?;
    let listener = TcpListener::bind(&settings.listen)?;
    notify("READY=1");
    let mut failures_left = settings.fail_first;
    for stream in listener.incoming().flatten() {
        let Ok(request) = receive(&stream) else { continue };
        let status = if failures_left > 0 { settings.status } else { 200 };
        failures_left = failures_left.saturating_sub(1);
        // One write a line, so that a reader sees no half line.
        record.write_all(line(&request, status).as_bytes())?;
        http::answer(&stream, status, "").ok();
    }
    Ok(())
}

fn receive(stream: &TcpStream) -> std::io::Result<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    http::read_request(stream)
}

fn line(request: &Request, status: u16) -> String {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{}:{}", json_string(name), json_string(value))).collect();
    format!(
        "{{\"at_ms\":{at_ms},\"method\":{},\"path\":{},\"headers\":{{{}}},\"body\":{},\"answered\":{status}}}\n",
        json_string(&request.method),
        json_string(&request.path),
        headers.join(","),
        json_string(&request.body),
    )
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings { listen: String::new(), record: String::new(), fail_first: 0, status: 500 };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--listen" => settings.listen = value,
            "--record" => settings.record = value,
            "--fail-first" => settings.fail_first = value.parse()?,
            "--status" => settings.status = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    if settings.listen.is_empty() || settings.record.is_empty() {
        return Err(USAGE.into());
    }
    Ok(settings)
}
