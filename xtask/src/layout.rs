//! `layout`: finds which functions an agent at rest runs, and writes them down for the linker, which lays them side by side
//! (`crates/cli/layout.ld`; `docs/develop/performance.md` says what that is worth).
//!
//! It deliberately records nothing of a start and of healing: both are short, and their code is given back after them.

mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context, Result, ensure};

use crate::{bench, cargo};

/// After that the agent has given back the code of its start.
const SETTLED: Duration = Duration::from_secs(15);
/// In it everything that an agent does each half minute is done twice.
const RECORDED: Duration = Duration::from_secs(75);

const HEAD: &str = "\
/* Functions that an agent at rest runs, written by `cargo xtask layout`. Laid side by side they are under a megabyte of
   resident code; strewn over the program they were five, for the kernel maps sixteen pages with each that is used. The
   stars stand for what changes from build to build; a name that no longer matches costs nothing but its own page. */
SECTIONS
{
  .text.rest :
  {
";
const BETWEEN: &str = "    /* Disks, certificates and memory. */\n";
const END: &str = "  }\n}\nINSERT BEFORE .text;\n";

/// Builds, records and writes.
pub(crate) fn run() -> Result<()> {
    ansai_lab::setup::prepare(ansai_lab::image::Kind::Base)?;
    cargo::run(&["build", "--release", "-p", "ansai-lab"])?;
    // With the names of its functions, which the shipped program has not.
    cargo::run(&["rustc", "--release", "-p", "ansai-cli", "--bin", "ansai", "--", "-C", "strip=none"])?;
    let functions = functions(&cargo::root().join("target/release/ansai"))?;
    let host = Host::boot(&HostOptions::new("layout"))?;
    let services = bench::many_services(&host)?;
    let of_services = at_rest(&host, "1,000 services", &services, &functions)?;
    drop(host);
    let (host, _, domains) = bench::every_domain()?;
    let of_domains = at_rest(&host, "every domain", &domains, &functions)?;
    let run: BTreeSet<String> = of_services.union(&of_domains).cloned().collect();
    ensure!(!run.is_empty(), "no function was seen to run: is the program that runs the one that was built?");
    let path = cargo::root().join("crates/cli/layout.ld");
    let patterns = patterns(&run, functions.values());
    let (first, then) = patterns.into_iter().partition(|(name, _)| of_services.contains(*name));
    std::fs::write(&path, script([first, then].map(distinct)))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    bench::say(&format!(
        "{} functions are in crates/cli/layout.ld; build again to have them laid side by side",
        run.len()
    ));
    Ok(())
}

/// The functions that an agent with this configuration runs at rest.
fn at_rest(
    host: &Host,
    name: &str,
    configuration: &str,
    functions: &BTreeMap<u64, String>,
) -> Result<BTreeSet<String>> {
    agent::install(host, configuration)?;
    let process = bench::restarted(host)?;
    std::thread::park_timeout(SETTLED);
    let found = trace::functions_run(process, functions, RECORDED)?;
    bench::say(&format!("{name}: {} functions in {} s", found.len(), RECORDED.as_secs()));
    Ok(found)
}

/// What names each function that was run, and none that was not: a pattern, or the whole name where others have the same
/// pattern, as those have that were made of one generic function.
fn patterns<'a>(run: &'a BTreeSet<String>, all: impl Iterator<Item = &'a String>) -> BTreeMap<&'a String, String> {
    let others: BTreeSet<String> = all.filter(|name| !run.contains(*name)).map(|name| pattern(name)).collect();
    let named = |name: &'a String| {
        let pattern = pattern(name);
        (name, if others.contains(&pattern) { name.clone() } else { pattern })
    };
    run.iter().map(named).collect()
}

fn distinct(patterns: BTreeMap<&String, String>) -> BTreeSet<String> {
    patterns.into_values().collect()
}

/// Those that every agent runs, and then those that only some need: what lies between others is resident with them.
fn script(groups: [BTreeSet<String>; 2]) -> String {
    let line = |pattern: String| format!("    *(.text.{pattern})\n");
    let [first, then] = groups.map(|group| group.into_iter().map(line).collect::<String>());
    format!("{HEAD}{first}{BETWEEN}{then}{END}")
}

/// The functions of a program and where they begin, as `nm` prints them.
fn functions(program: &Path) -> Result<BTreeMap<u64, String>> {
    let output =
        Command::new("nm").arg("--defined-only").arg(program).output().context("nm of binutils cannot be run")?;
    ensure!(output.status.success(), "nm cannot read {}", program.display());
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let of_line = |line: &str| {
        let mut fields = line.split(' ');
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        let is_code = fields.next().is_some_and(|kind| ["t", "T", "w", "W"].contains(&kind));
        is_code.then(|| Some((address, fields.next()?.to_owned()))).flatten()
    };
    let found: BTreeMap<u64, String> = listed.lines().filter_map(of_line).collect();
    ensure!(!found.is_empty(), "{} has no names of functions", program.display());
    Ok(found)
}

/// A symbol without what differs from build to build: the hash at its end or, in the newer form of names, that of each crate, and
/// the number of a copy.
fn pattern(symbol: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let symbol = symbol.rsplit_once('.').filter(|(_, copy)| is_number(copy)).map_or(symbol, |(name, _)| name);
    if let Some((name, _)) = symbol.strip_suffix('E').and_then(|name| name.rsplit_once("17h")) {
        return format!("{name}17h*");
    }
    if !symbol.starts_with("_R") {
        return symbol.to_owned();
    }
    let mut parts = symbol.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `CsgEmfK2I1SDS_4core`: a crate's hash ends with an underscore, before the length of its name.
        match part.split_once('_').filter(|(_, name)| name.starts_with(|first: char| first.is_ascii_digit())) {
            Some((_, name)) => pattern.extend(["Cs*_", name]),
            None => pattern.extend(["Cs", part]),
        }
    }
    pattern + "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_build_to_build_is_left_out_of_a_name() {
        for (symbol, expected) in [
            ("_ZN12ansai_engine7looking9follow_up17h425f25aff54ace67E", "_ZN12ansai_engine7looking9follow_up17h*"),
            ("_ZN12ansai_engine7looking9follow_up17h425f25aff54ace67E.12", "_ZN12ansai_engine7looking9follow_up17h*"),
            ("_RNvNtCsgEmfK2I1SDS_4core3fmt5write", "_RNvNtCs*_4core3fmt5write*"),
            (
                "_RINvNtCsgEmf_4core3ptr4dropNtCsjrHS_3std2io5ErrorEB_.7",
                "_RINvNtCs*_4core3ptr4dropNtCs*_3std2io5ErrorEB_*",
            ),
            ("sqlite3_step", "sqlite3_step"),
        ] {
            assert_eq!(pattern(symbol), expected);
        }
    }

    #[test]
    fn a_pattern_that_others_have_as_well_gives_way_to_the_whole_name() {
        let symbol = |function: &str, hash: char| format!("_ZN5tokio{function}17h{}E", hash.to_string().repeat(16));
        let run = BTreeSet::from([symbol("4poll", 'a'), symbol("5sleep", 'a'), symbol("5sleep", 'b')]);
        let all = [&run.iter().cloned().collect::<Vec<_>>()[..], &[symbol("4poll", 'c')]].concat();
        let expected = BTreeSet::from([symbol("4poll", 'a'), "_ZN5tokio5sleep17h*".to_owned()]);
        assert_eq!(distinct(patterns(&run, all.iter())), expected);
    }

    #[test]
    fn the_script_that_is_there_is_one_that_would_be_written() {
        let path = cargo::root().join("crates/cli/layout.ld");
        let there = std::fs::read_to_string(path).expect("it is there");
        let (first, then) = there.split_once(BETWEEN).expect("two groups");
        let groups = [first, then].map(|group| -> BTreeSet<String> {
            let names = group.lines().filter_map(|line| line.trim().strip_prefix("*(.text.")?.strip_suffix(')'));
            names.map(str::to_owned).collect()
        });
        assert!(groups.iter().all(|group| group.len() > 100), "{} functions", there.lines().count());
        assert!(script(groups) == there, "`cargo xtask layout` writes it");
    }
}
