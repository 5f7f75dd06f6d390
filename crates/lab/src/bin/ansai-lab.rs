//! The lab by hand: `ansai-lab setup` makes the machine ready, `ansai-lab boot` boots a host and keeps it until its standard input ends.
//!
//! It deliberately does nothing that a test could not do through the library.

use std::io::{Read as _, Write as _};

use ansai_lab::{Host, HostOptions, setup};
use anyhow::{Result, bail};

fn main() -> Result<()> {
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        "setup" => setup::prepare(),
        "boot" => {
            let host = Host::boot(&HostOptions::new("lab"))?;
            let text = format!("leader {}\nenter: {}\n", host.leader().as_raw_nonzero(), host.enter_command());
            std::io::stdout().write_all(text.as_bytes())?;
            std::io::stdout().flush()?;
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
        other => bail!("unknown command `{other}`: use `ansai-lab setup` or `ansai-lab boot`"),
    }
}
