//! `breaks`: the engine, the shell and the fleet engine are broken on purpose in several ways, one at a time, and the simulation must
//! notice each.
//!
//! It works on a copy of the sources below `target/`; the project itself is never changed. A break that no longer fits
//! the code fails a test here, so the list cannot rot.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;

mod fleet;
mod shell;

/// Seeds that each broken engine is run with.
const SEEDS: &str = "3000";
/// Fleets that each broken fleet engine is run with.
const FLEETS: &str = "400";

/// One way to break the engine.
struct Break {
    /// What is broken, in words.
    what: &'static str,
    file: &'static str,
    /// Occurs exactly once in the file.
    find: &'static str,
    replace: &'static str,
}

const BREAKS: &[Break] = &[
    Break {
        what: "actions are not counted against the target's budget",
        file: "crates/engine/src/remediation/counting.rs",
        find: "TargetMemory::push(on_target, pending.decided.mono, depth.times);",
        replace: "let _ = on_target;",
    },
    Break {
        what: "actions are not counted against the host's budget",
        file: "crates/engine/src/remediation/counting.rs",
        find: "TargetMemory::push(on_host, pending.decided.mono, TIMES_MAX);",
        replace: "let _ = on_host;",
    },
    Break {
        what: "every action on a target is taken for the first",
        file: "crates/engine/src/remediation/counting.rs",
        find: "TargetMemory::within(times, self.now.mono, window) > 0",
        replace: "TargetMemory::within(times, self.now.mono, window) > 99",
    },
    Break {
        what: "more remedies begin at once than may be under way",
        file: "crates/engine/src/gate/concurrency.rs",
        find: "if count < width {",
        replace: "if count < width || width > 0 {",
    },
    Break {
        what: "the HOLD file is overlooked by the gate",
        file: "crates/engine/src/gate/operator.rs",
        find: "if let Some(text) = &view.outside.hold_file {",
        replace: "if let Some(text) = view.outside.hold_file.as_ref().filter(|_| false) {",
    },
    Break {
        what: "a stop on request is taken for a failure",
        file: "crates/model/src/unit/judgment.rs",
        find: "    if unit.is_stopped_on_request() {\n        return Verdict::Unknown(\"stopped on request, not by a failure\".into());",
        replace: "    if unit.is_stopped_on_request() {\n        return Verdict::Failing(\"stopped\".into());",
    },
    Break {
        what: "a change of the state is not marked, so that it is not saved before the action",
        file: "crates/engine/src/context.rs",
        find: "        self.revision += 1;",
        replace: "",
    },
    Break {
        what: "a target counts as well without a look",
        file: "crates/engine/src/verification.rs",
        find: "is_healthy && check.hard == Health::Healthy",
        replace: "is_healthy || check.hard != Health::Unknown",
    },
    Break {
        what: "attempts are not limited",
        file: "crates/engine/src/remediation/attempt.rs",
        find: "if attempts >= most {",
        replace: "if attempts >= most && most == 0 {",
    },
    Break {
        what: "numbers of runs are given out twice",
        file: "crates/engine/src/remediation/counting.rs",
        find: "self.state.runs_counted += 1;",
        replace: "self.state.runs_counted = self.state.runs_counted.max(1);",
    },
    Break {
        what: "a target gets a second incident while one is open",
        file: "crates/engine/src/incident.rs",
        find: "if self.view().open_on(&target, &id).is_some() || self",
        replace: "if self.view().open_on(&target, &id).is_some() && self",
    },
    Break {
        what: "an incident ends without a word",
        file: "crates/engine/src/incident/ending.rs",
        find: "        self.tell(id, kind);\n        let storm",
        replace: "        let _ = kind;\n        let storm",
    },
    Break {
        what: "people are told the same thing again and again",
        file: "crates/engine/src/notice.rs",
        find: "if !self.state.notified.insert((id, kind)) {",
        replace: "if !self.state.notified.insert((id, kind)) && kind != NoticeKind::Escalated {",
    },
    Break {
        what: "what a killed agent had under way is forgotten",
        file: "crates/engine/src/remediation/outcome.rs",
        find: "        for (run, incident) in lost {",
        replace: "        self.state.runs.clear();\n        for (run, incident) in lost {",
    },
    Break {
        what: "disruptive actions do not wait for the quiet hours",
        file: "crates/engine/src/gate/quiet_hours.rs",
        find: "if opens.is_some_and(|opens| opens <= p.view.now.wall) {",
        replace: "if opens.is_some() {",
    },
    Break {
        what: "a look that failed ends the wait for the quiet hours",
        file: "crates/engine/src/gate/quiet_hours.rs",
        find: "        return defer(until, \"it waits for the quiet hours; how long it can wait is not known\");",
        replace: "        return allow(until.map_or(\"\", |_| \"\"));",
    },
    Break {
        what: "quiet hours are waited for though the limit comes before",
        file: "crates/engine/src/gate/quiet_hours.rs",
        find: "if left < wait.saturating_add(MARGIN) {",
        replace: "if left < wait.saturating_add(MARGIN) && left.is_zero() {",
    },
    Break {
        what: "a leak that waits for quiet hours keeps its service down that has crashed",
        file: "crates/engine/src/fault_domain/yielding.rs",
        find: "if waits && !(has_own",
        replace: "if waits && id == to && !(has_own",
    },
    Break {
        what: "another fault domain of a target is healed while the target itself is down",
        file: "crates/engine/src/fault_domain.rs",
        find: "!self.state.remediations.get(&other.id).is_some_and(is_watched)",
        replace: "self.state.remediations.get(&other.id).is_some_and(is_watched)",
    },
    Break {
        what: "a symptom waits for its cause without end",
        file: "crates/engine/src/gate/context.rs",
        find: "if patience <= p.view.now.mono || is_forced(p) {",
        replace: "if is_forced(p) {",
    },
];

