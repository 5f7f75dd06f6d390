//! From characters to words, values and signs, each with its place. What they mean together is the parser's.

use std::{ops::Range, time::Duration};

use ansai_model::{
    condition::{Comparison, Value},
    text::Text,
    units::{ByteSize, Percent},
};

use crate::error::ConditionError;

/// Longest duration that is read: a hundred years.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// Most digits of a number; more would be neither exact nor meant.
const DIGITS_MAX: usize = 18;

/// The units of durations, in nanoseconds.
const DURATIONS: &[(&str, u128)] = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The units of sizes, in bytes.
const SIZES: &[(&str, u128)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// What people write, and the unit that they mean.
const ALIASES: &[(&str, &str)] = &[
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("w", "d, with seven times the number"),
    ("k", "kB or KiB"),
    ("K", "KiB"),
    ("KB", "kB or KiB"),
    ("M", "MiB"),
    ("G", "GiB"),
    ("T", "TiB"),
    ("percent", "%"),
];

/// The smallest piece of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A keyword or a field.
    Word(String),
    /// A value written out.
    Value(Value),
    /// `==` and its like; `contains` is a word.
    Compare(Comparison),
    /// One of `( ) [ ] ,`.
    Sign(char),
    /// Nothing more.
    End,
}

/// A token and its place in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) place: Range<usize>,
}

pub(crate) fn error(place: Range<usize>, message: impl Into<String>, suggestion: impl Into<String>) -> ConditionError {
    let suggestion = Some(suggestion.into()).filter(|text| !text.is_empty());
    ConditionError { offset: place.start, length: place.len(), message: message.into(), suggestion }
}

/// Every token of the text, [`Token::End`] last; at most one for each byte.
pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, ConditionError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(spanned) = lexer.next_token()? {
        tokens.push(spanned);
    }
    tokens.push(Spanned { token: Token::End, place: text.len()..text.len() });
    Ok(tokens)
}

