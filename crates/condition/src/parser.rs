//! From tokens to a typed tree: `or` binds loosest, then `and`, then `not`, then comparisons.
//! Types are checked where they meet, so that an error has the place of what does not fit.

use std::ops::Range;

use ansai_model::condition::{Comparison, DEPTH_MAX, Expression, FIELDS, FieldSpec, NODES_MAX, Value, ValueType};

use crate::{
    error::ConditionError,
    lexer::{Spanned, Token, error, is_unit, tokens},
};

const KEYWORDS: &[&str] = &["and", "or", "not", "in", "contains"];

/// An expression with what is known of its type: a figure's is known only when a probe reports it.
struct Typed {
    expression: Expression,
    value_type: Option<ValueType>,
    place: Range<usize>,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Spanned>,
    at: usize,
    nodes: usize,
    depth: usize,
}

/// Reads a whole condition.
pub(crate) fn parse(text: &str) -> Result<Expression, ConditionError> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, nodes: 0, depth: 0 };
    let whole = parser.any()?;
    let next = parser.peek().clone();
    if next.token != Token::End {
        return Err(parser.unexpected(&next));
    }
    let expression = parser.truth(whole)?;
    if depth(&expression) > DEPTH_MAX {
        return Err(too_deep(0..text.len()));
    }
    Ok(expression)
}

fn too_deep(place: Range<usize>) -> ConditionError {
    error(place, format!("the condition is nested more than {DEPTH_MAX} deep"), "make several rules of it")
}

// The parser's own nesting is bounded, so this recursion is as well.
fn depth(expression: &Expression) -> usize {
    let inner = match expression {
        Expression::Literal(_) | Expression::Field(_) => 0,
        Expression::Not(inner) | Expression::In(inner, _) => depth(inner),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().map(depth).max().unwrap_or(0),
        Expression::Compare(left, _, right) => depth(left).max(depth(right)),
    };
    inner + 1
}

