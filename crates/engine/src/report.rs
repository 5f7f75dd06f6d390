//! The report: what was measured and observed, and nothing else.

use alloc::{format, string::String, vec, vec::Vec};

use ansai_model::{
    action::ActionOutcome,
    decision::Choice,
    domain,
    incident::{Incident, IncidentKind, Phase, Resolution, StepKind},
    report::{History, Report},
    text::{Counted, Text},
    time::{Now, Shown, WallTime},
};

use crate::{cause, incident::drilled::drill_over, view::View};

/// The rungs that ask what keeps a target from running: its validator, who holds its port, what its environment lacks.
const ASKING: &[&str] = &["validate", "free-port", "environment"];

impl View<'_> {
    /// The report on an open incident as it stands.
    pub(crate) fn report(self, incident: &Incident) -> Report {
        let found = cause::probable(incident);
        let storm = self.storm_of(incident);
        // What is behind all of them is behind this one.
        let shared = storm.as_ref().and_then(|storm| storm.cause.clone());
        let history = self.history(incident);
        let well_since = self.well_since(incident);
        let remediation = self.state.remediations.get(&incident.id);
        let kept_from = remediation.and_then(|remediation| self.kept_from(incident, remediation));
        Report {
            incident: incident.id,
            target: incident.target.clone(),
            check: incident.check.clone(),
            rule: incident.rule.clone(),
            severity: incident.severity,
            kind: incident.kind,
            is_drill: incident.is_drill,
            is_foreseen: incident.is_foreseen(),
            storm,
            at: self.now,
            headline: headline(incident, well_since.is_some(), kept_from.is_some()),
            symptom: symptom(incident),
            failing_since: incident.failing_since,
            since_by: incident.since_by,
            relapse: incident.relapse,
            is_outage: incident.is_outage(),
            well_until: incident.well_until,
            opened: incident.opened,
            phase: incident.phase.clone(),
            well_since,
            evidence: incident.evidence.clone(),
            advice: advice(incident, found.as_ref().map(|(_, advice)| *advice), history),
            began_by: cause::began_by(incident, found.as_ref().map(|(cause, _)| cause)),
            cause: shared.or(found.map(|(cause, _)| cause)),
            steps: incident.steps.clone(),
            steps_dropped: incident.steps_dropped,
            decision: kept_from.or_else(|| incident.decision.clone()),
            retry: incident.retry.clone().filter(|_| matches!(incident.phase, Phase::Escalated { .. })),
            restrained: self.restrained_by(&incident.target).filter(|_| incident.is_open()),
            verified_by: verified_by(incident),
            downtime: incident.downtime(),
            history,
            commands: self.commands(incident),
        }
    }

    /// What a person may want to type next: only what would not be refused as it stands now.
    fn commands(self, incident: &Incident) -> Vec<String> {
        let (id, target) = (incident.id, &incident.target);
        let mut commands: Vec<String> = Vec::new();
        if matches!(incident.phase, Phase::AwaitingApproval { .. }) {
            commands.push(format!("ansai approve {id}"));
            commands.push(format!("ansai reject {id}"));
        }
        if self.keeps_approval(incident) {
            commands.push(format!("ansai reject {id}"));
        }
        // What has left the configuration is unknown to everybody.
        let Some(known) = self.bundle.parts().targets.get(target) else { return commands };
        if let Some(unit) = &known.unit {
            let has_file = self.unit_of(target).is_none_or(|unit| unit.has_file());
            commands.extend(has_file.then(|| format!("systemctl status {unit}")));
            commands.push(format!("journalctl -u {unit} -n 100 --no-pager"));
        }
        commands.extend(domain::by_hand(target));
        commands.push(format!("ansai explain {target}"));
        let is_left = matches!(incident.phase, Phase::Open | Phase::Escalated { .. });
        if is_left && incident.is_drill && !self.looks_well(incident) {
            commands.push(format!("ansai drill {target} --undo"));
        }
        if is_left && self.can_be_healed(target) {
            commands.push(format!("ansai heal {target}"));
        }
        commands
    }

    fn history(self, incident: &Incident) -> History {
        let remembered = self.state.targets.get(&incident.target).map(|memory| &memory.past);
        // Of drills nothing is remembered either.
        let is_open_beside =
            |other: &&Incident| other.target == incident.target && other.id < incident.id && !other.is_drill;
        let mut history = History::default();
        history.by_others += count(self.state.incidents.values().filter(is_open_beside).count());
        for (check, past) in remembered.into_iter().flatten() {
            if *check != incident.check {
                history.by_others += count(past.len());
            }
        }
        let past = remembered.and_then(|past| past.get(&incident.check));
        for past in past.into_iter().flatten() {
            history.incidents += 1;
            history.healed += u32::from(past.was_healed);
            history.downtime += past.downtime;
            history.outages += past.again.saturating_add(1);
            history.last = Some(past.opened);
        }
        history
    }
}

