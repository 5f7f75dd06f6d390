//! Probable causes: a table of small rules over what was observed, each named so that a report can say which one spoke.
//! No rule guesses: when none applies, the report says nothing about a cause.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use ansai_model::{
    action::ActionOutcome,
    domain::Signs,
    incident::{Evidence, EvidenceKind, Incident, Phase, Step, StepKind},
    observation::Observation,
    operator::DrillKind,
    report::Cause,
    text::Text,
    time::WallTime,
    unit::{Exit, LoadState, UnitResult, UnitSnapshot, signal_name},
};

pub(crate) mod changes;
pub(crate) mod shared;

/// One rule of inference.
pub(crate) struct CauseRule {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    advice: &'static str,
    seen: fn(&Incident) -> Option<String>,
}

/// How systemd's word for that begins.
const REQUESTED: &str = "Sent signal ";

/// The surest first: the first that applies is reported.
pub(crate) const RULES: &[CauseRule] = &[
    CauseRule {
        name: "leak-since-change",
        text: "it keeps memory that it never gives back, and something was changed not long before that began",
        advice: "compare the change with the moment since when its memory grows, and take it back if they belong together",
        seen: |i| grows(i).and_then(|_| changes::before(i)),
    },
    CauseRule {
        name: "leak",
        text: "it keeps memory that it never gives back: a leak, or a cache without a bound",
        advice: "find what it keeps with a heap profile while it is large: a restart only buys time",
        seen: grows,
    },
    CauseRule {
        name: "configuration-invalid",
        text: "its configuration is not valid",
        advice: "validate the configuration before it is deployed, with the command that the report shows",
        seen: |i| step_failed(i, "validate"),
    },
    CauseRule {
        name: "port-held",
        text: "another process holds its port",
        advice: "stop the other process, or give one of the two another port",
        seen: |i| step_failed(i, "free-port").or_else(|| logged(i, &["address already in use"])),
    },
    CauseRule {
        name: "out-of-memory",
        text: "the kernel took it because memory ran out",
        advice: "raise its MemoryMax= or find what it keeps in memory",
        seen: |i| {
            let found = Signs::is_killed(seen(i)).then(|| format!("its check: {}", seen(i).summary()));
            found.or_else(|| unit(i, |u| u.result == UnitResult::OomKill))
        },
    },
    CauseRule {
        name: "memory-limit",
        text: "it holds as much memory as it is allowed to",
        advice: "raise MemoryMax= or `limit:`, or have it hold less; if it grows without end, the next report says since when",
        seen: |i| {
            let holds_too_much = Signs::held(seen(i)).is_some() && !i.is_foreseen();
            holds_too_much.then(|| format!("its check: {}", seen(i).summary()))
        },
    },
    CauseRule {
        name: "signal-on-request",
        text: "somebody sent it a signal through systemd, as `systemctl kill` does",
        advice: "ask who did, and why: a shell keeps its history, and a script or a deployment may have called it",
        seen: signaled_on_request,
    },
    CauseRule {
        name: "disk-full",
        text: "a filesystem that it needs is full",
        advice: "make room first: a restart does not help while the disk is full; watched under `disks:`, room is made in time",
        seen: |i| logged(i, &["no space left on device"]),
    },
    CauseRule {
        name: "disk-filled",
        text: "files on it take up its room",
        advice: "look at the largest files and at what was written lately, in the evidence: remove or move what may go, or \
                 make the filesystem larger",
        seen: takes_room,
    },
    CauseRule {
        name: "unit-missing",
        text: "its unit file is missing or cannot be read",
        advice: "install the unit, mend it (`systemd-analyze verify`), or take it out of ansai's configuration",
        seen: |i| {
            let is_missing =
                |u: &UnitSnapshot| matches!(u.load, LoadState::NotFound | LoadState::BadSetting | LoadState::Error);
            // It may also vanish while it is healed.
            unit(i, is_missing).or_else(|| step_said(i, &["Unit ", " not found"]))
        },
    },
    CauseRule {
        name: "cannot-execute",
        text: "systemd could not execute its program or prepare its surroundings",
        advice: "look at ExecStart=, User= and the directories of the unit",
        // Exit codes 200 to 243 are systemd's own, see systemd.exec(5).
        seen: |i| unit(i, |u| matches!(u.exit, Some(Exit::Code(200..=243))) || u.result == UnitResult::Resources),
    },
    CauseRule {
        name: "permission-denied",
        text: "it may not read or write something that it needs",
        advice: "declare the needed paths under `environment:` so that they are put right before a restart",
        seen: |i| logged(i, &["permission denied"]),
    },
    CauseRule {
        name: "watchdog",
        text: "it stopped answering systemd's watchdog: it hung",
        advice: "look for a deadlock or for slow calls at the time of the last log lines",
        seen: |i| unit(i, |u| u.result == UnitResult::Watchdog),
    },
    CauseRule {
        name: "stopped",
        text: "all of its processes are stopped: somebody sent them SIGSTOP, or a debugger holds them",
        advice: "find out who stopped them (a debugger, a snapshot or a backup that did not let them go on, a shell's job)",
        seen: stopped,
    },
    CauseRule {
        name: "start-limit",
        text: "it was started too often within its start limit",
        advice: "find out why it ends right after its start; the limit is StartLimitBurst= and StartLimitIntervalSec=",
        seen: |i| unit(i, |u| u.result == UnitResult::StartLimitHit),
    },
    CauseRule {
        name: "crashed",
        text: "it crashed: a programming error, or a library that does not fit",
        advice: "keep the core (`coredumpctl`) and report it to whoever makes the program",
        seen: |i| unit(i, |u| matches!(u.exit, Some(Exit::Signal(4 | 6 | 7 | 8 | 11 | 31) | Exit::Dumped(_)))),
    },
    CauseRule {
        name: "killed",
        text: "somebody or something killed it with SIGKILL",
        advice: "look for the sender in the audit log or the kernel's log (out-of-memory killer)",
        seen: |i| unit(i, |u| u.exit == Some(Exit::Signal(9)) && u.own_signal.is_none()),
    },
    CauseRule {
        name: "changed-since-read",
        text: "something that it would read now was changed since it was started, and is refused",
        advice: "mend that change or take it back before it is started next: until then it runs with what it has read",
        seen: changes::not_read,
    },
    CauseRule {
        name: "recent-change",
        text: "something that it depends on was changed after it was last well and before it failed, and may be why",
        advice: "compare the change with its last log lines, and take it back only if they belong together",
        seen: changes::before,
    },
    CauseRule {
        name: "changed-while-failing",
        text: "something that it depends on was changed while it was failing, and it fails in another way since",
        advice: "look at that change again rather than taking it back: what it failed for before was there without it",
        seen: changes::while_failing,
    },
    CauseRule {
        name: "ended-by-itself",
        text: "it ended without an error although it should keep running",
        advice: "if it may end, declare it with `expect: not-failed`; if not, ask its log why it ended",
        seen: |i| unit(i, |u| u.exit == Some(Exit::Code(0)) && u.result == UnitResult::Success),
    },
    CauseRule {
        name: "exit-code",
        text: "it ended with an error of its own",
        advice: "its last log lines, in the evidence, usually say why",
        seen: |i| unit(i, |u| u.result == UnitResult::ExitCode),
    },
];

