//! Text for people in lines of a few columns, as in a terminal or a mail. What stands in a line is the caller's.

use alloc::string::String;

/// Breaks a line at spaces, so that none has more than `columns` characters. Its first `kept` characters stay as they are, and
/// what follows the first line begins at `hang`. A word that is longer than a line stays whole, so that paths and commands can
/// be copied.
#[must_use]
pub fn hanging(line: &str, kept: usize, hang: usize, columns: usize) -> String {
    let (head, rest) = match line.char_indices().nth(kept) {
        Some((at, _)) => line.split_at(at),
        None => (line, ""),
    };
    let mut out = String::from(head);
    let mut column = head.chars().count();
    let mut is_line_start = true;
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if !is_line_start && column + 1 + length > columns {
            out.push('\n');
            out.extend(core::iter::repeat_n(' ', hang));
            column = hang;
            is_line_start = true;
        }
        if !is_line_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_line_start = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_and_what_follows_hangs() {
        assert_eq!(hanging("warn  one two three", 6, 6, 13), "warn  one two\n      three");
        assert_eq!(hanging("- a/long/path here", 2, 4, 8), "- a/long/path\n    here");
        assert_eq!(hanging("short", 9, 9, 3), "short");
    }
}
