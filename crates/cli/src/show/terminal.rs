//! What a person's terminal can do, and what they asked of all output: columns, colors, the time zone.
//! Nothing is printed here.

use std::{
    ffi::{OsStr, OsString},
    io::IsTerminal,
    os::fd::AsFd,
    sync::OnceLock,
};

use ansai_files::zone::{self, Zone};
use jiff::tz::TimeZone;

use super::colors;
use crate::{ColorChoice, Paths};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// Fewer are no lines to read.
const COLUMNS_MIN: usize = 20;

/// What was asked of all output; it is set once, before anything is printed.
static TERMINAL: OnceLock<Terminal> = OnceLock::new();
/// Before that, and in tests: no terminal.
static NONE: Terminal = Terminal {
    has_color: false,
    can_clear: false,
    columns: None,
    rows: None,
    error_columns: None,
    is_quiet: false,
    zone: TimeZone::UTC,
    own_zone: TimeZone::UTC,
    is_of_user: false,
    places: Vec::new(),
};

/// What output is like.
pub(crate) struct Terminal {
    pub(crate) has_color: bool,
    /// Whether a picture can be put in the place of the one before.
    pub(crate) can_clear: bool,
    /// Columns of the answer; none when no person looks at it.
    pub(crate) columns: Option<usize>,
    /// Its rows; none when no person looks at it, or it does not say.
    pub(crate) rows: Option<usize>,
    /// The same of what is said beside it.
    pub(crate) error_columns: Option<usize>,
    pub(crate) is_quiet: bool,
    /// The zone in which times are told.
    pub(crate) zone: TimeZone,
    /// The zone in which this person means times that they write.
    pub(crate) own_zone: TimeZone,
    /// Whether it is about somebody's own services, so that the commands that are named are theirs.
    pub(crate) is_of_user: bool,
    /// The places that were named in the command itself, as options with their values: what is typed next means the same ones.
    pub(crate) places: Vec<String>,
}

/// What is known of output.
pub(crate) fn terminal() -> &'static Terminal {
    TERMINAL.get().unwrap_or(&NONE)
}

/// Takes over what the person asked of all output, and says what of it cannot be done.
pub(crate) fn set_up(paths: &Paths, places: Vec<String>) -> Option<String> {
    let is_terminal = std::io::stdout().is_terminal();
    let asked = variable("COLUMNS");
    let (zone, trouble) = zone(paths.utc);
    let own_zone = zone.clone();
    let terminal = Terminal {
        has_color: match paths.color {
            ColorChoice::Auto => shows_colors(std::io::stdout()),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        },
        can_clear: is_terminal && can_clear(variable("TERM").as_deref()),
        columns: is_terminal.then(|| columns(asked.as_deref(), reported(std::io::stdout()))),
        rows: rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| size.ws_row.into())
            .filter(|rows| *rows > 0),
        error_columns: error_columns(),
        is_quiet: paths.quiet,
        zone,
        own_zone: if paths.utc { self::zone(false).0 } else { own_zone },
        is_of_user: paths.user,
        places,
    };
    // It is called once; a second call would change nothing.
    let _ = TERMINAL.set(terminal);
    trouble
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether a person looks at a terminal that has colors and wants them, or wants them wherever the output goes.
pub(crate) fn shows_colors(stream: impl IsTerminal) -> bool {
    let kind = variable("TERM").filter(|_| stream.is_terminal());
    let has_colors = kind.and_then(|kind| colors::has_colors(kind.to_str()?));
    wants_colors(variable, has_colors.unwrap_or(false))
}

/// What <https://no-color.org> and <https://bixense.com/clicolors> say: a no goes before a wish, and a wish before what the
/// terminal has.
fn wants_colors(variable: impl Fn(&str) -> Option<OsString>, has_colors: bool) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    variable("CLICOLOR_FORCE").is_some_and(|value| value != "0")
        || (has_colors && variable("CLICOLOR").is_none_or(|value| value != "0"))
}

/// Whether a terminal of this kind obeys more than the end of a line.
fn can_clear(kind: Option<&OsStr>) -> bool {
    kind.is_some_and(|kind| kind != "dumb")
}

/// Columns of the terminal that the help is read on; none when no person looks at it.
pub(crate) fn help_columns() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    is_terminal.then(|| columns(variable("COLUMNS").as_deref(), reported(std::io::stdout())))
}

/// Columns of the terminal on which errors are read; none when no person looks at it.
pub(super) fn error_columns() -> Option<usize> {
    let is_terminal = std::io::stderr().is_terminal();
    is_terminal.then(|| columns(variable("COLUMNS").as_deref(), reported(std::io::stderr())))
}

fn reported(stream: impl AsFd) -> usize {
    rustix::termios::tcgetwinsize(stream).map(|size| usize::from(size.ws_col)).unwrap_or(0)
}

/// As many as are asked for, or else as the terminal has; where both are none, as on a serial line, 80.
fn columns(asked: Option<&OsStr>, reported: usize) -> usize {
    let asked = asked.and_then(OsStr::to_str).and_then(|text| text.trim().parse().ok()).filter(|count| *count > 0);
    match asked.unwrap_or(reported) {
        0 => COLUMNS,
        count => count.max(COLUMNS_MIN),
    }
}

/// The zone, and what is wrong when it is not the one that was asked for.
fn zone(is_utc: bool) -> (TimeZone, Option<String>) {
    if is_utc {
        return (TimeZone::UTC, None);
    }
    let Zone { zone, trouble } = zone::system();
    (zone, trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_columns_has_eighty() {
        let of = |asked: Option<&str>, reported| columns(asked.map(OsStr::new), reported);
        assert_eq!([of(None, 0), of(Some("0"), 0), of(Some("x"), 0), of(Some(""), 0)], [80; 4]);
        assert_eq!([of(None, 132), of(Some("0"), 132), of(Some("100"), 132), of(Some("1"), 0)], [132, 132, 100, 20]);
    }

    #[test]
    fn a_dumb_terminal_is_never_cleared() {
        let of = |kind: Option<&str>| can_clear(kind.map(OsStr::new));
        assert_eq!([of(Some("dumb")), of(None), of(Some("vt100")), of(Some("linux"))], [false, false, true, true]);
    }

    #[test]
    fn a_no_goes_before_a_wish_and_a_wish_before_what_the_terminal_has() {
        let check = |set: &[(&str, &str)], has_colors, wanted| {
            let value = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| OsString::from(*value));
            assert_eq!(wants_colors(value, has_colors), wanted, "{set:?} {has_colors}");
        };
        check(&[], true, true);
        check(&[], false, false);
        check(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false);
        check(&[("CLICOLOR_FORCE", "1")], false, true);
        check(&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], false, true);
        check(&[("CLICOLOR_FORCE", "0")], false, false);
        check(&[("CLICOLOR", "0")], true, false);
        check(&[("CLICOLOR", "1")], true, true);
    }
}
