//! When evidence is asked for, and which notices wait for it. What counts as evidence is found out by the host's adapter.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use ansai_model::{
    check::Trend,
    condition::Value,
    decision::{Decision, Gate},
    id::{IncidentId, RunId, RungId},
    incident::{Evidence, EvidenceKind, EvidencePart, EvidenceRequest, Incident, Phase, Step, StepKind},
    notify::NoticeKind,
    probe::Probe,
    text::Text,
    time::{MonoTime, Now, WallTime},
    unit::UnitSnapshot,
};

use crate::{
    cause,
    check::CheckState,
    context::{Asked, Context, Gathering, Wake},
    effect::Effect,
    view::View,
};

/// Changes in this time before an incident are evidence.
const CHANGES_WITHIN: Duration = Duration::from_secs(3 * 86_400);
/// So long before something began to grow a change may be why.
const CHANGES_BEFORE_GROWTH: Duration = Duration::from_secs(86_400);
/// So many searches at once: in a storm the host has other things to do.
const GATHERED_AT_ONCE_MAX: usize = 8;
/// Longest that a notice waits for the evidence that belongs into it.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that the first action on a service that is up waits, so that its processes and its port are seen as they fail.
const MOMENT_MAX: Duration = Duration::from_secs(1);
/// Most requests of earlier searches of one incident of which the answer is known when it comes late.
const EARLIER_MAX: usize = 8;
/// Most of its other checks of which is told what they had seen.
const LOOKS_MAX: usize = 4;

impl Gathering {
    /// What was asked for and is not answered, the oldest first.
    fn unanswered(self) -> Vec<Asked> {
        self.earlier.into_iter().chain(self.asked).collect()
    }

    /// Of a request that is made now: its moment, and another one than those that are not answered have. So nothing has to be
    /// saved for it, and what is replayed has the same.
    fn next_number(&self, now: MonoTime) -> u64 {
        let unanswered = self.earlier.iter().chain(&self.asked).map(|asked| asked.number.saturating_add(1));
        unanswered.max().unwrap_or_default().max(u64::try_from(now.0).unwrap_or_default())
    }

    /// What an earlier search has asked for by this number.
    fn take_earlier(&mut self, number: Option<u64>) -> Option<Asked> {
        let at = self.earlier.iter().position(|asked| Some(asked.number) == number)?;
        Some(self.earlier.remove(at))
    }
}

impl Context {
    /// Keeps what the last looks have told, and has the rest gathered.
    pub(crate) fn begin_evidence(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        let seen = view.unit_seen(incident);
        let unit = seen.map(|(at, unit)| {
            Evidence::seen_at(at.wall, "systemd", EvidenceKind::Unit, Text::new(alloc::format!("{unit}")))
        });
        // It is said once, when it opens: what they see later is of a remedy.
        let before = if incident.steps.is_empty() { view.seen_by_others(incident) } else { Vec::new() };
        // One whose log is awaited is not forgotten for another: what all of them have logged is asked for then.
        let is_awaited = |unit: &UnitSnapshot| {
            self.gathering.get(&id).is_none_or(|awaited| awaited.run.as_ref() == unit.invocation.as_ref())
        };
        let of_run = view.run_seen(incident).filter(|unit| is_awaited(unit));
        let (run, ended_pid) = of_run.map(|unit| (unit.invocation.clone(), unit.ended_pid)).unwrap_or_default();
        let was_up = seen.is_some_and(|(_, unit)| unit.active.is_up());
        let (part, begun, after) = (EvidencePart::Passing, self.now, last_begun(incident));
        let mut earlier = self.gathering.remove(&id).map(Gathering::unanswered).unwrap_or_default();
        earlier.drain(..earlier.len().saturating_sub(EARLIER_MAX));
        let search = Gathering { part, begun, run, ended_pid, was_up, after, asked: None, earlier };
        self.change_incident(id, |incident| add(incident, unit.into_iter().chain(before)));
        self.gathering.insert(id, search);
    }

    /// Whether the first action waits for what it would take away: a service that is up has its processes and its port
    /// still, as they fail.
    pub(crate) fn waits_for_traces(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let until = incident.opened.mono.plus(MOMENT_MAX);
        let waits = self.gathering.get(&id).is_some_and(|search| search.part == EvidencePart::Passing)
            && self.now.mono < until
            && incident.steps.iter().all(|step| started(step).is_none())
            && view.unit_seen(incident).is_some_and(|(_, unit)| unit.active.is_up());
        if waits {
            self.wake(until, Wake::Incident(id));
        }
        waits
    }

