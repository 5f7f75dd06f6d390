//! Why something was done, or not: for every target, at any moment.

use alloc::{format, string::String, vec::Vec};
use core::{cmp::Reverse, time::Duration};

use ansai_model::{
    action::Disruption,
    decision::{Choice, Decision, Gate},
    id::{CheckId, IncidentId, RuleId, TargetId},
    incident::{Incident, Phase},
    observation::Health,
    rule::{Autonomy, Severity},
    runbook::Runbook,
    text::{Counted, Text},
    time::{MonoTime, Now, Shown, WallTime},
};
use serde::Serialize;

use crate::{
    check::CheckState,
    gate::{
        self, operator,
        proposal::{Proposal, ProposalKind},
    },
    incident::NO_REMEDY,
    meaning::Stopped,
    remediation::{Remediation, Stage, next_step_of},
    rules::Governed,
    state::BreakerState,
    verification::Verification,
    view::View,
};

/// Everything that bears on a target now.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The target, by its name.
    pub target: TargetId,
    /// What its checks say.
    pub checks: Vec<CheckView>,
    /// Its open incidents.
    pub incidents: Vec<IncidentView>,
    /// The rules that heal it.
    pub rules: Vec<RuleView>,
    /// Why it is held, when it is.
    pub hold: Option<Text>,
    /// When that ends by itself, if ever.
    pub hold_until: Option<Now>,
    /// Why it is in maintenance, when it is.
    pub maintenance: Option<Text>,
    /// When that ends.
    pub maintenance_until: Option<Now>,
    /// Why nobody is told, when silenced.
    pub silence: Option<Text>,
    /// When that ends.
    pub silence_until: Option<Now>,
    /// The circuit breaker.
    pub breaker: Text,
    /// Disruptive actions that it remembers.
    pub actions: usize,
    /// In one sentence: what is happening, or why nothing is.
    pub summary: Text,
    /// Who wants it down and since when, when somebody does.
    pub stopped: Option<Stopped>,
    /// What a person should know though nothing fails.
    pub warning: Option<Text>,
}

/// A target as it stands, without what might be done about it: what is said of each target at once.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What its checks say.
    pub checks: Vec<CheckView>,
    /// Its open incidents.
    pub incidents: Vec<IncidentView>,
    /// In one sentence: what is happening, or why nothing is.
    pub summary: Text,
    /// Who wants it down and since when, when somebody does.
    pub stopped: Option<Stopped>,
    /// What a person should know though nothing fails.
    pub warning: Option<Text>,
}

/// A check as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct CheckView {
    /// The name of the check.
    pub id: CheckId,
    /// The kind of its probe.
    pub probe: &'static str,
    /// The hard state.
    pub hard: Health,
    /// Since when.
    pub since: Option<Now>,
    /// Failing results in a row, and how many make it hard.
    pub failures: (u32, u32),
    /// Whether it flaps.
    pub is_flapping: bool,
    /// What was last seen.
    pub last: Option<(Now, Health, Text)>,
    /// How long ago that was.
    pub age: Option<Duration>,
    /// Whether it is older than the time between two looks, or from before its unit was stopped or started: then it says how it
    /// was, and not how it is.
    pub is_old: bool,
}

/// An open incident as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentView {
    /// The incident, by its number.
    pub id: IncidentId,
    /// Where it stands.
    pub phase: Phase,
    /// What its remediation does at this moment, when there is one.
    pub doing: Option<Text>,
    /// When it is tried again and what it waits for, when a person has it.
    pub retry: Option<Text>,
    /// The incident of which it is a symptom.
    pub symptom_of: Option<IncidentId>,
    /// Who sees to that one, and what is done about this one meanwhile, in words.
    pub left_to: Option<Text>,
    /// What the gates last said.
    pub decision: Option<Decision>,
    /// The rule by which the gates judge, when one applies or did.
    pub rule: Option<RuleId>,
    /// Why no rule applies at this moment, when none does.
    pub no_rule: Option<Text>,
    /// Whether it is well again, and only watched.
    pub is_well_again: bool,
    /// Since when, when it is.
    pub well_since: Option<Now>,
    /// Whether looks find it well, and systemd has had to restart it in between.
    #[serde(skip)]
    pub lasts_not: bool,
    /// How soon a person must see to it, when it is a failure that was escalated to one.
    #[serde(skip)]
    pub escalated: Option<Severity>,
}

