//! Names matched by patterns as a shell does it, byte by byte: `*`, `?`, `[a-z]`, `[!0-9]`. No name takes long.

/// Suffixes of files that are compressed already.
const COMPRESSED: &[&str] = &[".gz", ".xz", ".zst", ".bz2", ".lz4", ".lzma", ".zip", ".tgz", ".7z"];

/// Whether the pattern matches the whole name.
pub(in crate::linux::domain::disk) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where to go on when what follows the last star does not fit: one byte further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            retry = Some((at + 1, place));
            at += 1;
            continue;
        }
        if at == pattern.len() && place == name.len() {
            return true;
        }
        let fits = name.get(place).and_then(|byte| one(&pattern[at..], *byte));
        match (fits, retry) {
            (Some(length), _) => {
                at += length;
                place += 1;
            }
            (None, Some((after, from))) if from < name.len() => {
                retry = Some((after, from + 1));
                (at, place) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How many bytes of the pattern stand for this byte, when they do.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => set(pattern, byte),
        first => (*first == byte).then_some(1),
    }
}

/// A set in brackets; one that is not closed stands for itself.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let is_negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let from = if is_negated { 2 } else { 1 };
    // A bracket that comes first is a member.
    let Some(length) = pattern.iter().skip(from + 1).position(|found| *found == b']') else {
        return (byte == b'[').then_some(1);
    };
    let members = &pattern[from..from + 1 + length];
    let mut is_member = false;
    let mut rest = members;
    while let Some((first, after)) = rest.split_first() {
        if let [b'-', last, behind @ ..] = after {
            is_member |= (*first..=*last).contains(&byte);
            rest = behind;
        } else {
            is_member |= *first == byte;
            rest = after;
        }
    }
    (is_member != is_negated).then_some(from + 1 + length + 1)
}

/// Whether a name says that its file is compressed.
pub(super) fn is_compressed(name: &[u8]) -> bool {
    uncompressed(name).len() < name.len()
}

/// The name without the suffix of a compressed file.
pub(super) fn uncompressed(name: &[u8]) -> &[u8] {
    COMPRESSED.iter().find_map(|suffix| name.strip_suffix(suffix.as_bytes())).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for name in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} and {name}");
        }
        for name in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} and {name}");
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        check("*.log", &["a.log", ".log", "a.log.log"], &["a.log.1", "log", ""]);
        check("*", &["", "a", ".hidden"], &[]);
        check("a?c*", &["abc", "aXcd"], &["ac", "abd"]);
        check("*.[0-9]", &["a.log.1", ".9"], &["a.log.10", "a.log.x", "a.log."]);
        check("*.[!0-9]", &["a.x"], &["a.1"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a", &["[a"], &["a"]);
        check("*-20[0-9][0-9]*", &["syslog-20260101"], &["syslog-1999"]);
        check("", &[""], &["a"]);
        assert!(matches(b"*\xff", b"a\xff") && !matches(b"*\xff", b"a"));
    }

    #[test]
    fn no_name_takes_long() {
        let pattern = "*a".repeat(60) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(255).as_bytes()));
    }

    #[test]
    fn compressed_files_are_told_by_their_suffix() {
        assert!(is_compressed(b"a.log.gz") && !is_compressed(b"a.log"));
        assert_eq!(uncompressed(b"a.log.zst"), b"a.log");
    }
}