/// The probable cause with what to change, when a rule applies. What a drill did is its doing; what it does not do counts
/// only where the service did not come back after it.
pub(crate) fn probable(incident: &Incident) -> Option<(Cause, &'static str)> {
    let found = || RULES.iter().find_map(|rule| of_rule(incident, rule));
    if !incident.is_drill {
        return found();
    }
    let (deed, is_its_doing) = drilled(incident.drill);
    let others = RULES.iter().filter(|rule| !is_its_doing.contains(&rule.name));
    let is_left_down = matches!(incident.phase, Phase::Escalated { .. });
    let other = others.filter(|_| is_left_down && incident.drill.is_some()).find_map(|rule| of_rule(incident, rule));
    let text = Text::new(format!("a drill of ansai did this on purpose: {deed}"));
    let cause = Cause { text, rule: "drill".into(), seen_in: "the drill that was asked for".into() };
    Some(other.unwrap_or((cause, "nothing: it was a drill")))
}

/// The rules that say what came from outside: with that a failure begins. That something ended with an error follows from what
/// keeps it broken as well.
const BEGINNINGS: &[&str] = &["signal-on-request", "killed", "out-of-memory", "crashed", "stopped", "watchdog"];

/// The rules that say no more than that it ended: while it has not been mended, that follows from what is found next.
const ENDINGS: &[&str] = &["exit-code", "ended-by-itself", "start-limit"];

/// What an incident was until it fails in another way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Mended, or well by itself: what follows is a failure of its own.
    Mended,
    /// Down: what follows may be the same failure, better known.
    Down,
}

/// Keeps what an incident failed for first, before it is told as it fails now: a second failure makes the first none.
pub(crate) fn keep_first(incident: &mut Incident, until_now: Kept) {
    if incident.first_cause.is_some() || incident.is_drill {
        return;
    }
    let is_it = |cause: &Cause| until_now == Kept::Mended || !ENDINGS.contains(&cause.rule.as_str());
    let first = probable(incident).map(|(cause, _)| cause).filter(is_it);
    incident.first_cause = first.map(Box::new);
}

