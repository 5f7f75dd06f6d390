//! The end-to-end tests of `crates/lab`, each in a process of its own and several at once.
//!
//! Most of their time they wait: for a pause that a policy declares, for a look that is due, for a host to boot. One pool
//! over the tests of all programs keeps as many hosts up as the machine carries, from the first test to the last, where
//! program after program would wait for the slowest of each.
//! It deliberately tries nothing a second time: a test that fails now and then is wrong, or what it tests is. It limits no
//! test's time: each wait of a test has its own end.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cargo;
use crate::test::count;

/// So many tests at once, on two cores.
const AT_ONCE: usize = 5;

/// Programs whose tests take longest, which begin first: the last test to begin should not be the longest.
const LONG: &[&str] = &["declared", "drill", "hang", "kills", "stopped", "memory", "faults", "disk", "shipped", "mail"];

/// A built test program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    file: PathBuf,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    /// The names of those that failed, in the order in which they began.
    pub(crate) failed: Vec<String>,
}

/// What came of one.
struct Ended {
    name: String,
    is_passed: bool,
}

/// Builds the programs, runs all of their tests, prints a line for each and the whole output of those that fail.
pub(crate) fn run() -> Result<Outcome> {
    let (is_built, messages) = cargo::messages(&["test", "-p", "ansai-lab", "--no-run", "--message-format", "json"])?;
    ensure!(is_built, "the test programs were not built");
    let mut programs = programs(&messages);
    ensure!(!programs.is_empty(), "there are no test programs");
    programs.sort_by_key(|program| {
        (LONG.iter().position(|name| *name == program.name).unwrap_or(LONG.len()), program.name.clone())
    });
    let mut tests = Vec::new();
    for program in &programs {
        tests.extend(tests_of(program)?.into_iter().map(|test| (program, test)));
    }
    let folder = cargo::root().join("target/end-to-end");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let next = AtomicUsize::new(0);
    let ended: Result<Vec<Vec<(usize, Ended)>>> = std::thread::scope(|scope| {
        let work = || -> Result<Vec<(usize, Ended)>> {
            let mut ended = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((program, test)) = tests.get(index) else { return Ok(ended) };
                ended.push((index, run_one(program, test, &folder.join(format!("{index}.log")))?));
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked"))).collect()
    });
    let mut ended: Vec<(usize, Ended)> = ended?.into_iter().flatten().collect();
    ended.sort_by_key(|(index, _)| *index);
    let passed = ended.iter().filter(|(_, ended)| ended.is_passed).count();
    let failed = ended.into_iter().filter(|(_, ended)| !ended.is_passed).map(|(_, ended)| ended.name).collect();
    Ok(Outcome { passed: passed as u64, failed })
}

/// Runs one test and says how it went.
fn run_one(program: &Program, test: &str, log: &PathBuf) -> Result<Ended> {
    let name = format!("{}: {test}", program.name);
    let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let begun = Instant::now();
    let status = command(program, &["--exact", test])
        .stdout(output.try_clone().context("sharing the output")?)
        .stderr(output)
        .status()
        .with_context(|| format!("starting {}", program.file.display()))?;
    let seconds = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    fs::remove_file(log).ok();
    let is_passed = status.success() && count(&said) == (1, 0);
    let text = if is_passed {
        format!("{seconds:6.1} s  {name}\n")
    } else {
        format!("FAILED, {seconds:.1} s  {name}\n{said}\n")
    };
    // In one piece, so that what others say does not come between; a terminal that has gone is no reason to stop testing.
    std::io::stdout().lock().write_all(text.as_bytes()).ok();
    Ok(Ended { name, is_passed })
}

/// The names of a program's tests.
fn tests_of(program: &Program) -> Result<Vec<String>> {
    let output = command(program, &["--list", "--format", "terse"]).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("starting {}", program.file.display()))?;
    ensure!(output.status.success(), "{} does not list its tests", program.file.display());
    Ok(names(&String::from_utf8_lossy(&output.stdout)))
}

/// A test program where cargo would start it: in its package's folder.
fn command(program: &Program, arguments: &[&str]) -> Command {
    let mut command = Command::new(&program.file);
    command.args(arguments).current_dir(cargo::root().join("crates/lab")).stdin(Stdio::null());
    command
}

/// The tests in what `--list` prints.
fn names(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The test programs in cargo's messages.
fn programs(messages: &str) -> Vec<Program> {
    let program = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
        let file = message["executable"].as_str().filter(|_| is_test)?;
        Some(Program { name: message["target"]["name"].as_str()?.to_owned(), file: PathBuf::from(file) })
    };
    messages.lines().filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_in_what_cargo_says() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"ansai-lab"},"profile":{"test":false},"executable":"/t/ansai-lab"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"heal"},"profile":{"test":true},"executable":"/t/heal-1"}"#,
            "\nno message\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let heal = Program { name: "heal".to_owned(), file: PathBuf::from("/t/heal-1") };
        assert_eq!(programs(messages), [heal]);
    }

    #[test]
    fn tests_are_found_in_a_list() {
        assert_eq!(names("a::b: test\nc: benchmark\nd: test\n"), ["a::b", "d"]);
    }
}
