//! The typed condition language as a tree: what a rule may ask of an observation and of the host.
//! Reading its text is `config`'s, evaluating it the engine's. It is total: no loops, no calls, bounded in size.

mod text_form;

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    text::Text,
    time::Shown,
    units::{ByteSize, Percent},
};

/// A value with its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A number without unit.
    Number(f64),
    /// A text.
    Text(Text),
    /// A time span.
    Duration(Duration),
    /// A size.
    Bytes(ByteSize),
    /// A share.
    Percent(Percent),
}

/// The type of a value; two values compare only within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    /// `true`, `false`
    Bool,
    /// `3`, `0.5`
    Number,
    /// `"text"`
    Text,
    /// `500ms`, `10s`, `5m`, `2h`, `7d`
    Duration,
    /// `10KiB`, `5MiB`, `2GiB`, `1TiB`, `100B`, `10kB`, `5MB`
    Bytes,
    /// `90%`
    Percent,
}

impl Value {
    /// The type of the values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Bool(_) => ValueType::Bool,
            Self::Number(_) => ValueType::Number,
            Self::Text(_) => ValueType::Text,
            Self::Duration(_) => ValueType::Duration,
            Self::Bytes(_) => ValueType::Bytes,
            Self::Percent(_) => ValueType::Percent,
        }
    }
}

impl ValueType {
    /// How a value of this type is written, in words that follow a comma.
    #[must_use]
    pub fn written_as(self) -> &'static str {
        match self {
            Self::Bool => "as true or false",
            Self::Number => "as 3 or 0.5",
            Self::Text => "in quotes",
            Self::Duration => "as in 30s, 5m or 2h",
            Self::Bytes => "as in 64KiB, 16MiB or 2GiB",
            Self::Percent => "as in 90%",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Duration(value) => write!(f, "{}", Shown(*value)),
            Self::Bytes(value) => write!(f, "{value}"),
            Self::Percent(value) => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Duration => "a duration",
            Self::Bytes => "a size",
            Self::Percent => "a percentage",
        })
    }
}

/// A checked condition with the text that it was read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// As the operator wrote it.
    pub source: Text,
    /// Its meaning; of type [`ValueType::Bool`]. Shared: many rungs of one bundle ask the same.
    pub expression: Arc<Expression>,
}

/// A node of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expression {
    /// A value written out.
    Literal(Value),
    /// A field of [`FIELDS`], or `figure.NAME`.
    Field(Box<str>),
    /// Negation.
    Not(Box<Expression>),
    /// Holds when all hold.
    All(Vec<Expression>),
    /// Holds when one holds.
    Any(Vec<Expression>),
    /// A comparison of two values of one type.
    Compare(Box<Expression>, Comparison, Box<Expression>),
    /// Whether the left text is among these.
    In(Box<Expression>, Vec<Value>),
}

impl Expression {
    /// Whether a field for which this holds is named anywhere in it.
    pub fn names(&self, is_meant: fn(&str) -> bool) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Field(name) => is_meant(name),
            Self::Not(inner) | Self::In(inner, _) => inner.names(is_meant),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.names(is_meant)),
            Self::Compare(left, _, right) => left.names(is_meant) || right.names(is_meant),
        }
    }
}

/// Whether a field's value comes from the host and changes by itself, so that it must be read again and again.
#[must_use]
pub fn is_host_figure(field: &str) -> bool {
    field.starts_with("host.") && field != "host.role"
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `contains`, of texts.
    Contains,
}

/// Most nodes of one condition.
pub const NODES_MAX: usize = 256;
/// Deepest nesting of one condition.
pub const DEPTH_MAX: usize = 32;

/// A field that a condition may name.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The name, as it is written.
    pub name: &'static str,
    /// The type of the values.
    pub value_type: ValueType,
    /// What it means, in one line for the reference.
    pub meaning: &'static str,
    /// The only texts that it can be; empty when any can occur.
    pub words: &'static [&'static str],
}

const fn field(name: &'static str, value_type: ValueType, meaning: &'static str) -> FieldSpec {
    FieldSpec { name, value_type, meaning, words: &[] }
}

const fn one_of(name: &'static str, words: &'static [&'static str], meaning: &'static str) -> FieldSpec {
    FieldSpec { name, value_type: ValueType::Text, meaning, words }
}

/// What `unit.state` can be.
const UNIT_STATES: &[&str] = &["active", "reloading", "inactive", "failed", "activating", "deactivating", "other"];

/// What `unit.result` can be.
const UNIT_RESULTS: &[&str] = &[
    "success",
    "exit-code",
    "signal",
    "core-dump",
    "watchdog",
    "start-limit-hit",
    "oom-kill",
    "timeout",
    "resources",
    "protocol",
    "other",
];

/// Every field that a condition may name, besides `figure.NAME` (a number that a probe or plugin reports).
pub const FIELDS: &[FieldSpec] = &[
    field("check", ValueType::Text, "the name of the failing check, as `unit` or `http`"),
    field("symptom", ValueType::Text, "what the failing check saw"),
    field("failing_for", ValueType::Duration, "how long the check has been failing"),
    field("failures", ValueType::Number, "failing results in a row"),
    field("took", ValueType::Duration, "how long the last look took"),
    one_of("unit.state", UNIT_STATES, "the unit's state"),
    field("unit.sub", ValueType::Text, "the unit's finer state, as `running` or `auto-restart`"),
    one_of("unit.result", UNIT_RESULTS, "how its last run ended"),
    field("unit.exit_code", ValueType::Number, "the exit code of its main process"),
    field("unit.signal", ValueType::Number, "the signal that ended its main process"),
    field("unit.restarts", ValueType::Number, "how often systemd restarted it by itself"),
    field("host.role", ValueType::Text, "the host's role, from the configuration"),
    field("host.memory_available", ValueType::Percent, "memory that can still be given out"),
    field("host.load", ValueType::Number, "load average of one minute per core"),
    field("host.uptime", ValueType::Duration, "since the host started"),
];
