//! What is assigned to a name: `password=…`, `"token": "…"`, `<secret>…</secret>`, YAML and connection strings.

use std::ops::Range;

use super::{
    Spans, announced, header,
    name::{self, Weight},
    said_from, value,
};

/// What one line leaves to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Carried {
    /// Nothing.
    #[default]
    Nothing,
    /// The name of a secret stood in column `.0`; its value follows, further to the right.
    Below(usize),
    /// A secret of several lines goes on, further to the right than column `.0`.
    Block(usize),
    /// The name of a secret was the value of `name:`; its value is called `value:`.
    Named,
}

/// A name with what stands around it.
struct Assignment<'a> {
    line: &'a str,
    /// Where the name stands.
    name: Range<usize>,
    /// Where the value begins.
    at: usize,
    /// Blanks stand between the sign and the value, and the sign is a colon: so is prose written.
    is_loose: bool,
    /// The quote that the name and the value stand in together.
    within: Option<u8>,
}

/// Finds what is assigned in a line.
pub(super) fn find(line: &str, own: &[String], carried: &mut Carried, spans: &mut Spans) {
    let said = said_from(line);
    let indent = line[said..].len() - line[said..].trim_start().len();
    if let Some(span) = from_before(line, said, indent, carried) {
        spans.push(span);
        return;
    }
    let mut from = said;
    while let Some(assignment) = next(line, from) {
        from = assignment.at.max(from + 1);
        let name = &line[assignment.name.clone()];
        let is_named_above = *carried == Carried::Named && name.eq_ignore_ascii_case("value");
        let weight = if is_named_above { Weight::Strong } else { assignment.weight(own) };
        if is_named_above {
            *carried = Carried::Nothing;
        }
        if name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("key") {
            let called = value::extent(line, assignment.at, assignment.within);
            if name::weigh(&line[called], own) >= Weight::Weak {
                *carried = Carried::Named;
            }
        }
        if weight == Weight::None {
            continue;
        }
        let is_last = line[assignment.at..].trim_matches(['"', '\'', ' ', '\\', '\t']).is_empty();
        let is_block = matches!(line[assignment.at..].trim(), "|" | "|-" | "|+" | ">" | ">-" | ">+");
        if weight >= Weight::Strong && (is_last || is_block) {
            *carried = if is_block { Carried::Block(indent) } else { Carried::Below(indent) };
            continue;
        }
        if let Some(secret) = assignment.secret(weight, said) {
            from = from.max(secret.end);
            spans.push(secret);
        }
    }
    if let Some(before) = line.trim_end().strip_suffix('\\')
        && before.split_whitespace().next_back().is_some_and(announced::flag)
    {
        *carried = Carried::Below(indent);
    }
}

/// The secret that an earlier line announced.
fn from_before(line: &str, said: usize, indent: usize, carried: &mut Carried) -> Option<Range<usize>> {
    let text = line[said..].trim();
    let (above, is_block) = match *carried {
        Carried::Below(above) => (above, false),
        Carried::Block(above) => (above, true),
        Carried::Nothing | Carried::Named => return None,
    };
    if text.is_empty() {
        return None;
    }
    let is_whole = is_block || !text.ends_with(['{', '[', ':']) && !text.contains(": ");
    if indent <= above || !is_whole {
        *carried = Carried::Nothing;
        return None;
    }
    if !is_block {
        *carried = Carried::Nothing;
    }
    let at = said + indent;
    Some(at..at + text.len())
}

/// Most bytes of a path before its last part that are looked at.
const PATH_MAX: usize = 256;

