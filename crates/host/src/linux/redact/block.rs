//! Private keys over several lines, in the forms of PEM, OpenSSH, PGP and PuTTY; their beginning or end may be cut off.

/// Most lines of one block; a key of 16384 bits takes 200.
const LINES_MAX: usize = 256;
/// Shortest line that looks like a part of a key where the end of the block is not seen.
const PART_MIN: usize = 24;

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is looked at by itself.
    Line,
    /// From this byte on it is a secret.
    From(usize),
    /// It belongs to a secret that is marked already.
    Gone,
}

/// The fate of each line.
pub(super) fn fates(lines: &[&str]) -> Vec<Fate> {
    let mut fates = vec![Fate::Line; lines.len()];
    if !lines.iter().any(|line| line.contains("--") || line.contains("Private-Lines")) {
        return fates;
    }
    // For each line the first end at or below it.
    let mut ends_at = vec![usize::MAX; lines.len()];
    let mut below = usize::MAX;
    for at in (0..lines.len()).rev() {
        below = if ends(lines[at]).is_some() { at } else { below };
        ends_at[at] = below;
    }
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if let Some(from) = begins(line) {
            fates[at] = Fate::From(from);
            at = key(lines, &mut fates, &ends_at, at);
        } else if let Some(from) = ends(line) {
            // Its beginning was cut off.
            let first =
                (0..at).rev().take_while(|before| is_part(lines[*before]) && fates[*before] == Fate::Line).last();
            (first.unwrap_or(at)..at).for_each(|gone| fates[gone] = Fate::Gone);
            fates[at] = Fate::From(from);
            at += 1;
        } else if let Some(count) = putty(line) {
            let end = (at + 1 + count).min(lines.len());
            (at + 1..end).for_each(|gone| fates[gone] = Fate::Gone);
            if at + 1 < end {
                fates[at + 1] = Fate::From(0);
            }
            at = end;
        } else {
            at += 1;
        }
    }
    fates
}

/// Marks the lines of a key that begins at `begun`, and says where to go on.
fn key(lines: &[&str], fates: &mut [Fate], ends_at: &[usize], begun: usize) -> usize {
    if lines[begun].contains("-----END ") {
        return begun + 1;
    }
    let last = lines.len().min(begun + LINES_MAX);
    if let Some(end) = ends_at.get(begun + 1).copied().filter(|end| *end < last) {
        fates[begun + 1..=end].fill(Fate::Gone);
        return end + 1;
    }
    // Its end was cut off, or it is none: only what looks like a key goes, up to what may be the next one.
    let mut at = begun + 1;
    while at < last && begins(lines[at]).is_none() {
        if is_part(lines[at]) {
            fates[at] = Fate::Gone;
        }
        at += 1;
    }
    at
}

/// Where a private key begins.
fn begins(line: &str) -> Option<usize> {
    let from = line.find("--BEGIN ").or_else(|| line.find("-- BEGIN "))?;
    line[from..].contains("PRIVATE KEY").then(|| line[..from].trim_end_matches('-').len())
}

/// Where the end of a private key is written.
fn ends(line: &str) -> Option<usize> {
    let from = line.find("--END ").or_else(|| line.find("-- END "))?;
    line[from..].contains("PRIVATE KEY").then(|| super::said_from(line))
}

/// How many lines of a private key in PuTTY's form follow.
fn putty(line: &str) -> Option<usize> {
    let count = line.split_once("Private-Lines:")?.1.trim().parse().ok()?;
    Some(LINES_MAX.min(count))
}

/// Whether a line holds a piece of a key, and nothing else but what a log puts before it.
fn is_part(line: &str) -> bool {
    let said = line[super::said_from(line)..].trim();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    said.len() >= PART_MIN && said.bytes().all(is_base64)
}
