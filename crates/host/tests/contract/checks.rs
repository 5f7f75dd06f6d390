//! The list of checks. Each has its own unit, waits for hints and never sleeps: a change that is not hinted at fails it.

use std::{cell::Cell, time::Duration};

use ansai_host::port::Host;
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    hint::Hint,
    id::{IncidentId, RunId, TargetId, UnitName},
    incident::{EvidenceKind, EvidencePart, EvidenceRequest},
    observation::{Health, Observation},
    operator::DrillKind,
    probe::{CommandLine, Probe},
    time::WallTime,
    unit::{ActiveState, Exit, Intent, Sender, UnitExpectation, UnitSnapshot},
};
use futures_util::{Stream, StreamExt};

mod domains;

/// Longest wait for a hint or a look.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a race is run.
const ROUNDS: u32 = 20;

/// What a unit of a check does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It runs.
    Daemon,
    /// It is started by nobody yet, and its start never ends.
    NeverReady,
    /// It is down, and its start fails.
    FailsToStart,
}

/// What happens to a unit without our doing.
pub(crate) enum Deed {
    Crash,
    Exit { code: i32 },
    Start,
    Stop,
    Restart,
    Mask,
}

/// A machine under test.
pub(crate) trait Bench {
    type Host: Host;
    fn host(&self) -> &Self::Host;
    fn install(&self, unit: &UnitName, kind: Kind);
    /// Watches a unit that does not exist.
    fn watch_missing(&self, unit: &UnitName);
    fn do_now(&self, unit: &UnitName, deed: Deed);
    fn cut_bus(&self);
    fn restore_bus(&self);
    fn has_job(&self, unit: &UnitName) -> bool;
    fn failing_command(&self) -> CommandLine;
}

/// The way through the list: the machine and its hints.
struct Course<'a, B: Bench> {
    bench: &'a B,
    hints: Box<dyn Stream<Item = Hint> + Unpin + 'a>,
    runs: Cell<u64>,
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// Runs every check, one after the other.
        pub(crate) async fn all<B: Bench>(bench: &B) {
            let mut course = Course { bench, hints: Box::new(bench.host().hints()), runs: Cell::new(0) };
            // The connection comes up first.
            course.hinted(&Hint::Everything).await;
            $(
                println!("contract: {}", stringify!($name));
                course.$name().await;
            )*
        }
    };
}

checks![
    a_running_unit_is_healthy_and_a_missing_one_fails,
    looks_at_a_missing_unit_are_no_news,
    many_looks_at_once_are_all_answered,
    a_crash_is_seen_as_one,
    an_exit_by_itself_is_a_failure,
    a_stop_by_an_operator_is_none,
    a_restart_by_an_operator_is_never_failing,
    a_masked_unit_is_unknown,
    a_restart_of_ours_heals,
    a_start_that_fails_says_so,
    a_start_that_never_ends_is_given_up,
    what_we_stopped_is_ours,
    a_killed_unit_has_no_process_left,
    resetting_a_failure_hides_none,
    an_action_on_nothing_fails_with_a_reason,
    a_command_says_how_it_ended,
    memory_is_known_of_what_runs,
    memory_is_asked_for_only_by_what_ends_nothing,
    a_clock_is_judged_beside_the_unit_that_keeps_it,
    a_container_that_is_not_there_is_unknown_and_is_not_restarted,
    a_database_that_is_not_there_is_unknown_and_nobody_is_ended,
    a_filesystem_is_judged_where_one_is_mounted,
    a_certificate_that_is_missing_is_due_and_a_server_that_is_down_is_unknown,
    drills_break_and_are_refused_for_what_is_down,
    a_plan_changes_nothing,
    the_inventory_knows_the_units,
    evidence_is_about_the_unit,
    stops_and_exits_are_told_apart_each_time,
    a_bus_that_comes_back_says_everything,
];