    /// Asks for the evidence that is due. What lasts of a unit that is down waits, while its remedy should not; what passes
    /// is asked for before a remedy has begun or as it begins, and not any more later.
    pub(crate) fn ask_for_due_evidence(&mut self) {
        let due: Vec<_> =
            self.gathering.iter().filter(|(_, search)| search.asked.is_none()).map(|(id, _)| *id).collect();
        let is_awaited = |search: &&Gathering| search.asked.as_ref().is_some_and(|asked| self.now.mono < asked.until);
        let mut under_way = self.gathering.values().filter(is_awaited).count();
        for id in due {
            if under_way >= GATHERED_AT_ONCE_MAX {
                return;
            }
            let Some((incident, search)) = self.state.incidents.get(&id).zip(self.gathering.get(&id)) else {
                self.gathering.remove(&id);
                continue;
            };
            let view = self.view();
            let part = if began_since(incident, search, self.now) { EvidencePart::Lasting } else { search.part };
            let was_up = view.unit_seen(incident).is_none_or(|(_, unit)| !unit.active.is_down());
            let is_started = !was_up && view.is_started_soon(incident);
            let waits = is_started && part == EvidencePart::Lasting;
            let request = (!waits).then(|| view.request(incident, search, part, was_up, is_started));
            let (at, until) = (self.now.mono, self.now.mono.plus(WAIT_MAX));
            if let Some(search) = self.gathering.get_mut(&id) {
                search.part = part;
                let after = search.after.clone();
                search.asked =
                    request.as_ref().map(|request| Asked { number: request.number, at, until, was_up, after });
            }
            let Some(request) = request else { continue };
            under_way += 1;
            self.wake(until, Wake::Incident(id));
            self.effects.push(Effect::Gather(Box::new(request)));
        }
    }

    /// Takes the answer to the request of this number, or, where it bears none, to the newest. Only what this search has asked
    /// for brings it further: what answers an earlier one is evidence, and its own is still awaited.
    pub(crate) fn gathered(&mut self, id: IncidentId, number: Option<u64>, mut evidence: Vec<Evidence>) {
        let search = self.gathering.get_mut(&id);
        let asked = match search {
            None => None,
            Some(search) => {
                let is_its_answer =
                    search.asked.as_ref().is_some_and(|asked| number.is_none_or(|it| it == asked.number));
                match search.part {
                    _ if !is_its_answer => search.take_earlier(number),
                    EvidencePart::Passing => {
                        search.part = EvidencePart::Lasting;
                        search.asked.take()
                    }
                    EvidencePart::Lasting => self.gathering.remove(&id).and_then(|search| search.asked),
                }
            }
        };
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            // What was not seen before the remedy began is the remedy's.
            let began = asked.as_ref().filter(|asked| asked.was_up).and_then(|asked| began_after(incident, asked.at));
            evidence.retain(|found| found.seen.zip(began).is_none_or(|(seen, began)| seen < began));
            let after = asked.as_ref().and_then(|asked| asked.after.as_ref()).map(|(_, rung)| rung);
            let sorted = evidence.into_iter().flat_map(|found| cause::changes::sorted(incident, found));
            let found: Vec<_> = sorted.map(|found| labeled(found, after)).collect();
            add(incident, found);
            self.changed();
        }
        self.look_for_shared_cause(id);
        self.tell_what_waited(id);
        // What waited for the traces goes on.
        self.reconcile(id);
    }

    /// Whether a notice should wait: a person who is asked to act needs the evidence, and who is told early has the time.
    pub(crate) fn waits_for_evidence(&self, id: IncidentId, kind: NoticeKind) -> bool {
        (kind.asks() || kind == NoticeKind::Foreseen)
            && self
                .gathering
                .get(&id)
                .is_some_and(|search| search.asked.as_ref().is_none_or(|asked| self.now.mono < asked.until))
    }

    /// Tells what has waited for evidence that is there, or that nobody waits for any more.
    pub(crate) fn tell_what_waited(&mut self, id: IncidentId) {
        let waiting: Vec<_> = self.held_back.iter().filter(|(held, _)| *held == id).copied().collect();
        for (id, kind) in waiting {
            if !self.waits_for_evidence(id, kind) && !self.waits_for_silence(id, kind) {
                self.held_back.remove(&(id, kind));
                self.tell(id, kind);
            }
        }
    }

    /// After a restart of the agent: evidence that was not kept is asked for again, and notices that were not yet
    /// made are made when it is there.
    pub(crate) fn resume_evidence(&mut self) {
        let part = |incident: &Incident| {
            let has = |is_of: fn(EvidenceKind) -> bool| incident.evidence.iter().any(|found| is_of(found.kind));
            let is_passing = |kind| matches!(kind, EvidenceKind::Resources | EvidenceKind::Port);
            let is_lasting = |kind| matches!(kind, EvidenceKind::Log | EvidenceKind::Change | EvidenceKind::Missing);
            let next = if has(is_passing) { EvidencePart::Lasting } else { EvidencePart::Passing };
            (!has(is_lasting)).then_some(next)
        };
        let open = self.state.incidents.values();
        let open = open.map(|incident| {
            (incident.id, part(incident), wanted(incident), last_begun(incident), failed_last(incident))
        });
        for (id, part, kind, after, begun) in open.collect::<Vec<_>>() {
            if let Some(part) = part {
                let (run, ended_pid, was_up, earlier) = (None, None, false, Vec::new());
                let search = Gathering { part, begun, run, ended_pid, was_up, after, asked: None, earlier };
                self.gathering.insert(id, search);
            }
            if let Some(kind) = kind {
                self.tell(id, kind);
            }
        }
    }
}

