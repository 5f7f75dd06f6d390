//! Permits on a host: what it wants to disturb and what it holds, said to the controller whole and anew whenever it changes, so
//! that what is not said any more is given back on every way out. Whether an action needs one is the gate's (`gate/permit`).
//! A lease is counted from when it was asked for, so it ends here before it ends at the controller, however long the answer took.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action, Disruption},
    check::Trend,
    condition::Value,
    decision::{Decision, Gate},
    id::{IncidentId, PermitId, TargetId},
    observation::Health,
    permit::{LinkStanding, PERMITS_OF_HOST_MAX, PermitGranted, PermitNews, PermitWanted, PermitsSaid},
    probe::Probe,
    runbook::Step,
    time::MonoTime,
};

use self::known::Want;
use crate::{
    check::CheckState,
    context::{Context, Wake},
    effect::Effect,
    remediation::{Remediation, Stage},
    state::{HeldPermit, OperatorAnswer},
    view::View,
};

pub(crate) mod known;

/// What is wanted or held is said this often although nothing has changed: a lease is counted from the newest.
const SAID_AGAIN: Duration = Duration::from_secs(10);
/// Messages of which it is remembered when they were made: an answer to an older one is no permit.
const SAID_MAX: usize = 32;
/// Nothing is waited for longer than this before a host is taken for what is known of it.
const LOOKED_WITHIN: Duration = Duration::from_secs(60);
/// Longest time for the steps of a rung, and what one step has that takes as long as its unit declares.
const ACTS_MAX: Duration = Duration::from_secs(3600);
const ACTS_AS_DECLARED: Duration = Duration::from_secs(300);
/// Time that a remedy has beside its steps, its verification and its watch.
const SLACK: Duration = Duration::from_secs(60);

impl<'a> View<'a> {
    /// Whether nothing says that a target does not serve: what is forecast, what only a domain finds, as a certificate that ends
    /// soon, and what is a matter of its own beside its unit, as memory that grows, is no failure to serve.
    pub(crate) fn serves_still(self, target: &TargetId) -> bool {
        let fails = |check: &CheckState| {
            let foreseen = check.last.as_ref().and_then(|(_, seen)| seen.figure(Trend::FORESEEN));
            check.is_known_to_fail() && foreseen != Some(&Value::Bool(true))
        };
        let mut checks = self.checks_of_itself(target);
        !checks.any(|check| fails(check) && !matches!(check.check.probe, Probe::Domain(_)))
    }

    /// Whether a step of the try under way has taken the target away.
    pub(crate) fn has_taken_away(self, id: IncidentId) -> bool {
        let Some(remediation) = self.state.remediations.get(&id) else { return false };
        let done = remediation.current().and_then(|rung| rung.steps.get(..remediation.step)).unwrap_or_default();
        done.iter().any(|step| matches!(step, Step::Act { action, .. } if action.disruption() == Disruption::Full))
    }

    /// Whether everything serves, as far as it is known, and nothing is being healed or watched.
    fn is_all_well(self) -> bool {
        let rests = |remediation: &Remediation| matches!(remediation.stage, Stage::Ready) && remediation.step == 0;
        if !self.state.remediations.values().all(rests) {
            return false;
        }
        let mut failing = self.state.incidents.values().filter(|incident| !incident.kind.is_notify_only());
        !failing.any(|incident| {
            !self.serves_still(&incident.target)
                || self.checks_of_itself(&incident.target).any(|check| check.hard == Health::Unknown)
        })
    }
}

impl Context {
    /// How the host stands with its controller has changed.
    pub(crate) fn linked(&mut self, standing: LinkStanding) {
        let epoch = |link: Option<LinkStanding>| match link {
            Some(LinkStanding::Up { epoch, .. }) => Some(epoch),
            Some(LinkStanding::Away) | None => None,
        };
        let permits = &mut self.outside.permits;
        let before = permits.link.replace(standing);
        if before == permits.link {
            return;
        }
        // Numbers of another life mean something else, and what was asked before the link was lost is asked anew.
        if epoch(permits.link).is_some() {
            permits.through = PermitId(0);
            permits.made.clear();
            permits.wants.values_mut().for_each(|want| want.why = None);
        }
        self.reconcile_all();
    }

    /// The host is in no fleet any more, so nobody gives permits. Says whether it was in one.
    pub(crate) fn unlinked(&mut self) -> bool {
        let was_linked = core::mem::take(&mut self.outside.permits).link.is_some();
        if !self.state.permits.is_empty() {
            self.state.permits.clear();
            self.changed();
        }
        was_linked
    }

