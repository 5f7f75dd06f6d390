//! Which terminals have colors: as the host's terminfo says, and by their names where it knows nothing of them. Only the
//! system's own folders are asked, which lie on no server that could be away. What is done with colors is decided elsewhere.

use std::path::Path;

/// Where systems keep what is known of terminals.
const FOLDERS: &[&str] = &["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];
/// Most bytes of an entry; see term(5).
const BYTES_MAX: u64 = 32 * 1024;
/// The place of `max_colors` among the numbers of an entry.
const MAX_COLORS: usize = 13;
/// Terminals without colors whose names say nothing of it.
const MONOCHROME: &[&str] = &[
    "adm3a",
    "ansi-mini",
    "dumb",
    "glasstty",
    "h19",
    "hardcopy",
    "hp",
    "lpr",
    "network",
    "printer",
    "sun",
    "tvi950",
    "tty",
    "unknown",
    "us",
    "wyse50",
    "wyse60",
    "xterm-old",
    "xterm-r5",
    "xterm-r6",
];

/// Whether a terminal of this kind has colors; nothing when that is no name of one.
pub(super) fn has_colors(kind: &str) -> Option<bool> {
    let is_name = kind.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') && !kind.starts_with('.');
    let first = kind.bytes().next().filter(|_| is_name)?;
    let paths = FOLDERS.iter().flat_map(|folder| {
        // Where file systems take `a` for `A` the folders bear the numbers of their letters.
        [char::from(first).to_string(), format!("{first:x}")].map(|letter| Path::new(folder).join(letter).join(kind))
    });
    let known = paths.filter_map(|place| ansai_files::bytes(&place, BYTES_MAX).ok()).find_map(|entry| colors(&entry));
    Some(known.map_or_else(|| !is_monochrome(kind), |colors| colors >= 8))
}

/// How many colors an entry of terminfo names, none being 0; nothing when it is no such entry. See term(5).
fn colors(entry: &[u8]) -> Option<i64> {
    let short = |at: usize| Some(i16::from_le_bytes(entry.get(at..at + 2)?.try_into().ok()?));
    let size = |at: usize| usize::try_from(short(at)?).ok();
    let width = match short(0)? {
        0o432 => 2,
        0o1036 => 4,
        _ => return None,
    };
    let (names, flags, numbers) = (size(2)?, size(4)?, size(6)?);
    if numbers <= MAX_COLORS {
        return Some(0);
    }
    // Numbers begin at an even place.
    let begin = 12 + names + flags;
    let at = begin + begin % 2 + MAX_COLORS * width;
    let value = match width {
        2 => i64::from(short(at)?),
        _ => i64::from(i32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?)),
    };
    Some(value.max(0))
}

/// Whether a name is one of a terminal without colors: an old one of DEC, or one whose ending says so.
fn is_monochrome(kind: &str) -> bool {
    let mut parts = kind.split('-');
    let family = parts.next().unwrap_or_default();
    let is_of_dec = family.strip_prefix("vt").is_some_and(|rest| {
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        // The last one had colors.
        !number.is_empty() && number != "525"
    });
    is_of_dec || parts.any(|part| matches!(part, "m" | "mono" | "nocolor")) || MONOCHROME.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_terminfo_does_not() {
        for kind in ["dumb", "vt52", "vt100", "vt100-w", "vt102", "vt220", "vt220-8bit", "vt320", "vt420", "linux-m"] {
            assert!(is_monochrome(kind), "{kind}");
        }
        for kind in ["xterm-mono", "screen-mono", "ansi-m", "ansi-mono", "unknown"] {
            assert!(is_monochrome(kind), "{kind}");
        }
        for kind in ["xterm", "xterm-256color", "linux", "screen", "tmux-256color", "vt525", "vte", "foot", "ansi"] {
            assert!(!is_monochrome(kind), "{kind}");
        }
    }

    #[test]
    fn terminfo_says_how_many_colors_there_are() {
        let entry = |magic: i16, names: &str, flags: usize, numbers: &[i32]| {
            let sizes = [names.len(), flags, numbers.len(), 0, 0].map(|size| i16::try_from(size).expect("small"));
            let mut bytes: Vec<u8> = [magic].into_iter().chain(sizes).flat_map(i16::to_le_bytes).collect();
            bytes.extend(names.bytes().chain(std::iter::repeat_n(0, flags)));
            bytes.extend(std::iter::repeat_n(0, bytes.len() % 2));
            for number in numbers {
                match magic {
                    0o432 => bytes.extend(i16::try_from(*number).expect("small").to_le_bytes()),
                    _ => bytes.extend(number.to_le_bytes()),
                }
            }
            bytes
        };
        let with = |colors| [&[80; MAX_COLORS][..], &[colors]].concat();
        assert_eq!(colors(&entry(0o432, "xterm\0", 3, &with(8))), Some(8));
        assert_eq!(colors(&entry(0o1036, "xterm-direct\0", 4, &with(0x0100_0000))), Some(0x0100_0000));
        assert_eq!(colors(&entry(0o432, "vt100\0", 2, &[80, 8, 24])), Some(0));
        assert_eq!(colors(&entry(0o432, "vt100\0", 2, &with(-1))), Some(0));
        // What is torn, or something else, says nothing.
        let whole = entry(0o432, "xterm\0", 3, &with(8));
        assert!((0..whole.len()).all(|end| colors(&whole[..end]).is_none_or(|colors| colors == 0)));
        for torn in [&[][..], b"\x1a", b"nonsense that is longer than a head", &[0xff; 64]] {
            assert_eq!(colors(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_terminal_is_not_looked_for() {
        for kind in ["", "../../etc/passwd", "a/b", ".x", "xterm\n", "ä"] {
            assert_eq!(has_colors(kind), None, "{kind:?}");
        }
        assert_eq!(has_colors("vt100"), Some(false));
        assert_eq!(has_colors("xterm-256color"), Some(true));
    }
}
