//! What a look at a unit means, in the three values of health. It asks nobody.

use alloc::{format, string::String};
use core::time::Duration;

use super::{ActiveState, Exit, HostActivity, Intent, LoadState, UnitExpectation, UnitResult, UnitSnapshot};
use crate::{
    observation::{Details, Observation},
    text::Text,
    time::Shown,
};

/// What a look at a unit means, in the three values of health.
///
/// A stop that somebody asked for, a mask, a shutdown and a package operation are unknown: they neither open nor close
/// an incident. So is an inactive unit that ended while nobody listened, unless systemd itself calls it failed.
#[must_use]
pub fn judge(expect: UnitExpectation, unit: UnitSnapshot) -> Observation {
    let (healthy, text) = match verdict(expect, &unit) {
        Verdict::Healthy(text) => (Some(true), text),
        Verdict::Failing(text) => (Some(false), text),
        Verdict::Unknown(text) => (None, text),
    };
    let text = match &unit.alias_of {
        Some(own) => Text::new(format!("{text}; its own name is {own}")),
        None => text,
    };
    // A start runs what systemd has read: nothing that was mended since helps before that.
    let text = match unit.needs_reload && healthy == Some(false) {
        true => Text::new(format!(
            "{text}; its unit file was changed, and systemd has not read it: systemctl daemon-reload"
        )),
        false => text,
    };
    let details = Details::Unit(alloc::boxed::Box::new(unit));
    match healthy {
        Some(true) => Observation::healthy(text),
        Some(false) => Observation::failing(text),
        None => Observation::unknown(text),
    }
    .with_details(details)
}

enum Verdict {
    Healthy(Text),
    Failing(Text),
    Unknown(Text),
}

fn verdict(expect: UnitExpectation, unit: &UnitSnapshot) -> Verdict {
    match unit.load {
        LoadState::Loaded => {}
        LoadState::Masked if unit.active.is_up() => {
            return Verdict::Unknown(
                "it runs, and is masked by an operator: it is left alone until it is unmasked".into(),
            );
        }
        LoadState::Masked => return Verdict::Unknown("masked by an operator".into()),
        LoadState::NotFound if unit.active == ActiveState::Active => {}
        // A package that is being replaced takes its unit away for a while.
        LoadState::NotFound if unit.activity == HostActivity::ChangingPackages => {
            return Verdict::Unknown(Text::new(format!("the unit does not exist, and {}", changing_packages(unit))));
        }
        LoadState::NotFound => return Verdict::Failing("the unit does not exist".into()),
        LoadState::BadSetting | LoadState::Error => {
            return Verdict::Failing("systemd cannot read the unit file".into());
        }
        LoadState::Other => return Verdict::Unknown("systemd has not loaded the unit".into()),
    }
    match unit.active {
        ActiveState::Active | ActiveState::Reloading => Verdict::Healthy(Text::new(match unit.warning() {
            Some(warning) => format!("active ({}), but {warning}", unit.sub),
            None => format!("active ({})", unit.sub),
        })),
        ActiveState::Activating if unit.sub.as_str() == "auto-restart" => {
            Verdict::Unknown("ended; systemd is about to restart it by itself".into())
        }
        ActiveState::Activating => Verdict::Unknown(on_its_way("starting", unit)),
        ActiveState::Deactivating => Verdict::Unknown(on_its_way("stopping", unit)),
        ActiveState::Other => Verdict::Unknown("in a state that ansai does not know".into()),
        ActiveState::Failed | ActiveState::Inactive => stopped(expect, unit),
    }
}

