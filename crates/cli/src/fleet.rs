//! The words of the commands about a fleet: the controller, tokens, hosts, and over which hosts something is meant. What they do
//! stands in `command/`.

use std::path::PathBuf;

use ansai_model::{fleet::FleetScope, text::Text};
use ansai_protocol::{access::ApiRole, operation::Canary};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{
    ConsentArgs, RehearsalArgs, ScopeArgs, command,
    exit::{Code, Failure},
};

/// Over which hosts; none of it means this host, whose agent is asked.
#[derive(Args, Clone, Default)]
pub(crate) struct FleetArgs {
    /// Every host of the fleet; the controller on this host is asked.
    #[arg(long, conflicts_with_all = ["host", "role", "label"])]
    pub(crate) fleet: bool,
    /// The host of the fleet with this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "label"])]
    pub(crate) host: Option<String>,
    /// Every host of the fleet with this role.
    #[arg(long, value_name = "ROLE", conflicts_with = "label")]
    pub(crate) role: Option<String>,
    /// Every host of the fleet with this label, as zone=a.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Option<String>,
}

impl FleetArgs {
    /// The hosts of the fleet that are meant; none when it is this host.
    ///
    /// # Errors
    /// A label that is none.
    pub(crate) fn scope(&self) -> Result<Option<FleetScope>, Failure> {
        let scope = match (self.fleet, &self.host, &self.role, &self.label) {
            (true, ..) => FleetScope::Fleet,
            (_, Some(host), ..) => FleetScope::Host(Text::new(host)),
            (_, _, Some(role), _) => FleetScope::Role(Text::new(role)),
            (_, _, _, Some(label)) => match label.split_once('=') {
                Some((key, value)) => FleetScope::Label { key: Text::new(key), value: Text::new(value) },
                None => {
                    let what = format!("`{label}` is no label");
                    return Err(Failure::new(Code::Usage, what, "write it as --label zone=a"));
                }
            },
            (false, None, None, None) => return Ok(None),
        };
        let wrong = |objection: ansai_model::operator::Objection| {
            Failure::new(Code::Usage, objection.what, objection.suggestion)
        };
        scope.check().map_err(wrong).map(|()| Some(scope))
    }
}

/// Which targets, on which hosts.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct WideScopeArgs {
    /// Targets: names or patterns with * and ?; on other hosts every target when none is named.
    pub(crate) targets: Vec<String>,
    /// Every target of the host.
    #[arg(long, conflicts_with_all = ["targets", "fleet", "host", "role", "label"])]
    pub(crate) all: bool,
    /// Every host of the fleet; the controller on this host is asked.
    #[arg(long, conflicts_with_all = ["host", "role", "label"])]
    fleet: bool,
    /// The host of the fleet with this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "label"])]
    host: Option<String>,
    /// Every host of the fleet with this role.
    #[arg(long, value_name = "ROLE", conflicts_with = "label")]
    role: Option<String>,
    /// Every host of the fleet with this label, as zone=a.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
}

impl WideScopeArgs {
    /// Over which hosts.
    pub(crate) fn over(&self) -> FleetArgs {
        let (host, role, label) = (self.host.clone(), self.role.clone(), self.label.clone());
        FleetArgs { fleet: self.fleet, host, role, label }
    }

    /// The targets on this host.
    pub(crate) fn here(self) -> ScopeArgs {
        ScopeArgs { targets: self.targets, all: self.all }
    }
}