/// What began an incident that something else keeps broken now, when that was seen: as it was known when it failed once more, or
/// by its first observation and the log of the run that failed first.
pub(crate) fn began_by(incident: &Incident, now: Option<&Cause>) -> Option<Cause> {
    if incident.is_drill {
        return None;
    }
    if let Some(first) = &incident.first_cause {
        return (now != Some(&**first)).then(|| (**first).clone());
    }
    let mut logs = 0;
    let is_of_first = |found: &&Evidence| {
        logs += u32::from(found.kind == EvidenceKind::Log);
        logs <= 1 || found.kind != EvidenceKind::Log
    };
    let evidence = incident.evidence.iter().filter(is_of_first).cloned().collect();
    let first = Incident { seen_anew: None, steps: Vec::new(), evidence, ..incident.clone() };
    let rules = RULES.iter().filter(|rule| BEGINNINGS.contains(&rule.name));
    let (began, _) = rules.into_iter().find_map(|rule| of_rule(&first, rule))?;
    // Without a cause of now it is told as the cause.
    now.is_some_and(|now| !BEGINNINGS.contains(&now.rule.as_str())).then_some(began)
}

fn of_rule(incident: &Incident, rule: &CauseRule) -> Option<(Cause, &'static str)> {
    let seen_in = Text::new((rule.seen)(incident)?);
    Some((Cause { text: rule.text.into(), rule: rule.name.into(), seen_in }, rule.advice))
}

/// What a kind of drill does, and the rules that see nothing else in it.
fn drilled(kind: Option<DrillKind>) -> (&'static str, &'static [&'static str]) {
    match kind {
        None => ("it broke the service", &[]),
        Some(DrillKind::Crash) => ("it killed the main process", &["killed"]),
        Some(DrillKind::Hang) => ("it stopped the main process", &["stopped", "watchdog", "killed"]),
        Some(DrillKind::Exit) => ("it had the main process end", &["ended-by-itself", "exit-code"]),
        Some(DrillKind::Port) => {
            ("it killed the main process and took its port", &["killed", "port-held", "exit-code"])
        }
        Some(DrillKind::Configuration) => (
            "it broke the configuration and killed the main process",
            &["killed", "configuration-invalid", "recent-change", "changed-while-failing", "exit-code", "start-limit"],
        ),
        Some(DrillKind::Loop) => {
            ("it killed the main process, and once more after its next start", &["killed", "start-limit"])
        }
    }
}

/// What the incident is inferred from: what was mended and fails anew may fail for another reason. A unit that is up when it
/// is seen to be restarted again and again tells nothing of why: there it is what it was seen as first.
fn seen(incident: &Incident) -> &Observation {
    let last = incident.seen_last();
    let tells = |seen: &Observation| seen.unit().is_none_or(|unit| !unit.active.is_up() || unit.still_for.is_some());
    if tells(last) { last } else { &incident.observation }
}

/// What was done since it last failed anew, or all.
pub(crate) fn newest_steps(incident: &Incident) -> &[Step] {
    let (mut verified, mut newest) = (None, 0);
    for (index, step) in incident.steps.iter().enumerate() {
        match step.kind {
            StepKind::Verified { .. } => verified = Some(index),
            StepKind::NotVerified { .. } | StepKind::Interrupted { .. } => newest = verified.take().unwrap_or(newest),
            _ => {}
        }
    }
    incident.steps.get(newest..).unwrap_or_default()
}

/// Whether a unit ended in another way than it was seen before, which says why it is still down: that it was started too
/// often, was too slow, or got a signal follows from something else.
pub(crate) fn fails_otherwise(before: &Observation, now: &Observation) -> bool {
    use UnitResult::{CoreDump, ExitCode, OomKill, Resources};
    let way = |seen: &Observation| seen.unit().map(|unit| (unit.result, unit.exit));
    let says_why = |unit: &UnitSnapshot| matches!(unit.result, ExitCode | CoreDump | OomKill | Resources);
    now.unit().is_some_and(says_why) && way(before) != way(now)
}

fn unit(incident: &Incident, is_it: fn(&UnitSnapshot) -> bool) -> Option<String> {
    let unit = seen(incident).unit()?;
    is_it(unit).then(|| format!("the unit's state: {}", seen(incident).summary()))
}

/// The growth of a service's memory, when that is what was foreseen.
fn grows(incident: &Incident) -> Option<String> {
    let is_leak = incident.is_foreseen() && Signs::held(&incident.observation).is_some();
    is_leak.then(|| format!("its memory: {}", incident.observation.summary()))
}

/// What takes the room of a place on which others keep their files, when it lacks that: the newest that was found.
fn takes_room(incident: &Incident) -> Option<String> {
    let found = incident.evidence.iter().rev().filter(|found| found.kind == EvidenceKind::Resources);
    let found = found.filter(|_| keeps_files(incident));
    let lines = found.flat_map(|found| found.text.as_str().lines().map(|line| (&found.source, line)));
    // The figures of the host are resources as well, and take no room.
    let tells = |words: &str| lines.clone().find(|(_, line)| line.contains(words));
    let (source, line) = tells("largest files").or_else(|| tells("deleted files"))?;
    Some(format!("{source}: {line}"))
}

/// Whether it is a place on which others keep their files.
fn keeps_files(incident: &Incident) -> bool {
    Signs::unwritable(&incident.target).is_some()
}

fn step_failed(incident: &Incident, rung_name: &str) -> Option<String> {
    newest_steps(incident).iter().find_map(|step| match &step.kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. }
            if rung.as_str() == rung_name =>
        {
            Some(format!("{rung}: {}", first_line(why.as_str())))
        }
        _ => None,
    })
}