/// A rule, and what the gates would say of it now.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    /// The name of the rule.
    pub id: RuleId,
    /// How freely it may act.
    pub autonomy: Autonomy,
    /// When it applies, as it was written; nothing when it always does.
    pub when: Option<Text>,
    /// The rungs of its runbook, in order, in words.
    pub ladder: Vec<Text>,
}

impl View<'_> {
    /// How a target stands; `None` when there is no such target.
    #[must_use]
    pub fn standing(self, target: &TargetId) -> Option<Standing> {
        let index = self.checks.targets.get(target)?;
        let changed = self.unit_of(target).and_then(|unit| unit.since);
        let checks: Vec<_> = self.checks.of(target).map(|check| check_view(self.now, check, changed)).collect();
        let incidents: Vec<_> = self.open_of(target).map(|incident| self.incident_view(incident)).collect();
        let stopped = self.stopped(target);
        let hung = self.hung_by_drill(target);
        let warning = hung.clone().or_else(|| self.warning_of(target));
        let known = Known { target, is_ungoverned: index.rules.is_empty(), warning: warning.as_ref() };
        let can_be_healed = !incidents.is_empty() && self.can_be_healed(target);
        let mut summary = summary(&checks, &incidents, known, can_be_healed);
        let drilled = hung.or_else(|| self.broken_by_drill(target));
        if let Some(drilled) = drilled.filter(|drilled| !summary.as_str().contains(drilled.as_str())) {
            summary = Text::new(format!("{summary}; {drilled}"));
        }
        Some(Standing { checks, incidents, summary, stopped, warning })
    }

    /// What a person should know of a target that works: what its unit says of its next start or its processes, or else
    /// what a look warns of, once that is believed.
    fn warning_of(self, target: &TargetId) -> Option<Text> {
        let of_unit = self.checks.of(target).find_map(|check| check.last.as_ref()?.1.unit()?.warning());
        of_unit.or_else(|| {
            let warns = self.checks.of(target).find(|check| check.warns_since().is_some())?;
            warns.last.as_ref().map(|(_, seen)| seen.summary().clone())
        })
    }

    /// Everything that bears on a target; `None` when there is no such target.
    #[must_use]
    pub fn explain(self, target: &TargetId) -> Option<Explanation> {
        let Standing { checks, incidents, summary, stopped, warning } = self.standing(target)?;
        let parts = self.bundle.parts();
        let rules: Vec<_> = self
            .rules_of(target)
            .map(|rule| RuleView {
                id: rule.id.clone(),
                autonomy: rule.autonomy,
                when: rule.condition.as_ref().map(|condition| condition.source.clone()),
                ladder: parts.runbooks.get(&rule.runbook).map(ladder).unwrap_or_default(),
            })
            .collect();
        let memory = self.state.targets.get(target);
        // Of the breakers of all its fault domains the one that stops most is shown.
        let all = memory.into_iter().flat_map(|memory| memory.fault_domains.values().chain([memory]));
        let breaker = all.map(|memory| match memory.breaker {
            BreakerState::Open { until } if until.mono > self.now.mono => "open",
            BreakerState::Open { .. } => "half-open",
            BreakerState::Closed => "closed",
        });
        // By the alphabet "open" comes last and "closed" first.
        let breaker = breaker.max().unwrap_or("closed");
        let hold = operator::hold_on(self, target);
        let (maintenance_until, maintenance) = operator::maintenance_on(self, target).unzip();
        let (silence_until, silence) = operator::silence_on(self, target).unzip();
        Some(Explanation {
            summary,
            stopped,
            warning,
            target: target.clone(),
            checks,
            incidents,
            rules,
            hold_until: hold.as_ref().and_then(|hold| hold.until),
            hold: hold.map(|hold| hold.words()),
            maintenance: maintenance.map(|window| window.words()),
            maintenance_until,
            silence: silence.map(|silence| silence.words()),
            silence_until,
            breaker: breaker.into(),
            actions: memory.map_or(0, |memory| memory.actions.len()),
        })
    }

    /// An open incident with what all gates say at this moment, whether or not they were asked.
    fn incident_view(self, incident: &Incident) -> IncidentView {
        let known = || incident.rule.as_ref().and_then(|rule| self.bundle.parts().rules.get(rule));
        let (rule, no_rule) = match self.governed(incident) {
            Governed::By(rule) => (Some(rule), None),
            Governed::NotNow(why) => (known(), Some(why)),
            Governed::Never => (known(), None),
        };
        // Of one whose condition does not hold yet it is judged as it will be.
        let covering = rule.or_else(|| self.rules_for(incident).next());
        let remediation = self.state.remediations.get(&incident.id);
        let decision = match (remediation, self.policy_of(incident)) {
            // Nothing is proposed about what is told only, so no gate is asked.
            _ if incident.kind.is_notify_only() => None,
            (None, Some(_)) if covering.is_some_and(|rule| !self.has_remedy(rule)) => {
                Some(Decision::without_gates(self.now, NO_REMEDY, Choice::Deny))
            }
            (None, Some(policy)) => {
                let autonomy = covering.map(|rule| rule.autonomy).unwrap_or_default();
                let (disruption, kind) = (Disruption::Full, ProposalKind::Start);
                let proposal = Proposal { view: self, incident, policy, autonomy, disruption, kind, if_asked: None };
                Some(gate::evaluate(&proposal, "run its runbook".into()))
            }
            (Some(remediation), _) => self.kept_from(incident, remediation).or_else(|| incident.decision.clone()),
            (None, None) => incident.decision.clone(),
        };
        let going_on = remediation.filter(|remediation| self.kept_from(incident, remediation).is_none());
        let doing = going_on.map(|remediation| self.doing(incident, remediation));
        let (phase, symptom_of) = (incident.phase.clone(), incident.symptom_of);
        let retry = self.retry_in_words(incident);
        // A remedy that worked says itself until when it must stay well.
        let is_watched = matches!(incident.phase, Phase::Stabilizing { .. });
        let well_since = self.well_since(incident).filter(|_| !is_watched);
        let (is_well_again, left_to) = (well_since.is_some(), self.waits_for_its_cause(incident));
        let id = incident.id;
        let lasts_not = self.lasts_not(incident);
        let is_escalated = matches!(incident.phase, Phase::Escalated { .. }) && !incident.kind.is_notify_only();
        let escalated = is_escalated.then_some(incident.severity);
        IncidentView {
            id,
            phase,
            doing,
            retry,
            symptom_of,
            left_to,
            decision,
            rule: rule.map(|rule| rule.id.clone()),
            no_rule,
            is_well_again,
            well_since,
            lasts_not,
            escalated,
        }
    }

    /// What the gates say now of a remediation that somebody keeps from going on, when somebody does: it is judged by the rule
    /// in force, which may have less freedom by now, and the restraints that people have set since it last asked are obeyed
    /// when it asks next. What is under way is not interrupted.
    pub(crate) fn kept_from(self, incident: &Incident, remediation: &Remediation) -> Option<Decision> {
        let asks_next = matches!(remediation.stage, Stage::Ready | Stage::Waiting { .. } | Stage::BackingOff { .. });
        let what = next_step_of(&remediation.runbook, remediation.rung);
        let (disruption, kind) = (Disruption::Full, ProposalKind::Continue);
        let now = self.decision_within(incident, remediation, disruption, kind, what);
        let keeps = now.objections().any(|objection| match objection.gate {
            Gate::Autonomy => true,
            Gate::Hold | Gate::Maintenance | Gate::Ledger => asks_next,
            _ => false,
        });
        keeps.then_some(now)
    }

    /// Whether what was found well has died since, too short a while ago to be called well.
    fn lasts_not(self, incident: &Incident) -> bool {
        self.died_since_well(incident).is_some_and(|(_, until)| self.now.mono < until)
    }

    /// What a remediation does or waits for at this moment, in words.
    fn doing(self, incident: &Incident, remediation: &Remediation) -> Text {
        let rung = remediation.current().map_or("none", |rung| rung.id.as_str());
        let left = |until: MonoTime| Shown(until.since(self.now.mono));
        Text::new(match &remediation.stage {
            Stage::Ready => match incident.decision.as_ref().and_then(|decision| decision.objections().next()) {
                Some(said) if said.gate == Gate::Permit => format!("`{rung}` waits: {}", said.why),
                Some(_) | None => format!("the next step of `{rung}` waits for the gates"),
            },
            Stage::Acting { since, .. } => {
                format!("`{rung}` has been under way for {}", Shown(self.now.mono.since(since.mono)))
            }
            Stage::Waiting { until } => format!("`{rung}` waits for another {}", left(*until)),
            Stage::Verifying { since, until } => match self.verification(incident, since.mono) {
                Verification::Pending(why) => {
                    format!("`{rung}` is done, and its success is awaited for another {}: {why}", left(*until))
                }
                Verification::Passed(_) | Verification::Failed(_) => format!("`{rung}` is done and being verified"),
            },
            Stage::Stabilizing { until } if self.lasts_not(incident) => {
                let until = self.died_since_well(incident).map_or(*until, |(_, lasts)| lasts.max(*until));
                format!(
                    "`{rung}` is done, but systemd has had to restart it since; it must run for another {}",
                    left(until)
                )
            }
            Stage::Stabilizing { until } if self.now.mono < *until => {
                format!("`{rung}` worked; it must stay well for another {}", left(*until))
            }
            Stage::Stabilizing { .. } => {
                match self.checks_to_verify(incident).into_iter().find(|check| check.is_flapping) {
                    Some(check) => format!(
                        "`{rung}` worked, but {} changes too often, so it is not called healed before it has settled",
                        check.check.id
                    ),
                    None => format!("`{rung}` worked; whether all is well is not known at this moment"),
                }
            }
            Stage::BackingOff { until } => format!("the next attempt (`{rung}`) comes in {}", left(*until)),
            Stage::Undoing { .. } => format!("`{rung}` is being taken back"),
        })
    }
}