impl Parser<'_> {
    fn peek(&self) -> &Spanned {
        // The last token is `End`, which is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Spanned {
        let spanned = self.peek().clone();
        self.at += 1;
        spanned
    }

    /// Takes the keyword when it is the next token.
    fn takes(&mut self, word: &str) -> bool {
        let is_next = matches!(&self.peek().token, Token::Word(found) if found == word);
        self.at += usize::from(is_next);
        is_next
    }

    fn takes_sign(&mut self, sign: char) -> bool {
        let is_next = self.peek().token == Token::Sign(sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn shown(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    fn unexpected(&self, spanned: &Spanned) -> ConditionError {
        let (place, shown) = (spanned.place.clone(), self.shown(&spanned.place));
        match &spanned.token {
            Token::End => error(place, "the condition ends too early", "a field or a value is missing"),
            Token::Word(word) if is_unit(word) => {
                error(place, format!("the unit `{word}` stands apart"), "write it right behind its number, as in 30s")
            }
            Token::Sign(')') => error(place, "there is no parenthesis that this one closes", "leave it out"),
            Token::Sign(_) | Token::Word(_) | Token::Value(_) | Token::Compare(_) => {
                let lower = shown.to_ascii_lowercase();
                let help = match KEYWORDS.contains(&lower.as_str()) && lower != shown {
                    true => format!("write `{lower}`"),
                    false => "after a comparison come and, or, or the end".to_owned(),
                };
                error(place, format!("`{shown}` is not expected here"), help)
            }
        }
    }

    fn count(&mut self, place: &Range<usize>) -> Result<(), ConditionError> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        Err(error(place.clone(), format!("the condition has more than {NODES_MAX} parts"), "make several rules of it"))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ConditionError>) -> Result<T, ConditionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(self.peek().place.clone()));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Typed, ConditionError> {
        self.joined("or", Self::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Typed, ConditionError> {
        self.joined("and", Self::not, Expression::All)
    }

    /// One part, or several with this word between them.
    fn joined(
        &mut self,
        word: &str,
        read: fn(&mut Self) -> Result<Typed, ConditionError>,
        make: fn(Vec<Expression>) -> Expression,
    ) -> Result<Typed, ConditionError> {
        let first = read(self)?;
        if !self.takes(word) {
            return Ok(first);
        }
        let mut place = first.place.clone();
        self.count(&place)?;
        let mut parts = vec![self.truth(first)?];
        loop {
            let part = read(self)?;
            place.end = part.place.end;
            parts.push(self.truth(part)?);
            if !self.takes(word) {
                return Ok(Typed { expression: make(parts), value_type: Some(ValueType::Bool), place });
            }
        }
    }

    fn not(&mut self) -> Result<Typed, ConditionError> {
        let mut place = self.peek().place.clone();
        if !self.takes("not") {
            return self.comparison();
        }
        self.count(&place)?;
        let inner = self.deeper(Self::not)?;
        place.end = inner.place.end;
        let expression = Expression::Not(Box::new(self.truth(inner)?));
        Ok(Typed { expression, value_type: Some(ValueType::Bool), place })
    }

    /// The expression, when it is one that holds or does not.
    fn truth(&self, typed: Typed) -> Result<Expression, ConditionError> {
        if typed.value_type == Some(ValueType::Bool) {
            return Ok(typed.expression);
        }
        let shown = self.shown(&typed.place);
        let what = typed.value_type.map_or("a figure".to_owned(), |value_type| value_type.to_string());
        let help = format!("compare it, as in {shown} {}", example(typed.value_type));
        Err(error(typed.place.clone(), format!("`{shown}` is {what}, and a condition is needed"), help))
    }

    fn comparison(&mut self) -> Result<Typed, ConditionError> {
        let left = self.operand(None)?;
        let sign = self.peek().clone();
        let comparison = match &sign.token {
            Token::Compare(comparison) => *comparison,
            Token::Word(word) if word == "contains" => Comparison::Contains,
            Token::Word(word) if word == "in" => {
                self.at += 1;
                return self.list(left);
            }
            Token::Word(word) if word == "not" => {
                self.at += 1;
                if !self.takes("in") {
                    let help = "write `x not in [\u{2026}]`, or `not` before a whole comparison";
                    return Err(error(sign.place, "`not` is not expected here", help));
                }
                self.count(&sign.place)?;
                let found = self.list(left)?;
                return Ok(Typed { expression: Expression::Not(Box::new(found.expression)), ..found });
            }
            _ => return Ok(left),
        };
        self.at += 1;
        self.count(&sign.place)?;
        let right = self.operand(Some(&left))?;
        self.fits(&left, comparison, &sign.place, &right)?;
        if matches!(self.peek().token, Token::Compare(_)) {
            let help = "join two comparisons with `and`";
            return Err(error(self.peek().place.clone(), "comparisons do not form a chain", help));
        }
        let place = left.place.start..right.place.end;
        let expression = Expression::Compare(Box::new(left.expression), comparison, Box::new(right.expression));
        Ok(Typed { expression, value_type: Some(ValueType::Bool), place })
    }

    /// Whether two values can be compared so.
    fn fits(
        &self,
        left: &Typed,
        comparison: Comparison,
        sign: &Range<usize>,
        right: &Typed,
    ) -> Result<(), ConditionError> {
        self.same_type(left, right)?;
        let value_type = left.value_type.or(right.value_type);
        let wrong = |help: &str| {
            let what = value_type.map_or("a figure".to_owned(), |value_type| value_type.to_string());
            Err(error(sign.clone(), format!("`{}` cannot compare {what}", comparison.as_str()), help))
        };
        match (comparison, value_type) {
            (Comparison::Contains, Some(ValueType::Text) | None) => Ok(()),
            (Comparison::Contains, Some(_)) => wrong("it looks for a part of a text; write == or < or > here"),
            (Comparison::Equal | Comparison::NotEqual, _) => {
                self.one_of_its_words(left, right)?;
                self.one_of_its_words(right, left)
            }
            (_, Some(ValueType::Text)) => wrong("write ==, !=, contains or in"),
            (_, Some(ValueType::Bool)) => wrong("write == or !="),
            (_, Some(_) | None) => Ok(()),
        }
    }

    fn same_type(&self, left: &Typed, right: &Typed) -> Result<(), ConditionError> {
        let (Some(wanted), Some(found)) = (left.value_type, right.value_type) else { return Ok(()) };
        if wanted == found {
            return Ok(());
        }
        let (first, second) = (self.shown(&left.place), self.shown(&right.place));
        let help = match &right.expression {
            Expression::Literal(Value::Number(_)) if wanted != ValueType::Bool && wanted != ValueType::Text => {
                format!("write its unit, {}", wanted.written_as())
            }
            Expression::Literal(_) => format!("write {wanted}, {}", wanted.written_as()),
            _ => "only values of one type can be compared".to_owned(),
        };
        Err(error(right.place.clone(), format!("`{first}` is {wanted}, but `{second}` is {found}"), help))
    }

    /// Whether a text that is compared with a field is one that the field can ever be.
    fn one_of_its_words(&self, field: &Typed, value: &Typed) -> Result<(), ConditionError> {
        let Expression::Literal(Value::Text(text)) = &value.expression else { return Ok(()) };
        self.word_of(field, text.as_str(), &value.place)
    }

    fn word_of(&self, field: &Typed, text: &str, place: &Range<usize>) -> Result<(), ConditionError> {
        let Expression::Field(name) = &field.expression else { return Ok(()) };
        let words = spec(name).map_or(&[][..], |spec| spec.words);
        if words.is_empty() || words.contains(&text) {
            return Ok(());
        }
        let help = match nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("it is one of {}", words.join(", ")),
        };
        Err(error(place.clone(), format!("`{name}` is never {}", self.shown(place)), help))
    }

    fn list(&mut self, left: Typed) -> Result<Typed, ConditionError> {
        let open = self.next();
        self.count(&open.place)?;
        if open.token != Token::Sign('[') {
            return Err(error(open.place, "a list is missing", "write it as [\"a\", \"b\"]"));
        }
        let (mut values, mut value_type) = (Vec::new(), left.value_type);
        loop {
            let item = self.next();
            let Token::Value(value) = item.token else {
                return Err(error(item.place, "a value is missing in the list", "write it as [\"a\", \"b\"]"));
            };
            self.count(&item.place)?;
            let found = value.value_type();
            if let Expression::Field(_) = left.expression
                && let Value::Text(text) = &value
            {
                self.word_of(&left, text.as_str(), &item.place)?;
            }
            if *value_type.get_or_insert(found) != found {
                let wanted = value_type.map_or(String::new(), |wanted| wanted.to_string());
                let shown = self.shown(&item.place);
                let message = format!("`{shown}` is {found}, but the list is compared with {wanted}");
                return Err(error(item.place, message, "all values of a list have the type of what is looked for"));
            }
            values.push(value);
            if self.takes_sign(',') {
                continue;
            }
            let close = self.next();
            if close.token != Token::Sign(']') {
                return Err(error(close.place, "the list does not end", "write , before another value, or ] here"));
            }
            let place = left.place.start..close.place.end;
            let expression = Expression::In(Box::new(left.expression), values);
            return Ok(Typed { expression, value_type: Some(ValueType::Bool), place });
        }
    }

    /// A value, a field, or something in parentheses; `left` is what it is compared with.
    fn operand(&mut self, left: Option<&Typed>) -> Result<Typed, ConditionError> {
        let spanned = self.next();
        let mut place = spanned.place.clone();
        self.count(&place)?;
        match spanned.token {
            Token::Value(value) => {
                let value_type = Some(value.value_type());
                Ok(Typed { expression: Expression::Literal(value), value_type, place })
            }
            Token::Sign('(') => {
                let inner = self.deeper(Self::any)?;
                let close = self.next();
                if close.token != Token::Sign(')') {
                    return Err(error(close.place, "a parenthesis is not closed", "write ) here"));
                }
                place.end = close.place.end;
                Ok(Typed { place, ..inner })
            }
            Token::Word(word) if KEYWORDS.contains(&word.as_str()) => {
                Err(error(place, format!("a field or a value is missing before `{word}`"), ""))
            }
            Token::Word(word) => {
                let value_type = field_type(&word, &place, left)?;
                Ok(Typed { expression: Expression::Field(word.into()), value_type, place })
            }
            Token::Sign(_) | Token::Compare(_) | Token::End => {
                self.at -= 1;
                Err(self.unexpected(&spanned))
            }
        }
    }
}

fn spec(name: &str) -> Option<&'static FieldSpec> {
    FIELDS.iter().find(|field| field.name == name)
}

