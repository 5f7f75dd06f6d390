//! Evaluates conditions in three values: what cannot be known is unknown, and unknown never triggers.
//! Types were checked when the condition was read; a mismatch here is unknown, not a panic.

use alloc::{boxed::Box, collections::BTreeMap};
use core::cmp::Ordering;

use ansai_model::{
    condition::{Comparison, Condition, Expression, Value},
    domain::service::{ActiveState, Exit, UnitResult},
    observation::{Details, Observation},
    text::Text,
    time::Now,
};

use crate::check::CheckState;

/// What a condition may look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The check that fails.
    pub check: &'a CheckState,
    /// The host's facts.
    pub facts: &'a BTreeMap<Box<str>, Value>,
    /// The moment.
    pub now: Now,
}

/// Whether the condition holds; `None` when that cannot be known.
#[must_use]
pub fn holds(condition: &Condition, scene: Scene<'_>) -> Option<bool> {
    truth(&condition.expression, scene)
}

// Nesting is bounded by `condition::DEPTH_MAX` when the condition is read.
fn truth(expression: &Expression, scene: Scene<'_>) -> Option<bool> {
    match expression {
        Expression::Literal(Value::Bool(value)) => Some(*value),
        Expression::Literal(_) => None,
        Expression::Field(name) => match field(name, scene)? {
            Value::Bool(value) => Some(value),
            _ => None,
        },
        Expression::Not(inner) => truth(inner, scene).map(|value| !value),
        Expression::All(parts) => fold(parts, scene, false),
        Expression::Any(parts) => fold(parts, scene, true),
        Expression::Compare(left, comparison, right) => {
            compare(&value(left, scene)?, *comparison, &value(right, scene)?)
        }
        Expression::In(left, values) => {
            let left = value(left, scene)?;
            Some(values.contains(&left))
        }
    }
}

/// Kleene's logic: one decisive part decides, otherwise one unknown part makes the whole unknown.
fn fold(parts: &[Expression], scene: Scene<'_>, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match truth(part, scene) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn value(expression: &Expression, scene: Scene<'_>) -> Option<Value> {
    match expression {
        Expression::Literal(value) => Some(value.clone()),
        Expression::Field(name) => field(name, scene),
        Expression::Not(_) | Expression::All(_) | Expression::Any(_) => truth(expression, scene).map(Value::Bool),
        Expression::Compare(..) | Expression::In(..) => truth(expression, scene).map(Value::Bool),
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> Option<bool> {
    if comparison == Comparison::Contains {
        return match (left, right) {
            (Value::Text(left), Value::Text(right)) => Some(left.as_str().contains(right.as_str())),
            _ => None,
        };
    }
    let order = match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b)?,
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Percent(a), Value::Percent(b)) => a.cmp(b),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
        Comparison::Contains => return None,
    })
}

fn field(name: &str, scene: Scene<'_>) -> Option<Value> {
    if name.starts_with("host.") {
        return scene.facts.get(name).cloned();
    }
    let check = scene.check;
    let (_, observation) = check.last.as_ref()?;
    match name {
        "check" => Some(Value::Text(Text::new(check.check.id.name()))),
        "symptom" => Some(Value::Text(observation.summary().clone())),
        "failing_for" => check.failing_since.map(|since| Value::Duration(scene.now.mono.since(since.mono))),
        "failures" => Some(Value::Number(f64::from(check.failures))),
        "took" => Some(Value::Duration(observation.took())),
        _ => match name.strip_prefix("figure.") {
            Some(figure) => figure_value(observation, figure),
            None => unit_field(name, observation),
        },
    }
}

fn figure_value(observation: &Observation, name: &str) -> Option<Value> {
    match observation.details() {
        Details::Figures(figures) => figures.get(name).cloned(),
        Details::None | Details::Unit(_) => None,
    }
}

fn unit_field(name: &str, observation: &Observation) -> Option<Value> {
    let unit = observation.unit()?;
    match name {
        "unit.state" => Some(Value::Text(state_word(unit.active).into())),
        "unit.sub" => Some(Value::Text(unit.sub.clone())),
        "unit.result" => Some(Value::Text(result_word(unit.result).into())),
        "unit.restarts" => Some(Value::Number(f64::from(unit.restarts))),
        "unit.exit_code" => match unit.exit? {
            Exit::Code(code) => Some(Value::Number(f64::from(code))),
            Exit::Signal(_) | Exit::Dumped(_) => None,
        },
        "unit.signal" => match unit.exit? {
            Exit::Signal(signal) | Exit::Dumped(signal) => Some(Value::Number(f64::from(signal))),
            Exit::Code(_) => None,
        },
        _ => None,
    }
}

fn state_word(state: ActiveState) -> &'static str {
    match state {
        ActiveState::Active => "active",
        ActiveState::Reloading => "reloading",
        ActiveState::Inactive => "inactive",
        ActiveState::Failed => "failed",
        ActiveState::Activating => "activating",
        ActiveState::Deactivating => "deactivating",
        ActiveState::Other => "other",
    }
}

fn result_word(result: UnitResult) -> &'static str {
    match result {
        UnitResult::Success => "success",
        UnitResult::ExitCode => "exit-code",
        UnitResult::Signal => "signal",
        UnitResult::CoreDump => "core-dump",
        UnitResult::Watchdog => "watchdog",
        UnitResult::StartLimitHit => "start-limit-hit",
        UnitResult::OomKill => "oom-kill",
        UnitResult::Timeout => "timeout",
        UnitResult::Resources => "resources",
        UnitResult::Protocol => "protocol",
        UnitResult::Other => "other",
    }
}
