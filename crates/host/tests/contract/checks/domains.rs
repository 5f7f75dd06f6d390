//! What every host promises of each domain. What can be promised of a machine that this program did not make is little: how
//! looks and actions are understood is tested beside them.

use std::time::Duration;

use ansai_host::port::Host;
use ansai_model::{
    action::{Action, ActionOutcome},
    condition::Value,
    domain::{
        certificate::{CertificateProbe, Endpoint, Expectation, FileProbe, KeyPlace, ServedProbe},
        container::{ContainerAction, ContainerProbe},
        database::{DatabaseAction, DatabaseProbe},
        disk::{DiskAction, DiskProbe, USABLE, USED},
        memory::{self, ANONYMOUS, LIFE, MemoryAction, MemoryProbe, Release, ReleaseSignal},
        timesync::TimesyncProbe,
    },
    observation::Health,
    probe::{CommandLine, Probe},
    units::{ByteSize, Percent},
};

use super::{Bench, Course, Kind, LIMIT};

impl<B: Bench> Course<'_, B> {
    pub(super) async fn memory_is_known_of_what_runs(&mut self) {
        let unit = self.unit("memory", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        let probe = Probe::from(MemoryProbe { unit: unit.clone(), limit: Some(ByteSize(1 << 30)) });
        let seen = self.bench.host().observe(&probe, LIMIT).await;
        assert_eq!(seen.health(), Health::Healthy, "{seen:?}");
        assert!(matches!(seen.figure(ANONYMOUS), Some(Value::Bytes(held)) if held.0 > 0), "{seen:?}");
        assert!(matches!(seen.figure(memory::LIMIT), Some(Value::Bytes(limit)) if limit.0 <= 1 << 30), "{seen:?}");
        let again = self.bench.host().observe(&probe, LIMIT).await;
        assert_eq!(again.figure(LIFE), seen.figure(LIFE), "it is the same run");
        self.succeeds(Action::RestartUnit { unit: unit.clone() }).await;
        let restarted = self.bench.host().observe(&probe, LIMIT).await;
        assert!(restarted.figure(LIFE).is_some() && restarted.figure(LIFE) != seen.figure(LIFE), "{restarted:?}");
        self.succeeds(Action::StopUnit { unit: unit.clone() }).await;
        assert_eq!(self.bench.host().observe(&probe, LIMIT).await.health(), Health::Unknown);
    }

    pub(super) async fn memory_is_asked_for_only_by_what_ends_nothing(&mut self) {
        let unit = self.unit("release", Kind::Daemon);
        let before = self.until_health(&unit, Health::Healthy).await.unit().and_then(|unit| unit.main_pid);
        let how = Release::Signal(ReleaseSignal::Winch);
        let release = Action::from(MemoryAction::Release { unit: unit.clone(), how });
        let outcome = self.perform(release, LIMIT).await;
        assert!(
            matches!(&outcome, ActionOutcome::Refused { why } if why.as_str().contains("does not catch")),
            "{outcome:?}"
        );
        let how = Release::Command(Box::new(CommandLine::new(["true"])));
        self.succeeds(Action::from(MemoryAction::Release { unit: unit.clone(), how })).await;
        assert_eq!(self.look(&unit).await.unit().and_then(|unit| unit.main_pid), before);
    }

    /// Whether the clock of this machine is synchronized nobody here may change: what is promised holds for both.
    pub(super) async fn a_clock_is_judged_beside_the_unit_that_keeps_it(&mut self) {
        let unit = self.unit("timesync", Kind::Daemon);
        self.until_health(&unit, Health::Healthy).await;
        let look = |settle| Probe::from(TimesyncProbe { unit: unit.clone(), settle });
        let patient = self.bench.host().observe(&look(Duration::from_secs(86_400 * 365)), LIMIT).await;
        let expected = match patient.figure("timesync.synchronized") {
            Some(Value::Bool(true)) => [Health::Healthy; 2],
            Some(Value::Bool(false)) => [Health::Unknown, Health::Failing],
            // A sandbox may keep us from asking.
            None if patient.summary().as_str().starts_with("the kernel does not say") => [Health::Unknown; 2],
            other => panic!("{other:?}: {patient:?}"),
        };
        let hasty = self.bench.host().observe(&look(Duration::ZERO), LIMIT).await;
        assert_eq!([patient.health(), hasty.health()], expected, "{patient:?} {hasty:?}");
        self.succeeds(Action::StopUnit { unit: unit.clone() }).await;
        let down = self.bench.host().observe(&look(Duration::ZERO), LIMIT).await;
        assert_eq!(down.health(), Health::Unknown, "{down:?}");
        assert_eq!(down.summary().as_str(), format!("{unit} does not run, so nobody synchronizes the clock"));
    }

    pub(super) async fn a_container_that_is_not_there_is_unknown_and_is_not_restarted(&mut self) {
        let (name, within) = ("ansai-contract-nothing".to_owned(), Duration::from_secs(600));
        let probe = Probe::from(ContainerProbe { name: name.clone(), restarts_max: 3, within });
        let seen = self.bench.host().observe(&probe, LIMIT).await;
        assert_eq!(seen.health(), Health::Unknown, "{seen:?}");
        let outcome = self.perform(Action::from(ContainerAction::Restart { name }), LIMIT).await;
        let is_done = matches!(outcome, ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. });
        assert!(!is_done, "{outcome:?}");
    }

    pub(super) async fn a_database_that_is_not_there_is_unknown_and_nobody_is_ended(&mut self) {
        let (postgresql, patience) = ("/contract/nothing".to_owned(), Duration::from_secs(30));
        for locks in [None, Some(patience)] {
            let probe = Probe::from(DatabaseProbe { postgresql: postgresql.clone(), locks });
            let seen = self.bench.host().observe(&probe, LIMIT).await;
            assert_eq!(seen.health(), Health::Unknown, "{seen:?}");
            assert!(seen.summary().as_str().starts_with("nothing has a socket at /contract/nothing"), "{seen:?}");
        }
        let outcome = self.perform(Action::from(DatabaseAction::EndIdle { postgresql, patience }), LIMIT).await;
        let is_done = matches!(outcome, ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. });
        assert!(!is_done, "{outcome:?}");
    }

    pub(super) async fn a_filesystem_is_judged_where_one_is_mounted(&mut self) {
        let most = Percent::new(100).expect("valid");
        let look = |mount: &str| Probe::from(DiskProbe::Space { mount: mount.into(), fails_at: most });
        let seen = self.bench.host().observe(&look("/"), LIMIT).await;
        assert_eq!(seen.health(), Health::Healthy, "{seen:?}");
        let figure = |name: &str| match seen.figure(name) {
            Some(Value::Bytes(bytes)) => bytes.0,
            other => panic!("{name}: {other:?}"),
        };
        assert!(figure(USED) <= figure(USABLE) && figure(USABLE) > 0, "{seen:?}");
        let nothing = self.bench.host().observe(&look("/contract/nothing"), LIMIT).await;
        assert_eq!(nothing.health(), Health::Unknown);
        let words = "nothing is mounted at /contract/nothing; it lies on the filesystem at /";
        assert_eq!(nothing.summary().as_str(), words);
        let measure = |below| Action::from(DiskAction::Measure { mount: "/".into(), below });
        self.succeeds(measure(most)).await;
        let why = self.fails(measure(Percent::default())).await;
        assert!(why.contains("nothing left that may be given up"), "{why}");
    }

    pub(super) async fn a_certificate_that_is_missing_is_due_and_a_server_that_is_down_is_unknown(&mut self) {
        let (path, expect) = ("/contract/missing.pem".to_owned(), Expectation::of(Vec::new()));
        let file = FileProbe { path, key: KeyPlace::Nowhere, expect: expect.clone(), same_as: None };
        let seen = self.bench.host().observe(&Probe::from(CertificateProbe::File(file)), LIMIT).await;
        assert_eq!(seen.health(), Health::Failing, "{seen:?}");
        assert_eq!(seen.summary().as_str(), "/contract/missing.pem does not exist");
        assert_eq!(seen.figure("certificate.is_due"), Some(&Value::Bool(true)));
        let endpoint: Endpoint = "tls://127.0.0.1:1".parse().expect("an endpoint");
        let served = ServedProbe { endpoint, expect, same_as: None };
        let seen = self.bench.host().observe(&Probe::from(CertificateProbe::Served(served)), LIMIT).await;
        assert_eq!(seen.health(), Health::Unknown, "{seen:?}");
    }
}
