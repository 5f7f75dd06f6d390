//! The lab by hand: `ansai-lab setup` makes the machine ready, `ansai-lab boot` boots a host and keeps it until its standard input
//! ends; `boot daemons` boots one with the real daemons of Debian, `boot engines` one for Docker and Podman.
//!
//! It deliberately does nothing that a test could not do through the library.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use ansai_lab::{Host, HostOptions, image::Kind, setup};
use anyhow::{Result, bail};

const USAGE: &str = "\
ansai-lab setup          makes the machine ready: packages and the image of the hosts, in some minutes
ansai-lab boot           boots a host, prints how to enter it, and ends it when standard input ends
ansai-lab boot daemons   the same with the real daemons of Debian
ansai-lab boot engines   the same for Docker and Podman
";

#[expect(clippy::print_stderr, reason = "this is a program for people at a terminal")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ansai-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Setup,
    Boot(Kind),
}

impl Command {
    /// The command that these words are, behind the program's name. Whoever asks for help has nothing done.
    fn of(words: &[String]) -> Result<Self> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.iter().any(|word| matches!(*word, "help" | "--help" | "-h")) {
            return Ok(Self::Help);
        }
        Ok(match words[..] {
            ["setup"] => Self::Setup,
            ["boot"] => Self::Boot(Kind::Base),
            ["boot", "daemons"] => Self::Boot(Kind::Daemons),
            ["boot", "engines"] => Self::Boot(Kind::Engines),
            [] => bail!("say what to do\n{USAGE}"),
            [known @ ("setup" | "boot"), ..] => bail!("`{known}` does not take `{}`\n{USAGE}", words[1..].join(" ")),
            [other, ..] => bail!("there is no command `{other}`\n{USAGE}"),
        })
    }
}

fn run() -> Result<()> {
    match Command::of(&std::env::args().skip(1).collect::<Vec<_>>())? {
        Command::Help => Ok(std::io::stdout().write_all(USAGE.as_bytes())?),
        Command::Setup => setup::prepare(Kind::Base),
        Command::Boot(kind) => {
            let options = HostOptions::new("lab");
            let host = Host::boot(&match kind {
                Kind::Engines => options.with_engines("lab"),
                Kind::Base | Kind::Daemons => options.of_image(kind, "lab"),
            })?;
            let text = format!("leader {}\nenter: {}\n", host.leader().as_raw_nonzero(), host.enter_command());
            std::io::stdout().write_all(text.as_bytes())?;
            std::io::stdout().flush()?;
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<Command> {
        Command::of(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn whoever_asks_for_help_has_nothing_done() {
        for words in ["help", "--help", "-h", "boot --help", "boot daemons -h", "setup --help", "boot help"] {
            assert_eq!(of(words).expect(words), Command::Help, "{words}");
        }
        assert_eq!(of("boot").expect("known"), Command::Boot(Kind::Base));
        assert_eq!(of("boot daemons").expect("known"), Command::Boot(Kind::Daemons));
        assert_eq!(of("setup").expect("known"), Command::Setup);
    }

    #[test]
    fn what_is_not_understood_boots_nothing() {
        for words in ["", "boot demons", "boot daemons more", "setup now", "--boot", "bot"] {
            assert!(of(words).is_err(), "{words}");
        }
    }
}
