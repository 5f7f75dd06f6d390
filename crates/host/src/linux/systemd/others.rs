//! What else keeps a unit down: the failed unit that took it along, the failed socket, path or timer without which nothing starts it, the
//! condition under which it is passed over. It judges nothing.

use ansai_model::{
    id::UnitName,
    text::Text,
    unit::{ActiveState, Intent},
};

use super::{
    bus::{Bus, MANAGER, MANAGER_PATH, UNIT},
    told::Properties,
    unit::{active_state, property},
};

/// When a unit last stopped being active, and when it last began to be, in microseconds of a clock that nobody sets.
const LEFT: &str = "ActiveExitTimestampMonotonic";
pub(super) const ENTERED: &str = "ActiveEnterTimestampMonotonic";

/// Listens to the units that one is bound to: only of what was heard falling is it said that it fell.
pub(super) async fn listen(bus: &Bus, unit: &UnitName, bound_to: &[Box<str>]) {
    let bound_to: Vec<UnitName> = bound_to.iter().filter_map(|other| UnitName::new(&**other).ok()).collect();
    bus.with_tracker(|tracker| tracker.is_bound_to(unit, &bound_to));
    for other in bound_to {
        if bus.with_tracker(|tracker| tracker.listen_to(&other))
            && let Some(active) = state(bus, &other).await
        {
            bus.with_tracker(|tracker| tracker.saw(&other, active));
        }
    }
}

/// The unit that failed and because of which systemd stopped this one, as its binding says; when it did.
///
/// systemd's stop for a binding is a job as any other. It is told from an operator's by what came first: the other unit had
/// fallen, and was not up again, when this one left. In doubt the stop was an operator's.
pub(super) async fn stopped_with(bus: &Bus, unit: &UnitName, seen: &Properties, intent: Intent) -> Option<Text> {
    let may_be = intent == Intent::Stopped && !bus.with_tracker(|tracker| tracker.is_stopped_again(unit));
    if !may_be || seen.bound_to.is_empty() {
        return None;
    }
    if let Some(other) = bus.with_tracker(|tracker| tracker.stopped_with(unit).cloned()) {
        return Some(Text::new(other.as_str()));
    }
    // Before anybody listened there are the moments that systemd keeps: of each unit the last alone.
    let left = moment(bus, unit, LEFT).await?;
    for other in &seen.bound_to {
        let Ok(other) = UnitName::new(&**other) else { continue };
        if bus.with_tracker(|tracker| tracker.fell(&other)) && was_down(bus, &other, left).await {
            return Some(Text::new(other.as_str()));
        }
    }
    None
}

/// Whether a unit's last fall was before this moment, and its last start was not in between.
async fn was_down(bus: &Bus, unit: &UnitName, at: u64) -> bool {
    let (fell, rose) = tokio::join!(moment(bus, unit, LEFT), moment(bus, unit, ENTERED));
    fell.is_some_and(|fell| fell <= at && !rose.is_some_and(|rose| fell < rose && rose <= at))
}

/// The sockets, paths and timers that start a unit and have failed themselves.
pub(super) async fn failed_triggers(bus: &Bus, seen: &Properties) -> Vec<UnitName> {
    let mut failed = Vec::new();
    for trigger in &seen.triggers {
        if let Ok(trigger) = UnitName::new(&**trigger)
            && state(bus, &trigger).await == Some(ActiveState::Failed)
        {
            failed.push(trigger);
        }
    }
    failed
}

/// Whether another unit has this one started, so that it does not only run when somebody asks its socket.
pub async fn is_wanted(bus: &Bus, unit: &UnitName) -> bool {
    for name in ["WantedBy", "RequiredBy", "UpheldBy"] {
        let wanting = property(bus, unit, UNIT, name).await.ok();
        if wanting.is_some_and(|value| Vec::<String>::try_from(value).is_ok_and(|units| !units.is_empty())) {
            return true;
        }
    }
    false
}

/// What should start a unit and has failed, and how it failed, in words: `socket`, its name, and systemd's result.
pub(super) async fn failed_trigger(bus: &Bus, seen: &Properties) -> Option<Text> {
    let trigger = failed_triggers(bus, seen).await.into_iter().next()?;
    let (kind, interface) = match trigger.as_str().rsplit('.').next() {
        Some("path") => ("path", "org.freedesktop.systemd1.Path"),
        Some("timer") => ("timer", "org.freedesktop.systemd1.Timer"),
        _ => ("socket", "org.freedesktop.systemd1.Socket"),
    };
    let result = property(bus, &trigger, interface, "Result").await.ok();
    let result = result.and_then(|value| value.downcast_ref::<&str>().map(str::to_owned).ok()).unwrap_or_default();
    Some(Text::new(format!("its {kind} has failed: {trigger} ({result})")))
}

/// A condition of a unit as `Conditions` of org.freedesktop.systemd1(5) tells it: what is asked, whether one of several is
/// enough, whether it is turned round, of what, and how it was answered: more than 0 for yes, less for no.
type Condition = (String, bool, bool, String, i32);

/// The condition because of which systemd last passed a start of a unit over, as its file has it.
pub async fn unmet_condition(bus: &Bus, unit: &UnitName) -> Option<String> {
    let (active, is_met) = tokio::join!(state(bus, unit), property(bus, unit, UNIT, "ConditionResult"));
    let is_down = matches!(active, Some(ActiveState::Inactive | ActiveState::Failed));
    if !is_down || is_met.ok()?.downcast_ref::<bool>().unwrap_or(true) {
        return None;
    }
    let conditions = property(bus, unit, UNIT, "Conditions").await.ok();
    let conditions: Vec<Condition> = conditions.and_then(|found| found.try_into().ok()).unwrap_or_default();
    let unmet = conditions.into_iter().find(|(.., answer)| *answer < 0);
    Some(unmet.map_or_else(
        || String::from("which one it does not say"),
        |(kind, _, is_turned, of, _)| format!("{kind}={}{of}", if is_turned { "!" } else { "" }),
    ))
}

/// The state of a unit that systemd has loaded; one that it has not is down, and did not fail.
///
/// Whoever asks for a property of a unit has systemd load it, and drop it again when nobody needs it. systemd tells of both at
/// the units that it belongs to, and looking at those again because of that would never end.
async fn state(bus: &Bus, unit: &UnitName) -> Option<ActiveState> {
    bus.call(MANAGER_PATH, MANAGER, "GetUnit", &unit.as_str()).await.ok()?;
    let value = property(bus, unit, UNIT, "ActiveState").await.ok()?;
    value.downcast_ref::<&str>().ok().map(active_state)
}

/// A moment of a unit's life, in microseconds of a clock that nobody sets; nothing when there was none.
pub(super) async fn moment(bus: &Bus, unit: &UnitName, name: &str) -> Option<u64> {
    property(bus, unit, UNIT, name).await.ok()?.downcast_ref::<u64>().ok().filter(|at| *at > 0)
}
