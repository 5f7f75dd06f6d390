//! Every test, in stages that each print their time; one line at the end counts all tests.

use std::time::Instant;

use ansai_lab::image::Kind;
use anyhow::{Result, bail};

use crate::{cargo, demo, endtoend, tidy};

/// Runs every stage; all of them, so that one run shows everything that is wrong.
pub(crate) fn run() -> Result<()> {
    // The lab's images are built beside the compilation and the first tests: they take minutes, and nothing waits for them.
    let setup = std::thread::spawn(|| {
        ansai_lab::setup::prepare(Kind::Daemons)?;
        ansai_lab::setup::prepare(Kind::Engines)
    });
    let mut failed = Vec::new();
    stage("formatting", &mut failed, || cargo::run(&["fmt", "--all", "--check"]));
    stage("tidy", &mut failed, tidy::run);
    stage("lints", &mut failed, || cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    stage("licenses, bans, sources", &mut failed, deny);
    stage("build", &mut failed, || cargo::run(&["build", "--workspace"]));
    let (mut passed, mut broken) = (0, 0);
    let mut said = Vec::new();
    let mut counted = |arguments: &[&str]| {
        let (is_well, output) = cargo::read(arguments)?;
        let (well, wrong) = count(&output);
        passed += well;
        broken += wrong;
        if is_well {
            return Ok(());
        }
        said.extend(failures(&output).into_iter().map(str::to_owned));
        bail!("`cargo {}` failed", arguments.join(" "))
    };
    let unit = ["test", "--workspace", "--exclude", "ansai-lab", "--no-fail-fast", "--", "--quiet"];
    stage("unit and contract tests", &mut failed, || counted(&unit));
    stage("lab set-up", &mut failed, || match setup.join() {
        Ok(result) => result,
        Err(_) => bail!("the set-up panicked"),
    });
    // Alone as well: it says how soon a controller sees what happens, and asserts it.
    stage("demo of a fleet", &mut failed, || demo::fleet::run_built(demo::After::End));
    // Who only reckons takes what the daemons leave, which wait most of the time.
    let simulation = std::thread::spawn(|| cargo::beside(&["run", "-p", "ansai-sim", "--", "run", "500"]));
    // Apart from the others: forty daemons that start at once leave nothing of two cores to them.
    stage("real daemons", &mut failed, || counted(DAEMONS));
    stage("end-to-end tests", &mut failed, || {
        let outcome = endtoend::run()?;
        passed += outcome.passed;
        broken += outcome.failed.len() as u64;
        well(&outcome)
    });
    stage("simulation", &mut failed, || match simulation.join() {
        Ok(said) => said.map(|said| show(&said)),
        Err(_) => bail!("its thread panicked"),
    });
    // Once more at the end, where whoever reads a long log looks first.
    said.iter().for_each(|line: &String| show(&format!("  {line}\n")));
    show(&format!("{passed} passed, {broken} failed\n"));
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// The end-to-end tests alone, as the whole runs them.
pub(crate) fn end_to_end() -> Result<()> {
    ansai_lab::setup::prepare(Kind::Base)?;
    cargo::run(&["build", "--workspace"])?;
    let outcome = endtoend::run()?;
    show(&format!("{} passed, {} failed\n", outcome.passed, outcome.failed.len()));
    well(&outcome)
}

fn well(outcome: &endtoend::Outcome) -> Result<()> {
    if outcome.failed.is_empty() { Ok(()) } else { bail!("these failed:\n  {}", outcome.failed.join("\n  ")) }
}

/// The table of real daemons, whose only test prints it whatever comes of it.
const DAEMONS: &[&str] = &["test", "-p", "ansai-lab", "--test", "daemons", "--", "--nocapture"];

/// Real daemons of Debian on an image of their own, for eleven minutes; one table of what came of each deed.
pub(crate) fn daemons() -> Result<()> {
    ansai_lab::setup::prepare(Kind::Daemons)?;
    cargo::run(&["build", "--workspace"])?;
    cargo::run(DAEMONS)
}

/// What we depend on, as deny.toml allows it; said, not failed, where the tool is not installed (it takes minutes to build).
fn deny() -> Result<()> {
    if !cargo::is_there("deny") {
        show("cargo-deny is not installed, so licenses are not checked: `cargo install --locked cargo-deny`\n");
        return Ok(());
    }
    cargo::run(&["deny", "--offline", "check", "licenses", "bans", "sources"])
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn show(text: &str) {
    print!("{text}");
}

fn stage(name: &str, failed: &mut Vec<String>, run: impl FnOnce() -> Result<()>) {
    show(&format!("── {name} …\n"));
    let begun = Instant::now();
    let result = run();
    let seconds = begun.elapsed().as_secs_f64();
    match result {
        Ok(()) => show(&format!("── {name}: ok, {seconds:.1} s\n")),
        Err(error) => {
            show(&format!("── {name}: FAILED, {seconds:.1} s\n{error:#}\n"));
            failed.push(name.to_owned());
        }
    }
}

/// The passed and failed tests in the closing lines of test programs.
pub(crate) fn count(output: &str) -> (u64, u64) {
    let number = |line: &str, word: &str| -> u64 {
        let before = line.split(word).next().unwrap_or_default();
        before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let lines = output.lines().filter(|line| line.starts_with("test result:"));
    lines.fold((0, 0), |(passed, failed), line| (passed + number(line, " passed"), failed + number(line, " failed")))
}

/// Lines of what a failed test says of its failure, and lines in all, that are shown once more.
const LINES_OF_ONE: usize = 30;
const LINES_OF_ALL: usize = 90;

/// What failed tests said: from the line with which a failure begins to where the next test does.
fn failures(output: &str) -> Vec<&str> {
    let is_begin = |line: &str| line.starts_with("Error: ") || line.contains("panicked at");
    let is_end = |line: &&str| !line.starts_with("test ") && !line.starts_with("---- ") && *line != "failures:";
    let lines: Vec<&str> = output.lines().collect();
    let begins = lines.iter().enumerate().filter(|(_, line)| is_begin(line)).map(|(at, _)| at);
    let told = begins.flat_map(|at| lines[at..].iter().copied().take_while(is_end).take(LINES_OF_ONE));
    told.take(LINES_OF_ALL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_programs() {
        let output =
            "test result: ok. 3 passed; 0 failed; 0 ignored\nx\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(count(output), (4, 2));
    }

    #[test]
    fn what_failed_tests_said_is_found_in_their_output() {
        let output =
            "running 2 tests\ntest a ... ok\nError: 1 of 9 cells\n── b: WRONG\ntest b ... FAILED\n\nfailures:\n";
        assert_eq!(failures(output), ["Error: 1 of 9 cells", "── b: WRONG"]);
    }
}
