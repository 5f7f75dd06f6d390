//! What the fixture service can be told to do, in one notation for flags, files and requests.
//!
//! It deliberately refuses what it does not know: a misspelled failure would be a test that tests nothing.

use std::time::Duration;

/// One thing to do from now on, or at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `ok`: answer 200.
    Ok,
    /// `error [STATUS]`: answer 500, or the status.
    Error(u16),
    /// `slow MILLISECONDS`: answer 200 after a while.
    Slow(Duration),
    /// `hang`: accept and never answer; the watchdog is not fed either.
    Hang,
    /// `exit CODE`: end at once.
    Exit(u8),
    /// `crash`: abort.
    Crash,
    /// `die-after MILLISECONDS`: end with 1 that long after the start.
    DieAfter(Duration),
    /// `leak BYTES [MOST]`: keep that many more bytes each second, for ever or up to a limit, as a cache does.
    Leak(usize, usize),
    /// `catch`: from now on SIGUSR1 asks to give all of that back.
    Catch,
    /// `release`: give back what was kept; it goes on to grow.
    Release,
    /// `orphan`: end with 1 and leave a child that keeps the port.
    Orphan,
}

impl Command {
    /// Reads `slow 500` and, from a request's path, `slow/500`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split([' ', '/']).filter(|word| !word.is_empty()).collect();
        let unknown = || format!("unknown command `{text}`");
        let command = match words.as_slice() {
            ["ok"] => Self::Ok,
            ["error"] => Self::Error(500),
            ["error", status] => Self::Error(status.parse().map_err(|_| unknown())?),
            ["slow", ms] => Self::Slow(Duration::from_millis(ms.parse().map_err(|_| unknown())?)),
            ["hang"] => Self::Hang,
            ["exit", code] => Self::Exit(code.parse().map_err(|_| unknown())?),
            ["crash"] => Self::Crash,
            ["die-after", ms] => Self::DieAfter(Duration::from_millis(ms.parse().map_err(|_| unknown())?)),
            ["leak", bytes] => Self::Leak(bytes.parse().map_err(|_| unknown())?, usize::MAX),
            ["leak", bytes, most] => {
                Self::Leak(bytes.parse().map_err(|_| unknown())?, most.parse().map_err(|_| unknown())?)
            }
            ["catch"] => Self::Catch,
            ["release"] => Self::Release,
            ["orphan"] => Self::Orphan,
            _ => return Err(unknown()),
        };
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_paths_read_alike() {
        assert_eq!(Command::parse("slow 500"), Ok(Command::Slow(Duration::from_millis(500))));
        assert_eq!(Command::parse("slow/500"), Command::parse("slow 500"));
        assert_eq!(Command::parse("error"), Ok(Command::Error(500)));
        assert_eq!(Command::parse("explode"), Err("unknown command `explode`".to_owned()));
        assert_eq!(Command::parse("exit 999"), Err("unknown command `exit 999`".to_owned()));
    }
}
