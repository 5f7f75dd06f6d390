//! The lab by hand: `ansai-lab setup` makes the machine ready, `ansai-lab boot` boots a host and keeps it until its standard input
//! ends; `boot daemons` boots one with the real daemons of Debian.
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

fn run() -> Result<()> {
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        "help" | "--help" | "-h" => Ok(std::io::stdout().write_all(USAGE.as_bytes())?),
        "setup" => setup::prepare(Kind::Base),
        "boot" => {
            let is_of_daemons = std::env::args().nth(2).is_some_and(|word| word == "daemons");
            let kind = if is_of_daemons { Kind::Daemons } else { Kind::Base };
            let host = Host::boot(&HostOptions::new("lab").of_image(kind, "lab"))?;
            let text = format!("leader {}\nenter: {}\n", host.leader().as_raw_nonzero(), host.enter_command());
            std::io::stdout().write_all(text.as_bytes())?;
            std::io::stdout().flush()?;
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
        "" => bail!("say what to do\n{USAGE}"),
        other => bail!("there is no command `{other}`\n{USAGE}"),
    }
}
