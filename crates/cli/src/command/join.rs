//! `ansai join` and `ansai leave`: the host becomes one of a controller's, or nobody's. The key is made here and stays here; the
//! token's secret is sent to nobody but the controller whose CA the token names. The running agent sees either by itself.

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use ansai_agent::uplink::membership::{Folder, Joined, MembershipError};
use ansai_link::{Trouble, dial::Route, joining, key::Key};
use ansai_model::time::{Shown, WallTime};
use ansai_protocol::{
    ControllerView, SCHEMA,
    link::{
        Fingerprint, Identity, Join, JoinAnswer, LABELS_MAX, NoToken, Short, Token, TokenId, TokenSecret, VERSION,
        VERSION_OLDEST,
    },
};
use clap::Args;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::{
    cluster,
    consent::{Proof, ask},
};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show, when,
};

/// Most bytes of a file with a token.
const TOKEN_BYTES_MAX: u64 = 4 << 10;
/// Most bytes of `/etc/machine-id`.
const MACHINE_ID_BYTES_MAX: u64 = 256;
/// How often a controller that cannot be reached is tried, and how long is waited in between.
const TRIES_MAX: u32 = 3;
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// The shortest and the longest pause until a person who accepts is asked after again.
const PENDING_MIN: Duration = Duration::from_secs(1);
const PENDING_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the agent to have its link: it looks once a second, and waits a moment before it dials.
const LINKED_WITHIN: Duration = Duration::from_secs(15);
const LINKED_LOOK: Duration = Duration::from_millis(200);

/// How a host joins.
#[derive(Args)]
pub(crate) struct JoinArgs {
    /// Where the controller is, as https://controller.example.com:7443; the management_node of the configuration's
    /// ansai_cluster when it is left out.
    controller: Option<String>,
    /// A file with the token that was made on the controller; `-` reads the standard input.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Without a token: the fingerprint of the controller's CA, as the controller prints it; then a person accepts the host.
    #[arg(long, value_name = "SHA256", conflicts_with = "token_file", required_unless_present = "token_file")]
    authority: Option<String>,
    /// The HTTP proxy on the way there, as http://proxy.example.com:3128; it must allow CONNECT.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Longest wait for a person to accept the host; what was asked stays asked.
    #[arg(long, value_name = "LENGTH", default_value = "10m")]
    wait: String,
}

/// What is asked of the controller.
struct Asking {
    route: Route,
    authority: Fingerprint,
    token: Option<(TokenId, TokenSecret)>,
    wait: Duration,
}

pub(super) fn join(paths: &Paths, args: JoinArgs) -> Result<Code, Failure> {
    let folder = Folder::of(&paths.state_dir);
    if let Some(joined) = folder.joined().map_err(|error| unusable(&error))? {
        let what = format!("this host has joined the controller at {} as {}", joined.address, joined.name);
        return Err(Failure::new(Code::Refused, what, "`ansai status` shows the link; `ansai leave` ends it"));
    }
    let asking = asking(paths, args)?;
    let key = folder.joining_key().map_err(|error| unusable(&error))?;
    let name = cluster::own_name();
    let request = key.request().map_err(|trouble| failed(&trouble))?;
    let (role, labels) = says_of_itself(paths);
    let join = Join {
        oldest: VERSION_OLDEST,
        newest: VERSION,
        token: asking.token.clone(),
        request,
        name: Short::new(&name),
        machine_id: machine_id(),
        program: env!("CARGO_PKG_VERSION").into(),
        role,
        labels,
        now_ms: now().0,
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Code::Failing, error.to_string(), "try again"))?;
    let identity = answered(&runtime, &asking, &join, &key)?;
    runtime.shutdown_background();
    let joined = Joined::new(&asking.route, &identity, now());
    folder.keep(&key, &joined, &identity).map_err(|error| unusable(&error))?;
    show::note(&format!("joined the controller at {} as {}", joined.address, joined.name));
    let linked = linked(paths);
    match paths.json {
        true => show::print_json(&json!({
            "schema": SCHEMA, "address": joined.address, "host": joined.host, "name": joined.name,
            "controller": joined.controller, "is_linked": matches!(linked, Linked::Up),
        })),
        false => show::print(&linked.said(&joined)),
    }
    Ok(Code::Ok)
}