    /// The controller says something of permits.
    pub(crate) fn hears_of_permits(&mut self, news: PermitNews) {
        match news {
            PermitNews::Granted(granted) => self.granted(granted),
            PermitNews::Denied(denied) => {
                if let Some(want) = self.outside.permits.wants.get_mut(&denied.incident) {
                    want.why = Some(denied.why);
                    self.reconcile(denied.incident);
                }
            }
            PermitNews::Freed(freed) => {
                self.outside.permits.through = self.outside.permits.through.max(freed.id);
                let held = self.state.permits.iter().find(|(_, held)| held.id == freed.id).map(|(id, _)| *id);
                if let Some(id) = held {
                    self.drops_permit(id);
                    self.reconcile(id);
                }
            }
        }
    }

    /// What is no answer to something that is wanted now is not taken, and so given back.
    fn granted(&mut self, granted: PermitGranted) {
        let PermitGranted { id, epoch, incident, number, lasts_ms } = granted;
        let permits = &mut self.outside.permits;
        let is_of_now = matches!(permits.link, Some(LinkStanding::Up { epoch: now, .. }) if now == epoch);
        if !is_of_now {
            return;
        }
        permits.through = permits.through.max(id);
        let asked = permits.made.iter().find(|(made, _)| *made == number).map(|(_, at)| *at);
        let Some(asked) = asked else { return };
        let Some(want) = permits.wants.remove(&incident) else { return };
        let until = asked.plus(Duration::from_millis(lasts_ms));
        let begins_before = until.minus(want.acts);
        self.state.permits.insert(incident, HeldPermit { id, epoch, begins_before, until, is_used: false });
        self.changed();
        self.reconcile(incident);
    }

    /// What the gates have said of an incident: it wants a permit when nothing else is missing. What another gate objects to
    /// keeps nobody else waiting meanwhile.
    pub(crate) fn heeds_permit(&mut self, id: IncidentId, decision: &Decision) {
        if self.outside.permits.link.is_none() {
            return;
        }
        let (mut objects, mut others) = (false, false);
        decision.objections().for_each(|objection| match objection.gate {
            Gate::Permit => objects = true,
            _ => others = true,
        });
        if others && self.state.permits.get(&id).is_some_and(|held| !held.is_used) {
            self.drops_permit(id);
        }
        if !objects || others {
            self.outside.permits.wants.remove(&id);
            return;
        }
        if self.outside.permits.is_wanted(id) || self.outside.permits.wants.len() >= PERMITS_OF_HOST_MAX {
            return;
        }
        let Some((incident, remediation)) = self.view().incident(id).zip(self.state.remediations.get(&id)) else {
            return;
        };
        let acts = acts(remediation);
        let lasts = acts.saturating_add(remediation.policy.verify_within);
        let lasts = lasts.saturating_add(remediation.policy.stable_for).saturating_add(SLACK);
        let (target, what, since) = (incident.target.clone(), decision.proposal.clone(), self.now.mono);
        self.outside.permits.wants.insert(id, Want { target, what, since, acts, lasts, why: None });
    }

    /// An action of an incident begins: a permit that it needed is used. Until when it may begin.
    pub(crate) fn uses_permit(&mut self, id: IncidentId, action: &Action) -> Option<MonoTime> {
        let needs = self.outside.permits.link.is_some()
            && action.disruption() == Disruption::Full
            && !self.view().has_taken_away(id)
            && self.view().incident(id).is_some_and(|incident| self.view().serves_still(&incident.target));
        let held = self.state.permits.get_mut(&id).filter(|_| needs)?;
        held.is_used = true;
        Some(held.begins_before)
    }

    /// Nothing was begun under a permit after all.
    pub(crate) fn did_not_use_permit(&mut self, id: IncidentId) {
        if let Some(held) = self.state.permits.get_mut(&id) {
            held.is_used = false;
        }
    }

    /// An operator asks for what waits for a permit. Says whether something does.
    pub(crate) fn asks_for_permitted(&mut self, target: &TargetId) -> Option<IncidentId> {
        let id = self.checks.open_of(target).find(|id| self.outside.permits.is_wanted(*id))?;
        self.state.answers.insert(id, OperatorAnswer::Forced);
        self.changed();
        Some(id)
    }

    fn drops_permit(&mut self, id: IncidentId) {
        if self.state.permits.remove(&id).is_some() {
            self.changed();
        }
    }

