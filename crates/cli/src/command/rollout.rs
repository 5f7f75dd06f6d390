//! `ansai fleet`: one configuration for many hosts. Files are read and checked here; which host gets them when is decided by the
//! controller, and whether it takes them by each host.

use std::path::Path;

use ansai_protocol::{
    link::FleetFile,
    operation::{Canary, FleetOperation},
    record::Progress,
    views::{DriftView, FleetDrift, FleetPlan, FleetRollouts, PlanAsked, PlannedHost, RolloutHostView, RolloutView},
};

use super::{fleet, hosts};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    fleet::RolloutCommand,
    show::{self, Cell},
    when,
};

mod files;

use files::Files;

/// Most lines of a difference that are shown of a file.
const LINES_MAX: usize = 40;
/// Most hosts that a line names.
const NAMED_MAX: usize = 10;

pub(super) fn run(paths: &Paths, command: RolloutCommand) -> Result<Code, Failure> {
    match command {
        RolloutCommand::Plan { path, canary } => {
            let (plan, files) = planned(paths, &path, canary)?;
            match paths.json {
                true => show::print_json(&serde_json::to_value(&plan).unwrap_or_default()),
                false => show::print(picture(&plan, &files)),
            }
            Ok(Code::Ok)
        }
        RolloutCommand::Apply { path, canary, soak, consent } => apply(paths, &path, canary, &soak, consent),
        RolloutCommand::Rollouts => rollouts(paths),
        RolloutCommand::Rollback { consent } => {
            let what = "bring back the configuration before the newest, as a new generation";
            fleet::change_proven(paths, what, "rollback", FleetOperation::RollBack, consent)
        }
        RolloutCommand::Drift => drift(paths),
    }
}

/// How many hosts come first, as a person writes it.
pub(crate) fn canary(text: &str) -> Result<Canary, String> {
    let wrong = || format!("`{text}` is neither a number of hosts, as 2, nor a share, as 10%");
    match text.strip_suffix('%') {
        Some(share) => {
            share.parse().ok().filter(|share| (1..=100).contains(share)).map(Canary::Percent).ok_or_else(wrong)
        }
        None => text.parse().ok().filter(|count| *count > 0).map(Canary::Hosts).ok_or_else(wrong),
    }
}

/// What would come of the files, with these.
fn planned(paths: &Paths, path: &Path, canary: Canary) -> Result<(FleetPlan, Vec<FleetFile>), Failure> {
    let files = Files::read(path).map_err(|wrong| Failure::wrong(&wrong))?;
    let hosts = hosts::all(paths)?.hosts;
    files.check(&hosts).map_err(|wrong| Failure::wrong(&wrong))?;
    let asked = PlanAsked { files: files.into_files(), canary };
    let body = serde_json::to_value(&asked).unwrap_or_default();
    Ok((client::read(client::tell_controller(paths, "/v1/plan", &body)?)?, asked.files))
}

fn apply(paths: &Paths, path: &Path, canary: Canary, soak: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let soak = when::lasting(soak)?;
    let (plan, files) = planned(paths, path, canary)?;
    let changed = plan.hosts.iter().filter(|host| host.is_changed).count();
    let what = summary(&plan);
    if !paths.json {
        show::note(&picture(&plan, &files).to_string());
    }
    let operation = FleetOperation::Configure { files, canary, soak };
    if changed > 1 {
        return fleet::change_proven(paths, &what, &changed.to_string(), operation, consent);
    }
    fleet::change(paths, &what, operation, consent)
}

/// What would be brought, to how many.
fn summary(plan: &FleetPlan) -> String {
    let changed: Vec<&PlannedHost> = plan.hosts.iter().filter(|host| host.is_changed).collect();
    let mut names: Vec<&str> = changed.iter().take(NAMED_MAX).map(|host| host.host.as_str()).collect();
    let more = format!("and {} more", changed.len().saturating_sub(NAMED_MAX));
    if changed.len() > NAMED_MAX {
        names.push(&more);
    }
    let colon = if names.is_empty() { "" } else { ": " };
    let waves = plan.hosts.iter().filter_map(|host| host.wave).max().unwrap_or(0);
    format!(
        "bring generation {} to {} in {}; something changes for {}{colon}{}",
        plan.generation,
        show::count(plan.hosts.len(), "host"),
        show::count(waves, "wave"),
        changed.len(),
        names.join(", ")
    )
}