/// What the host is for, and its labels, by its configuration. One that cannot be read says neither: the agent tells them once
/// it has read it.
fn says_of_itself(paths: &Paths) -> (Option<Short>, Vec<(Short, Short)>) {
    let Ok(configuration) = super::config::load(paths) else { return (None, Vec::new()) };
    let settings = configuration.settings();
    let labels = settings.labels.iter().take(LABELS_MAX);
    let labels = labels.map(|(key, value)| (Short::new(key), Short::new(value)));
    (settings.role.as_ref().map(Short::new), labels.collect())
}

fn asking(paths: &Paths, args: JoinArgs) -> Result<Asking, Failure> {
    let controller = args.controller.map_or_else(|| cluster::controller(paths), Ok)?;
    let route = Route::new(&controller, args.proxy.as_deref())
        .map_err(|trouble| Failure::new(Code::Usage, trouble.to_string(), trouble.suggestion().as_str()))?;
    let wait = when::when(&args.wait)?.lasts;
    let (authority, token) = match (&args.token_file, &args.authority) {
        (Some(path), _) => {
            let todo = "`ansai token create` on the controller prints one; write it into a file, or pipe it in with --token-file -";
            let token: Token = read_token(path, todo)?;
            (token.authority, Some((token.id, token.secret)))
        }
        (None, authority) => {
            let authority = authority.as_deref().unwrap_or_default().parse().map_err(|error| {
                let todo = "`ansai controller doctor` prints it on the controller";
                Failure::new(Code::Usage, format!("--authority: {error}"), todo)
            })?;
            (authority, None)
        }
    };
    Ok(Asking { route, authority, token, wait })
}

/// A token from a file, or for `-` from the standard input. It is never repeated.
pub(super) fn read_token<T: FromStr<Err = NoToken>>(path: &Path, todo: &str) -> Result<T, Failure> {
    let unread = |why: String| Failure::new(Code::Usage, format!("--token-file {}: {why}", path.display()), todo);
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        if std::io::stdin().is_terminal() {
            show::note("paste the token, and end it with Enter and Ctrl-D:");
        }
        let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
        read.map(|_| text).map_err(|error| unread(ansai_files::said(&error)))?
    } else {
        ansai_files::text(path, TOKEN_BYTES_MAX).map_err(|error| unread(error.why.to_string()))?
    };
    text.parse().map_err(|error: NoToken| unread(error.to_string()))
}

/// Asks until the host has joined, is refused, or was waited for long enough; says what it waits for.
fn answered(runtime: &Runtime, asking: &Asking, join: &Join, key: &Key) -> Result<Identity, Failure> {
    let begun = Instant::now();
    let mut tries = 0;
    let mut is_pending_told = false;
    show::note(&format!("asking the controller at {}", asking.route.controller));
    loop {
        let answer = runtime.block_on(joining::ask(&asking.route, asking.authority, join));
        let pause = match answer {
            Ok(JoinAnswer::Joined(identity)) => return Ok(identity),
            Ok(JoinAnswer::Refused { what, suggestion }) => {
                return Err(Failure::new(Code::Refused, what.as_str(), suggestion.as_str()));
            }
            Ok(JoinAnswer::Pending { fingerprint, again_after_ms, until_ms }) => {
                if fingerprint != key.fingerprint() {
                    return Err(failed(&Trouble::SomebodyElse));
                }
                if !std::mem::replace(&mut is_pending_told, true) {
                    show::note(&pending(&fingerprint, until_ms));
                }
                tries = 0;
                Duration::from_millis(again_after_ms).clamp(PENDING_MIN, PENDING_MAX)
            }
            Err(trouble) if is_passing(&trouble) && (is_pending_told || tries < TRIES_MAX - 1) => {
                tries += 1;
                show::note(&format!("{trouble}; trying again"));
                TRY_AGAIN
            }
            Err(trouble) => return Err(failed(&trouble)),
        };
        let left = asking.wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let what = format!("nobody has accepted this host within {}", Shown(asking.wait));
            let todo = "`ansai hosts accept` on the controller, and then the same command here again: it goes on with the same key";
            return Err(Failure::new(Code::Refused, what, todo));
        }
        runtime.block_on(async { tokio::time::sleep(pause.min(left)).await });
    }
}

