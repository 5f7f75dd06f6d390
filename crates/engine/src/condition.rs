//! Evaluates conditions in three values: what cannot be known is unknown, and unknown never triggers.
//! Types were checked when the condition was read; a mismatch here is unknown, not a panic.

use alloc::{boxed::Box, collections::BTreeMap};
use core::cmp::Ordering;

use ansai_model::{
    condition::{Comparison, Condition, Expression, Value},
    observation::{Details, Observation},
    text::Text,
    time::Now,
    unit::{ActiveState, Exit, UnitResult, UnitSnapshot},
};

use crate::{check::CheckState, view::View};

/// What a condition may look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The check that fails.
    pub check: &'a CheckState,
    /// The host's facts.
    pub facts: &'a BTreeMap<Box<str>, Value>,
    /// What was last seen of the target's unit, by this check or by the one that looks at it.
    pub unit: Option<&'a UnitSnapshot>,
    /// The host's role, when the configuration gives it one.
    pub role: Option<&'a str>,
    /// The instant of the decision, on both clocks.
    pub now: Now,
}

impl<'a> View<'a> {
    /// What a condition on this check may look at.
    pub(crate) fn scene(self, check: &'a CheckState) -> Scene<'a> {
        let seen = core::iter::once(check).chain(self.checks.of(&check.check.target));
        let unit = seen.filter_map(|check| check.last.as_ref()).find_map(|(_, seen)| seen.unit());
        let role = self.bundle.parts().settings.role.as_deref();
        Scene { check, facts: &self.outside.facts, unit, role, now: self.now }
    }
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
    if name == "host.role" {
        return scene.role.map(|role| Value::Text(role.into()));
    }
    if name.starts_with("host.") {
        return scene.facts.get(name).cloned();
    }
    let check = scene.check;
    let (_, observation) = check.last.as_ref()?;
    match name {
        "check" => Some(Value::Text(Text::new(check.check.id.name()))),
        "symptom" => Some(Value::Text(observation.summary().clone())),
        "failing_for" => check.failing_since().map(|since| Value::Duration(scene.now.mono.since(since.mono))),
        "failures" => Some(Value::Number(f64::from(check.failures))),
        "took" => Some(Value::Duration(observation.took())),
        _ => match name.strip_prefix("figure.") {
            Some(figure) => figure_value(observation, figure),
            None => unit_field(name, scene.unit?),
        },
    }
}

fn figure_value(observation: &Observation, name: &str) -> Option<Value> {
    match observation.details() {
        Details::Figures(figures) => figures.get(name).cloned(),
        Details::None | Details::Unit(_) => None,
    }
}

fn unit_field(name: &str, unit: &UnitSnapshot) -> Option<Value> {
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

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::vec::Vec;
    use core::time::Duration;

    use ansai_model::{
        check::{Check, Flap},
        condition::{FIELDS, FieldSpec},
        id::{CheckId, TargetId},
        probe::Probe,
        time::MonoTime,
    };

    use super::*;

    fn check_state() -> CheckState {
        let second = Duration::from_secs(1);
        let check = Check {
            id: CheckId::new("service/app.service#tcp").expect("valid"),
            target: TargetId::new("service/app.service").expect("valid"),
            probe: Probe::Tcp { host: "127.0.0.1".into(), port: 80, speaks: None },
            every: second,
            every_soft: second,
            timeout: second,
            fail_after: 1,
            recover_after: 1,
            flap: Flap { changes_max: 1, window: second },
            trend: None,
        };
        CheckState::new(check.into(), MonoTime(0))
    }

    /// The truth of an expression when nothing has been seen yet.
    fn blind(expression: &Expression, role: Option<&str>) -> Option<bool> {
        let (check, facts) = (check_state(), BTreeMap::new());
        truth(expression, Scene { check: &check, facts: &facts, unit: None, role, now: Now::default() })
    }

    fn value_of(word: &str) -> Option<bool> {
        match word {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                assert_eq!(other, "unknown");
                None
            }
        }
    }

    /// A number is no truth, so it is unknown, as a field is that has no value.
    fn part(value: Option<bool>) -> Expression {
        Expression::Literal(value.map_or(Value::Number(1.0), Value::Bool))
    }

    #[test]
    fn the_truth_table_of_the_page_is_what_is_evaluated() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conditions.md");
        let page = std::fs::read_to_string(path).expect("the page on conditions");
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| true") || line.starts_with("| false") || line.starts_with("| unknown"));
        let rows: Vec<Vec<Option<bool>>> =
            rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").map(value_of).collect()).collect();
        assert_eq!(rows.len(), 9);
        for row in rows {
            let (a, b) = (row[0], row[1]);
            let row_of = |expression| (a, b, blind(&expression, None));
            assert_eq!(row_of(Expression::All([part(a), part(b)].into())), (a, b, row[2]), "and");
            assert_eq!(row_of(Expression::Any([part(a), part(b)].into())), (a, b, row[3]), "or");
            assert_eq!(row_of(Expression::Not(part(a).into())), (a, b, row[4]), "not");
        }
    }

    #[test]
    fn a_field_that_nobody_has_seen_is_unknown_in_every_comparison() {
        for field in FIELDS {
            let name = || Box::new(Expression::Field(field.name.into()));
            let compared = Expression::Compare(name(), Comparison::NotEqual, name());
            assert_eq!(blind(&compared, None), None, "{}", field.name);
            assert_eq!(blind(&Expression::In(name(), Vec::new()), None), None, "{}", field.name);
        }
    }

    #[test]
    fn the_role_is_known_before_anything_is_seen() {
        let web = Expression::Literal(Value::Text("web".into()));
        let compared = Expression::Compare(Expression::Field("host.role".into()).into(), Comparison::Equal, web.into());
        assert_eq!([Some("web"), Some("db"), None].map(|role| blind(&compared, role)), [Some(true), Some(false), None]);
    }

    fn words(name: &str) -> &'static [&'static str] {
        let is_it = |field: &&FieldSpec| field.name == name;
        FIELDS.iter().find(is_it).map(|field| field.words).unwrap_or_default()
    }

    /// A condition on a word that is missing there would be refused although it can hold.
    #[test]
    fn every_word_of_a_unit_is_one_that_a_condition_may_name() {
        use ActiveState as A;
        for state in [A::Active, A::Reloading, A::Inactive, A::Failed, A::Activating, A::Deactivating, A::Other] {
            assert!(words("unit.state").contains(&state_word(state)), "{state:?}");
        }
        use UnitResult as R;
        for result in [
            R::Success,
            R::ExitCode,
            R::Signal,
            R::CoreDump,
            R::Watchdog,
            R::StartLimitHit,
            R::OomKill,
            R::Timeout,
            R::Resources,
            R::Protocol,
            R::Other,
        ] {
            assert!(words("unit.result").contains(&result_word(result)), "{result:?}");
        }
    }
}