fn picture(plan: &FleetPlan, new: &[FleetFile]) -> show::Page {
    let rows = plan.hosts.iter().map(|host| {
        let wave = match host.wave {
            Some(1) if host.is_changed => "1 (canary)".to_owned(),
            Some(wave) => wave.to_string(),
            None => "when it is back".to_owned(),
        };
        let files: Vec<&str> = host.files.iter().map(|name| name.as_str()).collect();
        vec![
            Cell::new(&host.host),
            Cell::new(host.role.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::new(wave),
            Cell::new(if host.is_changed { "yes" } else { "no" }),
            Cell::new(files.join(", ")),
        ]
    });
    let table = show::table(&["HOST", "ROLE", "WAVE", "CHANGES", "FILES"], &[4], rows);
    let against = match plan.before_generation {
        0 => "there is none yet".to_owned(),
        before => format!("against generation {before}, which every host has or gets"),
    };
    let head = show::Page::lines([format!("to {}; {against}", summary(plan))]);
    head.above(&table).above(&show::Page::lines(difference(&plan.before, new)))
}

/// What is written otherwise, file by file.
fn difference(before: &[FleetFile], after: &[FleetFile]) -> Vec<String> {
    let mut names: Vec<_> = before.iter().chain(after).map(|file| (&file.layer, &file.name)).collect();
    names.sort();
    names.dedup();
    let text = |files: &[FleetFile], of: &(_, _)| {
        let found = files.iter().find(|file| (&file.layer, &file.name) == *of);
        found.map(|file| file.text.clone())
    };
    let mut lines = Vec::new();
    for name in &names {
        let (old, new) = (text(before, name), text(after, name));
        if old == new {
            continue;
        }
        let what = match (&old, &new) {
            (None, _) => " (new)",
            (_, None) => " (gone)",
            _ => "",
        };
        lines.push(format!("{}{what}:", name.1));
        let changed = changed_lines(&old.unwrap_or_default(), &new.unwrap_or_default());
        let more = changed.len().saturating_sub(LINES_MAX);
        lines.extend(changed.into_iter().take(LINES_MAX));
        if more > 0 {
            lines.push(format!("  and {more} lines more"));
        }
    }
    lines
}

/// The lines between the first and the last that differ.
fn changed_lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (old.get(same..).unwrap_or_default(), new.get(same..).unwrap_or_default());
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let gone = old.iter().take(old.len() - end).map(|line| format!("  - {line}"));
    let come = new.iter().take(new.len() - end).map(|line| format!("  + {line}"));
    gone.chain(come).collect()
}

fn rollouts(paths: &Paths) -> Result<Code, Failure> {
    let all: FleetRollouts = client::read(client::of_controller(paths, "/v1/rollouts")?)?;
    if paths.json {
        show::print_json(&serde_json::to_value(&all).unwrap_or_default());
    } else if all.rollouts.is_empty() {
        show::print("the fleet has no configuration; `ansai fleet apply PATH` brings one to its hosts");
    } else {
        show::print(history(&all.rollouts, jiff::Timestamp::now().as_millisecond()));
    }
    Ok(Code::Ok)
}

/// Every roll-out in a line, and of the newest what came of it at each host.
fn history(all: &[RolloutView], now_ms: i64) -> show::Page {
    let rows = all.iter().map(|rollout| {
        let has = rollout.hosts.iter().filter(|host| host.progress == Some(Progress::InForce)).count();
        let what = match (rollout.reverts, &rollout.why) {
            (_, Some(why)) => why.to_string(),
            (Some(0), None) => "nothing, as before the first".to_owned(),
            (Some(before), None) => format!("generation {before} again"),
            (None, None) => String::new(),
        };
        vec![
            Cell::new(rollout.generation),
            Cell::new(&rollout.state),
            Cell::new(format!("{} of {}", rollout.wave, rollout.waves)),
            Cell::new(format!("{has} of {}", rollout.hosts.len())),
            Cell::new(show::moment_in_row(rollout.at_ms, now_ms, &show::terminal().zone)),
            Cell::new(&rollout.by),
            Cell::new(what),
        ]
    });
    let table = show::table(&["GENERATION", "STATE", "WAVE", "HAVE IT", "BEGUN", "BY", "WHAT"], &[5], rows);
    match all.first() {
        Some(newest) => table.above(&show::Page::lines(newest.hosts.iter().map(host_line))),
        None => table,
    }
}