/// How what is broken is tried: the invariant that was found broken, if any.
type Simulation = fn(&Path) -> Result<Option<String>>;

/// Breaks the engine, then the shell, then the fleet engine, in each way whose file or words hold `only`, and prints what
/// noticed it.
pub(crate) fn run(only: &str) -> Result<()> {
    let chosen = |breaks: &'static [Break]| -> Vec<&Break> {
        breaks.iter().filter(|broken| broken.what.contains(only) || broken.file.contains(only)).collect()
    };
    let (engine, shell, fleet) = (chosen(BREAKS), chosen(shell::BREAKS), chosen(fleet::BREAKS));
    let all = engine.len() + shell.len() + fleet.len();
    ensure!(all > 0, "no break has `{only}` in its words or its file; without words all are tried");
    let copy = cargo::root().join("target/breaks/source");
    copy_sources(&copy)?;
    say(&format!("{:<78} NOTICED BY", "BROKEN ON PURPOSE"));
    let of_engine = unnoticed(&copy, &engine, simulate_engine)?;
    let of_shell = unnoticed(&copy, &shell, simulate_shell)?;
    let of_fleet = unnoticed(&copy, &fleet, simulate_fleet)?;
    let count = of_engine + of_shell + of_fleet;
    ensure!(count == 0, "{count} of {all} breaks were not noticed");
    Ok(())
}

/// How many of these breaks nobody notices.
fn unnoticed(copy: &Path, breaks: &[&Break], simulate: Simulation) -> Result<usize> {
    if breaks.is_empty() {
        return Ok(0);
    }
    // Whole, it must pass: otherwise what follows proves nothing.
    let whole = simulate(copy)?;
    ensure!(whole.is_none(), "it fails without being broken: {}", whole.unwrap_or_default());
    let mut unnoticed = 0;
    for broken in breaks {
        let path = copy.join(broken.file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(&path, text.replacen(broken.find, broken.replace, 1))?;
        let noticed = simulate(copy)?;
        fs::write(&path, text)?;
        unnoticed += usize::from(noticed.is_none());
        say(&format!("{:<78} {}", broken.what, noticed.as_deref().unwrap_or("NOBODY")));
    }
    Ok(unnoticed)
}

/// Copies what the simulator is built from.
fn copy_sources(to: &Path) -> Result<()> {
    let root = cargo::root();
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    let (listed, names) = git(&["ls-files", "-z", "Cargo.toml", "Cargo.lock", "crates", "xtask", ".cargo"])?;
    ensure!(listed, "git cannot list the project's files");
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), to.join(name));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        // A file that is listed and gone was deleted just now.
        if from.is_file() {
            fs::copy(&from, &to).with_context(|| from.display().to_string())?;
        }
    }
    Ok(())
}

/// Many engines, each under a seed.
fn simulate_engine(source: &Path) -> Result<Option<String>> {
    simulate(source, &["run", "--release", "--quiet", "-p", "ansai-sim", "--", "run", SEEDS])
}

/// Many fleets, each under a seed.
fn simulate_fleet(source: &Path) -> Result<Option<String>> {
    simulate(source, &["run", "--release", "--quiet", "-p", "ansai-sim", "--", "fleet", FLEETS])
}

/// Agents whose shell is killed at any moment.
fn simulate_shell(source: &Path) -> Result<Option<String>> {
    simulate(source, &["test", "--quiet", "-p", "ansai-sim", "--test", "shell", "killed", "--", "--nocapture"])
}

fn simulate(source: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let target: PathBuf = cargo::root().join("target/breaks/build");
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(arguments)
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        // It is built once for each break: a quick build counts more than quick code.
        .envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")])
        .stdin(Stdio::null())
        .output()
        .context("cargo cannot be run")?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    let broken = said.lines().find_map(|line| line.trim_start_matches("sim: ").strip_prefix("seed "));
    match broken {
        Some(broken) => Ok(Some(broken.chars().take(100).collect())),
        None => bail!("what is broken cannot be run:\n{said}"),
    }
}

fn git(arguments: &[&str]) -> Result<(bool, String)> {
    let output =
        Command::new("git").args(arguments).current_dir(cargo::root()).output().context("git cannot be run")?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_break_fits_the_code() {
        for broken in BREAKS.iter().chain(shell::BREAKS).chain(fleet::BREAKS) {
            let text = fs::read_to_string(cargo::root().join(broken.file)).expect("the file is there");
            assert_eq!(text.matches(broken.find).count(), 1, "{}: `{}`", broken.file, broken.find);
        }
    }

    #[test]
    fn the_page_lists_every_break() {
        let page = fs::read_to_string(cargo::root().join("docs/develop/breaks.md")).expect("the page is there");
        for broken in BREAKS.iter().chain(shell::BREAKS).chain(fleet::BREAKS) {
            assert!(page.contains(broken.what), "docs/develop/breaks.md does not name: {}", broken.what);
        }
    }
}