/// As what it was seen first, and as what it was seen last when that is something else.
fn symptom(incident: &Incident) -> Text {
    let (first, last) = (incident.observation.summary(), incident.seen_last().summary());
    if first == last { first.clone() } else { Text::new(format!("{first}; seen last: {last}")) }
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

fn headline(incident: &Incident, is_well: bool, is_kept: bool) -> Text {
    match incident.kind {
        _ if is_well && !matches!(incident.phase, Phase::Resolved(_)) => {
            let (name, symptom) = (incident.target.name(), symptom_of(incident));
            Text::new(format!("{name} is well again, and watched until it has stayed so; it was seen as: {symptom}"))
        }
        IncidentKind::Failure if is_kept && incident.phase == Phase::Remediating => {
            let (name, symptom) = (incident.target.name(), symptom_of(incident));
            Text::new(format!("{name} is failing, and is kept from being healed now: {symptom}"))
        }
        IncidentKind::Failure => headline_of_failure(incident),
        IncidentKind::Unknown => headline_of_unknown(incident),
        IncidentKind::Restless => headline_of_restless(incident),
        IncidentKind::Warning => headline_of_warning(incident),
    }
}

fn headline_of_unknown(incident: &Incident) -> Text {
    let (name, why) = (incident.target.name(), incident.observation.summary());
    Text::new(match &incident.phase {
        Phase::Resolved(Resolution::Withdrawn { why }) => format!("{name}: {why}"),
        Phase::Resolved(_) => format!("{name} is known again, and well"),
        Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating => format!("{name} cannot be judged: {why}"),
        Phase::Stabilizing { .. } | Phase::Escalated { .. } => format!("{name} cannot be judged: {why}"),
    })
}

fn headline_of_restless(incident: &Incident) -> Text {
    let (name, seen) = (incident.target.name(), incident.observation.summary());
    Text::new(match &incident.phase {
        Phase::Resolved(Resolution::Withdrawn { why }) => format!("{name}: {why}"),
        Phase::Resolved(_) => format!("{name} has settled: systemd has not had to restart it lately"),
        Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating => format!("{name} does not last: {seen}"),
        Phase::Stabilizing { .. } | Phase::Escalated { .. } => format!("{name} does not last: {seen}"),
    })
}

fn headline_of_warning(incident: &Incident) -> Text {
    let (name, seen) = (incident.target.name(), incident.observation.summary());
    Text::new(match &incident.phase {
        Phase::Resolved(Resolution::Withdrawn { why }) => format!("{name}: {why}"),
        Phase::Resolved(_) => format!("{name} warns no longer"),
        Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating => {
            format!("{name} is well and warns: {seen}")
        }
        Phase::Stabilizing { .. } | Phase::Escalated { .. } => format!("{name} is well and warns: {seen}"),
    })
}

fn headline_of_failure(incident: &Incident) -> Text {
    let (name, symptom) = (incident.target.name(), symptom_of(incident));
    let is_foreseen = incident.is_foreseen();
    Text::new(match &incident.phase {
        Phase::Resolved(Resolution::Healed { rung }) if is_foreseen => {
            format!("{name} was healed by {rung} before it failed")
        }
        Phase::Resolved(Resolution::Healed { rung }) => match incident.downtime() {
            Some(downtime) => format!("{name} was healed by {rung} after {}", Shown(downtime)),
            None => format!("{name} was healed by {rung}"),
        },
        Phase::Resolved(Resolution::ByItself) => match drill_over(incident) {
            Some(at) => format!("{name} is well again: the drill in it was over at {at}"),
            None => format!("{name} recovered by itself"),
        },
        Phase::Resolved(Resolution::StartedByOthers { at }) => {
            format!("{name} is well again: somebody else started it at {at}")
        }
        Phase::Resolved(Resolution::AfterEscalation) => match (started_by_others(incident), drill_over(incident)) {
            (Some(at), _) => format!("{name} has recovered: somebody else started it at {at}"),
            (None, Some(at)) => format!("{name} has recovered: the drill in it was over at {at}"),
            (None, None) => format!("{name} has recovered"),
        },
        Phase::Resolved(Resolution::Withdrawn { why }) => format!("{name}: nothing to heal ({why})"),
        Phase::Escalated { .. } => format!("{name} needs a person: {}", kept_by(incident).unwrap_or(symptom)),
        Phase::AwaitingApproval { .. } => format!("{name} waits for your approval: {symptom}"),
        Phase::Open if is_foreseen => format!("{name} will fail if nothing is done: {symptom}"),
        Phase::Open => match &incident.decision {
            Some(decision) if decision.choice == Choice::Deny => {
                format!("{name} is failing and was left alone: {symptom}")
            }
            Some(_) | None => format!("{name} is failing: {symptom}"),
        },
        Phase::Remediating if is_foreseen => format!("{name} will fail if nothing is done: {symptom}"),
        Phase::Remediating | Phase::Stabilizing { .. } => format!("{name} is being healed: {symptom}"),
    })
}

/// When somebody else started it the last time, when nothing was begun by us after that.
fn started_by_others(incident: &Incident) -> Option<WallTime> {
    incident.steps.iter().rev().find_map(|step| match step.kind {
        StepKind::StartedByOthers { at, .. } => Some(Some(at)),
        StepKind::Started { is_harmless: false, .. } => Some(None),
        _ => None,
    })?
}

/// As what it was seen last, without its name, with which a symptom may begin as that of a filesystem does.
fn symptom_of(incident: &Incident) -> &str {
    let (name, symptom) = (incident.target.name(), incident.seen_last().summary().as_str());
    symptom.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(symptom)
}

/// What keeps it broken, where a rung that asks for that has found it: a person mends this, and not how it was seen first.
fn kept_by(incident: &Incident) -> Option<&str> {
    let newest = cause::newest_steps(incident).iter().rev();
    newest.filter(|_| incident.kind == IncidentKind::Failure).find_map(|step| match &step.kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. } => {
            let line = why.as_str().lines().map(str::trim).find(|line| !line.is_empty());
            // What a validator said says more than how it ended.
            let said = line.map(|line| {
                match line.split_once("` ended with code ").and_then(|(_, end)| end.split_once(": ")) {
                    Some((_, said)) => said,
                    None => line,
                }
            });
            said.filter(|_| ASKING.contains(&rung.as_str()))
        }
        _ => None,
    })
}