    /// All that there is to say, but for its number and for how long things wait.
    fn permits_now(&self) -> PermitsSaid {
        let permits = &self.outside.permits;
        let wants = permits.wants.iter().map(|(id, want)| PermitWanted {
            incident: *id,
            target: want.target.clone(),
            what: want.what.clone(),
            severity: self.state.incidents.get(id).map(|incident| incident.severity).unwrap_or_default(),
            waits_ms: 0,
            lasts_ms: u64::try_from(want.lasts.as_millis()).unwrap_or(u64::MAX),
            is_approved: self.state.answers.contains_key(id),
        });
        PermitsSaid {
            number: 0,
            through: permits.through,
            is_well: permits.looks_since.is_none() && self.view().is_all_well(),
            wants: wants.collect(),
            holds: self.state.permits.values().map(|held| held.id).take(PERMITS_OF_HOST_MAX).collect(),
        }
    }

    /// A host of which not everything was looked at is not known to be well, as long as that is on its way.
    fn has_looked(&mut self) {
        let Some(since) = self.outside.permits.looks_since else { return };
        let is_late = self.now.mono.since(since) >= LOOKED_WITHIN;
        if is_late || self.checks.states.iter().all(|check| check.last.is_some()) {
            self.outside.permits.looks_since = None;
        }
    }

    /// What is begun anew holds nothing that was not used: whether it is still needed is asked again.
    pub(crate) fn forgets_unused_permits(&mut self) {
        self.outside.permits.looks_since = Some(self.now.mono);
        let unused: Vec<IncidentId> =
            self.state.permits.iter().filter(|(_, held)| !held.is_used).map(|(id, _)| *id).collect();
        unused.into_iter().for_each(|id| self.drops_permit(id));
    }

    /// At the end of a step: what is over is given back, and what has changed is said.
    pub(crate) fn tend_permits(&mut self) {
        let Some(link) = self.outside.permits.link else { return };
        let (state, now) = (&self.state, self.now.mono);
        let is_ready = |id: &IncidentId| state.remediations.contains_key(id) && state.incidents.contains_key(id);
        self.outside.permits.wants.retain(|id, _| is_ready(id));
        // One that failed is kept until a person or its end closes it; what was not begun in time is asked for anew.
        let is_over = |(id, held): (&IncidentId, &HeldPermit)| {
            let is_kept = match held.is_used {
                true => state.incidents.contains_key(id) && now < held.until,
                false => is_ready(id) && now < held.begins_before,
            };
            (!is_kept).then_some(*id)
        };
        let over: Vec<IncidentId> = state.permits.iter().filter_map(is_over).collect();
        for id in over {
            self.drops_permit(id);
            self.wake(now, Wake::Incident(id));
        }
        self.has_looked();
        let LinkStanding::Up { session, gives_permits: true, .. } = link else { return };
        self.say_permits(session);
    }

    fn say_permits(&mut self, session: u64) {
        let now = self.now.mono;
        let said = self.permits_now();
        let permits = &mut self.outside.permits;
        let is_news = permits.said.as_ref() != Some(&(session, said.clone()));
        let is_silent = said.wants.is_empty() && said.holds.is_empty();
        let last = permits.made.back().map(|(_, at)| *at);
        let due = last.map_or(now, |last| last.plus(SAID_AGAIN));
        if !is_news && (is_silent || now < due) {
            return;
        }
        permits.number += 1;
        let number = permits.number;
        permits.said = Some((session, said.clone()));
        permits.made.push_back((number, now));
        if permits.made.len() > SAID_MAX {
            permits.made.pop_front();
        }
        let mut said = PermitsSaid { number, ..said };
        for wanted in &mut said.wants {
            let since = permits.wants.get(&wanted.incident).map_or(now, |want| want.since);
            wanted.waits_ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        }
        if !is_silent {
            self.wake(now.plus(SAID_AGAIN), Wake::Permits);
        }
        self.effects.push(Effect::Permits { session, said: Box::new(said) });
    }
}

/// How long what is left of a rung may take.
fn acts(remediation: &Remediation) -> Duration {
    let steps = remediation.current().and_then(|rung| rung.steps.get(remediation.step..)).unwrap_or_default();
    let takes = |step: &Step| match step {
        Step::Act { timeout, .. } if *timeout == AS_DECLARED => ACTS_AS_DECLARED,
        Step::Act { timeout, .. } => *timeout,
        Step::Wait(wait) => *wait,
    };
    steps.iter().map(takes).fold(Duration::ZERO, Duration::saturating_add).min(ACTS_MAX)
}
