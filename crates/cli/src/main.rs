//! The ansai program: reads its arguments and hands over to one file a subcommand.

mod beside;
mod client;
mod command;
mod context;
#[cfg(test)]
mod documents;
mod domain;
mod exit;
mod fleet;
mod help;
mod maintenance;
mod paths;
mod patience;
mod show;
mod usage;
mod when;

use std::{path::PathBuf, process::ExitCode};

use ansai_model::operator::DrillKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use command::Completed;
use exit::{Code, Failure};
use paths::Paths;

/// Keeps a host healthy by itself, and says what it did.
///
/// Exit codes: 0 well; 1 something is failing, or went wrong; 2 wrong usage or configuration; 3 the agent cannot be
/// reached; 4 a gate refused, or nobody confirmed; 5 not permitted.
#[derive(Parser)]
#[command(name = "ansai", version, propagate_version = true, after_help = help::BEGIN)]
struct Program {
    #[command(flatten, next_help_heading = "Options of every command")]
    paths: Paths,
    #[command(subcommand)]
    command: Command,
}

/// When output is colored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ColorChoice {
    /// When a person looks.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Whether it is only rehearsed.
#[derive(Args, Clone, Copy)]
struct RehearsalArgs {
    /// Say what would be changed, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Whether the person has to be asked. Commands that ask nothing take it as well, so that no script has to know which do.
#[derive(Args, Clone, Copy)]
struct ConsentArgs {
    /// Do it without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    rehearsal: RehearsalArgs,
}

/// What of the status is shown.
#[derive(Args)]
struct StatusArgs {
    /// Only these targets: names or parts of them, or patterns with * and ?.
    targets: Vec<String>,
    /// Only what is not healthy.
    #[arg(long)]
    failed: bool,
    /// Also what a terminal has no room for: on a small one, what is healthy is only counted.
    #[arg(long)]
    all: bool,
    /// Only when this is the host's role (`agent.role`).
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Show it again each second, until interrupted.
    #[arg(long, short)]
    watch: bool,
    /// The hosts of the fleet, of which --role means those with that role; the controller on this host is asked.
    #[arg(long, conflicts_with_all = ["failed", "all", "watch"])]
    fleet: bool,
    /// The host of the fleet with this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["failed", "all", "watch", "role"])]
    host: Option<String>,
}

/// Which targets, and why.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct ScopeArgs {
    /// Targets: names or patterns with * and ?.
    targets: Vec<String>,
    /// Every target of the host.
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent: observe, heal, report.
    Agent(command::AgentArgs),
    /// Write a first configuration from what this host runs; nothing is healed until it says so.
    Init {
        /// Where to write; `-` prints it.
        #[arg(long, short, value_name = "PATH")]
        output: Option<PathBuf>,
        /// Replace a configuration that is there; it is kept as .bak.
        #[arg(long)]
        force: bool,
        /// Print it and write nothing; refused where it could not be written. `--output -` prints it in any case.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say everything that is wrong with a configuration.
    Check {
        /// The configuration to check, instead of --config.
        path: Option<PathBuf>,
        /// End with exit code 2 when something is allowed but dangerous.
        #[arg(long)]
        strict: bool,
    },
    /// Have the agent apply the configuration; it says when it is in force, and exit code 2 says that it is refused.
    Reload {
        #[command(flatten)]
        rehearsal: RehearsalArgs,
    },
    /// Show the configuration.
    Config {
        #[command(subcommand)]
        show: ConfigCommand,
    },
    /// Show the agent and its targets, what fails first; exit code 1 when one of them is failing.
    Status(StatusArgs),
    /// List open and past incidents.
    Incidents {
        /// Only those of these targets: names or parts of them.
        targets: Vec<String>,
        /// Only those that have not ended.
        #[arg(long)]
        open: bool,
        /// Show at most this many.
        #[arg(long, default_value = "50", value_parser = usage::count, allow_negative_numbers = true)]
        limit: usize,
        /// Tell what happens from now on instead, a line each, until interrupted.
        #[arg(long, short, conflicts_with_all = ["open", "limit", "fleet", "host", "role", "label"])]
        watch: bool,
        #[command(flatten)]
        over: fleet::FleetArgs,
    },
    /// Show the report on an incident, or on the latest.
    Report {
        /// The incident's number, as i7, or a target, of which the latest is meant.
        #[arg(value_name = "INCIDENT|TARGET")]
        incident: Option<String>,
        /// Of the host of the fleet with this name; the controller on this host is asked.
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
    /// Say why something was done to a target, or not.
    Explain {
        /// The target: nginx for service/nginx.service, /var for disk//var, api.example.com for certificate/api.example.com.
        target: String,
        #[command(flatten)]
        over: fleet::FleetArgs,
    },
    /// Allow what an incident proposes.
    Approve {
        /// The incident's number, as i7, or its target, for what waits of it.
        incident: String,
        #[command(flatten)]
        over: fleet::FleetArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Refuse what an incident proposes; a person sees to it.
    Reject {
        /// The incident's number, as i7, or its target, for what waits of it.
        incident: String,
        #[command(flatten)]
        over: fleet::FleetArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Say that you see to what is open on hosts of the fleet: it ends with each incident, and lapses when one gets worse.
    Acknowledge {
        /// The incident's number, as i7, or a target, for what is open of it.
        incident: String,
        #[command(flatten)]
        over: fleet::FleetArgs,
        /// What you have to say of it; it is shown with the incident.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        /// Say that nobody sees to it any more.
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Stop all action on targets until they are released.
    Hold {
        #[command(flatten)]
        scope: fleet::WideScopeArgs,
        /// Why; it is shown wherever the hold stops something.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        /// When it ends by itself: for how long, as 2h, or when, as 18:30, 'tomorrow 08:00' or 2030-01-31T08:00:00Z. `--for` is the same.
        #[arg(long, alias = "for", value_name = "WHEN", allow_hyphen_values = true)]
        until: Option<String>,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// End holds.
    Release {
        #[command(flatten)]
        scope: fleet::WideScopeArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Suppress notifications; healing goes on.
    Silence {
        #[command(flatten)]
        scope: fleet::WideScopeArgs,
        /// For how long, as 2h, or until when, as 18:30, 'tomorrow 08:00' or 2030-01-31T08:00:00Z. `--until` is the same.
        #[arg(long = "for", alias = "until", value_name = "WHEN", default_value = "1h", allow_hyphen_values = true)]
        lasts: String,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// End silences.
    Unsilence {
        #[command(flatten)]
        scope: fleet::WideScopeArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Plan work: in a maintenance window targets are neither healed nor notified about.
    Maintenance {
        #[command(subcommand)]
        what: maintenance::MaintenanceCommand,
    },
    /// Run the runbook of a failing target now.
    Heal {
        /// The target: nginx for service/nginx.service, /var for disk//var, api.example.com for certificate/api.example.com.
        target: String,
        #[command(flatten)]
        over: fleet::FleetArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    #[command(flatten)]
    OfDomain(domain::Command),
    /// Join a controller: this host is seen and restrained there, and goes on healing by itself.
    Join(command::JoinArgs),
    /// Leave the controller; what its operators said of this host ends.
    Leave {
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Inject a failure on purpose, to see the healing work.
    #[command(
        long_about = command::drill::about(),
        group = clap::ArgGroup::new("drilled").required(true).args(["kind", "undo"]),
        override_usage = "ansai drill [OPTIONS] <TARGET> <KIND|--undo>"
    )]
    Drill {
        /// The target: nginx, nginx.service or service/nginx.service.
        target: String,
        /// crash, hang, exit, port, configuration or loop; above stands what each does.
        #[arg(value_parser = command::drill::kind)]
        kind: Option<DrillKind>,
        /// End a drill now: what it stopped goes on, its port is given back, its broken configuration is put back if nobody has changed it since, and what it took down is started.
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        over: fleet::FleetArgs,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Run the tests that stand beside a configuration: given these observations, expect these decisions.
    Test {
        /// A scenario, or a folder of them; the configuration's folder when it is left out.
        path: Option<PathBuf>,
        /// Write what happens now as what is expected.
        #[arg(long)]
        bless: bool,
    },
    /// Step through what a journal recorded.
    Replay {
        /// A journal's folder, or one file of it.
        journal: PathBuf,
        /// Say which decisions this configuration would have made differently.
        #[arg(long, value_name = "PATH")]
        with: Option<PathBuf>,
    },
    /// The controller of a fleet, on this host: made, run, copied, brought back, looked at.
    Controller {
        #[command(subcommand)]
        what: fleet::ControllerCommand,
    },
    /// Tokens, by which hosts join the fleet, or people ask its API; the controller on this host is asked, or that of --context.
    Token {
        #[command(subcommand)]
        what: fleet::TokenCommand,
    },
    /// The hosts of the fleet; the controller on this host is asked, or that of --context.
    Hosts {
        #[command(subcommand)]
        what: fleet::HostsCommand,
    },
    /// Who may disturb what still serves, one at a time; the controller on this host is asked, or that of --context.
    Permits {
        #[command(subcommand)]
        what: fleet::PermitsCommand,
    },
    /// One configuration for the hosts of the fleet; the controller on this host is asked, or that of --context.
    Fleet {
        #[command(subcommand)]
        what: fleet::RolloutCommand,
    },
    /// Controllers elsewhere, by names; they are asked with --context.
    Context {
        #[command(subcommand)]
        what: fleet::ContextCommand,
    },
    /// Carry over the configuration of another program.
    Import {
        #[command(subcommand)]
        from: ImportCommand,
    },
    /// Look for what keeps ansai from working, and say what to do.
    Doctor {
        /// Also send a test message on every route, and say of each what came of it.
        #[arg(long)]
        send_test: bool,
    },
    /// Print shell completions.
    Completions {
        /// bash, zsh, fish …
        shell: clap_complete::Shell,
    },
    /// Print the words that a shell offers, a line each.
    #[command(hide = true)]
    Complete {
        /// Of which kind.
        #[arg(value_parser = Completed::named)]
        what: Completed,
        /// How they begin.
        #[arg(default_value = "", hide_default_value = true)]
        begun: String,
        /// Of which target, where that matters.
        #[arg(long, value_name = "TARGET")]
        of: Option<String>,
    },
    /// Print the options that every command takes.
    #[command(hide = true)]
    Options,
    /// Print the manual page.
    Man {
        /// Write a page a subcommand into this folder instead.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Print the reference of the command line as Markdown.
    #[command(hide = true)]
    Reference,
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Carry over the YAML of the predecessor of the same name.
    ///
    /// What has no counterpart is listed at the end of what is written, with its line and what to do instead. Exit
    /// codes: 0 all is carried over; 1 it is written, and some of it a person must see to; 2 nothing is written.
    Ansai {
        /// The predecessor's YAML; `-` reads the standard input.
        file: PathBuf,
        /// Where to write; printed when it is left out.
        #[arg(long, short, value_name = "PATH")]
        output: Option<PathBuf>,
        /// Replace a file that is there; it is kept as .bak.
        #[arg(long, requires = "output")]
        force: bool,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the files, or what they are expanded to on this host.
    Show {
        /// Every check, rule, runbook and policy that follows from the files, as the agent applies them.
        #[arg(long)]
        expanded: bool,
    },
    /// List the layers and their files, weakest first.
    Layers,
    /// Say what may stand under a key, with its default and an example, what holds, and which layer and line set it.
    Explain {
        /// The key, as services.nginx.service.policy.cooldown or agent.host_budget; the whole file when it is left out.
        #[arg(default_value = "", hide_default_value = true)]
        key: String,
    },
    /// Print the JSON schema of a configuration file, for editors.
    Schema,
    /// Print the reference of every key as Markdown.
    #[command(hide = true)]
    Reference,
}

/// The definition of the command line.
fn program() -> clap::Command {
    help::with_help(Program::command())
}

/// The same, with its help as short as it can be, and as wide as the terminal.
fn for_terminal(program: clap::Command) -> clap::Command {
    let program = help::brief(program);
    match show::help_columns() {
        Some(columns) => program.term_width(columns),
        None => program,
    }
}

fn main() -> ExitCode {
    let given = match for_terminal(program()).try_get_matches() {
        Ok(given) => given,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            show::usage(&error.render());
            return ExitCode::from(Code::Usage);
        }
        Err(error) if error.use_stderr() => return misunderstood(&error),
        Err(help) => {
            show::help(&help.render());
            return ended(Code::Ok);
        }
    };
    // What the command line's own definition refuses has ended the program by now.
    let Program { paths, command } = Program::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    let trouble = show::set_up(&paths, command::places(&command, &given));
    if command::reads_files(&command)
        && let Some(code) = beside::run()
    {
        return code;
    }
    if let Some(trouble) = trouble {
        show::note(&trouble);
    }
    let (is_json, is_user) = (paths.json, paths.user);
    let done = paths.resolved(&given).and_then(|paths| command::run(&paths, command));
    let code = done.unwrap_or_else(|error| {
        let error = if is_user { error.for_user() } else { error };
        match is_json {
            true => show::print_json(&error.json()),
            false => error.print(),
        }
        error.code
    });
    ended(code)
}

/// Says what is wrong with the words of the command, to a person or to a program.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    let failure = usage::failure(error, &program(), &words);
    let has = |option: &str| words.iter().any(|word| word == option);
    let failure = if has("--user") { failure.for_user() } else { failure };
    match has("--json") {
        true => show::print_json(&failure.json()),
        false => show::refused(&failure.text()),
    }
    ended(failure.code)
}

/// How the program ends, when what it had to say could be said.
fn ended(code: Code) -> ExitCode {
    let code = match show::ended() {
        None => code as u8,
        Some(show::Ended::Gone) => exit::GONE,
        Some(show::Ended::Failed(why)) => {
            let what = format!("the answer could not be written: {why}");
            Failure::new(Code::Failing, what, "see to where the output goes: `df` says what is full").print();
            Code::Failing as u8
        }
    };
    beside::tell(code);
    code.into()
}
