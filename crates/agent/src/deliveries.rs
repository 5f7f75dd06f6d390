//! What becomes of messages, told in the log, the metrics and, where people do not get what others do, the status. It delivers
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ansai_model::{bundle::Bundle, id::RouteId, notify::Route};
use ansai_notify::outbox::{Delivery, Observer};

use crate::{
    clock::Clock,
    metrics::Metrics,
    warnings::{Topic, Warnings},
};

/// Who does not get the messages of a route, and why.
type Refused = BTreeMap<RouteId, Vec<(String, String)>>;

/// Tells of each delivery.
pub(crate) fn observer(metrics: &Arc<Metrics>, warnings: &Warnings, clock: &Clock) -> Observer {
    let (metrics, warnings, clock) = (metrics.clone(), warnings.clone(), clock.clone());
    let refused = Mutex::new(Refused::new());
    Arc::new(move |delivery: &Delivery| {
        metrics.delivery(delivery);
        log(delivery);
        if let Delivery::Refused { route, recipients } = delivery {
            // Every change is one insert or remove.
            let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
            match recipients.is_empty() {
                true => drop(refused.remove(route)),
                false => drop(refused.insert(route.clone(), recipients.clone())),
            }
            match words(&refused) {
                Some(words) => warnings.raise(clock.now().wall, Topic::Recipients, words),
                None => drop(warnings.end(Topic::Recipients)),
            }
        }
    })
}

fn log(delivery: &Delivery) {
    match delivery {
        Delivery::Delivered { .. } => tracing::info!("{delivery}"),
        // The warning says it.
        Delivery::Refused { .. } => {}
        Delivery::Retrying { .. } | Delivery::Rerouted { .. } | Delivery::Dropped { .. } => {
            tracing::warn!("{delivery}");
        }
        Delivery::Dead { .. } => tracing::error!("{delivery}"),
    }
}

fn words(refused: &Refused) -> Option<String> {
    let of = |(route, who): (&RouteId, &Vec<(String, String)>)| {
        let each: Vec<String> = who.iter().map(|(who, why)| format!("{who} ({why})")).collect();
        format!("{} of the route {route}", each.join(", "))
    };
    let all: Vec<String> = refused.iter().map(of).collect();
    (!all.is_empty()).then(|| format!("no mail reaches {}; the others have it", all.join("; ")))
}

/// The routes of a bundle.
pub(crate) fn routes(bundle: &Bundle) -> Vec<Route> {
    bundle.parts().routes.values().cloned().collect()
}