/// What its validator has said against the configuration of a target, when it has said no, and when.
pub(crate) fn complaint(incident: &Incident) -> Option<(WallTime, Text)> {
    newest_steps(incident).iter().rev().find_map(|step| match &step.kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. } => {
            ["validate", "restore-configuration"].contains(&rung.as_str()).then(|| (step.at.wall, why.clone()))
        }
        _ => None,
    })
}

/// A step that failed, or did nothing, whose reason has all these words.
fn step_said(incident: &Incident, words: &[&str]) -> Option<String> {
    newest_steps(incident).iter().find_map(|step| match &step.kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. }
            if words.iter().all(|word| why.as_str().contains(word)) =>
        {
            Some(format!("{rung}: {}", first_line(why.as_str())))
        }
        _ => None,
    })
}

fn logged(incident: &Incident, words: &[&str]) -> Option<String> {
    incident.evidence.iter().filter(|evidence| evidence.kind == EvidenceKind::Log).find_map(|evidence| {
        let line = evidence.text.as_str().lines().rev().find(|line| {
            let line = line.to_ascii_lowercase();
            words.iter().any(|word| line.contains(word))
        })?;
        Some(format!("{}: {line}", evidence.source))
    })
}

/// By what it is seen that all processes of a service are stopped: its check says so, or whoever looked at them.
fn stopped(incident: &Incident) -> Option<String> {
    let is_said = |text: &Text| text.as_str().contains(Evidence::STOPPED);
    let seen = Some(seen(incident).summary()).filter(|said| is_said(said)).map(|said| format!("its check: {said}"));
    let is_it = |found: &&Evidence| found.kind == EvidenceKind::Resources && is_said(&found.text);
    let found = || incident.evidence.iter().find(is_it);
    seen.or_else(|| found().map(|found| format!("{}: {}", found.source, first_line(found.text.as_str()))))
}

/// The line of systemd that says that somebody had it send the main process the signal of which it ended, or by which it
/// has been stopped: the last one in the log of the run that failed.
fn signaled_on_request(incident: &Incident) -> Option<String> {
    let unit = seen(incident).unit();
    if unit.is_some_and(|unit| unit.own_signal.is_some()) {
        return None;
    }
    let (pid, signals) = match unit.and_then(|unit| unit.exit) {
        Some(Exit::Signal(signal) | Exit::Dumped(signal)) => {
            (unit?.ended_pid?.into(), Vec::from([signal_name(signal)]))
        }
        // Who is asked to end may do so with a code of its own.
        Some(Exit::Code(_)) => (unit?.ended_pid?.into(), [15, 2, 3].map(signal_name).into()),
        None => {
            stopped(incident)?;
            (unit.and_then(|unit| unit.main_pid), Vec::from(["SIGSTOP".into()]))
        }
    };
    let logs = incident.evidence.iter().filter(|found| found.kind == EvidenceKind::Log);
    let (source, line) = logs.filter_map(|log| Some((&log.source, last_request(log.text.as_str())?))).next_back()?;
    let (_, sent) = line.split_once(REQUESTED)?;
    let is_it = signals.iter().any(|signal| sent.starts_with(&format!("{signal} to main process ")));
    let is_of_it = pid.is_none_or(|pid| sent.contains(&format!(" to main process {pid} ")));
    (is_it && is_of_it).then(|| format!("{source}: {line}"))
}

/// The last line of a log in which systemd says that it sent a main process a signal, since somebody asked for it.
fn last_request(log: &str) -> Option<&str> {
    let is_it = |line: &str| {
        let sent = line.split_once(REQUESTED).map(|(_, sent)| sent);
        sent.is_some_and(|sent| sent.contains(" to main process ") && sent.contains("on client request"))
    };
    log.lines().rfind(|line| is_it(line))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
