//! `ansai doctor`: what keeps ansai from working, and what to do about it. It changes nothing.
//! With `--send-test` people get a message; nothing else happens.

mod abilities;
mod configured;
mod routes;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_agent::hold_file::HoldFile;
use ansai_host::linux::drill::{self, ending::Lasting};
use ansai_model::{
    bundle::{Bundle, Target},
    inventory::Inventory,
    operator::DrillKind,
    time::Shown,
    unit::MAIN_STOPPED,
};
use ansai_protocol::{SCHEMA, Status};
use serde_json::json;

use super::target;
use crate::{
    Paths, client, domain,
    exit::{Code, Failure},
    show,
};

/// Longest wait for what lies in files.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Messages that wait are a sign of trouble from this many on.
const WAITING_MAX: usize = 10;
/// The state directory should leave this much of its filesystem free, in bytes.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// A clock before this moment, the end of 2023 in milliseconds since 1970, was never set.
const CLOCK_MIN: i64 = 1_704_000_000_000;

/// How bad something is, in the order in which it is shown: the worst last, where the eye is when the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// Where what follows a finding's first line begins.
const INDENT: &str = "      ";

/// What is well or amiss, and what to do.
pub(crate) struct Finding {
    level: Level,
    what: String,
    todo: String,
}

#[cfg(test)]
impl Finding {
    pub(super) fn todo(&self) -> &str {
        &self.todo
    }
}

pub(super) fn ok(what: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, what: what.into(), todo: String::new() }
}

/// Something that a person should see to.
pub(crate) fn warn(what: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { level: Level::Warn, what: what.into(), todo: todo.into() }
}

fn fail(what: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { level: Level::Fail, what: what.into(), todo: todo.into() }
}

pub(super) fn doctor(paths: &Paths) -> Result<Code, Failure> {
    told(paths, findings(paths, routes::reached))
}

/// Looks, and has the agent send a test.
pub(super) fn send_test(paths: &Paths) -> Result<Code, Failure> {
    let mut findings = findings(paths, |_| Vec::new());
    findings.extend(routes::tested(paths));
    told(paths, findings)
}

/// All that is found; `routes` asks the agent that answers whether it can tell people.
fn findings(paths: &Paths, routes: impl Fn(&Paths) -> Vec<Finding>) -> Vec<Finding> {
    let (asked, state) = (paths.clone(), paths.state_dir.clone());
    let mut findings = answer_of(move || configured::file(&asked))
        .unwrap_or_else(|| vec![unanswered(&paths.config.display().to_string())]);
    findings.extend([
        init_system(),
        bus(paths.user),
        clock(),
        in_time(&paths.state_dir.display().to_string(), move || state_dir(&state)),
    ]);
    if let Some(why) = hidden(&paths.hold_file) {
        let what =
            format!("whether {} is there, which stops all action, cannot be seen: {why}", paths.hold_file.display());
        findings.push(warn(what, "run it as root"));
    } else if let Some(text) = HoldFile::new(paths.hold_file.clone()).look() {
        let says = if text.as_str().is_empty() { String::new() } else { format!(" ({text})") };
        let what = format!("{} is there{says} and stops all action", paths.hold_file.display());
        findings.push(warn(what, "remove it when healing may go on"));
    }
    let bundle = bundle(paths);
    if let Some((inventory, bundle)) = &bundle {
        findings.extend(watched(inventory, bundle, paths.user));
        findings.extend(routes::declared(&paths.config, bundle));
        findings.extend(configured::of_this_host(paths));
        findings.extend(drills(bundle));
        findings.extend(lasting(paths));
    }
    match (client::status(paths), &bundle) {
        (Ok(status), bundle) => {
            findings.extend(agent(&status));
            // Where this program can read what is configured, it has said how much is watched.
            if status.targets.is_empty() && bundle.is_none() {
                findings.push(warn("nothing is watched", "ansai init --output - shows what this host runs"));
            }
            findings.extend(configured::standing(&status.warnings, bundle.is_some()));
            findings.extend(abilities::inside(paths));
            findings.extend(routes(paths));
        }
        (Err(failure), bundle) => {
            findings.push(fail(failure.what(), failure.suggestion()));
            let tried = bundle.as_ref().map(|(_, bundle)| abilities::outside(paths, bundle));
            findings.extend(tried.into_iter().flatten());
        }
    }
    findings
}

