//! The project's own commands. Each does its own set-up on a fresh Debian machine, or says what is missing.

mod bench;
mod breaks;
mod cargo;
mod demo;
mod dist;
mod endtoend;
mod layout;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask test              every test: formatting, lints, tidy, unit, contract, end to end on lab hosts, real daemons
cargo xtask test end-to-end   only those on lab hosts, without the real daemons
cargo xtask daemons           44 real daemons of Debian under what init writes for them, in one table; eleven minutes
cargo xtask demo              a lab host, broken in nine ways and healed before your eyes; --reports prints them, --keep leaves the host
cargo xtask demo --fleet      a controller and four hosts on one network: broken, held, configured, parted, healed; --keep leaves them
cargo xtask bench heal        SIGKILL to healed, beside systemd's own restart and monit
cargo xtask bench storm       20 and 200 services killed at once, beside systemd's own restart and monit
cargo xtask bench footprint   memory and processor time of the agent at rest and with 1,000 checks
cargo xtask bench hosts       large hosts: memory, processor time, bytes written and the time of a status, beside their limits
cargo xtask bench domains     what watching filesystems, certificates, TLS sockets and memory takes on top
cargo xtask bench fleet       10,000 agents of one controller; --agents N and --incidents N change how many
cargo xtask bench joined      what an agent takes on top when it has joined a controller: memory, processor, time to heal
cargo xtask bench kills       a controller killed 1,000 times while agents and operators speak; --kills N, --agents N
cargo xtask bench engine      observations per second on one core
cargo xtask bench clean       a tree of 1,000,000 files cleaned to a goal, beside find -delete
cargo xtask bench leaks       which of the labelled series are called leaks, and how early
cargo xtask bench forecast    error of the time at which disks are full, beside least squares
cargo xtask sim [--seeds N]   many simulated hosts under faults, invariants checked after each step
cargo xtask breaks [WORDS]    engine and shell broken on purpose in many ways: the simulation must notice each
cargo xtask layout            which functions an agent at rest runs, written down for the linker; a quarter of an hour
cargo xtask dist              the release build as a Debian package, in target/dist
cargo xtask tidy              the rules of the house; --domains prints which files name which domain
cargo xtask setup             only the set-up of the lab";

#[expect(clippy::print_stderr, reason = "this is a program for people at a terminal")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Whoever asks what there is has nothing done.
    if arguments.iter().any(|word| matches!(word.as_str(), "help" | "--help" | "-h")) {
        eprintln!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["test"] => test::run(),
        ["test", "end-to-end"] => test::end_to_end(),
        ["daemons"] => test::daemons(),
        ["tidy"] => tidy::run(),
        ["tidy", "--domains"] => tidy::domains(),
        ["dist"] => dist::run(),
        // The lab takes programs from beside the one that runs, and what is recorded is what is shipped.
        ["layout"] if cfg!(debug_assertions) => {
            cargo::run(&["run", "--release", "--quiet", "-p", "xtask", "--", "layout"])
        }
        ["layout"] => layout::run(),
        ["setup"] => ansai_lab::setup::prepare(ansai_lab::image::Kind::Base),
        ["demo", "--fleet"] => demo::fleet::run(demo::After::End),
        ["demo", "--fleet", "--keep"] | ["demo", "--keep", "--fleet"] => demo::fleet::run(demo::After::Keep),
        ["demo", options @ ..] if options.iter().all(|option| ["--keep", "--reports"].contains(option)) => {
            let has = |option| options.contains(&option);
            let after = if has("--keep") { demo::After::Keep } else { demo::After::End };
            demo::run(after, if has("--reports") { demo::Reports::Shown } else { demo::Reports::Hidden })
        }
        // What is measured is what is shipped: the lab takes programs from beside the one that runs.
        ["bench", what @ ("heal" | "storm" | "footprint" | "domains" | "hosts" | "joined")]
            if cfg!(debug_assertions) =>
        {
            cargo::run(&["run", "--release", "--quiet", "-p", "xtask", "--", "bench", what])
        }
        ["bench", "fleet" | "kills", ..] if cfg!(debug_assertions) => {
            cargo::run(&[&["run", "--release", "--quiet", "-p", "xtask", "--"], arguments].concat())
        }
        ["bench", "fleet", options @ ..] => bench::fleet(options),
        ["bench", "kills", options @ ..] => bench::kills(options),
        ["bench", "heal"] => bench::heal(),
        ["bench", "storm"] => bench::storm(),
        ["bench", "domains"] => bench::domains(),
        ["bench", "hosts"] => bench::hosts(),
        ["bench", "joined"] => bench::joined(),
        ["bench", "footprint"] => bench::footprint(),
        ["bench", "engine"] => cargo::run(&["run", "--release", "--quiet", "-p", "ansai-sim", "--", "bench"]),
        ["bench", "leaks"] => judged("leaks::"),
        ["bench", "forecast"] => judged("forecast::"),
        ["bench", "clean"] => cargo::run(&["bench", "--quiet", "-p", "ansai-host", "--bench", "clean"]),
        ["breaks"] => breaks::run(""),
        ["breaks", only] => breaks::run(only),
        ["sim"] => sim("10000"),
        ["sim", "--seeds", seeds] => sim(seeds),
        _ => bail!("there is no such command\n{USAGE}"),
    }
}

/// The tables of the tests that judge trends, printed.
fn judged(tests: &str) -> Result<()> {
    let command = ["test", "--release", "--quiet", "-p", "ansai-engine", "--test", "trend"];
    cargo::run(&[&command[..], &["--", "--nocapture", "--test-threads", "1", tests]].concat())
}

/// The engine alone under many seeds, then fleets, then the agent's shell, killed 10,000 times.
fn sim(seeds: &str) -> Result<()> {
    cargo::run(&["run", "--release", "--quiet", "-p", "ansai-sim", "--", "run", seeds])?;
    cargo::run(&["run", "--release", "--quiet", "-p", "ansai-sim", "--", "fleet", seeds])?;
    cargo::run(&["test", "--quiet", "-p", "ansai-sim", "--test", "shell", "--", "--nocapture"])
}