/// Whether a character can stand in a word.
fn is_wordy(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes the characters for which this holds.
    fn take_while(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !holds(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn next_token(&mut self) -> Result<Option<Spanned>, ConditionError> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let is_negative = first == '-' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        let token = match first {
            '(' | ')' | '[' | ']' | ',' => {
                self.at += 1;
                Token::Sign(first)
            }
            '"' | '\'' => Token::Value(Value::Text(Text::new(self.quoted(first)?))),
            '0'..='9' => Token::Value(self.value()?),
            '-' if is_negative => Token::Value(self.negative()?),
            _ if first.is_ascii_alphabetic() || first == '_' => match self.word()? {
                word if word == "true" => Token::Value(Value::Bool(true)),
                word if word == "false" => Token::Value(Value::Bool(false)),
                word => Token::Word(word),
            },
            _ => Token::Compare(self.comparison(first)?),
        };
        Ok(Some(Spanned { token, place: start..self.at }))
    }

    /// A word; the name of a figure may stand in quotes: `figure."free space"`.
    fn word(&mut self) -> Result<String, ConditionError> {
        let word = self.take_while(is_wordy);
        match (word, self.peek()) {
            ("figure.", Some(quote @ ('"' | '\''))) => Ok(format!("figure.{}", self.quoted(quote)?)),
            _ => Ok(word.to_owned()),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, ConditionError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let begun = self.at;
            self.at += c.len_utf8();
            match c {
                _ if c == quote => return Ok(text),
                '\\' => {
                    let escaped = self.peek();
                    self.at += escaped.map_or(0, char::len_utf8);
                    text.push(match escaped {
                        Some(c @ ('\\' | '"' | '\'')) => c,
                        Some('n') => '\n',
                        Some('t') => '\t',
                        _ => {
                            let help = "write \\\\ for a backslash; \\\", \\', \\n and \\t are known besides";
                            return Err(error(begun..self.at, "this escape is not known", help));
                        }
                    });
                }
                _ => text.push(c),
            }
        }
        Err(error(start..self.at, "the text does not end", format!("close it with {quote}")))
    }

    fn comparison(&mut self, first: char) -> Result<Comparison, ConditionError> {
        const SIGNS: &[(&str, Result<Comparison, &str>)] = &[
            ("&&", Err("write `and`")),
            ("&", Err("write `and`")),
            ("||", Err("write `or`")),
            ("|", Err("write `or`")),
            ("===", Err("write ==")),
            ("=~", Err("write `contains`, which looks for a part of a text")),
            ("==", Ok(Comparison::Equal)),
            ("=>", Err("write >=")),
            ("=<", Err("write <=")),
            ("=", Err("write ==")),
            ("!=", Ok(Comparison::NotEqual)),
            ("!", Err("write `not`")),
            ("<>", Err("write !=")),
            ("<=", Ok(Comparison::LessOrEqual)),
            ("<", Ok(Comparison::Less)),
            (">=", Ok(Comparison::GreaterOrEqual)),
            (">", Ok(Comparison::Greater)),
        ];
        let start = self.at;
        let rest = self.rest();
        let Some((sign, meaning)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) else {
            self.at += first.len_utf8();
            let shown = first.escape_debug();
            return Err(error(start..self.at, format!("`{shown}` has no meaning here"), "texts stand in quotes"));
        };
        self.at += sign.len();
        meaning.map_err(|help| error(start..self.at, format!("`{sign}` is no sign of this language"), help))
    }

    fn negative(&mut self) -> Result<Value, ConditionError> {
        let start = self.at;
        self.at += 1;
        match self.value()? {
            Value::Number(number) => Ok(Value::Number(-number)),
            _ => Err(error(start..self.at, "what has a unit is never negative", "leave the sign out")),
        }
    }

    /// A number, with its unit when it has one; durations may have several, as in `1h30m`.
    fn value(&mut self) -> Result<Value, ConditionError> {
        let start = self.at;
        let number = self.number()?;
        if self.peek() == Some('%') {
            self.at += 1;
            let hundredths = number.times(100).filter(|hundredths| *hundredths <= 10_000 && number.scale <= 2);
            let hundredths = hundredths.and_then(|hundredths| u64::try_from(hundredths).ok());
            let wrong =
                || error(start..self.at, "this is no percentage", "write 0% to 100%, with at most two decimals");
            return hundredths.map(|of| Value::Percent(Percent::of(of, 10_000))).ok_or_else(wrong);
        }
        let unit_at = self.at;
        let unit = self.take_while(|c| c.is_ascii_alphabetic());
        if unit.is_empty() {
            let written = &self.text[start..self.at];
            let wrong = || error(start..start + written.len(), "this is no number", "write it as 3 or 0.5");
            return written.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Number).ok_or_else(wrong);
        }
        if let Some((_, size)) = SIZES.iter().find(|(name, _)| *name == unit) {
            let bytes = number.times(*size).and_then(|bytes| u64::try_from(bytes).ok());
            let wrong = || error(start..self.at, "this size is too large", "");
            return bytes.map(|bytes| Value::Bytes(ByteSize(bytes))).ok_or_else(wrong);
        }
        let Some((_, nanos)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(unit_at..self.at, unit));
        };
        let mut total = number.times(*nanos);
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let number = self.number()?;
            let unit_at = self.at;
            let unit = self.take_while(|c| c.is_ascii_alphabetic());
            let found = DURATIONS.iter().find(|(name, _)| *name == unit);
            let (_, nanos) = found.ok_or_else(|| unknown_unit(unit_at..self.at, unit))?;
            total = total.zip(number.times(*nanos)).and_then(|(total, more)| total.checked_add(more));
        }
        let too_long = || error(start..self.at, "this duration is too long", "write at most 36500d");
        total.and_then(duration).map(Value::Duration).ok_or_else(too_long)
    }

    fn number(&mut self) -> Result<Decimal, ConditionError> {
        let start = self.at;
        let whole = self.take_while(|c| c.is_ascii_digit());
        let mut fraction = "";
        if self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.at += 1;
            fraction = self.take_while(|c| c.is_ascii_digit());
        }
        let decimal = || {
            let scale = u32::try_from(fraction.len()).ok()?;
            Some(Decimal { mantissa: format!("{whole}{fraction}").parse().ok()?, scale })
        };
        let digits = whole.len() + fraction.len();
        let wrong = || error(start..self.at, "this number has too many digits", format!("write at most {DIGITS_MAX}"));
        if digits > DIGITS_MAX { Err(wrong()) } else { decimal().ok_or_else(wrong) }
    }
}

/// A number as it is written, exactly: `mantissa / 10^scale`.
#[derive(Clone, Copy)]
struct Decimal {
    mantissa: u128,
    scale: u32,
}

impl Decimal {
    /// The number times this, rounded down; `None` when it is too large.
    fn times(self, factor: u128) -> Option<u128> {
        Some(self.mantissa.checked_mul(factor)? / 10u128.checked_pow(self.scale)?)
    }
}

fn duration(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest)).filter(|duration| *duration <= DURATION_MAX)
}

/// Whether this is the name of a unit.
pub(crate) fn is_unit(word: &str) -> bool {
    word == "%" || SIZES.iter().chain(DURATIONS).any(|(name, _)| *name == word)
}

fn unknown_unit(place: Range<usize>, unit: &str) -> ConditionError {
    let all = "the units are ms, s, m, h, d, B, kB, KiB, MB, MiB, GB, GiB, TB, TiB and %";
    let message = match unit {
        "" => "a unit is missing".to_owned(),
        _ => format!("there is no unit `{unit}`"),
    };
    let alias = ALIASES.iter().find(|(name, _)| *name == unit).map(|(_, meant)| *meant);
    let same = SIZES.iter().chain(DURATIONS).map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(unit));
    match alias.or(same) {
        Some(meant) => error(place, message, format!("write {meant}; {all}")),
        None => error(place, message, all),
    }
}