fn stopped(expect: UnitExpectation, unit: &UnitSnapshot) -> Verdict {
    match unit.activity {
        HostActivity::ShuttingDown => return Verdict::Unknown("the host is shutting down".into()),
        HostActivity::ChangingPackages => return Verdict::Unknown(Text::new(changing_packages(unit))),
        HostActivity::Unknown => return Verdict::Unknown("whether the host is going down is not known".into()),
        HostActivity::Normal => {}
    }
    if unit.is_stopped_on_request() {
        return Verdict::Unknown("stopped on request, not by a failure".into());
    }
    if let Some(job) = unit.job {
        return Verdict::Unknown(Text::new(format!("systemd has a {} job for it", job.as_str())));
    }
    if unit.active == ActiveState::Failed {
        return Verdict::Failing(how_it_failed(unit));
    }
    if let Some(trigger) = &unit.failed_trigger {
        return Verdict::Failing(Text::new(format!("nothing starts it any more: {trigger}")));
    }
    if let (UnitExpectation::Running, Some(other)) = (expect, &unit.stopped_with) {
        return Verdict::Failing(Text::new(format!("stopped by systemd, since it is bound to {other}, which failed")));
    }
    match (expect, unit.intent) {
        (UnitExpectation::NotFailed, _) => Verdict::Healthy("resting, as it may".into()),
        // It has run, or was not asked to: a one-shot is no daemon, whatever the host's inventory has missed.
        (UnitExpectation::Running, _) if unit.is_job => Verdict::Healthy("resting, as a one-shot may".into()),
        // No inventory has another name of a unit, so that nobody has said that it may rest.
        (UnitExpectation::Running, _) if unit.has_trigger && unit.alias_of.is_some() => {
            Verdict::Healthy("resting, as it may".into())
        }
        (UnitExpectation::Running, Intent::ByItself | Intent::StartFailed) => {
            Verdict::Failing(Text::new(format!("{}, though it should be running", how_it_ended(unit))))
        }
        // Our own action left it stopped: our remedy is not done, or did not work.
        (UnitExpectation::Running, Intent::Ours) => Verdict::Failing("not running after an action of ours".into()),
        (UnitExpectation::Running, Intent::Unknown) => Verdict::Unknown(
            "not running, and ansai was not watching when it stopped: perhaps somebody stopped it on purpose".into(),
        ),
        (UnitExpectation::Running, Intent::Stopped) => Verdict::Unknown("stopped on request".into()),
    }
}

fn on_its_way(what: &str, unit: &UnitSnapshot) -> Text {
    Text::new(match unit.limit {
        Some(Duration::MAX) => format!("{what} ({}), for as long as it takes: the unit sets no limit", unit.sub),
        Some(limit) => format!("{what} ({}), at most {} as the unit says", unit.sub, Shown(limit)),
        None => format!("{what} ({})", unit.sub),
    })
}

fn changing_packages(unit: &UnitSnapshot) -> String {
    match &unit.busy {
        Some(who) => format!("a package operation is in progress: {who}"),
        None => String::from("a package operation is in progress"),
    }
}

/// How the main process ended without a job. A signal comes from somebody: only what has its own end ends by itself.
fn how_it_ended(unit: &UnitSnapshot) -> String {
    match (unit.exit_in_words(), unit.exit) {
        (None, _) => String::from("ended by itself"),
        (Some(exit), Some(Exit::Code(_))) if unit.own_signal.is_none() => format!("{exit} by itself"),
        (Some(exit), Some(Exit::Signal(_) | Exit::Dumped(_))) if unit.own_signal.is_none() => {
            format!("{exit}, which systemd did not send")
        }
        (Some(exit), _) => exit,
    }
}