/// A check as it stands, whose unit is in its state since then.
fn check_view(now: Now, state: &CheckState, changed: Option<WallTime>) -> CheckView {
    let age = state.last.as_ref().map(|(at, _)| now.mono.since(at.mono));
    // What was seen before its unit was stopped or started says nothing of it now, however short a while ago.
    let looked = state.looked_at.map(|at| now.mono.since(at));
    let is_of_before = looked.zip(changed).is_some_and(|(ago, changed)| ago > now.wall.since(changed));
    CheckView {
        id: state.check.id.clone(),
        probe: state.check.probe.kind(),
        hard: state.hard,
        since: state.hard_since,
        failures: (state.failures, state.check.fail_after),
        is_flapping: state.is_flapping,
        last: state.last.as_ref().map(|(at, seen)| (*at, seen.health(), seen.summary().clone())),
        is_old: is_of_before || age.is_some_and(|age| age > state.period()),
        age,
    }
}

fn ladder(runbook: &Runbook) -> Vec<Text> {
    (0..runbook.rungs.len())
        .map(|rung| Text::new(format!("{}: {}", runbook.rungs[rung].id, next_step_of(runbook, rung))))
        .collect()
}

/// Of several open incidents the one that is told of first: the most urgent that people were told of, and of what is not well
/// again last that for which no rule applies yet; the first of those that are alike.
fn foremost(incidents: &[IncidentView]) -> Option<&IncidentView> {
    incidents.iter().min_by_key(|incident| {
        let waits_for_rule = matches!(incident.phase, Phase::Open) && incident.no_rule.is_some();
        (incident.well_since.is_some(), Reverse(incident.escalated), waits_for_rule)
    })
}