impl<'a> View<'a> {
    /// What was last seen of the unit of an incident's target, and when.
    fn unit_seen(self, incident: &Incident) -> Option<(Now, &'a UnitSnapshot)> {
        let seen = |check: &'a CheckState| check.last.as_ref().and_then(|(at, seen)| Some((*at, seen.unit()?)));
        self.checks_to_verify(incident).into_iter().find_map(seen)
    }

    /// The same, when it is of the run that fails now: a look from before the end of the action that was begun last says
    /// nothing of what that has started, which may have failed before anybody looked.
    fn run_seen(self, incident: &Incident) -> Option<&'a UnitSnapshot> {
        let begun = last_begun(incident).map(|(run, _)| run);
        let is_its_end = |step: &&Step| matches!(&step.kind, StepKind::Ended { run, .. } if Some(*run) == begun);
        let ended = incident.steps.iter().rev().find(is_its_end).map(|step| step.at.mono);
        let is_later = |looked: MonoTime| begun.is_none() || ended.is_some_and(|ended| ended <= looked);
        let seen = |check: &'a CheckState| {
            let (_, seen) = check.last.as_ref().filter(|_| check.looked_at.is_some_and(is_later))?;
            seen.unit()
        };
        self.checks_to_verify(incident).into_iter().find_map(seen)
    }

    /// What the other checks of an incident's target had last seen before it went: as what its memory was. What they have seen
    /// since is of what has failed.
    fn seen_by_others(self, incident: &Incident) -> Vec<Evidence> {
        let is_other = |check: &&CheckState| {
            check.check.id != incident.check && !matches!(check.check.probe, Probe::Unit { .. } | Probe::Process { .. })
        };
        let last = self.checks.of(&incident.target).filter(is_other).filter_map(|check| {
            let (at, words) = check.seen_before(incident.failing_since.mono)?;
            let source = Text::new(alloc::format!("last look of {}", check.check.id));
            Some(Evidence::seen_at(at.wall, source, EvidenceKind::Look, words.clone()))
        });
        last.take(LOOKS_MAX).collect()
    }

    /// Whether a remedy is under way, or only waits for those of others.
    fn is_started_soon(self, incident: &Incident) -> bool {
        let decision = incident.decision.as_ref().filter(|_| incident.phase == Phase::Open);
        let mut objections = decision.into_iter().flat_map(Decision::objections);
        objections.any(|objection| objection.gate == Gate::Concurrency)
            || self.state.runs.values().any(|run| run.incident == Some(incident.id))
    }

    /// What is asked for; who has the port of a unit that is being started is not.
    fn request(
        self,
        incident: &Incident,
        search: &Gathering,
        part: EvidencePart,
        is_running: bool,
        is_started: bool,
    ) -> EvidenceRequest {
        let target = self.bundle.parts().targets.get(&incident.target);
        // What grows may have begun to with a change of long ago.
        let growing = match incident.observation.figure(Trend::GROWING) {
            Some(Value::Duration(growing)) => growing.saturating_add(CHANGES_BEFORE_GROWTH),
            Some(_) | None => Duration::ZERO,
        };
        let within = i64::try_from(CHANGES_WITHIN.max(growing).as_millis()).unwrap_or(0);
        EvidenceRequest {
            number: search.next_number(self.now.mono),
            part,
            incident: incident.id,
            target: incident.target.clone(),
            probe: self.bundle.parts().checks.get(&incident.check).map(|check| check.probe.clone()),
            unit: target.and_then(|target| target.unit.clone()),
            run: search.run.clone(),
            ended_pid: search.ended_pid,
            failed: search.begun.wall,
            until: began_after(incident, search.begun.mono).filter(|_| search.was_up),
            is_running,
            port: target.and_then(|target| target.port).filter(|_| !is_started),
            said: cause::complaint(incident),
            paths: target.map(|target| target.configuration.clone()).unwrap_or_default(),
            since: WallTime(self.now.wall.0.saturating_sub(within)),
            lines_max: self.bundle.parts().settings.evidence_lines_max,
        }
    }
}