/// The next sign of assignment at or behind `from`, with a name before it.
fn next(line: &str, from: usize) -> Option<Assignment<'_>> {
    let bytes = line.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        let sign = bytes[at];
        if !matches!(sign, b'=' | b':' | b'>') {
            at += 1;
            continue;
        }
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let mut behind = at + 1;
        let following = bytes.get(behind).copied().unwrap_or(b' ');
        let is_comparison = sign == b'=' && (following == b'=' || matches!(before, b'=' | b'!' | b'<' | b'>' | b'~'));
        let is_path = sign == b':' && following == b':' && !bytes.get(at + 2).is_none_or(u8::is_ascii_whitespace);
        if is_comparison || is_path {
            at += 2;
            continue;
        }
        // `=>` of Ruby and PHP, `:=` of Go, `::` of LDIF.
        if sign == b'=' && following == b'>' || sign == b':' && matches!(following, b'=' | b':') {
            behind += 1;
        }
        if let Some(name) = name_before(line, at, from, sign) {
            let blanks = bytes[behind..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let within = quote_around(bytes, &name);
            let is_loose = sign == b':' && blanks > 0;
            return Some(Assignment { line, name, at: behind + blanks, is_loose, within });
        }
        at = behind;
    }
    None
}

/// The name that ends before the sign at `at`.
fn name_before(line: &str, at: usize, from: usize, sign: u8) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let around = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b']' | b'`');
    let begun = from.saturating_sub(1).max(at.saturating_sub(name::NAME_MAX + 8));
    let skipped =
        if sign == b'>' { 0 } else { bytes[begun..at].iter().rev().take(6).take_while(|byte| around(byte)).count() };
    let end = at - skipped;
    let length = bytes[begun..end].iter().rev().take_while(|byte| is_name(byte)).count();
    let start = end - length;
    let opener = start.checked_sub(1).map(|before| bytes[before]);
    // `>` assigns only in `<name>` and `<ns:name>`.
    let is_element = || opener == Some(b'<') || opener == Some(b':');
    // A kernel, a name of Amazon's, pam_unix(passwd:auth): the sign parts what is one name.
    let is_part = || {
        sign == b':'
            && matches!(opener, Some(b'(' | b':' | b'/'))
            && !bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace)
    };
    let is_fit = length > 0 && (sign != b'>' || is_element()) && !is_part() && !is_end_of_path(line, start, at);
    is_fit.then_some(start..end)
}

/// Whether the name ends a path from the root, as in `/etc/passwd: permission denied`: what is said of a file is no secret.
fn is_end_of_path(line: &str, start: usize, at: usize) -> bool {
    let bytes = line.as_bytes();
    let is_behind_slash = start.checked_sub(1).is_some_and(|before| bytes[before] == b'/');
    let is_said_of = bytes[at] == b':' && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace);
    let is_delimiter = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'(');
    let length = bytes[..start].iter().rev().take(PATH_MAX).take_while(|byte| !is_delimiter(byte)).count();
    is_behind_slash && is_said_of && bytes[start - length] == b'/'
}

/// The quote directly before a name that does not end with it as well.
fn quote_around(bytes: &[u8], name: &Range<usize>) -> Option<u8> {
    let before = name.start.checked_sub(1).map(|at| bytes[at])?;
    let is_quote = matches!(before, b'"' | b'\'');
    (is_quote && bytes.get(name.end) != Some(&before) && bytes.get(name.end) != Some(&b'\\')).then_some(before)
}