/// Why this person may not know whether a file is there, when they may not; the agent may.
fn hidden(path: &Path) -> Option<String> {
    let path = path.to_owned();
    denied(answer_of(move || path.symlink_metadata().map(|_| ()))?)
}

fn denied(looked: std::io::Result<()>) -> Option<String> {
    let denied = looked.err().filter(|error| error.kind() == std::io::ErrorKind::PermissionDenied)?;
    Some(ansai_files::said(&denied))
}

/// What is watched on this host; nothing when that cannot be known.
fn bundle(paths: &Paths) -> Option<(Inventory, Bundle)> {
    let asked = paths.clone();
    let configuration = answer_of(move || super::config::read(&asked).ok())??;
    let inventory = super::config::inventory(paths).ok()?;
    let bundle = configuration.bundle(&inventory, 1).ok()?;
    Some((inventory, bundle))
}

/// How much is watched of what there is.
fn watched(inventory: &Inventory, bundle: &Bundle, is_user: bool) -> Vec<Finding> {
    let count = |domain: &'static dyn domain::Domain| (domain, domain.watched(bundle));
    let counts: Vec<_> = domain::all().map(count).collect();
    // What has no targets of its own stands behind what it is looked at on.
    let mut watched: Vec<String> = Vec::new();
    for (domain, count) in &counts {
        let count = format!("{}: {count}", domain.plural());
        match watched.last_mut().filter(|_| !domain.model().has_targets) {
            Some(before) => before.push_str(&format!(" ({count})")),
            None => watched.push(count),
        }
    }
    let watched = format!("the configuration watches {}", watched.join(", "));
    let amiss = counts.iter().filter_map(|(domain, count)| domain.amiss(*count, inventory, is_user));
    std::iter::once(ok(watched)).chain(amiss).collect()
}

/// What drills have left behind.
fn drills(bundle: &Bundle) -> Vec<Finding> {
    bundle.parts().targets.values().filter(|target| !target.configuration.is_empty()).flat_map(left).collect()
}

fn left(target: &Target) -> Vec<Finding> {
    let (paths, name) = (target.configuration.clone(), target.id.name().to_owned());
    let looked = answer_of(move || drill::left_behind(&paths));
    let Some(files) = looked else { return vec![unanswered(&target.configuration.join(", "))] };
    let left = files.into_iter().map(|file| {
        let what = format!("a drill has left {}", drill::copy_of(&file).display());
        warn(what, format!("ansai drill {name} --undo"))
    });
    left.collect()
}

/// Drills that have not ended. What breaks a file is told with that file as long as it lasts.
fn lasting(paths: &Paths) -> Vec<Finding> {
    let state_dir = paths.state_dir.clone();
    let found = answer_of(move || drill::ending::lasting(&state_dir)).and_then(Result::ok).unwrap_or_default();
    let is_told = |drill: &Lasting| drill.kind() == DrillKind::Configuration && !drill.rest().is_zero();
    found.iter().filter(|drill| !is_told(drill) && !drill.has_gone()).map(lasts).collect()
}

fn lasts(drill: &Lasting) -> Finding {
    let (unit, kind, rest) = (&drill.unit, drill.kind().as_str(), drill.rest());
    let what = match rest.is_zero() {
        true => format!("a drill in {unit} has not been ended, though its time is over"),
        false => format!("a drill ({kind}) in {unit} lasts for another {}", Shown(Duration::from_secs(rest.as_secs()))),
    };
    warn(what, format!("ansai drill {unit} --undo"))
}

/// What is found within a few seconds: a thread that waits for a server that is away is left behind.
fn answer_of<T: Send + 'static>(looks: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(looks());
    });
    receiver.recv_timeout(ANSWER_MAX).ok()
}

fn in_time(what: &str, looks: impl FnOnce() -> Finding + Send + 'static) -> Finding {
    answer_of(looks).unwrap_or_else(|| unanswered(what))
}

