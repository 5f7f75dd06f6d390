//! Values: where one ends, and whether it looks like a secret or like a word of its own meaning.

use std::ops::Range;

/// What ends an unquoted value at once.
fn is_edge(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`')
}

/// Where the value that begins at `from` stands, without its quotes. `within` is the quote that the whole assignment
/// stands in, which ends the value as well.
pub(super) fn extent(line: &str, from: usize, within: Option<u8>) -> Range<usize> {
    let bytes = line.as_bytes();
    let rest = &line[from..];
    if let Some(quote) = [r#"\""#, r"\'"].into_iter().find(|quote| rest.starts_with(quote)) {
        let inside = from + quote.len();
        return inside..line[inside..].find(quote).map_or(line.len(), |end| inside + end);
    }
    match bytes.get(from) {
        Some(quote @ (b'"' | b'\'' | b'`')) if within != Some(*quote) => {
            return from + 1..quoted_end(bytes, from + 1, *quote);
        }
        Some(b'[') if !is_redacted(rest) => {
            return from + 1..rest.find(']').map_or(line.len(), |end| from + end);
        }
        _ => {}
    }
    if let Some(quote) = within {
        return from..quoted_end(bytes, from, quote);
    }
    from..bare_end(bytes, from)
}

/// Where the quote that was opened before `from` is closed; the end of the line when it is not.
fn quoted_end(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            // SQL writes a quote in a text twice.
            byte if byte == quote && quote == b'\'' && at > from && bytes.get(at + 1) == Some(&quote) => at += 1,
            byte if byte == quote => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Where a value without quotes ends.
fn bare_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    let mut depth = 0_usize;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            // As in Some("…"), b'…' and N'…'.
            b'"' | b'\'' if opens_within(&bytes[from..at]) => at = quoted_end(bytes, at + 1, byte),
            b'(' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b')' | b']' | b'}' if !goes_on(bytes, at) => break,
            b',' | b';' | b'&' if !goes_on(bytes, at) => break,
            b'<' if bytes.get(at + 1) == Some(&b'/') => break,
            byte if is_edge(byte) => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(bytes.len());
    let is_end = at == bytes.len() || bytes[at].is_ascii_whitespace();
    // A full stop ends a sentence, not a secret.
    if is_end && at > from + 1 && bytes[at - 1] == b'.' { at - 1 } else { at }
}

fn opens_within(before: &[u8]) -> bool {
    matches!(before, [b'b' | b'u' | b'r' | b'N' | b'f' | b'E' | b'$'] | [b'@']) || before.ends_with(b"(")
}

/// Whether a value goes on behind the mark at `at`: not when the text ends there, or something else is assigned.
fn goes_on(bytes: &[u8], at: usize) -> bool {
    let Some(next) = bytes.get(at + 1) else { return false };
    if is_edge(*next) || matches!(next, b',' | b';' | b')' | b']' | b'}' | b'&' | b'<' | b'\\' | b':' | b'.' | b'>') {
        return false;
    }
    let name = bytes[at + 1..].iter().take(super::name::NAME_MAX);
    let length = name.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')).count();
    length == 0 || !matches!(bytes.get(at + 1 + length), Some(b'=' | b':'))
}

/// Whether it was marked before.
pub(super) fn is_redacted(value: &str) -> bool {
    value.starts_with(super::REDACTED) || value.starts_with("[redacted")
}

/// Words that stand behind the name of a secret and are none.
const WORDS: &[&str] = &[
    "",
    "a",
    "accepted",
    "account",
    "added",
    "all",
    "already",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "auth",
    "authentication",
    "bad",
    "be",
    "been",
    "by",
    "can",
    "cannot",
    "change",
    "changed",
    "chauthtok",
    "check",
    "compat",
    "configured",
    "could",
    "created",
    "default",
    "deleted",
    "denied",
    "disabled",
    "does",
    "doesn't",
    "empty",
    "enabled",
    "error",
    "exceeded",
    "expected",
    "expired",
    "expires",
    "fail",
    "failed",
    "failure",
    "false",
    "field",
    "files",
    "for",
    "found",
    "from",
    "generated",
    "given",
    "granted",
    "has",
    "hidden",
    "if",
    "in",
    "incorrect",
    "input",
    "invalid",
    "is",
    "issued",
    "it",
    "length",
    "login",
    "loaded",
    "malformed",
    "match",
    "matches",
    "may",
    "method",
    "mismatch",
    "missing",
    "must",
    "needed",
    "never",
    "new",
    "nil",
    "no",
    "none",
    "not",
    "nothing",
    "null",
    "of",
    "off",
    "ok",
    "okay",
    "on",
    "only",
    "optional",
    "or",
    "permission",
    "please",
    "present",
    "rejected",
    "removed",
    "required",
    "requires",
    "needs",
    "expects",
    "takes",
    "conflicts",
    "reset",
    "revoked",
    "rotated",
    "saved",
    "session",
    "set",
    "should",
    "skipped",
    "some",
    "sss",
    "succeeded",
    "success",
    "syntax",
    "systemd",
    "that",
    "the",
    "this",
    "to",
    "too",
    "true",
    "unable",
    "undefined",
    "unexpected",
    "unknown",
    "unset",
    "updated",
    "use",
    "used",
    "user",
    "using",
    "valid",
    "verified",
    "was",
    "weak",
    "when",
    "will",
    "with",
    "wrong",
    "yes",
    "redacted",
    "filtered",
    "masked",
    "string",
    "object",
    "char",
    "text",
    "bool",
    "int",
    "sha256",
    "md5",
    "scram-sha-256",
    "bearer",
    "basic",
    "plain",
];

/// Whether a word stands for no secret: it says how it stands with one.
pub(super) fn is_word(value: &str) -> bool {
    let word = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    word.len() <= 16 && WORDS.contains(&word.to_ascii_lowercase().as_str())
}

/// Whether it stands in the place of a value: a variable, a mask, a template.
pub(super) fn is_placeholder(value: &str) -> bool {
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        let name = name.trim_end_matches([',', ';']);
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    });
    let masks = |c: char| matches!(c, '*' | 'x' | 'X' | '•' | '.' | '-' | '#' | '?' | '…');
    is_redacted(value)
        || is_variable
        || value.starts_with('<') && !value.starts_with("<!")
        || ["${", "$(", "{{", "%(", "%{", "%s", "(hidden", "(redacted", "(null", "(none", "[FILTERED", "[hidden"]
            .iter()
            .any(|start| value.starts_with(start))
        || value.chars().all(masks)
        || value.chars().all(|c| c.is_ascii_punctuation())
}

/// Whether it looks made by chance, or to be guessed by nobody.
pub(super) fn is_random(value: &str) -> bool {
    let value = value.trim_end_matches([',', ';', '.', ':']);
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let has_letter = has(u8::is_ascii_alphabetic);
    let has_symbol =
        value.bytes().any(|byte| matches!(byte, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'='));
    let turns = value.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let is_mixed = value.len() >= 8 && turns.count() > 0;
    value.len() >= 6 && has_letter && !value.contains("://") && (has(u8::is_ascii_digit) || has_symbol || is_mixed)
}

/// Whether it is a path, which is no secret by itself.
pub(super) fn is_path(value: &str) -> bool {
    value.starts_with('/') || value.starts_with("./") || value.starts_with("~/") || value.starts_with("C:\\")
}

/// Whether it is a count: a few digits, or two of them with a slash.
pub(super) fn is_count(value: &str) -> bool {
    let value = value.trim_end_matches([',', ';', '.', ')']);
    value.len() <= 5
        && !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b'%' | b'.'))
}