fn pending(fingerprint: &Fingerprint, until_ms: i64) -> String {
    let until = show::moment(until_ms, &show::terminal().zone);
    format!(
        "waiting to be accepted until {until}: this host's key is {}; `ansai hosts accept {}` on the controller, if it is the \
         same there",
        fingerprint.short(),
        fingerprint.short()
    )
}

/// Whether it may be another thing in a moment.
fn is_passing(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Unreachable { .. }
            | Trouble::NoName { .. }
            | Trouble::Silent(_)
            | Trouble::Stalled(_)
            | Trouble::Ended
            | Trouble::Io(_)
    )
}

fn failed(trouble: &Trouble) -> Failure {
    let code = match trouble {
        Trouble::Unreachable { .. } | Trouble::NoName { .. } | Trouble::Proxy { .. } => Code::Unreachable,
        Trouble::Silent(_) | Trouble::Stalled(_) | Trouble::Ended | Trouble::Io(_) => Code::Unreachable,
        Trouble::OtherAuthority { .. } | Trouble::Refused(_) | Trouble::Closing { .. } => Code::Refused,
        _ => Code::Failing,
    };
    Failure::new(code, trouble.to_string(), trouble.suggestion().as_str())
}

fn unusable(error: &MembershipError) -> Failure {
    match error {
        MembershipError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(Code::Forbidden, error.to_string(), "sudo ansai …")
        }
        MembershipError::Io { .. } => {
            Failure::new(Code::Failing, error.to_string(), "see to that folder, and try again")
        }
        MembershipError::Unreadable { .. } => {
            let todo = "`ansai leave` removes what is there; then join again with a token";
            Failure::new(Code::Failing, error.to_string(), todo)
        }
    }
}

/// How it stands with the running agent.
enum Linked {
    /// It has its link.
    Up,
    /// It has none yet, and says why.
    Down(String),
    /// None runs, or it does not say.
    Away,
}

impl Linked {
    fn said(&self, joined: &Joined) -> String {
        match self {
            Self::Up => format!("this host is linked to the controller as {}: `ansai status` shows it", joined.name),
            Self::Down(why) => format!("the agent has no link yet: {why}; it goes on trying, `ansai status` shows it"),
            Self::Away => {
                "no agent answers here: start it with systemctl start ansai, and it links by itself".to_owned()
            }
        }
    }
}

/// Waits for the agent to see that the host has joined, and to have its link.
fn linked(paths: &Paths) -> Linked {
    let begun = Instant::now();
    loop {
        let Ok(status) = client::status(paths) else { return Linked::Away };
        let view = status.controller.as_ref();
        if view.is_some_and(|view| view.connected_since_ms.is_some()) {
            return Linked::Up;
        }
        if begun.elapsed() > LINKED_WITHIN {
            let why = view.and_then(|view| view.trouble.as_ref()).map(ToString::to_string);
            return Linked::Down(why.unwrap_or_else(|| "it has not dialed".to_owned()));
        }
        client::pause(LINKED_LOOK);
    }
}