fn unanswered(what: &str) -> Finding {
    let what = format!("{what} has not answered for {}s", ANSWER_MAX.as_secs());
    fail(what, "see to the disk or the server on which it lies; what lies elsewhere is healed meanwhile")
}

fn told(paths: &Paths, mut findings: Vec<Finding>) -> Result<Code, Failure> {
    findings.iter_mut().for_each(|finding| finding.todo = show::commands(&finding.todo));
    // The sort is stable: of what is as bad the order stays.
    findings.sort_by_key(|finding| finding.level);
    let findings = findings.as_slice();
    match paths.json {
        true => show::print_json(&as_json(findings)),
        false => show::print(&format!("{}\n{}", rendered(findings), summary(findings))),
    }
    let is_well = findings.iter().all(|finding| finding.level != Level::Fail);
    Ok(if is_well { Code::Ok } else { Code::Failing })
}

/// How many of each there are.
fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let failing = match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => return "nothing is amiss".to_owned(),
        (0, _) => "nothing keeps ansai from working".to_owned(),
        (1, _) => "1 thing keeps ansai from working (FAIL)".to_owned(),
        (many, _) => format!("{many} things keep ansai from working (FAIL)"),
    };
    match count(Level::Warn) {
        0 => failing,
        warnings => format!("{failing}; {}", show::count(warnings, "warning")),
    }
}

fn init_system() -> Finding {
    match Path::new("/run/systemd/system").exists() {
        true => ok("systemd runs here"),
        false => fail("systemd does not run here", "units can only be healed where it runs; processes can be declared"),
    }
}

/// The bus on which the service manager is asked, and why it takes no connections, when it does not.
pub(super) fn connected(is_user: bool) -> (&'static str, std::io::Result<()>) {
    let own = rustix::process::geteuid().as_raw();
    let own = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| format!("/run/user/{own}").into(), PathBuf::from);
    let (name, socket) = match is_user {
        true => ("your own bus", own.join("bus")),
        false => ("the system bus", PathBuf::from("/run/dbus/system_bus_socket")),
    };
    (name, std::os::unix::net::UnixStream::connect(socket).map(drop))
}

fn bus(is_user: bool) -> Finding {
    let (name, connected) = connected(is_user);
    match connected {
        Ok(()) => ok(format!("{name} takes connections")),
        Err(error) => fail(
            format!("{name} cannot be reached: {}", ansai_files::said(&error)),
            "systemctl start dbus.socket; without it all units are unknown, and nothing is done",
        ),
    }
}

fn clock() -> Finding {
    let now = jiff::Timestamp::now();
    match now.as_millisecond() >= CLOCK_MIN {
        true => ok("the clock is set"),
        false => warn(format!("the clock says {now}"), "set it; durations stay right, times in reports do not"),
    }
}

fn state_dir(path: &Path) -> Finding {
    let shown = path.display();
    if !path.is_dir() {
        return warn(format!("the state directory {shown} is missing"), "the agent makes it when it starts");
    }
    match free_bytes(path) {
        Some(bytes) if bytes < FREE_BYTES_MIN => fail(
            format!("the state directory {shown} has {} KiB left", bytes / 1024),
            "free space: without a ledger nothing is done",
        ),
        Some(_) => ok(format!("the state directory {shown} is there and has room")),
        None => warn(format!("the state directory {shown} cannot be read"), format!("see who owns it: ls -ld {shown}")),
    }
}

fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn agent(status: &Status) -> Vec<Finding> {
    let own = env!("CARGO_PKG_VERSION");
    let count = status.targets.len();
    let mut findings = vec![match status.version == own {
        true => ok(format!("the agent {own} answers and watches {}", show::count(count, "target"))),
        false => warn(
            format!("the agent is version {}, this program is {own}", status.version),
            "restart the agent: systemctl restart ansai",
        ),
    }];
    findings.push(match &status.ledger_error {
        None => ok("the ledger can be saved"),
        Some(why) => fail(format!("the ledger cannot be saved: {why}"), "free space on its filesystem"),
    });
    for hold in &status.holds {
        let reason = if hold.reason.is_empty() { String::new() } else { format!(" ({})", hold.reason) };
        let until = hold.until_ms.map(|until| format!(" until {}", show::moment(until, &show::terminal().zone)));
        let what = format!(
            "{} has held {}{}{reason}, so nothing is done there",
            hold.by,
            hold.scope,
            until.unwrap_or_default()
        );
        let release = match &hold.ended_by {
            Some(command) => format!("`{command}` on the controller"),
            None => format!("`ansai release {}`", target::scope_in_words(&hold.scope).arguments()),
        };
        findings.push(warn(what, format!("{release} when healing may go on")));
    }
    for silence in &status.silences {
        let until = silence.until_ms.map(|until| format!(" until {}", show::moment(until, &show::terminal().zone)));
        let (by, scope) = (&silence.by, &silence.scope);
        let what = format!("{by} has silenced {scope}{}, so nobody is told of it", until.unwrap_or_default());
        let unsilence = match &silence.ended_by {
            Some(command) => format!("`{command}` on the controller"),
            None => format!("`ansai unsilence {}`", target::scope_in_words(scope).arguments()),
        };
        findings.push(warn(what, format!("{unsilence} when people may be told")));
    }
    findings.extend(status.targets.iter().filter_map(|target| {
        let (name, warning) = (target.target.name(), target.warning.as_ref()?);
        let todo = match warning.as_str().contains(MAIN_STOPPED) {
            true => "find out who stopped it; `kill -CONT` with its number lets it go on",
            false => "mend what it says; `ansai explain` shows each look and what is done",
        };
        Some(warn(format!("{name}: {warning}"), todo))
    }));
    if let Some(why) = &status.configuration_error {
        let told = show::brief(why).join("\n");
        let what = format!("the agent has refused the configuration, and the one before it stays in force:\n{told}");
        findings.push(fail(what, "mend it; the agent applies it by itself then"));
    }
    findings.push(match status.messages_waiting < WAITING_MAX {
        true => ok(super::status::waiting(status.messages_waiting)),
        false => warn(super::status::waiting(status.messages_waiting), "journalctl -u ansai says why they cannot be"),
    });
    findings
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    let word = |level| match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    let list = findings.iter().map(|finding| {
        json!({
            "level": word(finding.level),
            "ok": finding.level == Level::Ok,
            "what": finding.what,
            "suggestion": finding.todo,
        })
    });
    json!({"schema": SCHEMA, "findings": list.collect::<Vec<_>>()})
}