impl Standing {
    /// The incident that its summary is about.
    #[must_use]
    pub fn foremost(&self) -> Option<IncidentId> {
        foremost(&self.incidents).map(|incident| incident.id)
    }
}

/// What is known of a target beside its checks and incidents.
#[derive(Clone, Copy)]
struct Known<'a> {
    target: &'a TargetId,
    /// Whether no rule would heal it.
    is_ungoverned: bool,
    warning: Option<&'a Text>,
}

/// Which gates let an operator pass who wants it healed now.
fn yields_to_operator(gate: Gate) -> bool {
    match gate {
        Gate::Autonomy | Gate::Cooldown | Gate::BackOff | Gate::CircuitBreaker | Gate::Quiet => true,
        Gate::Hold | Gate::Ledger | Gate::Maintenance | Gate::Intent | Gate::Existence => false,
        Gate::TargetBudget | Gate::HostBudget | Gate::Dependency | Gate::Concurrency | Gate::Permit => false,
    }
}

fn summary(checks: &[CheckView], incidents: &[IncidentView], known: Known<'_>, can_be_healed: bool) -> Text {
    let Some(incident) = foremost(incidents) else {
        let failing = checks.iter().find(|check| check.failures.0 > 0);
        let is_unknown =
            |check: &&CheckView| check.last.as_ref().is_none_or(|(_, health, _)| *health == Health::Unknown);
        // Of what does not run nothing else can be seen: its unit says why.
        let unknown = checks.iter().filter(is_unknown).min_by_key(|check| check.probe != "unit");
        return match (failing, unknown) {
            (Some(check), _) => Text::new(format!(
                "{} failed {} in a row; an incident opens at {}",
                check.id,
                Counted(check.failures.0, "time"),
                check.failures.1
            )),
            (None, Some(check)) => match &check.last {
                Some((_, _, why)) => Text::new(format!("nothing is done: {why}")),
                None => "it has not been looked at yet".into(),
            },
            (None, None) => match known.warning {
                Some(warning) => Text::new(format!("all checks are healthy, but {warning}")),
                None if known.is_ungoverned => "all checks are healthy; no rule would heal it".into(),
                None => "all checks are healthy".into(),
            },
        };
    };
    let objection = incident.decision.as_ref().and_then(|decision| decision.objections().next());
    let heal = |does: &str| match can_be_healed {
        true => format!("; `ansai heal {}` {does}", known.target),
        false => String::new(),
    };
    if let Some(since) = incident.well_since {
        let since = since.wall;
        return Text::new(format!(
            "it is well again since {since}, and watched until it has stayed so ({})",
            incident.id
        ));
    }
    match (&incident.phase, objection) {
        (Phase::Escalated { why }, _) => match &incident.retry {
            Some(retry) => Text::new(format!("a person must see to it: {why}; {retry}{}", heal("tries it now"))),
            None => Text::new(format!("a person must see to it: {why}{}", heal("tries it now"))),
        },
        (Phase::Stabilizing { .. }, _) if incident.lasts_not => Text::new(format!(
            "it does not last yet ({}): {}",
            incident.id,
            incident.doing.as_ref().map_or("it is watched", Text::as_str)
        )),
        (Phase::Stabilizing { .. }, _) => match &incident.doing {
            Some(doing) => Text::new(format!("it is well again ({}): {doing}", incident.id)),
            None => Text::new(format!("it is well again ({})", incident.id)),
        },
        (Phase::Remediating, None) => match &incident.doing {
            Some(doing) => Text::new(format!("it is being healed ({}): {doing}", incident.id)),
            None => Text::new(format!("it is being healed ({})", incident.id)),
        },
        (Phase::Open, _) if incident.no_rule.is_some() => {
            Text::new(format!("nothing is done: {}", incident.no_rule.as_ref().map_or("", Text::as_str)))
        }
        (Phase::Open, Some(objection)) if yields_to_operator(objection.gate) => {
            Text::new(format!("nothing is done: {}{}", objection.why, heal("does it once")))
        }
        (_, Some(objection)) => Text::new(format!("nothing is done: {}", objection.why)),
        (Phase::Open | Phase::AwaitingApproval { .. } | Phase::Resolved(_), None) => match &incident.left_to {
            Some(left_to) => left_to.clone(),
            None => Text::new(format!("incident {} is open", incident.id)),
        },
    }
}