fn host_line(host: &RolloutHostView) -> String {
    let said = match &host.progress {
        None => "not told yet".to_owned(),
        Some(Progress::Told) => "told; it has not answered".to_owned(),
        Some(Progress::InForce) => "in force".to_owned(),
        Some(Progress::Refused { why }) => format!("refused: {why}"),
    };
    format!("  {} (wave {}): {said}", host.host, host.wave)
}

fn drift(paths: &Paths) -> Result<Code, Failure> {
    let found: FleetDrift = client::read(client::of_controller(paths, "/v1/drift")?)?;
    match paths.json {
        true => show::print_json(&serde_json::to_value(&found).unwrap_or_default()),
        false if found.drift.is_empty() => {
            show::print(&format!("{} as they are to be", show::count(found.hosts, "host")));
        }
        false => show::print(drifted(&found.drift)),
    }
    Ok(if found.drift.is_empty() { Code::Ok } else { Code::Failing })
}

fn drifted(drift: &[DriftView]) -> show::Page {
    let generation = |number: u64| if number == 0 { "none".to_owned() } else { number.to_string() };
    let rows = drift.iter().map(|one| {
        vec![
            Cell::new(&one.host),
            Cell::new(generation(one.wanted)),
            Cell::new(generation(one.has)),
            Cell::new(&one.why),
        ]
    });
    show::table(&["HOST", "IS TO HAVE", "HAS", "WHY"], &[], rows)
}

#[cfg(test)]
mod tests {
    use ansai_protocol::link::FleetLayer;

    use super::*;

    fn file(name: &str, text: &str) -> FleetFile {
        FleetFile { layer: FleetLayer::Site, name: name.into(), text: text.into() }
    }

    #[test]
    fn a_canary_is_a_number_of_hosts_or_a_share() {
        assert_eq!((canary("2"), canary("10%")), (Ok(Canary::Hosts(2)), Ok(Canary::Percent(10))));
        for wrong in ["0", "0%", "101%", "x", "", "-1", "%"] {
            assert!(canary(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_difference_shows_the_lines_that_are_written_otherwise() {
        let before =
            [file("site.yaml", "a: 1\nb: 2\nc: 3\n"), file("gone.yaml", "x: 1\n"), file("same.yaml", "s: 1\n")];
        let after = [file("site.yaml", "a: 1\nb: 4\nc: 3\n"), file("new.yaml", "y: 1\n"), file("same.yaml", "s: 1\n")];
        assert_eq!(
            difference(&before, &after),
            ["gone.yaml (gone):", "  - x: 1", "new.yaml (new):", "  + y: 1", "site.yaml:", "  - b: 2", "  + b: 4"]
        );
        let long = "x\n".repeat(LINES_MAX + 3);
        let lines = difference(&[], &[file("a.yaml", &long)]);
        assert_eq!(lines.last().map(String::as_str), Some("  and 3 lines more"));
    }

    #[test]
    fn a_plan_says_who_comes_first_and_for_whom_nothing_changes() {
        let host = |name: &str, wave, is_changed| PlannedHost {
            host: name.into(),
            role: Some("web".into()),
            wave,
            is_changed,
            files: vec!["site.yaml".into()],
        };
        let hosts = vec![host("db-01", Some(2), false), host("web-01", Some(1), true), host("web-02", None, true)];
        let plan = FleetPlan { schema: 1, generation: 4, before_generation: 3, before: Vec::new(), hosts };
        let text = picture(&plan, &[file("site.yaml", "autonomy: act\n")]).to_string();
        for part in [
            "bring generation 4 to 3 hosts in 2 waves",
            "changes for 2: web-01, web-02",
            "1 (canary)",
            "when it is back",
            "+ autonomy: act",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_roll_out_that_was_stopped_says_why_and_where_it_is() {
        let told = |name: &str, wave, progress| RolloutHostView { host: name.into(), wave, progress };
        let why = "line 1: there is no key `servces`";
        let rollout = RolloutView {
            generation: 3,
            reverts: None,
            by: "ada".into(),
            at_ms: 0,
            soak_ms: 30_000,
            state: "stopped".into(),
            why: Some(format!("web-01 refuses it: {why}").into()),
            wave: 1,
            waves: 2,
            hosts: vec![told("web-01", 1, Some(Progress::Refused { why: why.into() })), told("web-02", 2, None)],
        };
        let text = history(&[rollout], 0).to_string();
        for part in ["stopped", "0 of 2", "1 of 2", "web-01 (wave 1): refused: line 1", "web-02 (wave 2): not told yet"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