fn rendered(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|Finding { level, what, todo }| {
        let below = format!("\n{INDENT}");
        let [what, todo] = [what, todo].map(|text| text.trim_end().replace('\n', &below));
        match level {
            Level::Ok => format!("ok    {what}"),
            Level::Warn => format!("warn  {what}\n      help: {todo}"),
            Level::Fail => format!("FAIL  {what}\n      help: {todo}"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_that_is_not_well_says_what_to_do() {
        let text = rendered(&[ok("fine"), warn("odd", "look"), fail("bad\nworse", "mend it")]);
        assert_eq!(text, "ok    fine\nwarn  odd\n      help: look\nFAIL  bad\n      worse\n      help: mend it");
        let value = as_json(&[fail("bad", "mend it")]);
        assert_eq!(value["findings"][0]["level"], "fail");
    }

    #[test]
    fn filesystems_that_nobody_watches_are_told_of() {
        use ansai_model::{inventory::MountFacts, units::ByteSize};
        let mount = MountFacts {
            path: "/".to_owned(),
            source: "/dev/vda".to_owned(),
            kind: "ext4".to_owned(),
            is_read_only: false,
            size: ByteSize(1 << 30),
        };
        let inventory = Inventory { mounts: vec![mount], ..Inventory::default() };
        let asked = |text: &str, inventory: &Inventory, is_user| {
            let read = ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
            rendered(&watched(inventory, &read.bundle(inventory, 1).expect("valid"), is_user))
        };
        let found = |text: &str, inventory: &Inventory| asked(text, inventory, false);
        let text = "memory: true\nservices: {app.service: {memory: true}}\n";
        assert!(!asked(text, &inventory, true).contains("warn"), "a person cannot make room on the host's filesystems");
        let counts = "ok    the configuration watches services: 1 (memory: 1)";
        let told = found(text, &inventory);
        assert!(told.starts_with(&format!("{counts}, filesystems: 0, ")), "{told}");
        assert!(told.contains("\nwarn  no filesystem"), "{told}");
        let text = format!("{text}disks: {{\"*\": {{}}}}\n");
        let told = found(&text, &inventory);
        assert!(told.starts_with(&format!("{counts}, filesystems: 1, ")) && !told.contains("warn"), "{told}");
        let nothing = found("services: {}\n", &Inventory::default());
        assert!(nothing.ends_with("warn  no service is watched, so none is healed\n      help: write each under `services:`; ansai init --output - shows those that run here"), "{nothing}");
        let processes = "processes: {app: {start: [/usr/bin/app]}}\n";
        assert!(!found(processes, &Inventory::default()).contains("warn"));
    }

    #[test]
    fn where_nobody_is_told_the_lines_to_write_are_said_and_they_are_valid() {
        let bundle = |text: &str| {
            let read = ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
            read.bundle(&Inventory::default(), 1).expect("valid")
        };
        let path = Path::new("/etc/ansai/ansai.yaml");
        let found = routes::declared(path, &bundle("services: {app.service: {}}\n")).expect("nobody is told");
        let text = rendered(&[found]);
        assert!(
            text.contains("help: add this line to /etc/ansai/ansai.yaml, with your address and mail server:\n"),
            "{text}"
        );
        assert!(text.contains("\n      then: ansai reload && ansai doctor --send-test\n"), "{text}");
        let line = text.lines().find(|line| line.trim().starts_with("notify:")).expect("the line");
        assert!(line.len() < 80, "it fits a terminal: {line}");
        let written = bundle(&format!("services: {{app.service: {{}}}}\n{}\n", line.trim()));
        assert_eq!(written.parts().routes.len(), 1);
        assert!(routes::declared(path, &written).is_none());
    }

    #[test]
    fn a_hold_file_that_may_not_be_seen_is_not_said_to_be_there() {
        use std::io::{Error, ErrorKind};
        assert!(denied(Err(Error::from(ErrorKind::PermissionDenied))).is_some());
        assert_eq!([Ok(()), Err(Error::from(ErrorKind::NotFound))].map(denied), [None, None]);
    }

    #[test]
    fn a_missing_state_directory_is_told_and_not_made() {
        let path = Path::new("/nonexistent/ansai");
        assert_eq!(state_dir(path).level, Level::Warn);
        assert!(!path.exists());
    }

    #[test]
    fn a_drill_that_lasts_is_named_with_its_kind_and_how_it_is_ended() {
        let told = |drill: &Lasting| (lasts(drill).what, lasts(drill).todo);
        let (what, todo) = told(&Lasting::killing("a.service", Duration::from_secs(30)));
        assert!(what.starts_with("a drill (loop) in a.service lasts for another "), "{what}");
        assert_eq!(todo, "ansai drill a.service --undo");
        let (what, _) = told(&Lasting::taking("a.service", 80, Duration::ZERO));
        assert_eq!(what, "a drill in a.service has not been ended, though its time is over");
    }

    #[test]
    fn the_last_line_says_how_much_is_amiss() {
        assert_eq!(summary(&[ok("a")]), "nothing is amiss");
        assert_eq!(summary(&[ok("a"), warn("b", "")]), "nothing keeps ansai from working; 1 warning");
        assert_eq!(summary(&[fail("a", ""), fail("b", "")]), "2 things keep ansai from working (FAIL)");
        assert_eq!(summary(&[fail("a", ""), warn("b", "")]), "1 thing keeps ansai from working (FAIL); 1 warning");
        let mut worst = [fail("a", ""), ok("b"), warn("c", ""), ok("d")];
        worst.sort_by_key(|finding| finding.level);
        assert_eq!(worst.map(|finding| finding.what), ["b", "d", "c", "a"]);
    }
}