fn how_it_failed(unit: &UnitSnapshot) -> Text {
    match (unit.result, unit.exit_in_words()) {
        (UnitResult::Success, Some(exit))
        | (UnitResult::ExitCode | UnitResult::Signal | UnitResult::CoreDump, Some(exit)) => {
            Text::new(format!("failed: {exit}"))
        }
        (result, Some(exit)) => Text::new(format!("failed: {result} ({exit})")),
        (result, None) => Text::new(format!("failed: {result}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observation::Health,
        unit::{Job, OwnSignal, Sender},
    };

    fn unit(active: ActiveState, intent: Intent) -> UnitSnapshot {
        UnitSnapshot { exit: Some(Exit::Code(0)), intent, ..UnitSnapshot::plain(active) }
    }

    #[track_caller]
    fn check(expect: UnitExpectation, unit: UnitSnapshot, health: Health) {
        assert_eq!(judge(expect, unit).health(), health);
    }

    #[test]
    fn an_operators_stop_is_no_failure_and_an_exit_by_itself_is_one() {
        let running = UnitExpectation::Running;
        check(running, unit(ActiveState::Active, Intent::Unknown), Health::Healthy);
        check(running, unit(ActiveState::Inactive, Intent::Stopped), Health::Unknown);
        check(running, unit(ActiveState::Failed, Intent::Stopped), Health::Unknown);
        check(running, unit(ActiveState::Inactive, Intent::ByItself), Health::Failing);
        check(running, unit(ActiveState::Inactive, Intent::Unknown), Health::Unknown);
        check(running, unit(ActiveState::Failed, Intent::Unknown), Health::Failing);
        check(UnitExpectation::NotFailed, unit(ActiveState::Inactive, Intent::ByItself), Health::Healthy);
        check(UnitExpectation::NotFailed, unit(ActiveState::Failed, Intent::ByItself), Health::Failing);
    }

    #[test]
    fn a_signal_comes_from_somebody_and_ansais_own_is_told_as_its_own() {
        let said = |exit, own_signal, active| {
            let seen = UnitSnapshot { exit: Some(exit), own_signal, ..unit(active, Intent::ByItself) };
            let result = if active == ActiveState::Failed { UnitResult::Signal } else { UnitResult::Success };
            judge(UnitExpectation::Running, UnitSnapshot { result, ..seen }).summary().clone()
        };
        let own = |signal, by| Some(OwnSignal { signal, by });
        let (down, failed) = (ActiveState::Inactive, ActiveState::Failed);
        let cases = [
            (Exit::Code(0), None, down, "exited with code 0 by itself, though it should be running"),
            (
                Exit::Signal(15),
                None,
                down,
                "killed by SIGTERM, which systemd did not send, though it should be running",
            ),
            (
                Exit::Signal(15),
                own(15, Sender::Drill),
                down,
                "killed by SIGTERM, which a drill of ansai sent, though it should be running",
            ),
            (
                Exit::Code(0),
                own(15, Sender::Drill),
                down,
                "exited with code 0 after a drill of ansai sent it SIGTERM, though it should be running",
            ),
            (Exit::Signal(9), None, failed, "failed: killed by SIGKILL"),
            (
                Exit::Signal(9),
                own(9, Sender::Remedy),
                failed,
                "failed: killed by SIGKILL, which a remedy of ansai sent",
            ),
        ];
        for (exit, own_signal, active, expected) in cases {
            assert_eq!(said(exit, own_signal, active).as_str(), expected);
        }
    }

    #[test]
    fn a_main_process_that_is_stopped_while_others_run_is_told_and_no_failure() {
        let mut seen =
            UnitSnapshot { main_pid: Some(7), is_main_stopped: true, ..unit(ActiveState::Active, Intent::Unknown) };
        let judged = judge(UnitExpectation::Running, seen.clone());
        let words = "active (running), but its main process 7 is stopped (state T), though others of it run";
        assert_eq!((judged.health(), judged.summary().as_str()), (Health::Healthy, words));
        assert!(seen.warning().is_some());
        seen.active = ActiveState::Failed;
        assert_eq!(seen.warning(), None);
    }

    #[test]
    fn w07_an_alias_of_what_a_socket_starts_may_rest() {
        let rests = || UnitSnapshot { has_trigger: true, ..unit(ActiveState::Inactive, Intent::ByItself) };
        let alias = || UnitSnapshot { alias_of: Some("ssh.service".into()), ..rests() };
        check(UnitExpectation::Running, rests(), Health::Failing);
        check(UnitExpectation::Running, alias(), Health::Healthy);
        check(
            UnitExpectation::Running,
            UnitSnapshot { failed_trigger: Some("ssh.socket".into()), ..alias() },
            Health::Failing,
        );
    }

    #[test]
    fn a_mask_a_shutdown_a_package_operation_and_a_job_are_unknown() {
        let failed = || unit(ActiveState::Failed, Intent::ByItself);
        let masked = UnitSnapshot { load: LoadState::Masked, ..failed() };
        check(UnitExpectation::Running, masked.clone(), Health::Unknown);
        let runs = UnitSnapshot { active: ActiveState::Active, ..masked };
        let seen = judge(UnitExpectation::Running, runs);
        assert!(seen.summary().as_str().starts_with("it runs, and is masked"), "{}", seen.summary());
        check(
            UnitExpectation::Running,
            UnitSnapshot { activity: HostActivity::ShuttingDown, ..failed() },
            Health::Unknown,
        );
        check(
            UnitExpectation::Running,
            UnitSnapshot { activity: HostActivity::ChangingPackages, ..failed() },
            Health::Unknown,
        );
        check(UnitExpectation::Running, UnitSnapshot { job: Some(Job::Restart), ..failed() }, Health::Unknown);
        check(UnitExpectation::Running, UnitSnapshot { load: LoadState::NotFound, ..failed() }, Health::Failing);
        let activity = HostActivity::ChangingPackages;
        check(
            UnitExpectation::Running,
            UnitSnapshot { load: LoadState::NotFound, activity, ..failed() },
            Health::Unknown,
        );
    }

    #[test]
    fn a_unit_file_that_systemd_has_not_read_is_told_of_what_fails() {
        let failed = UnitSnapshot { needs_reload: true, ..unit(ActiveState::Failed, Intent::ByItself) };
        let said = judge(UnitExpectation::Running, failed.clone());
        assert!(said.summary().as_str().ends_with("systemctl daemon-reload"), "{}", said.summary());
        let said = judge(UnitExpectation::Running, UnitSnapshot { intent: Intent::Stopped, ..failed });
        assert!(!said.summary().as_str().contains("daemon-reload"), "it is to be down: {}", said.summary());
    }
}
