//! JSON and JSON5 to the tree: comments, bare keys, single quotes, commas at the end, hexadecimal numbers.
//!
//! Written here because the crate for JSON5 forgets where a value stood, and every finding needs its place.

use std::collections::BTreeMap;

use crate::tree::{DEPTH_HELP, DEPTH_MAX, FormError, NODES_MAX, Node, Place, Reading, Scalar, Twice, Value, insert};

struct Reader<'a> {
    text: &'a str,
    at: usize,
    source: usize,
    nodes: usize,
    twice: Twice,
}

type Read<T> = Result<T, FormError>;

pub(crate) fn read(text: &str, source: usize) -> Reading {
    let mut reader = Reader { text, at: 0, source, nodes: 0, twice: Twice::default() };
    match reader.all() {
        Ok(root) => reader.twice.of(root),
        Err(error) => reader.twice.and(error),
    }
}

impl Reader<'_> {
    fn all(&mut self) -> Read<Node> {
        self.skip()?;
        if self.peek().is_none() {
            let place = Place { source: self.source, start: 0, length: 0 };
            return Ok(Node::new(Value::Map(BTreeMap::new()), place));
        }
        let node = self.value(0)?;
        self.skip()?;
        match self.peek() {
            None => Ok(node),
            Some(_) => self.wrong(self.at, "something stands after the end", "a file holds one value in braces"),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn wrong<T>(&self, start: usize, what: impl Into<String>, help: &str) -> Read<T> {
        let length = self.text[start..].chars().next().map_or(0, char::len_utf8);
        Err(FormError { start, length, what: what.into(), help: (!help.is_empty()).then(|| help.to_owned()) })
    }

    fn place(&self, start: usize) -> Place {
        Place { source: self.source, start, length: self.at - start }
    }

    /// Skips blanks and comments.
    fn skip(&mut self) -> Read<()> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
            self.at += blank;
            let rest = &self.text[self.at..];
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return self.wrong(self.at, "this comment has no end", "write */");
                };
                self.at += end + 2;
            } else if blank == 0 {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        self.nodes += 1;
        if depth >= DEPTH_MAX {
            return self.wrong(self.at, format!("more than {DEPTH_MAX} levels within each other"), DEPTH_HELP);
        }
        if self.nodes > NODES_MAX {
            return self.wrong(self.at, format!("more than {NODES_MAX} values"), "split the file");
        }
        let start = self.at;
        match self.peek() {
            Some('{') => self.map(depth),
            Some('[') => self.list(depth),
            Some(quote @ ('"' | '\'')) => {
                let text = self.quoted(quote)?;
                Ok(Node::new(Value::Scalar(Scalar { text, is_text: true }), self.place(start)))
            }
            Some(_) => self.bare(),
            None => self.wrong(self.at, "a value is missing at the end", "write it, or delete what asks for it"),
        }
    }

    fn map(&mut self, depth: usize) -> Read<Node> {
        let start = self.at;
        let mut map = BTreeMap::new();
        self.next();
        loop {
            self.skip()?;
            let key_at = self.at;
            let name = match self.peek() {
                Some('}') => {
                    self.next();
                    return Ok(Node::new(Value::Map(map), self.place(start)));
                }
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                Some(_) => self.name()?,
                None => return self.wrong(start, "this `{` has no end", "write }"),
            };
            let key = self.place(key_at);
            self.skip()?;
            if self.peek() != Some(':') {
                return self.wrong(self.at, "a `:` is missing after the key", "write KEY: VALUE");
            }
            self.next();
            self.skip()?;
            let node = self.value(depth + 1)?;
            insert(&mut map, name, key, node, (self.text, &mut self.twice));
            self.separator('}', start)?;
        }
    }

    fn list(&mut self, depth: usize) -> Read<Node> {
        let start = self.at;
        let mut list = Vec::new();
        self.next();
        loop {
            self.skip()?;
            match self.peek() {
                Some(']') => {
                    self.next();
                    return Ok(Node::new(Value::List(list), self.place(start)));
                }
                Some(_) => list.push(self.value(depth + 1)?),
                None => return self.wrong(start, "this `[` has no end", "write ]"),
            }
            self.separator(']', start)?;
        }
    }

    /// A comma, or the closing character, which is left to the loop.
    fn separator(&mut self, close: char, start: usize) -> Read<()> {
        self.skip()?;
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            Some(_) => self.wrong(self.at, format!("a `,` or `{close}` is missing here"), "write it before this place"),
            None => self.wrong(start, format!("this has no end: `{close}` is missing"), "write it where this ends"),
        }
    }

    fn name(&mut self) -> Read<String> {
        let rest = &self.text[self.at..];
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        if length == 0 {
            return self.wrong(self.at, "a key is missing here", "quote a key that is not made of letters and digits");
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    /// A number, a truth value or `null`.
    fn bare(&mut self) -> Read<Node> {
        let (start, rest) = (self.at, &self.text[self.at..]);
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '$');
        let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        let digits = word.strip_prefix('+').unwrap_or(word);
        let (sign, unsigned) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
        let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
        let text = match hexadecimal.map(|digits| i64::from_str_radix(digits, 16)) {
            Some(Ok(number)) => format!("{sign}{number}"),
            None if matches!(word, "true" | "false" | "null") => word.to_owned(),
            None if matches!(unsigned, "Infinity" | "NaN") => digits.to_owned(),
            None if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok() => {
                digits.to_owned()
            }
            Some(Err(_)) | None => {
                let what =
                    if word.is_empty() { "a value is missing here".into() } else { format!("`{word}` is no value") };
                let length = word.len().max(self.peek().map_or(0, char::len_utf8));
                return Err(FormError { start, length, what, help: Some("quote a text".into()) });
            }
        };
        self.at += length;
        Ok(Node::new(Value::Scalar(Scalar { text, is_text: false }), self.place(start)))
    }

    fn quoted(&mut self, quote: char) -> Read<String> {
        let start = self.at;
        let mut text = String::new();
        self.next();
        loop {
            let at = self.at;
            match self.next() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => self.escape(at, &mut text)?,
                Some('\n') => return self.wrong(at, "the text has no end in its line", "write \\n for a new line"),
                Some(c) => text.push(c),
                None => {
                    return self.wrong(start, "the text has no end", "write the same quote once more where it ends");
                }
            }
        }
    }

    fn escape(&mut self, start: usize, text: &mut String) -> Read<()> {
        let c = match self.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('v') => '\u{b}',
            Some('0') => '\0',
            Some('x') => self.code(start, 2)?,
            Some('u') => self.unicode(start)?,
            // A line that goes on in the next.
            Some('\n') => return Ok(()),
            Some('\r') => {
                if self.peek() == Some('\n') {
                    self.next();
                }
                return Ok(());
            }
            Some(c) => c,
            None => return self.wrong(start, "the text has no end", "write the same quote once more where it ends"),
        };
        text.push(c);
        Ok(())
    }

    fn number(&mut self, start: usize, digits: usize) -> Read<u32> {
        let found = self.text.get(self.at..self.at + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match found {
            Some(code) => {
                self.at += digits;
                Ok(code)
            }
            None => self.wrong(
                start,
                format!("{digits} hexadecimal digits are missing after the backslash"),
                "write \\\\ for a backslash",
            ),
        }
    }

    fn code(&mut self, start: usize, digits: usize) -> Read<char> {
        let code = self.number(start, digits)?;
        char::from_u32(code)
            .map_or_else(|| self.wrong(start, "this is no character", "write \\u and four hexadecimal digits"), Ok)
    }

    /// `\uXXXX`, or two of them that stand for one character.
    fn unicode(&mut self, start: usize) -> Read<char> {
        let high = self.number(start, 4)?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).map_or_else(
                || self.wrong(start, "this is no character", "write \\u and four hexadecimal digits"),
                Ok,
            );
        }
        if !self.text[self.at..].starts_with("\\u") {
            return self.wrong(start, "this is half a character", "write both halves, as \\ud83d\\ude00");
        }
        self.at += 2;
        let low = self.number(start, 4)?.wrapping_sub(0xdc00);
        if low >= 0x400 {
            return self.wrong(start, "this is half a character", "write both halves, as \\ud83d\\ude00");
        }
        let code = 0x10000 + ((high - 0xd800) << 10) + low;
        char::from_u32(code)
            .map_or_else(|| self.wrong(start, "this is no character", "write \\u and four hexadecimal digits"), Ok)
    }
}
