//! Secrets in addresses: `scheme://user:password@host`, addresses of drivers, and addresses that are secrets themselves.

use super::{Spans, value};

/// Paths that are secrets from their end on, as those of incoming web hooks.
const PATHS: &[&str] = &["hooks.slack.com/services/", "/api/webhooks/", "/webhookb2/", "hooks.zapier.com/hooks/catch/"];

/// Finds what is secret in the addresses of a line.
pub(super) fn find(line: &str, spans: &mut Spans) {
    for (at, _) in line.match_indices("://") {
        user(line, at + 3, spans);
    }
    for mark in ["@tcp(", "@unix(", "@//", "@("] {
        for (at, _) in line.match_indices(mark) {
            driver(line, at, spans);
        }
    }
    for path in PATHS {
        for (at, _) in line.match_indices(path) {
            let from = at + path.len();
            let end = line[from..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>' | ',' | ')'));
            let end = end.map_or(line.len(), |end| from + end);
            if end - from >= 16 {
                spans.push(from..end);
            }
        }
    }
}

/// What stands before the `@` of an address whose authority begins at `from`.
fn user(line: &str, from: usize, spans: &mut Spans) {
    let rest = &line[from..];
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(rest.len());
    let rest = &rest[..end];
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let at = rest[..authority].rfind('@').or_else(|| {
        // A password may hold a slash; a path behind a port does not begin one.
        let (_, port) = rest[..authority].split_once(':')?;
        if is_port(port) { None } else { rest.rfind('@') }
    });
    let Some(at) = at else { return };
    match rest[..at].find(':') {
        Some(colon) if colon + 1 < at => spans.push(from + colon + 1..from + at),
        None if at >= 20 && (value::is_random(&rest[..at]) || rest[..at].contains('_')) => spans.push(from..from + at),
        Some(_) | None => {}
    }
}

/// `user:password@tcp(host)` of Go and `user/password@//host` of Oracle, which ends at `at`.
fn driver(line: &str, at: usize, spans: &mut Spans) {
    let begins = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | '`' | '(');
    let start = line[..at].rfind(begins).map_or(0, |start| start + 1);
    let word = &line[start..at];
    let word_start = if word.contains("thin:") { start + word.find("thin:").map_or(0, |at| at + 5) } else { start };
    if let Some(sign) = line[word_start..at].find([':', '/'])
        && word_start + sign + 1 < at
        && !line[word_start..at].contains("//")
    {
        spans.push(word_start + sign + 1..at);
    }
}