pub(super) fn leave(paths: &Paths, consent: ConsentArgs) -> Result<Code, Failure> {
    let folder = Folder::of(&paths.state_dir);
    // What cannot be read can be left as well.
    let joined = folder.joined();
    if matches!(joined, Ok(None)) && !folder.is_begun() {
        return Err(Failure::new(Code::Failing, "this host has joined no controller", "`ansai join` joins one"));
    }
    let from =
        joined.ok().flatten().map_or_else(String::new, |joined| format!(" the controller at {}", joined.address));
    let what =
        format!("leave{from}: what its operators said of this host ends, and it heals by its own configuration alone");
    if consent.rehearsal.dry_run {
        match paths.json {
            true => show::print_json(&json!({"schema": SCHEMA, "would": what})),
            false => show::print(&format!("{what}\nnothing was changed (--dry-run)")),
        }
        return Ok(Code::Ok);
    }
    ask(&what, &Proof::Yes, consent)?;
    let left = folder.leave().map_err(|error| unusable(&error))?;
    let todo = "`ansai hosts remove` on the controller forgets it there as well";
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "left": left})),
        false => show::print(&format!("this host has left{from}; {todo}")),
    }
    Ok(Code::Ok)
}

/// A line of the status about the controller.
pub(super) fn line(view: &ControllerView, zone: &jiff::tz::TimeZone) -> String {
    let ControllerView { address, name, connected_since_ms, heard_ms, waiting, trouble, suggestion, .. } = view;
    let at = if address.is_empty() { "controller".to_owned() } else { format!("controller {address}") };
    let moment = |at_ms: i64| show::moment(at_ms, zone);
    let waiting =
        if *waiting > 0 { format!(", {} to be told", show::count(*waiting, "change")) } else { String::new() };
    let trouble = trouble.as_ref().map(|trouble| {
        let todo = suggestion.as_ref().map_or_else(String::new, |todo| format!(" ({todo})"));
        show::told(&format!("{trouble}{todo}"), zone)
    });
    match (connected_since_ms, heard_ms) {
        (Some(since), heard) => {
            let name = name.as_ref().map_or_else(String::new, |name| format!(" as {name}"));
            let heard = heard.map_or_else(String::new, |heard| format!(", last heard {}", moment(heard)));
            let trouble = trouble.map_or_else(String::new, |trouble| format!("; {trouble}"));
            format!("{at}: linked{name} since {}{heard}{waiting}{trouble}", moment(*since))
        }
        (None, heard) => {
            let heard = heard.map_or_else(String::new, |heard| format!(", last heard {}", moment(heard)));
            let trouble = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
            format!("{at}: NO LINK{heard}{waiting}; healing goes on{trouble}")
        }
    }
}

fn machine_id() -> Short {
    let read = ansai_files::text("/etc/machine-id".as_ref(), MACHINE_ID_BYTES_MAX);
    Short::new(read.unwrap_or_default())
}

fn now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn the_status_tells_a_link_from_none() {
        let up = ControllerView {
            address: "ctl:7443".into(),
            host: None,
            name: Some("web-01".into()),
            connected_since_ms: Some(1_700_000_000_000),
            heard_ms: Some(1_700_000_060_000),
            waiting: 0,
            trouble: None,
            suggestion: None,
        };
        let zone = TimeZone::UTC;
        let expected =
            "controller ctl:7443: linked as web-01 since 2023-11-14 22:13:20 UTC, last heard 2023-11-14 22:14:20 UTC";
        assert_eq!(line(&up, &zone), expected);
        let down = ControllerView {
            connected_since_ms: None,
            waiting: 3,
            trouble: Some("nobody listens there".into()),
            suggestion: Some("start it".into()),
            ..up
        };
        let expected = "controller ctl:7443: NO LINK, last heard 2023-11-14 22:14:20 UTC, 3 changes to be told; healing goes on: nobody listens there (start it)";
        assert_eq!(line(&down, &zone), expected);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_wrong_is_not() {
        assert!(is_passing(&Trouble::Ended));
        let wrong = Trouble::OtherAuthority { wanted: Fingerprint([0; 32]) };
        assert!(!is_passing(&wrong) && failed(&wrong).code == Code::Refused);
    }
}