impl<B: Bench> Course<'_, B> {
    fn unit(&self, name: &str, kind: Kind) -> UnitName {
        let unit = UnitName::new(format!("contract-{name}.service")).expect("a valid name");
        self.bench.install(&unit, kind);
        unit
    }

    async fn look(&self, unit: &UnitName) -> Observation {
        self.look_as(unit, UnitExpectation::Running).await
    }

    async fn look_as(&self, unit: &UnitName, expect: UnitExpectation) -> Observation {
        self.bench.host().observe(&Probe::Unit { unit: unit.clone(), expect }, LIMIT).await
    }

    /// Observes after each hint until the unit is so.
    async fn until(&mut self, unit: &UnitName, what: impl Fn(&Observation) -> bool) -> Observation {
        loop {
            let seen = self.look(unit).await;
            if what(&seen) {
                return seen;
            }
            let hint = tokio::time::timeout(LIMIT, self.hints.next()).await;
            assert!(hint.is_ok_and(|hint| hint.is_some()), "no hint, and {unit} is {seen:?}");
        }
    }

    async fn until_health(&mut self, unit: &UnitName, health: Health) -> Observation {
        self.until(unit, |seen| seen.health() == health).await
    }

    async fn hinted(&mut self, wanted: &Hint) {
        let wait = async { while self.hints.next().await.as_ref().is_some_and(|hint| hint != wanted) {} };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("no {wanted:?}"));
    }

    async fn perform(&self, action: Action, timeout: Duration) -> ActionOutcome {
        self.runs.set(self.runs.get() + 1);
        let target = TargetId::new("service/contract").expect("a valid name");
        let run = ActionRun { id: RunId(self.runs.get()), incident: None, target, action, timeout };
        self.bench.host().perform(&run).await
    }

    async fn succeeds(&self, action: Action) {
        let outcome = self.perform(action, LIMIT).await;
        assert!(matches!(outcome, ActionOutcome::Succeeded { .. }), "{outcome:?}");
    }

    async fn fails(&self, action: Action) -> String {
        match self.perform(action, LIMIT).await {
            ActionOutcome::Failed { why } => why.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    async fn a_running_unit_is_healthy_and_a_missing_one_fails(&mut self) {
        let unit = self.unit("runs", Kind::Daemon);
        let seen = self.until_health(&unit, Health::Healthy).await;
        let snapshot = seen.unit().expect("a unit's state");
        assert_eq!(snapshot.active, ActiveState::Active);
        assert!(snapshot.main_pid.is_some() && snapshot.invocation.is_some(), "{snapshot:?}");
        let missing = UnitName::new("contract-missing.service").expect("valid");
        let seen = self.look(&missing).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("does not exist"), "{seen:?}");
    }

    async fn many_looks_at_once_are_all_answered(&mut self) {
        let unit = self.unit("many", Kind::Daemon);
        for seen in futures_util::future::join_all((0..128).map(|_| self.look(&unit))).await {
            assert_eq!(seen.health(), Health::Healthy, "{seen:?}");
        }
    }

    /// A look that hints at what it looks at would be followed by another, without end.
    async fn looks_at_a_missing_unit_are_no_news(&mut self) {
        let missing = UnitName::new("contract-nobody.service").expect("valid");
        self.bench.watch_missing(&missing);
        self.look(&missing).await;
        self.hints_until_now("before-missing").await;
        for _ in 0..5 {
            assert_eq!(self.look(&missing).await.health(), Health::Failing);
        }
        let hints = self.hints_until_now("after-missing").await;
        assert!(!hints.contains(&Hint::Unit(missing)), "looks at a unit that does not exist hint at it");
    }

    /// Every hint so far: they end with the first one about a unit that was not there before.
    async fn hints_until_now(&mut self, name: &str) -> Vec<Hint> {
        let unit = self.unit(name, Kind::Daemon);
        self.bench.do_now(&unit, Deed::Crash);
        let mut hints = Vec::new();
        while hints.last() != Some(&Hint::Unit(unit.clone())) {
            let hint = tokio::time::timeout(LIMIT, self.hints.next()).await.expect("a hint in time");
            hints.extend(hint);
        }
        hints
    }

    async fn a_crash_is_seen_as_one(&mut self) {
        let unit = self.unit("crash", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        let seen = self.until_health(&unit, Health::Failing).await;
        let snapshot = seen.unit().expect("a unit's state");
        assert_eq!((snapshot.active, snapshot.exit), (ActiveState::Failed, Some(Exit::Signal(9))));
        assert_eq!(snapshot.intent, Intent::ByItself);
    }

    async fn an_exit_by_itself_is_a_failure(&mut self) {
        let unit = self.unit("exit", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Exit { code: 0 });
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().map(|unit| (unit.active, unit.intent)), Some((ActiveState::Inactive, Intent::ByItself)));
        assert_eq!(seen.unit().and_then(|unit| unit.exit), Some(Exit::Code(0)));
        assert_eq!(self.look_as(&unit, UnitExpectation::NotFailed).await.health(), Health::Healthy);
        self.bench.do_now(&unit, Deed::Start);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Exit { code: 3 });
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().and_then(|unit| unit.exit), Some(Exit::Code(3)));
        assert_eq!(self.look_as(&unit, UnitExpectation::NotFailed).await.health(), Health::Failing);
    }

    async fn a_stop_by_an_operator_is_none(&mut self) {
        let unit = self.unit("stop", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Stop);
        let is_down = |seen: &Observation| {
            assert_ne!(seen.health(), Health::Failing, "{seen:?}");
            seen.unit().is_some_and(|unit| unit.active == ActiveState::Inactive && unit.job.is_none())
        };
        let seen = self.until(&unit, is_down).await;
        assert_eq!(seen.unit().map(|unit| unit.intent), Some(Intent::Stopped));
        assert_eq!(seen.health(), Health::Unknown);
        // A later start and crash count again.
        self.bench.do_now(&unit, Deed::Start);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        self.until_health(&unit, Health::Failing).await;
        // And so does a stop of what has failed.
        self.bench.do_now(&unit, Deed::Stop);
        self.until_health(&unit, Health::Unknown).await;
    }

    async fn a_restart_by_an_operator_is_never_failing(&mut self) {
        let unit = self.unit("restart", Kind::Daemon);
        let before = self.until_health(&unit, Health::Healthy).await.unit().and_then(|unit| unit.invocation.clone());
        self.bench.do_now(&unit, Deed::Restart);
        self.until(&unit, |seen| {
            assert_ne!(seen.health(), Health::Failing, "{seen:?}");
            seen.health() == Health::Healthy && seen.unit().is_some_and(|unit| unit.invocation != before)
        })
        .await;
    }

    async fn a_masked_unit_is_unknown(&mut self) {
        let unit = self.unit("mask", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Mask);
        self.until(&unit, |seen| seen.summary().as_str().contains("masked")).await;
        assert_eq!(self.look(&unit).await.health(), Health::Unknown);
    }

    async fn a_restart_of_ours_heals(&mut self) {
        let unit = self.unit("heal", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        self.until_health(&unit, Health::Failing).await;
        self.succeeds(Action::RestartUnit { unit: unit.clone() }).await;
        assert_eq!(self.look(&unit).await.health(), Health::Healthy, "right after the action");
        self.bench.do_now(&unit, Deed::Crash);
        self.until_health(&unit, Health::Failing).await;
        self.succeeds(Action::StartUnit { unit: unit.clone() }).await;
        assert_eq!(self.look(&unit).await.health(), Health::Healthy, "right after the action");
    }

    async fn a_start_that_fails_says_so(&mut self) {
        let unit = self.unit("fails", Kind::FailsToStart);
        let why = self.fails(Action::StartUnit { unit: unit.clone() }).await;
        assert!(why.contains("failed"), "{why}");
        assert_eq!(self.look(&unit).await.health(), Health::Failing);
    }

    async fn a_start_that_never_ends_is_given_up(&mut self) {
        let unit = self.unit("never", Kind::NeverReady);
        let after = Duration::from_millis(300);
        let outcome = self.perform(Action::RestartUnit { unit: unit.clone() }, after).await;
        assert_eq!(outcome, ActionOutcome::TimedOut { after });
        assert!(!self.bench.has_job(&unit), "our job lingers, and the next rung would meet it");
        assert_ne!(self.look(&unit).await.health(), Health::Healthy);
    }

    async fn what_we_stopped_is_ours(&mut self) {
        let unit = self.unit("ours", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.succeeds(Action::StopUnit { unit: unit.clone() }).await;
        let seen = self.look(&unit).await;
        assert_eq!(seen.unit().map(|unit| (unit.active, unit.intent)), Some((ActiveState::Inactive, Intent::Ours)));
        assert_eq!(seen.health(), Health::Failing);
    }

    async fn a_killed_unit_has_no_process_left(&mut self) {
        let unit = self.unit("kill", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.succeeds(Action::KillUnit { unit: unit.clone() }).await;
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().and_then(|unit| unit.main_pid), None);
        assert_eq!(seen.unit().and_then(|unit| unit.own_signal).map(|own| own.by), Some(Sender::Remedy), "{seen:?}");
        let outcome = self.perform(Action::KillUnit { unit: unit.clone() }, LIMIT).await;
        assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    }

    async fn resetting_a_failure_hides_none(&mut self) {
        let unit = self.unit("reset", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        self.until_health(&unit, Health::Failing).await;
        self.succeeds(Action::ResetFailed { unit: unit.clone() }).await;
        let seen = self.look(&unit).await;
        assert_eq!(seen.unit().map(|unit| unit.active), Some(ActiveState::Inactive));
        assert_eq!(seen.health(), Health::Failing, "{seen:?}");
    }

    async fn an_action_on_nothing_fails_with_a_reason(&mut self) {
        let unit = UnitName::new("contract-missing.service").expect("valid");
        for action in [Action::StartUnit { unit: unit.clone() }, Action::RestartUnit { unit: unit.clone() }] {
            let why = self.fails(action).await;
            assert!(why.contains("not found"), "{why}");
        }
    }

    async fn a_command_says_how_it_ended(&mut self) {
        self.succeeds(Action::Validate { command: Box::new(CommandLine::new(["true"])) }).await;
        let command = self.bench.failing_command();
        let why = self.fails(Action::Validate { command: Box::new(command.clone()) }).await;
        assert!(why.contains("code 1"), "{why}");
        assert_eq!(self.bench.host().observe(&Probe::Exec(command.into()), LIMIT).await.health(), Health::Failing);
    }

    async fn drills_break_and_are_refused_for_what_is_down(&mut self) {
        let unit = self.unit("drill", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        let drill = |kind| Action::Drill { unit: unit.clone(), kind, port: None, paths: Vec::new() };
        self.succeeds(drill(DrillKind::Crash)).await;
        let seen = self.until_health(&unit, Health::Failing).await;
        assert!(seen.unit().is_some_and(UnitSnapshot::is_ended_by_drill), "{seen:?}");
        let missing = UnitName::new("contract-missing.service").expect("valid");
        let nowhere = Action::Drill { unit: missing, kind: DrillKind::Crash, port: None, paths: Vec::new() };
        for nothing_to_break in [drill(DrillKind::Crash), nowhere] {
            let outcome = self.perform(nothing_to_break, LIMIT).await;
            assert!(matches!(outcome, ActionOutcome::Refused { .. }), "{outcome:?}");
        }
        self.succeeds(Action::StartUnit { unit: unit.clone() }).await;
        self.succeeds(drill(DrillKind::Exit)).await;
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().map(|unit| unit.intent), Some(Intent::ByItself));
        assert!(seen.unit().is_some_and(UnitSnapshot::is_ended_by_drill), "{seen:?}");
        // The next death is none of its doing.
        self.succeeds(Action::StartUnit { unit: unit.clone() }).await;
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().and_then(|unit| unit.own_signal), None, "{seen:?}");
    }

    async fn a_plan_changes_nothing(&mut self) {
        let unit = self.unit("plan", Kind::Daemon);
        let before = self.until_health(&unit, Health::Healthy).await;
        let plan = self.bench.host().plan(&Action::RestartUnit { unit: unit.clone() }).await;
        assert!(plan.steps.iter().any(|step| step.as_str().contains(unit.as_str())), "{plan:?}");
        assert_eq!(self.look(&unit).await.unit(), before.unit());
    }

    async fn the_inventory_knows_the_units(&mut self) {
        let unit = self.unit("listed", Kind::Daemon);
        let inventory = self.bench.host().inventory().await;
        assert!(inventory.units.is_sorted_by(|a, b| a.name < b.name));
        let found = inventory.units.iter().find(|facts| facts.name == unit).expect("it is listed");
        assert_eq!((found.active, found.is_oneshot), (ActiveState::Active, false));
        assert!(!inventory.boot_id.is_empty() && inventory.facts.contains_key("host.uptime"), "{:?}", inventory.facts);
    }

    async fn evidence_is_about_the_unit(&mut self) {
        let unit = self.unit("evidence", Kind::Daemon);
        let request = EvidenceRequest {
            number: 1,
            until: None,
            said: None,
            part: EvidencePart::Passing,
            incident: IncidentId(1),
            target: TargetId::new("service/contract").expect("a valid name"),
            probe: None,
            unit: Some(unit),
            run: None,
            ended_pid: None,
            failed: WallTime(0),
            is_running: true,
            port: Some(1),
            paths: Vec::new(),
            since: WallTime(0),
            lines_max: 5,
        };
        let found = self.bench.host().gather(&request).await;
        let kinds: Vec<EvidenceKind> = found.iter().map(|found| found.kind).collect();
        assert!(kinds.contains(&EvidenceKind::Resources) && kinds.contains(&EvidenceKind::Port), "{found:?}");
        assert!(found.iter().all(|found| !found.source.as_str().is_empty() && !found.text.as_str().is_empty()));
    }

    /// Signals and answers race on a real bus; what is judged must not depend on who wins.
    async fn stops_and_exits_are_told_apart_each_time(&mut self) {
        let unit = self.unit("again", Kind::Daemon);
        for _ in 0..ROUNDS {
            self.until_health(&unit, Health::Healthy).await;
            self.bench.do_now(&unit, Deed::Stop);
            let is_down = |seen: &Observation| {
                assert_ne!(seen.health(), Health::Failing, "{seen:?}");
                seen.unit().is_some_and(|unit| unit.active == ActiveState::Inactive && unit.job.is_none())
            };
            self.until(&unit, is_down).await;
            self.bench.do_now(&unit, Deed::Start);
            self.until_health(&unit, Health::Healthy).await;
            self.bench.do_now(&unit, Deed::Exit { code: 0 });
            self.until_health(&unit, Health::Failing).await;
            self.succeeds(Action::RestartUnit { unit: unit.clone() }).await;
            assert_eq!(self.look(&unit).await.health(), Health::Healthy, "right after the action");
        }
    }

    async fn a_bus_that_comes_back_says_everything(&mut self) {
        let unit = self.unit("bus", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        self.bench.cut_bus();
        assert_ne!(self.look(&unit).await.health(), Health::Failing);
        self.bench.restore_bus();
        self.hinted(&Hint::Everything).await;
        self.until_health(&unit, Health::Healthy).await;
        self.bench.do_now(&unit, Deed::Crash);
        let seen = self.until_health(&unit, Health::Failing).await;
        assert_eq!(seen.unit().map(|unit| unit.intent), Some(Intent::ByItself));
    }
}
