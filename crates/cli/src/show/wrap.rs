//! Lines broken where a terminal ends: at spaces, and what follows stands below what it belongs to.

use ansai_model::columns::hanging;

/// A label at the beginning of a line is at most so long.
const LABEL_MAX: usize = 16;

/// The same text in lines of at most so many columns; a word that is longer than a line stays whole, so that it can be
/// copied, and so does a line of a file that is shown with what is meant below it.
pub(super) fn wrapped(text: &str, columns: usize) -> String {
    let lines = text.split('\n').map(|line| match line.chars().count() <= columns || is_of_frame(line) {
        true => line.to_owned(),
        false => broken(line, columns),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a line shows a place in a file: its name, as ` --> ansai.yaml:2:1`, or a line of it behind `2 |`.
fn is_of_frame(line: &str) -> bool {
    let rest = line.trim_start();
    rest.starts_with("--> ") || rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
}

/// Stands for a blank at which no line ends; no text that is shown has it, since unseen characters are written by their numbers.
const KEPT: char = '\u{1}';
/// What stands around a command in its line: where it hangs, its marks, and what ends the sentence.
const MARKS: usize = 6;

/// With the blanks of what is to be typed kept, where it fits a line: a command that is copied is whole.
fn with_commands_kept(line: &str, columns: usize) -> String {
    let mut parts: Vec<String> = line.split('`').map(str::to_owned).collect();
    let last = parts.len().saturating_sub(1);
    // Between an odd mark and the next one; a mark without another means nothing.
    for (at, part) in parts.iter_mut().enumerate() {
        if at % 2 == 1 && at < last && part.chars().count() + MARKS <= columns {
            *part = part.replace(' ', &KEPT.to_string());
        }
    }
    parts.join("`")
}

fn broken(line: &str, columns: usize) -> String {
    broken_at_blanks(&with_commands_kept(line, columns), columns).replace(KEPT, " ")
}

fn broken_at_blanks(line: &str, columns: usize) -> String {
    let begin = spaces(line, 0);
    let mut kept = begin;
    // A row may begin with several labels, as `allow  hold    nothing is held`: all keep their columns.
    while let Some(column) = after_label(line, kept).filter(|column| *column <= columns / 2) {
        kept = column;
    }
    let hang = if kept > begin { kept } else { (begin + 2).min(columns / 2) };
    hanging(line, kept, hang, columns)
}

/// Where the text begins behind a label at this column and its two or more spaces, as in `warn  it is held`.
fn after_label(line: &str, begin: usize) -> Option<usize> {
    let rest: Vec<char> = line.chars().skip(begin).take(LABEL_MAX + 2).collect();
    let label = rest.windows(2).position(|two| two == [' ', ' ']).filter(|end| *end > 0)?;
    Some(begin + label + spaces(line, begin + label))
}

/// How many spaces there are from this column on.
fn spaces(line: &str, begin: usize) -> usize {
    line.chars().skip(begin).take_while(|c| *c == ' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_its_terminal_and_no_word_is_lost() {
        let texts = [
            "warn  the configuration is valid, with 2 warnings that somebody should read one day",
            "      help: systemctl start ansai; journalctl -u ansai says why it ended, when it did",
            "ä ö ü é  日本 a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j",
            "                                        far in, and long enough to be broken in the end",
            "  it is being healed (i1): `restart` is done, and its success is awaited for another 2m",
            "  a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s",
        ];
        for text in texts {
            for columns in [20, 33, 40, 80] {
                let lines = wrapped(text, columns);
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(words(&lines), words(text));
                let is_long = |line: &&str| line.chars().count() > columns && line.trim().contains(' ');
                // What begins beyond half of the terminal is read all the same.
                assert!(text.starts_with("       ") || !lines.lines().any(|line| is_long(&line)), "{columns}: {lines}");
            }
        }
    }

    #[test]
    fn what_follows_stands_below_what_it_belongs_to() {
        assert_eq!(wrapped("warn  one two three four", 15), "warn  one two\n      three\n      four");
        assert_eq!(wrapped("  help: one two three", 15), "  help: one two\n    three");
        assert_eq!(wrapped("  it is one two", 12), "  it is one\n    two");
        let gate = "  allow  budget    none of it is used today";
        assert_eq!(wrapped(gate, 38), format!("  allow  budget    none of it is used\n{:19}today", ""));
        assert_eq!(wrapped("short\nlonger than this", 9), "short\nlonger\n  than\n  this");
        assert_eq!(wrapped("/a/path/that/is/long after", 10), "/a/path/that/is/long\n  after");
    }

    #[test]
    fn a_command_that_fits_a_line_is_not_broken() {
        assert_eq!(
            wrapped("it is done; `ansai drill app --undo` ends it", 30),
            "it is done;\n  `ansai drill app --undo`\n  ends it"
        );
        // One that does not, and a mark without another, are text.
        assert_eq!(wrapped("`ansai drill app --undo` ends it", 20), "`ansai drill app\n  --undo` ends it");
        assert_eq!(wrapped("a ` mark and some words", 12), "a ` mark and\n  some words");
    }

    #[test]
    fn what_is_meant_in_a_file_stays_below_it() {
        let frame = [
            "   --> /etc/ansai/a-folder/with/a-name.yaml:12:31",
            "   |",
            "12 | services: {nginx.service: {proobe: \"http://127.0.0.1/\"}}",
            "   |                            ^^^^^^",
            "   |",
        ];
        for line in frame {
            assert_eq!(wrapped(line, 20), line);
        }
        assert_eq!(wrapped("   = help: did you mean `probe`?", 20), "   = help: did you\n     mean `probe`?");
        assert_eq!(wrapped("2 services | one of them", 20), "2 services | one of\n  them");
    }
}
