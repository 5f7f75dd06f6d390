//! `ansai hosts add --ssh`: a host is looked at over SSH by the controller, its key is shown to a person, and it is a member. The
//! controller runs `ssh`, and nobody else: what is seen here is what it will go by.

use std::time::{Duration, Instant};

use ansai_model::text::Text;
use ansai_protocol::{
    link::Short,
    operation::FleetOperation,
    ssh::{OverSsh, SshAsked, SshLook, SshProgram},
    views::{FleetOperate, FleetRehearsed},
};
use clap::Args;

use super::{consent, fleet, hosts};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show,
};

/// Longest wait for the host to be linked; beyond it the controller goes on trying.
const LINKED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A trouble is told when it is still there after so long: the first try of a connection may meet the end of another.
const TROUBLE_AFTER: Duration = Duration::from_secs(3);

/// How a host is added.
#[derive(Args)]
pub(crate) struct AddArgs {
    /// Where it is, as `ssh` takes it: root@web-01, or a name in /var/lib/ansai-controller/ssh/config.
    #[arg(long, value_name = "DESTINATION")]
    ssh: String,
    /// Become root there by `sudo -n`, which asks for no password.
    #[arg(long)]
    sudo: bool,
    /// What it is called in the fleet; the destination's host when it is left out.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    #[command(flatten)]
    consent: ConsentArgs,
}

pub(super) fn add(paths: &Paths, args: AddArgs) -> Result<Code, Failure> {
    let AddArgs { ssh, sudo, name, role, consent } = args;
    let name = Short::new(name.unwrap_or_else(|| host_of(&ssh).to_owned()));
    show::note(&format!("looking at {ssh}; nothing is changed there"));
    let asked = SshAsked { destination: Text::new(&ssh), sudo };
    let look = client::tell_controller(paths, "/v1/ssh", &serde_json::to_value(&asked).unwrap_or_default())?;
    let look: SshLook = client::read(look)?;
    let known = look.keys.iter().map(|key| key.line.clone()).collect();
    let over = OverSsh { destination: asked.destination, sudo, known };
    let operation = FleetOperation::AddOverSsh { name: name.clone(), role: role.map(Short::new), over, fresh: None };
    // What would be refused is not asked about.
    let body = serde_json::to_value(FleetOperate { operation: operation.clone() }).unwrap_or_default();
    let _: FleetRehearsed = client::read(client::tell_controller(paths, "/v1/rehearse", &body)?)?;
    let what = found(&name, &look);
    if consent.rehearsal.dry_run {
        fleet::unchanged(paths, &what);
        return Ok(Code::Ok);
    }
    show::note(&what);
    consent::ask(&format!("add {name}, known by these keys from now on"), &consent::Proof::Yes, consent)?;
    let done = fleet::change(paths, "", operation, consent)?;
    if let Some(trouble) = linked(paths, &name)? {
        show::note(&format!(
            "{name} has no link yet: {trouble}; the controller goes on trying, `ansai hosts list` shows it"
        ));
    }
    Ok(done)
}

/// The host of a destination: without the user, the scheme and the port.
fn host_of(destination: &str) -> &str {
    let rest = destination.strip_prefix("ssh://").unwrap_or(destination);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((inner, _)) => inner,
        // More than one colon is an address without a port.
        None if host.matches(':').count() == 1 => host.split_once(':').map_or(host, |(host, _)| host),
        None => host,
    }
}

/// What was found, and what would be done.
fn found(name: &Short, look: &SshLook) -> String {
    let program = match look.program {
        SshProgram::Installed => "the ansai that is installed there is used, and nothing is carried".to_owned(),
        SshProgram::Cached => format!("the program is in {} already", look.folder),
        SshProgram::Carried => {
            format!("the program ({} MB) is carried to {}", look.bytes.div_ceil(1 << 20), look.folder)
        }
    };
    let sudo = if look.sudo { " by sudo" } else { "" };
    let mut lines = vec![format!("{name} calls itself {}: {}, root{sudo}; {program}", look.name, look.machine)];
    let keys = look.keys.iter().map(|key| format!("  {} {} of {}", key.kind, key.fingerprint, key.host));
    lines.extend(keys);
    lines.join("\n")
}

/// Waits until the host is linked; why it is not, when it is not in time.
fn linked(paths: &Paths, name: &Short) -> Result<Option<String>, Failure> {
    let begun = Instant::now();
    let mut told = String::new();
    loop {
        let all = hosts::all(paths)?.hosts;
        let Some(host) = all.iter().find(|host| host.name == *name) else { return Ok(Some("it was removed".into())) };
        if host.is_connected {
            return Ok(None);
        }
        let trouble = host.ssh_trouble.as_ref().map_or_else(|| "no answer yet".to_owned(), ToString::to_string);
        let is_under_way = host.ssh_trouble.is_none() || trouble.starts_with("the program is being carried");
        let most = if is_under_way { LINKED_WITHIN } else { TROUBLE_AFTER.max(LINKED_WITHIN / 8) };
        if begun.elapsed() > most {
            return Ok(Some(trouble));
        }
        if is_under_way && host.ssh_trouble.is_some() && trouble != told {
            show::note(&trouble);
            told = trouble;
        }
        client::pause(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_as_its_destination() {
        for (destination, host) in [
            ("root@web-01", "web-01"),
            ("web-01.example.com", "web-01.example.com"),
            ("ssh://ada@web-01:2222", "web-01"),
            ("ssh://ada@[fe80::1]:2222", "fe80::1"),
            ("jump", "jump"),
        ] {
            assert_eq!(host_of(destination), host, "{destination}");
        }
    }
}