impl Assignment<'_> {
    /// What its name says; an "API key" is written in two words as well.
    fn weight(&self, own: &[String]) -> Weight {
        let name = &self.line[self.name.clone()];
        let before = self.line[..self.name.start].trim_end().rsplit(' ').next().unwrap_or_default();
        let is_phrase = name.eq_ignore_ascii_case("key")
            && self.line[..self.name.start].ends_with(' ')
            && ["api", "secret", "access", "private", "master"].iter().any(|kind| before.eq_ignore_ascii_case(kind));
        if is_phrase { Weight::Strong } else { name::weigh(name, own) }
    }

    /// The secret that is assigned, if it is one.
    fn secret(&self, weight: Weight, said: usize) -> Option<Range<usize>> {
        let line = self.line;
        let word = value::extent(line, self.at, self.within);
        match weight {
            Weight::Authorization => return header::authorization(line, self.reach(&word)),
            Weight::Cookie => return header::cookie(line, self.reach(&word)),
            Weight::None | Weight::Faint | Weight::Weak | Weight::Strong => {}
        }
        let text = &line[word.clone()];
        let is_quoted = word.start > self.at || self.within.is_some();
        if text.is_empty() || value::is_placeholder(text) {
            return None;
        }
        let is_secret = match weight {
            // How a suite of tests begins a line.
            Weight::Weak if self.is_loose && &line[self.name.clone()] == "PASS" => false,
            Weight::Faint => self.is_token(text),
            Weight::Weak if self.is_loose && !is_quoted => value::is_random(text) && !value::is_path(text),
            Weight::Weak => !value::is_word(text) && !value::is_path(text) && !value::is_count(text),
            _ if self.is_loose && !is_quoted => return self.in_prose(word, said),
            _ => !value::is_word(text) && !self.is_syntax(),
        };
        is_secret.then(|| self.whole(word))
    }

    /// Whether a value that may be anything looks like a token.
    fn is_token(&self, text: &str) -> bool {
        let length = if self.line[self.name.clone()].eq_ignore_ascii_case("code") { 16 } else { 8 };
        let bytes = text.as_bytes();
        let is_long = bytes.len() >= 16 && !text.contains([' ', '.', '/', '-']);
        let is_random = value::is_random(text) && !text.contains(['/', ':']);
        bytes.len() >= length && !value::is_path(text) && !text.contains(' ') && (is_long || is_random)
    }

    /// The secret behind a colon and a blank, where sentences are written as well.
    fn in_prose(&self, word: Range<usize>, said: usize) -> Option<Range<usize>> {
        let line = self.line;
        let text = &line[word.clone()];
        if value::is_word(text) || self.is_syntax() || text.ends_with(':') && !value::is_random(text) {
            return None;
        }
        let before =
            line[said..self.name.start].trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '"' | '\''));
        if before.is_empty() {
            // A line of YAML: all of it is the value, but a remark.
            let rest = &line[word.start..];
            let end = rest.find(" #").unwrap_or(rest.len());
            return Some(word.start..word.start + rest[..end].trim_end().trim_end_matches(',').len());
        }
        let rest = line[word.end..].trim_start_matches([' ', '.']);
        let is_ended = rest.is_empty() || rest.starts_with([',', ';', ')', '}', ']', '"', '\'', '|']);
        let is_lower = text.bytes().all(|byte| byte.is_ascii_lowercase());
        (value::is_random(text) || is_ended && !value::is_path(text) || !is_lower && text.len() >= 12).then_some(word)
    }

    /// Whether a parser speaks of a token that it did not expect.
    fn is_syntax(&self) -> bool {
        let before = self.line[..self.name.start].trim_end();
        let adjective = before.rsplit(' ').next().unwrap_or_default().to_ascii_lowercase();
        matches!(adjective.as_str(), "unexpected" | "near" | "illegal" | "next" | "stray")
    }

    /// The value of a connection string goes to its semicolon, with its blanks.
    fn whole(&self, word: Range<usize>) -> Range<usize> {
        let line = self.line;
        let before = line[..self.name.start].trim_end();
        let is_bare = self.within.is_none() && word.start == self.at;
        if !is_bare
            || !before.ends_with(';')
            || line[..self.name.start].ends_with("; ") && !line[word.end..].contains(';')
        {
            return word;
        }
        let rest = &line[word.end..];
        let end = rest.find([';', '"', '\'', '<']).unwrap_or(rest.trim_end().len());
        let is_one = !rest[..end].contains(['=', ':']);
        if is_one { word.start..word.end + rest[..end].trim_end().len() } else { word }
    }

    /// The value of a header: to the quote that it stands in, or to the end of the line.
    fn reach(&self, word: &Range<usize>) -> Range<usize> {
        if word.start > self.at || self.within.is_some() {
            return word.clone();
        }
        let rest = &self.line[self.at..];
        // What a server of HTTP puts behind a header in its log.
        let end = [", client: ", ", server: ", ", host: ", "\\r\\n", "\" ", "' "]
            .iter()
            .filter_map(|end| rest.find(end))
            .min();
        self.at..self.at + end.unwrap_or(rest.len())
    }
}
