//! People are told of the controller's own incidents, and for hosts what those have given to be told, by the channels, the grouping
//! and the outbox that an agent has too. What is told, and when, is the engine's; which routes want it is said in the controller's
//! own file.

use std::{path::Path, sync::Arc};

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

/// Whom to tell, and what waits to be told; nothing where the controller's file names nobody.
pub(crate) struct Telling(Option<Parts>);

struct Parts {
    routes: Vec<Route>,
    outbox: Outbox,
    tasks: TaskTracker,
    /// Where it is said that the message of a group is on the disk.
    told: mpsc::Sender<u64>,
}

impl Telling {
    /// Begins to deliver what waits, until stopped.
    pub(crate) fn begin(
        state_dir: &Path,
        routes: Vec<Route>,
        told: mpsc::Sender<u64>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        if routes.is_empty() {
            return Self(None);
        }
        let outbox = Outbox::open(&state_dir.join(OUTBOX), &routes, Arc::new(log));
        if let Some(trouble) = ansai_files::zone::system().trouble {
            tracing::warn!("{trouble}");
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let zones = Arc::new(|| ansai_files::zone::system().zone);
        let notifier = Notifier::new(host, zones, Resolver::default(), Arc::new(HyperClient::new())).for_system();
        let (queue, stop) = (outbox.clone(), stop.clone());
        tasks.spawn(async move { outbox::run(queue, &notifier, now, stop).await });
        Self(Some(Parts { routes, outbox, tasks: tasks.clone(), told }))
    }

    /// Queues a message for hosts, and says so when it is on the disk. The same one again is told once.
    pub(crate) fn tell_for_hosts(&self, number: u64, notice: Notice) {
        let Some(Parts { outbox, tasks, told, .. }) = &self.0 else { return };
        let (outbox, told) = (outbox.clone(), told.clone());
        tasks.spawn_blocking(move || match outbox.put(number, &notice) {
            // A loop that is gone asks again when it is back.
            Ok(()) => drop(told.blocking_send(number)),
            Err(error) => tracing::warn!("a message is told from memory, for it cannot be kept: {}", chain(&error)),
        });
    }

    /// Queues a message on each route that wants it. The same one again is told once.
    pub(crate) fn tell(&self, told: &FleetNotice) {
        let Some(parts) = &self.0 else { return };
        let Some((number, notice)) = message(&parts.routes, now(), told) else { return };
        let outbox = parts.outbox.clone();
        // A disk may take its time, and the loop waits for none.
        parts.tasks.spawn_blocking(move || {
            if let Err(error) = outbox.put(number, &notice) {
                tracing::warn!("a message is told from memory, for it cannot be kept: {}", chain(&error));
            }
        });
    }
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
}