/// What a person must have been told of an incident as it stands.
fn wanted(incident: &Incident) -> Option<NoticeKind> {
    match incident.phase {
        Phase::Escalated { .. } => Some(NoticeKind::Escalated),
        Phase::AwaitingApproval { .. } => Some(NoticeKind::ApprovalWanted),
        Phase::Remediating if incident.is_foreseen() => Some(NoticeKind::Foreseen),
        // It was handed over, and is tried again.
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } if was_handed_over(incident) => {
            Some(NoticeKind::Escalated)
        }
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } | Phase::Resolved(_) => None,
    }
}

fn was_handed_over(incident: &Incident) -> bool {
    incident.retry.as_ref().is_some_and(|retry| retry.tries > 0)
}

/// The action that a step is the beginning of, when it is one that may take something of the failure away.
fn started(step: &Step) -> Option<(RunId, &RungId)> {
    match &step.kind {
        StepKind::Started { rung, run, is_harmless: false, .. } => Some((*run, rung)),
        _ => None,
    }
}

/// The action that was begun last, when one was.
fn last_begun(incident: &Incident) -> Option<(RunId, RungId)> {
    incident.steps.iter().rev().find_map(started).map(|(run, rung)| (run, rung.clone()))
}

/// When it was last found to fail, as far as it is known: what came later is of a remedy, or of whoever mended it.
fn failed_last(incident: &Incident) -> Now {
    let failed = incident.steps.iter().rev().find(|step| matches!(step.kind, StepKind::NotVerified { .. }));
    failed.map_or(incident.opened, |step| step.at)
}

/// When an action was begun at this moment or after it, by the wall clock, when one was.
fn began_after(incident: &Incident, moment: MonoTime) -> Option<WallTime> {
    let later = incident.steps.iter().filter(|step| moment <= step.at.mono);
    later.filter(|step| started(step).is_some()).map(|step| step.at.wall).next()
}

/// Whether an action was begun since a search began, and before now.
fn began_since(incident: &Incident, search: &Gathering, now: Now) -> bool {
    let before = search.after.as_ref().map(|(run, _)| *run);
    let last = incident.steps.iter().rev().find(|step| started(step).is_some());
    last.is_some_and(|step| started(step).map(|(run, _)| run) != before && step.at.mono < now.mono)
}

/// Figures are of one moment: those that were taken after an action say so.
fn labeled(found: Evidence, after: Option<&RungId>) -> Evidence {
    match after {
        Some(rung) if is_of_a_moment(&found) => {
            let source = Text::new(alloc::format!("{} (after {rung})", found.source));
            Evidence { source, ..found }
        }
        Some(_) | None => found,
    }
}

fn is_of_a_moment(found: &Evidence) -> bool {
    matches!(found.kind, EvidenceKind::Port | EvidenceKind::Resources)
}

/// It is gathered again after a failed remedy; lines that the same source, or another log, has said before say nothing new.
fn add(incident: &mut Incident, evidence: impl IntoIterator<Item = Evidence>) {
    for found in evidence {
        if incident.evidence.len() >= Incident::EVIDENCE_MAX {
            return;
        }
        // How something is now replaces how it was: a port that was free then may be held by somebody now.
        let is_state = is_of_a_moment(&found);
        if is_state && incident.evidence.iter().any(|kept| kept.kind == found.kind && kept.text == found.text) {
            continue;
        }
        let same = |kept: &&mut Evidence| kept.source == found.source && kept.kind == found.kind;
        if let Some(kept) = incident.evidence.iter_mut().find(same).filter(|_| is_state) {
            (kept.text, kept.seen) = (found.text, found.seen);
            continue;
        }
        let is_log = |one: &Evidence| one.kind == EvidenceKind::Log;
        let is_same = |kept: &&Evidence| kept.source == found.source || (is_log(kept) && is_log(&found));
        let before: Vec<&Evidence> = incident.evidence.iter().filter(is_same).collect();
        let is_old = |line: &str| before.iter().any(|kept| kept.text.as_str().lines().any(|said| said == line));
        let is_news: Vec<bool> = found.text.as_str().lines().map(|line| !is_old(line)).collect();
        let news = found.with_lines(|index| is_news.get(index).copied().unwrap_or(false));
        incident.evidence.extend(news);
    }
}