/// How it was found well after the last thing that was done about it, as long as that holds.
fn verified_by(incident: &Incident) -> Option<Text> {
    incident.healthy_since?;
    let holds = |at: Now| incident.relapse.is_none_or(|relapse| relapse.went.mono <= at.mono);
    let last = incident.steps.iter().rev().find_map(|step| match &step.kind {
        StepKind::Verified { seen, .. } => Some(holds(step.at).then_some(seen)),
        // Since then it has failed, or another has mended it.
        StepKind::NotVerified { .. } | StepKind::Escalated { .. } | StepKind::TriedAgain { .. } => Some(None),
        StepKind::BackedOff { .. } => Some(None),
        StepKind::Started { is_harmless, .. } => (!is_harmless).then_some(None),
        StepKind::Decided(_) | StepKind::Skipped { .. } | StepKind::Ended { .. } | StepKind::Cause { .. } => None,
        StepKind::Undone { .. } | StepKind::Answered { .. } | StepKind::Resolved { .. } => None,
        StepKind::Interrupted { .. } | StepKind::StartedByOthers { .. } => None,
    });
    last.flatten().cloned()
}

fn advice(incident: &Incident, of_cause: Option<&'static str>, history: History) -> Vec<Text> {
    let mut advice: Vec<Text> = of_cause.map(|text| vec![Text::from(text)]).unwrap_or_default();
    // What a drill broke, and what is told only, is in none of these books, and so it is not one more of them.
    if incident.is_drill || incident.kind.is_notify_only() {
        return advice;
    }
    if incident.is_foreseen() && history.incidents >= 1 {
        advice.push(Text::new(format!(
            "it was foreseen or seen {} before: what is done about it buys time, and the cause is still there",
            Counted(history.incidents, "time")
        )));
    } else if history.incidents >= 3 {
        let number = history.incidents + 1;
        let down = match incident.is_outage() {
            true => format!(" with {} of downtime before", Shown(history.downtime)),
            false => String::new(),
        };
        let what = format!("this is incident {number} of this check{down}: mend the cause rather than the symptom");
        advice.push(Text::new(what));
    }
    advice
}