/// What is said of the controller itself.
#[derive(Subcommand)]
pub(crate) enum ControllerCommand {
    /// Make a controller on this host: its CA, its store, its configuration and a first token.
    Init {
        /// By which name hosts reach it, with a port when it is another than 7443; the host's name when it is left out.
        #[arg(long, value_name = "NAME")]
        address: Option<String>,
        #[command(flatten)]
        rehearsal: RehearsalArgs,
    },
    /// Run the controller, as its unit does.
    Run,
    /// Copy the controller into one file, while it runs or not. Whoever has the file has the CA's key.
    Backup {
        /// Where to write it; nothing is there yet.
        file: PathBuf,
    },
    /// Bring the controller back from a copy, in place of what is there, which is put aside. It must not run.
    Restore {
        /// The copy.
        file: PathBuf,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Look for what keeps the controller from working, and say what to do.
    Doctor,
}

/// What is said of controllers elsewhere.
#[derive(Subcommand)]
pub(crate) enum ContextCommand {
    /// Give a controller elsewhere a name, with the token by which it is asked; it is tried before it is kept.
    Add {
        /// Its name here, as prod.
        name: String,
        /// Where its API is, as https://controller.example.com:7444.
        address: String,
        /// A file with the token that `ansai token create --api` printed; `-` reads the standard input.
        #[arg(long, value_name = "PATH", default_value = "-")]
        token_file: PathBuf,
        /// A file of CAs (PEM) by which the controller is known, when it shows a certificate that was given to it; otherwise it is known by its own CA, which the token names.
        #[arg(long, value_name = "PATH")]
        ca: Option<PathBuf>,
        /// The HTTP proxy on the way there, as http://proxy.example.com:3128; it must allow CONNECT.
        #[arg(long, value_name = "URL")]
        proxy: Option<String>,
        #[command(flatten)]
        rehearsal: RehearsalArgs,
    },
    /// List them, without their tokens' secrets.
    List,
    /// Forget one, with its token.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// The words of the roles of a token of the API.
fn api_roles() -> impl TypedValueParser<Value = ApiRole> {
    let words = PossibleValuesParser::new(ApiRole::ALL.map(ApiRole::as_str));
    words.map(|word| ApiRole::ALL.into_iter().find(|role| role.as_str() == word).unwrap_or(ApiRole::Viewer))
}

/// What is said of tokens, by which hosts join, or people ask from elsewhere.
#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and show it, once.
    Create {
        /// The role of the hosts that join by it.
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// How many hosts may join by it.
        #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        uses: u32,
        /// Not to join by, but to ask the API over the network: a viewer reads, an operator changes what is said of hosts, an admin makes tokens as well.
        #[arg(long, value_name = "ROLE", value_parser = api_roles(), conflicts_with_all = ["role", "uses"])]
        api: Option<ApiRole>,
        /// Whose token of the API it is, as the activity log names them; you when it is left out.
        #[arg(long, value_name = "NAME", requires = "api")]
        owner: Option<String>,
        /// For how long it is good, as 1h, or until when, as 18:30, 'tomorrow 08:00' or 2030-01-31T08:00:00Z; 1h when it is left out, and 90d with --api. `--until` is the same.
        #[arg(long = "for", alias = "until", value_name = "WHEN", allow_hyphen_values = true)]
        lasts: Option<String>,
        #[command(flatten)]
        rehearsal: RehearsalArgs,
    },
    /// List tokens, without their secrets.
    List,
    /// Take a token back: nobody can join, or ask, by it any more.
    Revoke {
        /// Its name, as `ansai token list` shows it.
        id: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// What is said of permits, by which hosts disturb what still serves.
#[derive(Subcommand)]
pub(crate) enum PermitsCommand {
    /// List who holds a permit, who waits for one and why, and how much of each role may be disturbed.
    List,
    /// Take a permit back, so that others may have one: what has not begun under it does not begin.
    Free {
        /// Its number, as `ansai permits list` shows it.
        id: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// What is said of the hosts of a fleet.
#[derive(Subcommand)]
pub(crate) enum HostsCommand {
    /// List the hosts of the fleet, and those that wait to be accepted.
    List {
        /// Only those whose names have one of these parts.
        names: Vec<String>,
        /// Only those of this role.
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Keep a host well over SSH, on which nothing is installed: its agent is carried there, and lives as long as the connection.
    Add(command::AddArgs),
    /// Take in a host that waits.
    Accept {
        /// Its fingerprint, or the beginning of it, as `ansai hosts list` shows it.
        fingerprint: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Turn away a host that waits.
    Reject {
        /// Its fingerprint, or the beginning of it, as `ansai hosts list` shows it.
        fingerprint: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Give a host another name.
    Rename {
        /// Its name now.
        host: String,
        /// Its name from then on.
        name: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Take a host out of the fleet: its certificates are good no more. Its agent goes on healing it.
    Remove {
        /// Its name.
        host: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// What is said of the configuration of a fleet.
#[derive(Subcommand)]
pub(crate) enum RolloutCommand {
    /// Say which hosts would get what, and what changes; nothing is changed.
    Plan {
        /// A file for every host, or a folder with site, role-NAME and host-NAME.
        path: PathBuf,
        /// How many hosts come first: a number, or a share as 10%.
        #[arg(long, value_name = "COUNT", default_value = "1", value_parser = command::canary)]
        canary: Canary,
    },
    /// Bring a configuration to the hosts: a canary first, then waves; it stops by itself when one becomes worse.
    Apply {
        /// A file for every host, or a folder with site, role-NAME and host-NAME.
        path: PathBuf,
        /// How many hosts come first: a number, or a share as 10%.
        #[arg(long, value_name = "COUNT", default_value = "1", value_parser = command::canary)]
        canary: Canary,
        /// How long each wave is watched before the next.
        #[arg(long, value_name = "TIME", default_value = "30s")]
        soak: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// List how configurations came to the hosts, the newest first, and why one was stopped.
    Rollouts,
    /// Bring back what was there before the newest, as a new generation; to those that have the newest first.
    Rollback {
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// List the hosts whose configuration is not what the fleet says; exit code 1 when there are any.
    Drift,
}

impl crate::StatusArgs {
    /// Over which hosts; a role alone is that of this host, as ever.
    pub(crate) fn over(&self) -> FleetArgs {
        let role = self.role.clone().filter(|_| self.fleet);
        FleetArgs { fleet: self.fleet && role.is_none(), host: self.host.clone(), role, label: None }
    }
}
