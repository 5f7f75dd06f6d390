//! A condition as text again, in the language that `config` reads: what is written here is read back as the same tree.
//! Unlike the display of a [`Value`], which is rounded for people, every value is exact.

use core::{fmt, time::Duration};

use super::{Comparison, Expression, Value};
use crate::units::ByteSize;

/// How firmly an expression holds its parts together; a part that holds less firmly needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Firmness {
    Any,
    All,
    Not,
    Compare,
    Operand,
}

impl Expression {
    fn firmness(&self) -> Firmness {
        match self {
            Self::Any(_) => Firmness::Any,
            Self::All(_) => Firmness::All,
            Self::Not(_) => Firmness::Not,
            Self::Compare(..) | Self::In(..) => Firmness::Compare,
            Self::Literal(_) | Self::Field(_) => Firmness::Operand,
        }
    }
}

impl Comparison {
    /// How it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Contains => "contains",
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => exact(f, value),
            Self::Field(name) => field(f, name),
            Self::Not(inner) => {
                f.write_str("not ")?;
                part(f, inner, Firmness::Not)
            }
            Self::All(parts) => joined(f, parts, " and ", Firmness::Not),
            Self::Any(parts) => joined(f, parts, " or ", Firmness::All),
            Self::Compare(left, comparison, right) => {
                part(f, left, Firmness::Operand)?;
                write!(f, " {} ", comparison.as_str())?;
                part(f, right, Firmness::Operand)
            }
            Self::In(left, values) => {
                part(f, left, Firmness::Operand)?;
                f.write_str(" in [")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    exact(f, value)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A part, in parentheses when it holds its own parts less firmly than `least`.
fn part(f: &mut fmt::Formatter<'_>, expression: &Expression, least: Firmness) -> fmt::Result {
    match expression.firmness() < least {
        true => write!(f, "({expression})"),
        false => write!(f, "{expression}"),
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expression], word: &str, least: Firmness) -> fmt::Result {
    for (index, expression) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { word })?;
        part(f, expression, least)?;
    }
    Ok(())
}

/// A field; the name of a figure stands in quotes when it holds more than a word does.
fn field(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match name.strip_prefix("figure.") {
        Some(figure) if figure.is_empty() || !figure.chars().all(is_plain) => {
            f.write_str("figure.")?;
            quoted(f, figure)
        }
        _ => f.write_str(name),
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn exact(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Bool(value) => write!(f, "{value}"),
        Value::Number(value) => write!(f, "{value}"),
        Value::Text(text) => quoted(f, text.as_str()),
        Value::Duration(duration) => exact_duration(f, *duration),
        Value::Bytes(ByteSize(bytes)) => {
            let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
            match units.iter().find(|(_, size)| *bytes >= *size && bytes.is_multiple_of(*size)) {
                Some((unit, size)) => write!(f, "{}{unit}", bytes / size),
                None => write!(f, "{bytes}B"),
            }
        }
        Value::Percent(percent) => write!(f, "{}%", percent.as_f64()),
    }
}

fn exact_duration(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let nanos = duration.as_nanos();
    let units = [("d", 86_400_000_000_000u128), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
    if let Some((unit, size)) = units.iter().find(|(_, size)| nanos >= *size && nanos.is_multiple_of(*size)) {
        return write!(f, "{}{unit}", nanos / size);
    }
    match nanos % 1_000_000 {
        0 => write!(f, "{}ms", nanos / 1_000_000),
        rest => write!(f, "{}.{rest:06}ms", nanos / 1_000_000),
    }
}
