//! The values of `Authorization` and `Cookie`: how much of the line behind them is a secret.

use std::ops::Range;

use super::value;

/// Schemes that are followed by one word; all others may be followed by many.
const SINGLE: &[&str] = &[
    "bearer",
    "basic",
    "token",
    "negotiate",
    "ntlm",
    "apikey",
    "key",
    "bot",
    "splunk",
    "dpop",
    "kerberos",
    "jwt",
    "plain",
];

/// What of the value of `Authorization` is secret: its scheme stays.
pub(super) fn authorization(line: &str, whole: Range<usize>) -> Option<Range<usize>> {
    let text = &line[whole.clone()];
    let scheme = text.split(' ').next().unwrap_or_default();
    let rest = text[scheme.len()..].trim_start();
    let at = whole.end - rest.len();
    if value::is_placeholder(text) || text.is_empty() {
        return None;
    }
    if rest.is_empty() || scheme.ends_with([',', ';']) {
        let secret = value::extent(line, whole.start, None);
        return (!value::is_word(&line[secret.clone()])).then_some(secret);
    }
    if SINGLE.contains(&scheme.to_ascii_lowercase().as_str()) {
        let secret = value::extent(line, at, None);
        return Some(secret.start..secret.end.min(whole.end));
    }
    let is_prose =
        value::is_word(scheme) || rest.split(' ').all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    (!is_prose || !rest.contains(' ') && !value::is_word(rest)).then_some(at..whole.end)
}

/// What of a cookie's value is secret: all of it.
pub(super) fn cookie(line: &str, whole: Range<usize>) -> Option<Range<usize>> {
    let text = &line[whole.clone()];
    let is_pair = text.contains('=');
    let is_secret = is_pair || value::is_random(text.split(' ').next().unwrap_or_default());
    (is_secret && !value::is_placeholder(text.split(' ').next().unwrap_or_default())).then_some(whole)
}
