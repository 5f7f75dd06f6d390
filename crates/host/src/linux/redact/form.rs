//! Secrets that are known by their own form, wherever they stand: the keys of services, tokens, hashes of passwords.

use std::ops::Range;

use super::{Spans, value};

/// How the secrets of services begin, and how long they are at least.
const STARTS: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("glptt-", 20),
    ("glsoat-", 20),
    ("glcbt-", 20),
    ("gloas-", 20),
    ("GR1348941", 20),
    ("glagent-", 20),
    ("glft-", 20),
    ("xoxa-", 15),
    ("xoxb-", 15),
    ("xoxc-", 15),
    ("xoxd-", 15),
    ("xoxe-", 15),
    ("xoxe.", 15),
    ("xoxp-", 15),
    ("xoxr-", 15),
    ("xoxs-", 15),
    ("xapp-", 15),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("AIza", 35),
    ("ya29.", 20),
    ("GOCSPX-", 20),
    ("npm_", 30),
    ("pypi-", 40),
    ("rubygems_", 30),
    ("dckr_pat_", 20),
    ("oy2", 46),
    ("SG.", 40),
    ("key-", 36),
    ("dop_v1_", 30),
    ("doo_v1_", 30),
    ("dor_v1_", 30),
    ("hvs.", 20),
    ("hvb.", 20),
    ("hvr.", 20),
    ("shpat_", 20),
    ("shpss_", 20),
    ("shpca_", 20),
    ("shppa_", 20),
    ("sq0atp-", 20),
    ("sq0csp-", 20),
    ("sk-ant-", 20),
    ("sk-proj-", 20),
    ("sk-", 32),
    ("AGE-SECRET-KEY-1", 30),
    ("ATATT", 40),
    ("ATBB", 30),
    ("lin_api_", 20),
    ("ntn_", 30),
    ("secret_", 40),
    ("sntrys_", 20),
    ("sntryu_", 20),
    ("dapi", 36),
    ("PMAK-", 30),
    ("glc_", 30),
    ("glsa_", 30),
    ("NRAK-", 20),
    ("tskey-", 20),
    ("pul-", 30),
    ("hf_", 30),
    ("nvapi-", 30),
    ("figd_", 20),
    ("gsk_", 30),
    ("r8_", 30),
    ("amzn.mws.", 30),
    ("PHNhbWx", 30),
    ("EAACEdEose0cBA", 20),
    ("live_", 30),
    ("test_sk_", 20),
    ("tfp_", 20),
    ("ops_eyJ", 30),
    ("CFPAT-", 30),
    ("fo1_", 30),
];
/// How hashes of passwords begin.
const HASHES: &[&str] = &[
    "$1$",
    "$5$",
    "$6$",
    "$7$",
    "$y$",
    "$gy$",
    "$2a$",
    "$2b$",
    "$2y$",
    "$apr1$",
    "$argon2",
    "$pbkdf2",
    "$scrypt$",
    "$P$",
    "{SSHA",
    "{SHA",
    "{CRYPT}",
    "{MD5}",
    "{SMD5}",
    "{PBKDF2",
    "{ARGON2",
    "{BLF-CRYPT}",
    "{SHA512-CRYPT}",
    "{PLAIN}",
    "SCRAM-SHA-256$",
    "pbkdf2_sha256$",
    "bcrypt_sha256$",
];

/// Finds what is secret by its form in a line.
pub(super) fn find(line: &str, spans: &mut Spans) {
    let bytes = line.as_bytes();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b'$' | b'{') {
            hash(line, at, spans);
        }
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|byte| is_part(**byte)).count();
        word(line, at..at + length, spans);
        at += length;
    }
    if let Some(at) = line.to_ascii_lowercase().find("<saml").filter(|_| line.contains("ssertion")) {
        spans.push(at..line.len());
    }
}

/// What a word of letters, digits, `_`, `-` and `.` is by itself.
fn word(line: &str, whole: Range<usize>, spans: &mut Spans) {
    let lead = line[whole.clone()].len() - line[whole.clone()].trim_start_matches(['-', '.', '_']).len();
    let word = whole.start + lead..whole.end;
    let text = line[word.clone()].trim_end_matches(['.', '-']);
    let word = word.start..word.start + text.len();
    if line[word.end..].starts_with('$') && HASHES.iter().any(|start| start.strip_suffix('$') == Some(text)) {
        return spans.push(word.start..hash_end(line, word.start));
    }
    if text.len() < 15 {
        return telegram(line, word, spans);
    }
    let is_known = STARTS
        .iter()
        .any(|(start, length)| text.len() >= *length && text.starts_with(start) && is_key(&text[start.len()..]));
    let hash_at = line[..word.start].ends_with(['*']).then(|| word.start - 1);
    if is_known || is_cloud_key(text) || is_web_token(text) || is_chat_token(text) || is_twilio(text) {
        spans.push(word);
    } else if let Some(start) =
        hash_at.filter(|_| text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)))
    {
        spans.push(start..word.end);
    } else if text.len() == 35 && text.starts_with("md5") && text[3..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
        spans.push(word);
    }
}

/// Whether what follows a known start could be a key: a word of a sentence, as in `secret_manager_of_the_host`, is none.
fn is_key(rest: &str) -> bool {
    rest.bytes().any(|byte| byte.is_ascii_digit()) || rest.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_cloud_key(text: &str) -> bool {
    let is_known = ["AKIA", "ASIA", "ABIA", "ACCA"].iter().any(|start| text.starts_with(start));
    is_known && text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A JSON web token, signed or encrypted, whole or cut off.
fn is_web_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.len() > 30
}

/// The token of a bot of Discord's: three parts of known lengths.
fn is_chat_token(text: &str) -> bool {
    let mut parts = text.split('.').map(str::len);
    let lengths = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_long = matches!(lengths, (Some(23..=28), Some(6..=7), Some(27..), None));
    is_long && value::is_random(text) && text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_twilio(text: &str) -> bool {
    text.len() == 34 && text.starts_with("SK") && text[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The token of a bot of Telegram's: a number, a colon, and 35 characters that begin with AA.
fn telegram(line: &str, number: Range<usize>, spans: &mut Spans) {
    let digits = line[number.clone()].trim_start_matches("bot");
    let rest = &line[number.end..];
    if digits.len() < 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) || !rest.starts_with(":AA") {
        return;
    }
    let length =
        rest[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
    if length >= 30 {
        spans.push(number.end + 1..number.end + 1 + length);
    }
}

/// A hash of a password that begins at `at`.
fn hash(line: &str, at: usize, spans: &mut Spans) {
    let rest = &line[at..];
    let Some(start) = HASHES.iter().find(|start| rest.starts_with(**start)) else { return };
    let end = hash_end(line, at);
    if end - at >= start.len() + 8 {
        spans.push(at..end);
    }
}

fn hash_end(line: &str, at: usize) -> usize {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | ')');
    let end = line[at..].find(is_end).map_or(line.len(), |end| at + end);
    // Fields of /etc/shadow are parted by colons; the keys of SCRAM hold one.
    match line[at..end].find(':') {
        Some(colon) if line[at..].starts_with('$') || line[at..].starts_with('{') => at + colon,
        Some(_) | None => end,
    }
}