/// The type of a field; `None` for a figure, whose type only its probe knows.
fn field_type(word: &str, place: &Range<usize>, left: Option<&Typed>) -> Result<Option<ValueType>, ConditionError> {
    if let Some(spec) = spec(word) {
        return Ok(Some(spec.value_type));
    }
    if word.strip_prefix("figure.").is_some_and(|name| !name.is_empty()) {
        return Ok(None);
    }
    let lower = word.to_ascii_lowercase();
    let names = FIELDS.iter().map(|field| field.name);
    let is_text = left.is_some_and(|left| left.value_type == Some(ValueType::Text));
    let help = if KEYWORDS.contains(&lower.as_str()) || matches!(lower.as_str(), "true" | "false") {
        format!("write `{lower}`")
    } else if is_text {
        format!("a text stands in quotes: \"{word}\"")
    } else if let Some(near) = nearest(word, names) {
        format!("did you mean `{near}`?")
    } else if let Some(spec) = FIELDS.iter().find(|field| field.name.ends_with(&format!(".{word}"))) {
        format!("did you mean `{}`?", spec.name)
    } else {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        format!("the fields are {} and figure.NAME", names.join(", "))
    };
    Err(error(place.clone(), format!("there is no field `{word}`"), help))
}

/// The name that is nearest to what was written, when it is near enough to be meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    near.filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4).min().map(|(_, name)| name)
}

fn example(value_type: Option<ValueType>) -> &'static str {
    match value_type {
        Some(ValueType::Text) => "== \"text\"",
        Some(ValueType::Duration) => "> 30s",
        Some(ValueType::Bytes) => "> 1GiB",
        Some(ValueType::Percent) => "< 10%",
        Some(ValueType::Number | ValueType::Bool) | None => "> 3",
    }
}
