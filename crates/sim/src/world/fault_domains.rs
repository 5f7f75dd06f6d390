//! What must hold between several fault domains of one target, and what may wait for quiet hours. It counts from what the world
//! showed, and shares no code with the engine's gates.

use std::time::Duration;

use ansai_model::{
    action::{ActionRun, Disruption},
    condition::Value,
    decision::{Gate, Verdict},
    id::IncidentId,
    incident::{Incident, Phase},
    observation::{Details, Health, Observation},
    policy::{Policy, QuietHours},
    time::{MonoTime, WallTime},
    unit::ActiveState,
};

use ansai_engine::{check::CheckState, remediation::Stage};

use super::World;

/// A disruptive action may be done this long before the limit is reached at the latest.
const MARGIN: Duration = Duration::from_secs(600);
/// A look at everything comes at least this often.
const WAITS_MAX: Duration = Duration::from_secs(120);
const MINUTE: i64 = 60_000;

/// What the books on fault domains hold.
#[derive(Debug, Default)]
pub(super) struct FaultDomains {
    /// When something was last seen to grow, and how soon it reaches its limit at the earliest.
    limit_seen: Option<(MonoTime, Duration)>,
    /// Since when a unit that is down waits for a remedy that does nothing.
    waits_since: std::collections::BTreeMap<IncidentId, MonoTime>,
}

impl World {
    /// Something was shown to the engine.
    pub(super) fn was_shown(&mut self, observation: &Observation) {
        let Details::Figures(figures) = observation.details() else { return };
        if let Some(Value::Duration(left)) = figures.get("forecast.earliest") {
            self.fault_domains.limit_seen = Some((self.now.mono, *left));
        }
    }

    /// An action is about to begin for an incident.
    pub(super) fn begins_for(&self, run: &ActionRun) -> Result<(), String> {
        let Some(incident) = run.incident.and_then(|id| self.engine.state().incidents.get(&id)) else { return Ok(()) };
        let is_about_itself = incident.check.name() != "memory";
        let is_known_down = |check: &CheckState| {
            check.check.target == run.target && check.check.id.name() == "unit" && check.hard == Health::Failing
        };
        if !is_about_itself && self.engine.check_states().any(is_known_down) {
            return Err(format!("down_comes_first: {run:?} while the unit itself is down"));
        }
        if run.action.disruption() < Disruption::Full || self.is_quiet_or_due(incident) {
            return Ok(());
        }
        Err(format!("quiet_hours_respected: {run:?} at noon, {:?}", incident.decision))
    }

    /// Whether nothing speaks against disrupting now for this incident.
    fn is_quiet_or_due(&self, incident: &Incident) -> bool {
        let Some(wait) = self.policy_of(incident).and_then(|policy| quiet_in(policy, self.now.wall)) else {
            return true;
        };
        self.left().is_none_or(|left| left < wait + MARGIN)
    }

    fn policy_of(&self, incident: &Incident) -> Option<&Policy> {
        let parts = self.bundle.parts();
        parts.policies.get(&parts.rules.get(incident.rule.as_ref()?)?.policy)
    }

    fn left(&self) -> Option<Duration> {
        let (seen, left) = self.fault_domains.limit_seen?;
        Some(left.saturating_sub(self.now.mono.since(seen)))
    }

    /// After each step.
    pub(super) fn matters_hold(&mut self) -> Result<(), String> {
        let state = self.engine.state();
        let mut waits = std::collections::BTreeMap::new();
        for incident in state.incidents.values() {
            self.waits_within_limits(incident)?;
            if self.waits_for_nothing(incident) {
                let since = self.fault_domains.waits_since.get(&incident.id).copied().unwrap_or(self.now.mono);
                if self.now.mono.since(since) > WAITS_MAX {
                    return Err(format!("down_waits_for_no_matter: {}: {:?}", incident.id, incident.decision));
                }
                waits.insert(incident.id, since);
            }
        }
        self.fault_domains.waits_since = waits;
        Ok(())
    }

    /// Whether a unit is down and nothing is done about it while a remedy for another fault domain of it stands still.
    fn waits_for_nothing(&self, incident: &Incident) -> bool {
        if incident.check.name() != "unit" || incident.phase != Phase::Open || incident.symptom_of.is_some() {
            return false;
        }
        let is_down = self
            .units
            .iter()
            .any(|(name, unit)| name.as_str() == incident.target.name() && unit.state == ActiveState::Failed);
        let state = self.engine.state();
        let stands_still =
            |stage: &Stage| matches!(stage, Stage::Ready | Stage::Waiting { .. } | Stage::BackingOff { .. });
        is_down
            && state.remediations.iter().any(|(id, remediation)| {
                let is_beside = state.incidents.get(id).is_some_and(|other| other.target == incident.target);
                is_beside && stands_still(&remediation.stage)
            })
    }

    /// What was decided just now waits neither longer for a cause than its policy says, nor for quiet hours beyond its limit.
    fn waits_within_limits(&self, incident: &Incident) -> Result<(), String> {
        let Some(decision) = incident.decision.as_ref().filter(|decision| decision.at == self.now) else {
            return Ok(());
        };
        let Some(policy) = self.policy_of(incident) else { return Ok(()) };
        let defers = |gate| {
            let of_gate = decision.gates.iter().find(|result| result.gate == gate);
            of_gate.is_some_and(|result| matches!(result.verdict, Verdict::Defer { .. }))
        };
        let age = self.now.mono.since(incident.opened.mono);
        if defers(Gate::Dependency) && age > policy.dependency_wait {
            return Err(format!("patience_ends: {} waits for {age:?} already: {decision:?}", incident.id));
        }
        if !defers(Gate::Quiet) {
            return Ok(());
        }
        let Some((wait, left)) = quiet_in(policy, self.now.wall).zip(self.left()) else { return Ok(()) };
        // A look while the unit comes up or goes down says nothing, whatever it showed.
        let is_believed = |check: &CheckState| {
            check.check.id == incident.check
                && check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Failing)
        };
        if left < wait && self.engine.check_states().any(is_believed) {
            return Err(format!("limit_comes_first: {} waits {wait:?}, and has {left:?}", incident.id));
        }
        Ok(())
    }
}

/// How long it is until the quiet hours of a policy; none when it has none or they are now.
fn quiet_in(policy: &Policy, now: WallTime) -> Option<Duration> {
    let Some(QuietHours::Declared(hours)) = policy.quiet else { return None };
    if hours.open_until(now).is_some() {
        return None;
    }
    let minute = now.0.div_euclid(MINUTE);
    let opens = (1..=8 * 24 * 60).map(|ahead| WallTime((minute + ahead) * MINUTE));
    opens.into_iter().find(|at| hours.open_until(*at).is_some()).map(|at| at.since(now))
}
