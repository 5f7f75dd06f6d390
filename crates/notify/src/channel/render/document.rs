//! What a report says, in order, before it is laid out: sections of facts, timelines, quotes and commands.

use ansai_model::{
    decision::{Choice, GateResult, Verdict},
    incident::{Evidence, IncidentKind, Phase, Resolution, SinceBy, outage},
    notify::Notice,
    report::{Cause, Report},
    text::visible_line,
    time::Now,
};
use jiff::tz::TimeZone;

use crate::outbox::TestNotice;

use super::{
    DIGEST_SHOWN_MAX, RenderOptions, for_user, formatted, kind_word, moment, one_line, report_command, shown,
    spoken_of, stamps, storm_headline,
};

mod timeline;

pub(super) use timeline::step_words;
use timeline::{time_of_day, what_was_done};

/// How something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Plain,
}

/// A page.
pub(super) struct Document {
    pub(super) headline: String,
    pub(super) tone: Tone,
    pub(super) sections: Vec<Section>,
    pub(super) footer: String,
}

/// A titled part of a page.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// A piece of a section.
pub(super) enum Block {
    /// Words.
    Paragraph(String),
    /// Named values.
    Facts(Vec<(&'static str, String)>),
    /// Lines with the time at which each happened.
    Timeline(Vec<(String, Tone, String)>),
    /// Points in no order of time.
    Points(Vec<String>),
    /// Lines from a source, as they are.
    Quote { source: String, lines: Vec<String> },
    /// Commands to copy.
    Commands(Vec<String>),
}

/// The page of a report.
pub(super) fn of(report: &Report, options: &RenderOptions) -> Document {
    let zone = &options.time_zone;
    let mut sections = Vec::new();
    let mut add = |title, blocks: Vec<Block>| {
        if !blocks.is_empty() {
            sections.push(Section { title, blocks });
        }
    };
    add("What broke", vec![Block::Facts(what_broke(report, options))]);
    add("What was done", what_was_done(report, zone));
    add("How it was verified", report.verified_by.iter().map(|by| Block::Paragraph(told(by.as_str(), zone))).collect());
    add("Downtime", vec![Block::Paragraph(downtime(report, zone))]);
    add("Probable cause", cause(report, zone));
    add("Why it did not act", objections(report, zone));
    add("Evidence", evidence(report, zone));
    add("What it cost before", history(report, zone));
    add("What to change", points(report.advice.iter().map(|advice| clean(advice.as_str()))));
    if options.is_of_user {
        sections.iter_mut().flat_map(|section| &mut section.blocks).for_each(owned);
    }
    let commands: Vec<String> = report.commands.iter().map(|command| one_line(&own(command, options), 400)).collect();
    if !commands.is_empty() {
        sections.push(Section { title: "Next commands", blocks: vec![Block::Commands(commands)] });
    }
    Document {
        headline: one_line(&stamps::all(report.headline.as_str(), zone), 400),
        tone: tone(&report.phase),
        sections,
        footer: format!("ansai on {}, incident {}, {}", options.sender, report.incident, moment(report.at.wall, zone)),
    }
}

fn own(command: &str, options: &RenderOptions) -> String {
    if options.is_of_user { for_user(command) } else { command.to_owned() }
}

/// Has our own words name the commands of somebody's own services; what was found stays as it was.
fn owned(block: &mut Block) {
    match block {
        Block::Paragraph(text) => *text = for_user(text),
        Block::Facts(facts) => facts.iter_mut().for_each(|(_, value)| *value = for_user(value)),
        Block::Timeline(lines) => lines.iter_mut().for_each(|(.., text)| *text = for_user(text)),
        Block::Points(points) => points.iter_mut().for_each(|point| *point = for_user(point)),
        Block::Quote { .. } | Block::Commands(_) => {}
    }
}

/// The page of several messages.
pub(super) fn of_digest(notices: &[Notice], options: &RenderOptions) -> Document {
    let zone = &options.time_zone;
    let line = |notice: &Notice| {
        let tone = tone(&notice.report.phase);
        let on = notice.hosts.as_ref().map(|_| format!("{}: ", spoken_of(notice, ""))).unwrap_or_default();
        let text = format!(
            "{on}{}: {} ({})",
            kind_word(notice.kind),
            one_line(&stamps::all(notice.report.headline.as_str(), zone), 300),
            report_command(notice)
        );
        (formatted(notice.at.wall, zone, "%m-%d %H:%M:%S"), tone, text)
    };
    let mut blocks = vec![Block::Timeline(notices.iter().take(DIGEST_SHOWN_MAX).map(line).collect())];
    if notices.len() > DIGEST_SHOWN_MAX {
        blocks.push(Block::Paragraph(format!("And {} more.", notices.len() - DIGEST_SHOWN_MAX)));
    }
    let urgent = notices.iter().find(|notice| notice.kind.asks()).or(notices.first());
    let report = urgent.map(report_command);
    let is_for_hosts = notices.iter().any(|notice| notice.hosts.is_some());
    let incidents = if is_for_hosts { "ansai incidents --fleet" } else { "ansai incidents" };
    let commands = [incidents.to_owned()].into_iter().chain(report).map(|command| own(&command, options)).collect();
    let storm = storm_headline(notices).map(|headline| format!("{}: {headline}", options.host));
    let shared =
        notices.iter().find_map(|notice| notice.report.storm.as_ref()?.cause.as_ref()).filter(|_| storm.is_some());
    let shared = shared.map(|cause| {
        let text =
            format!("{} (seen in {})", one_line(cause.text.as_str(), 300), one_line(cause.seen_in.as_str(), 300));
        let text = stamps::all(&text, zone);
        Section { title: "Probable cause", blocks: vec![Block::Paragraph(text)] }
    });
    let mut sections = vec![Section { title: "Messages", blocks }];
    sections.extend(shared);
    sections.push(Section { title: "Next commands", blocks: vec![Block::Commands(commands)] });
    Document {
        headline: storm.unwrap_or_else(|| format!("{} messages from {}", notices.len(), options.host)),
        tone: Tone::Plain,
        sections,
        footer: format!("ansai on {}; sent as one because there were many", options.host),
    }
}

/// The page of a test.
pub(super) fn of_test(test: &TestNotice, options: &RenderOptions) -> Document {
    let by = one_line(test.by.as_str(), 100);
    let words = [
        format!("Nothing is wrong: {by} asked for this message with `ansai doctor --send-test`."),
        format!("What is told on the route `{}` arrives here.", test.route),
    ];
    Document {
        headline: format!("A test from {}", options.host),
        tone: Tone::Plain,
        sections: vec![Section { title: "What this is", blocks: words.map(Block::Paragraph).into() }],
        footer: format!("ansai on {}, {}", options.host, moment(test.at, &options.time_zone)),
    }
}

fn tone(phase: &Phase) -> Tone {
    match phase {
        Phase::Resolved(_) => Tone::Good,
        Phase::Escalated { .. } => Tone::Bad,
        Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating | Phase::Stabilizing { .. } => Tone::Plain,
    }
}

/// Of what no rule is for.
const WATCHED_ONLY: &str = "none applies: ansai only watches this";

fn what_broke(report: &Report, options: &RenderOptions) -> Vec<(&'static str, String)> {
    let zone = &options.time_zone;
    let mut facts = vec![
        ("target", format!("{} on {}", report.target, options.host)),
        ("symptom", told(report.symptom.as_str(), zone)),
        ("check", report.check.to_string()),
        ("since", moment(report.failing_since.wall, zone)),
        ("opened", moment(report.opened.wall, zone)),
    ];
    facts.extend(report.relapse.map(|relapse| ("went again", moment(relapse.went.wall, zone))));
    facts.push(("now", now(report, zone)));
    // What was begun before is not interrupted.
    let goes_on = matches!(report.phase, Phase::Remediating | Phase::Stabilizing { .. }) && !report.is_kept();
    let begun = if goes_on { "what was begun goes on, and nothing more is begun: " } else { "" };
    facts.extend(report.restrained.as_ref().map(|why| ("left alone", format!("{begun}{}", told(why.as_str(), zone)))));
    let is_well = is_well(report);
    if let Some(retry) = report.retry.as_ref().filter(|_| report.restrained.is_none() && !is_well) {
        let at = moment(retry.at.wall, zone);
        // What is gone before there is room in the budget is not tried before.
        let is_late = |free: Now| free.mono >= retry.at.mono;
        let soon = retry.obstacle.as_ref().filter(|_| !retry.not_before.is_some_and(is_late)).map(|obstacle| {
            let free = retry.not_before.filter(|free| free.mono > report.at.mono);
            let free = free.map_or_else(String::new, |free| format!(", not before {}", moment(free.wall, zone)));
            format!("as soon as {obstacle}{free}, or ")
        });
        facts.push(("tried again", clean(&format!("{}at {at}", soon.unwrap_or_default()))));
    }
    if report.rule.is_none() {
        // It may have to wait, as for what it needs.
        let why = match report.phase {
            Phase::Open => {
                let explain = own(&format!("ansai explain {}", report.target), options);
                format!("none is applied yet; `{explain}` says what it waits for")
            }
            Phase::AwaitingApproval { .. } | Phase::Remediating | Phase::Stabilizing { .. } => WATCHED_ONLY.to_owned(),
            Phase::Resolved(_) | Phase::Escalated { .. } => WATCHED_ONLY.to_owned(),
        };
        facts.push(("rule", why));
    }
    // Of what is well, or was broken on purpose, nobody has to do anything.
    if !is_well && !report.is_drill {
        facts.push(("urgency", report.severity.as_str().to_owned()));
    }
    if let Some(storm) = &report.storm {
        let (all, well) = (storm.incidents, storm.well);
        facts.push(("storm", format!("one of {all} that failed at once, of which {well} were well again")));
    }
    if report.is_drill {
        facts.push(("drill", "this failure was injected on purpose".to_owned()));
    }
    facts
}

/// Whether nobody has to do anything any more: it is over, or well again and only watched.
fn is_well(report: &Report) -> bool {
    report.well_since.is_some() || matches!(report.phase, Phase::Resolved(_) | Phase::Stabilizing { .. })
}

/// Where it stands; what is open may be well again, and is watched then.
fn now(report: &Report, zone: &TimeZone) -> String {
    let stands = if report.is_kept() { "kept from being healed".to_owned() } else { phase_of(report, zone) };
    let watched = report
        .well_since
        .map(|since| format!("well again since {}, watched until it has stayed so", moment(since.wall, zone)));
    match (&report.phase, watched) {
        (Phase::Resolved(_) | Phase::Stabilizing { .. }, _) | (_, None) => stands,
        (Phase::Escalated { .. }, Some(watched)) => format!("{watched}; it was {stands}"),
        (Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating, Some(watched)) => watched,
    }
}

fn phase(phase: &Phase, zone: &TimeZone) -> String {
    match phase {
        Phase::Open => "open, nothing is done yet".to_owned(),
        Phase::AwaitingApproval { expires } => {
            format!("waits for approval until {}", moment(expires.wall, zone))
        }
        Phase::Remediating => "being healed".to_owned(),
        Phase::Stabilizing { until } => format!("well again, watched until {}", moment(until.wall, zone)),
        Phase::Resolved(Resolution::Healed { rung }) => format!("healed by the rung `{rung}`"),
        Phase::Resolved(Resolution::ByItself) => "recovered without ansai".to_owned(),
        Phase::Resolved(Resolution::StartedByOthers { at }) => {
            format!("well since somebody else started it at {}", moment(*at, zone))
        }
        Phase::Resolved(Resolution::AfterEscalation) => "recovered after it had been escalated".to_owned(),
        Phase::Resolved(Resolution::Withdrawn { why }) => format!("withdrawn: {}", told(why.as_str(), zone)),
        Phase::Escalated { why } => format!("escalated: {}", told(why.as_str(), zone)),
    }
}

/// The same of a report, in whose headline it may stand already what a person is needed for.
fn phase_of(report: &Report, zone: &TimeZone) -> String {
    let said = report.headline.as_str().split_once(" needs a person: ").map(|(_, said)| said);
    match &report.phase {
        Phase::Escalated { why } if said.is_some_and(|said| why.as_str().contains(said)) => {
            "escalated, for what stands above".to_owned()
        }
        other => phase(other, zone),
    }
}

/// When a look last found it well, where nobody has stamped when it went.
fn well_before(report: &Report, zone: &TimeZone) -> String {
    report.well_until.map_or_else(String::new, |well| {
        format!("; it was last found well at {}", time_of_day(well, report.opened, zone))
    })
}

fn downtime(report: &Report, zone: &TimeZone) -> String {
    match report.downtime {
        _ if report.kind == IncidentKind::Unknown => "Not known: nobody could say how it was.".to_owned(),
        _ if report.kind == IncidentKind::Restless => "Not counted: systemd brought it back each time.".to_owned(),
        _ if report.kind == IncidentKind::Warning => "None: it is well, and warns.".to_owned(),
        _ if report.is_foreseen => "None: it was foreseen, and nothing was broken when this began.".to_owned(),
        _ if !report.is_outage => not_down(report),
        Some(downtime) if let Some(relapse) = report.relapse => {
            let outages = relapse.outages.saturating_add(1);
            format!("{} in all, in {outages} outages: what was well in between is not counted.", shown(downtime))
        }
        Some(downtime) => {
            let (from, is_sure) = match report.since_by {
                SinceBy::Systemd => ("when systemd saw it go", true),
                SinceBy::Stillness => ("the first look at which nothing of it ran any more", false),
                SinceBy::Look => ("the first look that found it failing", false),
            };
            let well = if is_sure { String::new() } else { well_before(report, zone) };
            format!("{} from {from} to its recovery{well}.", shown(downtime))
        }
        None => {
            let down = shown(outage::down(report.failing_since, report.relapse, report.at));
            let outages = report.relapse.map_or_else(String::new, |relapse| {
                format!(" in {} outages, without what was well in between", relapse.outages.saturating_add(1))
            });
            format!("{down} so far{outages}: it had not recovered when this was written.")
        }
    }
}

/// Of what nobody does without while it fails: how long that lasted.
fn not_down(report: &Report) -> String {
    let until = report.well_since.unwrap_or(report.at);
    let lasted = shown(outage::down(report.failing_since, report.relapse, until));
    match report.well_since {
        Some(_) => format!("None: nothing was down. It failed for {lasted}."),
        None => format!("None: nothing is down. It has failed for {lasted} so far."),
    }
}

fn cause(report: &Report, zone: &TimeZone) -> Vec<Block> {
    let words = |cause: &Cause| format!("{} (rule `{}`, seen in {})", cause.text, cause.rule, cause.seen_in);
    let now = report.cause.as_ref().map(words);
    let Some(began) = &report.began_by else {
        let now = now.unwrap_or_else(|| "Not known: nothing in the evidence points to one.".to_owned());
        return vec![Block::Paragraph(told(&now, zone))];
    };
    let now = now.unwrap_or_else(|| "not known: nothing in the evidence points to that".to_owned());
    let [now, began] = [("What it fails for now", now), ("What began it", words(began))]
        .map(|(what, words)| Block::Paragraph(told(&format!("{what}: {words}"), zone)));
    vec![now, began]
}

/// The gates that objected, when the decision was not to act.
fn objections(report: &Report, zone: &TimeZone) -> Vec<Block> {
    let Some(decision) = report.decision.as_ref().filter(|decision| decision.choice != Choice::Act) else {
        return vec![];
    };
    let line = |result: &GateResult| {
        let why = result.why.as_str();
        let until = match result.verdict {
            Verdict::Defer { until: Some(until) } => Some(until.wall.to_string()),
            Verdict::Defer { until: None } | Verdict::Allow | Verdict::Deny => None,
        };
        // Some say themselves until when.
        let until = until.filter(|until| !why.contains(until)).map(|until| format!("; not before {until}"));
        told(&format!("{}: {why}{}", result.gate.as_str(), until.unwrap_or_default()), zone)
    };
    let lines = decision.objections().map(line);
    // A runbook that is made has the name of its target, which nobody runs.
    let proposal = decision.proposal.as_str();
    let steps =
        proposal.strip_prefix("run ").and_then(|rest| rest.split_once(": ")).map_or(proposal, |(_, steps)| steps);
    // Where no gate was asked nothing was proposed, and that is why.
    let proposed = match decision.gates.is_empty() {
        true => format!("Nothing was proposed: {proposal}."),
        false => format!("It would {steps}, but:"),
    };
    let mut blocks = vec![Block::Paragraph(clean(&proposed))];
    blocks.extend(points(lines));
    blocks
}

fn evidence(report: &Report, zone: &TimeZone) -> Vec<Block> {
    let source = |evidence: &Evidence| {
        let source = one_line(evidence.source.as_str(), 200);
        match evidence.seen {
            Some(seen) => format!("{source}, seen at {}", time_of_day(seen, report.opened, zone)),
            None => source,
        }
    };
    let quote = |evidence: &Evidence| Block::Quote {
        source: source(evidence),
        lines: stamps::lines(evidence, zone).iter().map(|line| clean(line)).collect(),
    };
    report.evidence.iter().map(quote).collect()
}

fn history(report: &Report, zone: &TimeZone) -> Vec<Block> {
    let history = &report.history;
    let by_others = match history.by_others {
        0 => String::new(),
        1 => " One earlier incident of it was seen by another check.".to_owned(),
        count => format!(" {count} earlier incidents of it were seen by other checks."),
    };
    if history.incidents == 0 {
        let first = match history.by_others {
            0 => "Nothing: no earlier incident of it is remembered, drills aside.".to_owned(),
            _ => format!("Nothing by this check.{by_others}"),
        };
        return vec![Block::Paragraph(first)];
    }
    let last = history.last.map_or(String::new(), |last| format!("; the last one on {}", moment(last.wall, zone)));
    let times = if history.incidents == 1 {
        "one earlier incident".to_owned()
    } else {
        format!("{} earlier incidents", history.incidents)
    };
    let down = match report.is_outage {
        true => format!(", {} of downtime together", shown(history.downtime)),
        false => String::new(),
    };
    let outages = match history.outages > history.incidents {
        true => format!(", in which it failed {} times", history.outages),
        false => String::new(),
    };
    vec![Block::Paragraph(format!(
        "{times} of this check{outages}, {} healed by ansai{down}{last}.{by_others}",
        history.healed
    ))]
}

fn points(lines: impl Iterator<Item = String>) -> Vec<Block> {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { vec![] } else { vec![Block::Points(lines)] }
}

/// The same with its moments told in the zone of the page.
fn told(text: &str, zone: &TimeZone) -> String {
    clean(&stamps::all(text, zone))
}

/// Text from outside on one line, of which nothing is obeyed by a terminal.
fn clean(text: &str) -> String {
    visible_line(text).into_owned()
}
