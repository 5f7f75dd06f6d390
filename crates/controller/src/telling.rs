//! People are told of the controller's own incidents, and for hosts what those have given to be told, by the channels, the grouping
//! and the outbox that an agent has too. What is told, and when, is the engine's; which routes want it is said in the controller's
//! own file.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
};

use ansai_fleet::effect::FleetNotice;
use ansai_model::{
    id::RouteId,
    incident::{Phase, Resolution},
    notify::{Notice, NoticeKind, Route},
    report::Report,
    text::Text,
    time::Now,
};
use ansai_notify::{
    channel::{Notifier, chain, http::HyperClient},
    outbox::{self, Delivery, Outbox},
    secrets::Resolver,
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::start::now;

/// The folder of messages that wait.
const OUTBOX: &str = "outbox";

/// Most messages for hosts that wait to be put into the outbox, and most of its own: what a storm over many hosts brings at once.
/// The engine asks again for what found no place, which is half a minute later.
const WAITING_MAX: usize = 1_000;

/// Whom to tell, and what waits to be told.
pub(crate) struct Telling {
    /// Nobody where the controller's file names none.
    routes: Vec<Route>,
    outbox: Outbox,
    /// Where messages for hosts go, and where its own.
    groups: SyncSender<(u64, Notice)>,
    own: SyncSender<(u64, Notice)>,
}

impl Telling {
    /// Begins to deliver what waits, until stopped; `told` is where it is said that the message of a group is on the disk.
    pub(crate) fn begin(
        state_dir: &Path,
        routes: Vec<Route>,
        told: mpsc::Sender<u64>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let outbox = Outbox::open(&state_dir.join(OUTBOX), &routes, Arc::new(log));
        if let Some(trouble) = ansai_files::zone::system().trouble.filter(|_| !routes.is_empty()) {
            tracing::warn!("{trouble}");
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let zones = Arc::new(|| ansai_files::zone::system().zone);
        let notifier = Notifier::new(host, zones, Resolver::default(), Arc::new(HyperClient::new())).for_system();
        let (queue, stop) = (outbox.clone(), stop.clone());
        tasks.spawn(async move { outbox::run(queue, &notifier, now, stop).await });
        // A loop that is gone asks again when it is back.
        let groups = keeps(WAITING_MAX, outbox.clone(), tasks, move |number| {
            let _ = told.blocking_send(number);
        });
        let own = keeps(WAITING_MAX, outbox.clone(), tasks, |_| {});
        Self { routes, outbox, groups, own }
    }

    /// How many messages wait of which nobody can be told, since there is no route.
    pub(crate) fn untold(&self) -> usize {
        if self.routes.is_empty() { self.outbox.len() } else { 0 }
    }

    /// Queues a message for hosts, and says so when it is on the disk. The same one again is told once; one for which there is no
    /// place now is asked for again.
    pub(crate) fn tell_for_hosts(&self, number: u64, notice: Notice) {
        let _ = self.groups.try_send((number, notice));
    }

    /// Queues a message on each route that wants it. The same one again is told once.
    pub(crate) fn tell(&self, told: &FleetNotice) {
        let Some(message) = message(&self.routes, now(), told) else { return };
        if self.own.try_send(message).is_err() {
            tracing::error!("too much is to be told at once; what is still so is told when the controller begins anew");
        }
    }
}

/// Puts messages into the outbox, one after another on a thread of its own, until nobody sends any more: a disk may take its time,
/// and the loop waits for none.
fn keeps(
    most: usize,
    outbox: Outbox,
    tasks: &TaskTracker,
    kept: impl Fn(u64) + Send + 'static,
) -> SyncSender<(u64, Notice)> {
    let (sender, messages) = sync_channel::<(u64, Notice)>(most);
    tasks.spawn_blocking(move || {
        for (number, notice) in messages {
            match outbox.put(number, &notice) {
                Ok(()) => kept(number),
                Err(error) => tracing::warn!("a message is told from memory, for it cannot be kept: {}", chain(&error)),
            }
        }
    });
    sender
}

fn log(delivery: &Delivery) {
    match delivery {
        Delivery::Delivered { .. } => tracing::info!("{delivery}"),
        Delivery::Dead { .. } => tracing::error!("{delivery}"),
        Delivery::Refused { recipients, .. } if recipients.is_empty() => {}
        Delivery::Refused { .. } | Delivery::Retrying { .. } | Delivery::Rerouted { .. } | Delivery::Dropped { .. } => {
            tracing::warn!("{delivery}");
        }
    }
}

/// The message, and the number by which it is known as the same when it is told again; nothing when no route wants it.
fn message(routes: &[Route], now: Now, told: &FleetNotice) -> Option<(u64, Notice)> {
    let wants = |route: &&Route| route.scope.holds(&told.target) && told.severity >= route.severity_min;
    let routes: Vec<RouteId> = routes.iter().filter(wants).map(|route| route.id.clone()).collect();
    if routes.is_empty() {
        return None;
    }
    let number = told.incident.0.saturating_mul(2).saturating_add(u64::from(told.is_over));
    let opened = Now { mono: now.mono.minus(now.wall.since(told.opened)), wall: told.opened };
    let (kind, phase) = match told.is_over {
        true => (NoticeKind::Recovered, Phase::Resolved(Resolution::AfterEscalation)),
        false => {
            (NoticeKind::Escalated, Phase::Escalated { why: "it is the controller's own, and for a person".into() })
        }
    };
    let commands = ["ansai status --fleet", "ansai hosts list", "ansai controller doctor"];
    let report = Report {
        severity: told.severity,
        headline: told.headline.clone(),
        symptom: told.headline.clone(),
        opened,
        failing_since: opened,
        is_outage: false,
        well_since: told.is_over.then_some(now),
        advice: vec![Text::new(
            "/usr/share/doc/ansai/docs/fleet/troubleshooting.md says what each of these is, and what to do",
        )],
        commands: commands.map(str::to_owned).into(),
        ..Report::bare(told.incident, told.target.clone(), told.check.clone(), now, phase)
    };
    Some((number, Notice { at: now, kind, routes, report, hosts: None }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::{
        id::{CheckId, IncidentId, TargetId},
        message::Hosts,
        rule::Severity,
    };

    use super::*;
    use crate::settings::Settings;

    const ROUTES: &str = "notify:\n  desk: {webhook: \"http://127.0.0.1:9000/\", severity: now}\n  \
                          hall: {exec: [/bin/true]}\n  db: {exec: [/bin/true], scope: \"postgresql*\"}\n";

    fn told(severity: Severity, is_over: bool) -> FleetNotice {
        let target = TargetId::of("service", "ansai.service").expect("valid");
        let check = CheckId::of(&target, "link").expect("valid");
        let headline = "web-01 is not heard any more".into();
        FleetNotice { incident: IncidentId(7), target, check, opened: Now::default().wall, severity, headline, is_over }
    }

    #[test]
    fn who_wants_it_is_told_and_the_same_is_the_same() {
        let routes = Settings::read("controller.yaml", ROUTES).expect("valid").routes;
        let now = Now::default().plus(Duration::from_secs(90));
        let named = |told: &FleetNotice| {
            let (number, notice) = message(&routes, now, told).expect("somebody");
            (number, notice.kind, notice.routes.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let all = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named(&told(Severity::Now, false)), (14, NoticeKind::Escalated, all(&["desk", "hall"])));
        assert_eq!(named(&told(Severity::Day, false)), (14, NoticeKind::Escalated, all(&["hall"])));
        assert_eq!(named(&told(Severity::Day, true)), (15, NoticeKind::Recovered, all(&["hall"])));
        assert_eq!(message(&[], now, &told(Severity::Now, false)), None);
        let (_, notice) = message(&routes, now, &told(Severity::Now, false)).expect("somebody");
        assert_eq!(now.mono.since(notice.report.opened.mono), Duration::from_secs(90));
    }

    #[tokio::test]
    async fn what_waits_for_a_slow_disk_is_bounded_and_what_has_a_place_is_kept() {
        let routes = Settings::read("controller.yaml", ROUTES).expect("valid").routes;
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::open(folder.path(), &routes, Arc::new(|_| {}));
        let (_, notice) = message(&routes, Now::default(), &told(Severity::Day, false)).expect("somebody");
        let notice = Notice { hosts: Hosts::of(["web-01".into()]), ..notice };
        let tasks = TaskTracker::new();
        let (goes_on, waits) = std::sync::mpsc::sync_channel::<()>(1);
        let groups = keeps(2, outbox.clone(), &tasks, move |_| assert!(waits.recv().is_err(), "it is let go"));
        let refused = (1..=10).filter(|number| groups.try_send((*number, notice.clone())).is_err()).count();
        assert!(refused >= 7, "one is under way and two wait: {refused}");
        drop((goes_on, groups));
        tasks.close();
        tasks.wait().await;
        assert_eq!(outbox.len(), 10 - refused);
    }
}
