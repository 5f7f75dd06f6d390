//! What an observation of a scenario holds besides its health, written as the conditions that read it:
//! `unit.result == "oom-kill" and unit.restarts == 3`. What is counted or measured by the engine cannot be said.

use std::time::Duration;

use ansai_model::{
    condition::{Comparison, Expression, Value},
    observation::{Details, Health, Observation},
    text::Text,
    unit::{ActiveState, Exit, Intent, UnitSnapshot},
};
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error};

/// Fields with their values.
pub(super) type Fields = Vec<(Box<str>, Value)>;

/// What follows from the engine's own count or clock.
const OWN: &[&str] = &["check", "symptom", "failing_for", "failures", "host.role"];

/// Reads `FIELD == VALUE and …`.
///
/// # Errors
/// What is wrong, with what to write.
pub(super) fn parse(text: &str) -> Result<Fields, String> {
    let condition = ansai_condition::parse(text).map_err(|wrong| match wrong.suggestion {
        Some(help) => format!("{}: {help}", wrong.message),
        None => wrong.message,
    })?;
    let parts = match std::sync::Arc::unwrap_or_clone(condition.expression) {
        Expression::All(parts) => parts,
        one => vec![one],
    };
    parts.into_iter().map(pair).collect()
}

fn pair(part: Expression) -> Result<(Box<str>, Value), String> {
    let shown = part.to_string();
    match part {
        Expression::Compare(left, Comparison::Equal, right) => match (*left, *right) {
            (Expression::Field(name), Expression::Literal(value)) if !OWN.contains(&name.as_ref()) => Ok((name, value)),
            (Expression::Field(name), Expression::Literal(_)) => Err(format!("`{name}` follows from the rest")),
            _ => Err(format!("`{shown}` says no value: write FIELD == VALUE")),
        },
        _ => Err(format!("`{shown}` says no value: write FIELD == VALUE and FIELD == VALUE")),
    }
}

/// The observation with these fields.
pub(super) fn with(mut seen: Observation, fields: &Fields) -> Observation {
    let mut unit = None;
    for (name, value) in fields {
        if let Some(figure) = name.strip_prefix("figure.") {
            seen = seen.with_figure(figure, value.clone());
        } else if let (true, Value::Duration(took)) = (name.as_ref() == "took", value) {
            seen = seen.with_took(*took);
        } else if name.starts_with("unit.") {
            set(unit.get_or_insert_with(|| snapshot(seen.health())), name, value);
        }
    }
    match unit {
        Some(unit) => seen.with_details(Details::Unit(Box::new(unit))),
        None => seen,
    }
}

/// A unit as it is when nothing else is said of it.
fn snapshot(health: Health) -> UnitSnapshot {
    let active = if health == Health::Healthy { ActiveState::Active } else { ActiveState::Failed };
    let sub = if active == ActiveState::Active { "running".into() } else { "failed".into() };
    UnitSnapshot { sub, intent: Intent::ByItself, ..UnitSnapshot::plain(active) }
}

// The types of all fields were checked when the line was read.
fn set(unit: &mut UnitSnapshot, name: &str, value: &Value) {
    match (name, value) {
        ("unit.state", Value::Text(state)) => unit.active = word(state).unwrap_or(unit.active),
        ("unit.result", Value::Text(result)) => unit.result = word(result).unwrap_or(unit.result),
        ("unit.sub", Value::Text(sub)) => unit.sub = sub.clone(),
        ("unit.exit_code", Value::Number(code)) => unit.exit = Some(Exit::Code(whole(*code))),
        ("unit.signal", Value::Number(signal)) => unit.exit = Some(Exit::Signal(whole(*signal))),
        ("unit.restarts", Value::Number(count)) => unit.restarts = u32::try_from(whole(*count)).unwrap_or_default(),
        _ => {}
    }
}

/// One of the words of a type, as its JSON has them.
fn word<T: DeserializeOwned>(text: &Text) -> Option<T> {
    T::deserialize(IntoDeserializer::<Error>::into_deserializer(text.as_str())).ok()
}

/// A number that counts; what is no such number counts nothing.
fn whole(number: f64) -> i32 {
    let seconds = Duration::try_from_secs_f64(number).unwrap_or_default().as_secs();
    i32::try_from(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ansai_model::unit::UnitResult;

    use super::*;

    #[test]
    fn what_a_condition_reads_is_what_was_said() {
        let fields = parse("unit.result == \"oom-kill\" and unit.signal == 9 and unit.restarts == 3").expect("valid");
        let seen = with(Observation::failing("it died"), &fields);
        let unit = seen.unit().expect("a unit");
        assert_eq!((unit.result, unit.exit, unit.restarts), (UnitResult::OomKill, Some(Exit::Signal(9)), 3));
        let fields = parse("figure.latency == 2s and took == 2100ms").expect("valid");
        let seen = with(Observation::failing("slow"), &fields);
        assert_eq!(seen.took(), Duration::from_millis(2100));
        assert!(matches!(seen.details(), Details::Figures(figures) if figures.iter().len() == 1));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let cases = [
            ("unit.result == \"oomkill\"", "`unit.result` is never \"oomkill\": did you mean \"oom-kill\"?"),
            ("unit.restarts > 3", "`unit.restarts > 3` says no value: write FIELD == VALUE and FIELD == VALUE"),
            ("failures == 3", "`failures` follows from the rest"),
            ("1 == 1", "`1 == 1` says no value: write FIELD == VALUE"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text), expected);
        }
    }
}
