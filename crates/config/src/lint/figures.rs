//! Conditions on figures that nobody reports, or that are reported in another type: they are never known, so the rule
//! never acts. What a plugin reports only the plugin knows.

use ansai_document::{Findings, Node, nearest_name, place_of, text::joined};
use ansai_model::{
    check::Trend,
    condition::{Condition, Expression, Value, ValueType},
    probe::Probe,
};

/// Looks at the condition under `when` of a mapping, which is asked when one of these probes fails.
pub(crate) fn check<'p>(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    condition: &Condition,
    probes: impl Iterator<Item = &'p Probe>,
) {
    let mut reported: Vec<(&str, ValueType)> = Vec::new();
    for probe in probes {
        match probe.figures() {
            Some(figures) => reported.extend(figures),
            None => return,
        }
    }
    let mut used = Vec::new();
    collect(&condition.expression, &mut used);
    let source = condition.source.as_str();
    for (name, value) in used {
        let at = source.find(name).unwrap_or_default();
        let place = findings.within(place_of(node, "when"), source, at, name.len());
        let figure = name.trim_start_matches("figure.");
        let mut known = reported.iter().chain(Trend::FIGURES);
        let Some((_, found)) = known.find(|(known, _)| *known == figure) else {
            let names = reported.iter().map(|(name, _)| *name);
            let help = match nearest_name(figure, names.clone()) {
                Some(near) => format!("did you mean `figure.{near}`?"),
                None if reported.is_empty() => "its probes report no figures".to_owned(),
                None => format!("its probes report figure.{}", names.collect::<Vec<_>>().join(" and figure.")),
            };
            let what = format!("no probe of it reports `{name}`: this can never be known");
            findings.warning(place, &joined(key, "when"), what, help);
            continue;
        };
        if let Some(value) = value.filter(|value| value.value_type() != *found) {
            let what = format!("`{name}` is {found}, and {value} is {}: this can never be known", value.value_type());
            let help = format!("write {found}, {}", found.written_as());
            findings.warning(place, &joined(key, "when"), what, help);
        }
    }
}

/// Every figure that is named, with what it is compared with when that is written out.
fn collect<'e>(expression: &'e Expression, used: &mut Vec<(&'e str, Option<&'e Value>)>) {
    let mut field = |name: &'e str, value| {
        if name.starts_with("figure.") {
            used.push((name, value));
        }
    };
    match expression {
        Expression::Literal(_) => {}
        Expression::Field(name) => field(name, None),
        Expression::Not(inner) => collect(inner, used),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| collect(part, used)),
        Expression::In(inner, values) => match &**inner {
            Expression::Field(name) => field(name, values.first()),
            other => collect(other, used),
        },
        Expression::Compare(left, _, right) => match (&**left, &**right) {
            (Expression::Field(name), Expression::Literal(value))
            | (Expression::Literal(value), Expression::Field(name)) => field(name, Some(value)),
            (left, right) => {
                collect(left, used);
                collect(right, used);
            }
        },
    }
}
