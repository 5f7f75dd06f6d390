//! What runs beside the loop because the settings ask for it: the dead-man's switch and the metrics. A changed setting
//! ends the old one and begins the new one. Neither can harm the loop: both only read what it tells.

use std::sync::Arc;

use ansai_model::settings::{Heartbeat, HostSettings};
use ansai_notify::{
    channel::{chain, http::HyperClient},
    heartbeat::{self, Beat, Liveness},
    secrets::Resolver,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    clock::Clock,
    metrics::{Metrics, serve},
    warnings::{Topic, Warnings},
};

/// The side tasks with what they were made for.
pub(super) struct BackgroundTasks {
    heartbeat: Option<(Heartbeat, DropGuard)>,
    listener: Option<(String, DropGuard)>,
    liveness: watch::Sender<Liveness>,
    metrics: Arc<Metrics>,
    warnings: Warnings,
    clock: Clock,
    tasks: TaskTracker,
}

impl BackgroundTasks {
    /// None runs yet.
    pub(super) fn new(metrics: Arc<Metrics>, warnings: Warnings, clock: Clock, tasks: TaskTracker) -> Self {
        let (liveness, _) = watch::channel(Liveness::well());
        Self { heartbeat: None, listener: None, liveness, metrics, warnings, clock, tasks }
    }

    /// The loop has gone round; `unwell` says why it is not well, when it is not.
    pub(super) fn alive(&self, unwell: Option<&str>) {
        self.liveness.send_replace(Liveness { at: Instant::now(), unwell: unwell.map(Into::into) });
    }

    /// Makes what runs what the settings say.
    pub(super) fn apply(&mut self, settings: &HostSettings) {
        if self.heartbeat.as_ref().map(|(heartbeat, _)| heartbeat) != settings.heartbeat.as_ref() {
            self.warnings.end(Topic::Heartbeat);
            self.heartbeat = settings.heartbeat.clone().map(|heartbeat| (heartbeat.clone(), self.beat(heartbeat)));
        }
        if self.listener.as_ref().map(|(address, _)| address) != settings.metrics_listen.as_ref() {
            self.warnings.end(Topic::Metrics);
            // The old one lets its address go before the new one is made.
            self.listener = None;
            self.listener = settings.metrics_listen.clone().map(|address| (address.clone(), self.listen(address)));
        }
    }

    fn beat(&self, heartbeat: Heartbeat) -> DropGuard {
        let stop = CancellationToken::new();
        let (liveness, warnings, metrics) = (self.liveness.subscribe(), self.warnings.clone(), self.metrics.clone());
        let (token, clock) = (stop.clone(), self.clock.clone());
        let observer = move |beat: &Beat| match beat {
            Beat::Sent(_) => tracing::debug!("{}", beat.shown()),
            Beat::Failed { .. } => {
                metrics.heartbeat_failed();
                tracing::info!("{}", beat.shown());
            }
            Beat::Lost { .. } => warnings.raise(clock.now().wall, Topic::Heartbeat, beat.shown()),
            Beat::Withheld { .. } => tracing::error!("{}", beat.shown()),
            Beat::Regained => {
                warnings.end(Topic::Heartbeat);
                tracing::info!("{}", beat.shown());
            }
        };
        self.tasks.spawn(async move {
            heartbeat::run(heartbeat, Resolver::default(), Arc::new(HyperClient::new()), liveness, observer, token)
                .await;
        });
        stop.drop_guard()
    }

    fn listen(&self, address: String) -> DropGuard {
        let stop = CancellationToken::new();
        let (metrics, warnings, clock) = (self.metrics.clone(), self.warnings.clone(), self.clock.clone());
        let token = stop.clone();
        self.tasks.spawn(async move {
            match serve::listen(&address).await {
                Ok(listener) => serve::serve(listener, metrics, token).await,
                Err(error) => {
                    let why = format!("the metrics are not served: {}", chain(&error));
                    warnings.raise(clock.now().wall, Topic::Metrics, why);
                }
            }
        });
        stop.drop_guard()
    }
}
