//! The help of the program: its commands in groups, and examples of each. What a command does stands with its definition.

use std::fmt::Write as _;

use clap::{
    Command,
    builder::{Resettable, StyledStr},
};

use crate::domain;

/// What a new operator does first.
pub(crate) const BEGIN: &str = "\
Begin:
  ansai init                     writes a configuration; it only observes
  ansai check                    says whether it is right
  systemctl enable --now ansai   starts the agent
  ansai status                   shows what it sees
  ansai doctor                   says what is amiss

`ansai COMMAND --help` says more of a command, with examples.";

/// Where the options are that every command takes: in each help they would stand between what is its own and its examples.
const OPTIONS: &str = "\
Every command takes --json, --utc, --quiet, --color, --user and others:
`ansai help options` tells of them.";

/// Where the commands stand that only one domain has.
const OF_DOMAINS: &str = "Configure it";

/// The commands as a person looks for them, but those that only one domain has.
const GROUPS: &[(&str, &[&str])] = &[
    ("Ask it", &["status", "incidents", "report", "explain", "doctor"]),
    (
        "Tell it",
        &["hold", "release", "silence", "unsilence", "maintenance", "approve", "reject", "acknowledge", "heal"],
    ),
    ("Configure it", &["init", "check", "reload", "config", "import"]),
    ("Many hosts", &["controller", "token", "hosts", "permits", "fleet", "join", "leave", "context"]),
    ("Try it", &["drill", "test", "replay"]),
    ("The program", &["agent", "completions", "man"]),
];

/// Examples, by command, but of those that only one domain has.
const EXAMPLES: domain::Examples = &[
    (
        "agent",
        &[
            ("ansai agent", "as its unit does: systemctl start ansai"),
            ("ansai --user agent", "for your own services, under your own systemd"),
        ],
    ),
    (
        "status",
        &[("ansai status --failed", "only what is not healthy"), ("ansai status nginx --watch", "again each second")],
    ),
    (
        "incidents",
        &[("ansai incidents --open", "what has not ended"), ("ansai incidents --watch", "what happens from now on")],
    ),
    (
        "report",
        &[
            ("ansai report", "the latest incident"),
            ("ansai report app", "the latest of a target"),
            ("ansai report i7 --utc", "incident i7, with times in UTC"),
        ],
    ),
    (
        "explain",
        &[
            ("ansai explain nginx", "a service"),
            ("ansai explain /var", "a filesystem"),
            ("ansai explain nginx --host web-01", "on another host of the fleet"),
        ],
    ),
    ("doctor", &[("ansai doctor", "what is amiss"), ("ansai doctor --send-test", "also try every way to tell people")]),
    (
        "approve",
        &[
            ("ansai approve i7 --dry-run", "what it proposes"),
            ("ansai approve i7", "do it"),
            ("ansai approve i7 --host web-01", "its i7"),
        ],
    ),
    (
        "reject",
        &[
            ("ansai reject i7 --dry-run", "what it proposes"),
            ("ansai reject i7", "do not; a person sees to it"),
            ("ansai reject i7 --host web-01", "its i7"),
        ],
    ),
    (
        "acknowledge",
        &[
            ("ansai acknowledge i7 --host web-01", "it is seen to"),
            ("ansai acknowledge nginx --role web", "all that is open there"),
            ("ansai acknowledge nginx --role web --undo", "nobody does any more"),
        ],
    ),
    (
        "hold",
        &[
            ("ansai hold --all --reason \"moving\"", "nothing is done until a release"),
            ("ansai hold 'web*' --until 2h", "these targets, and for two hours"),
            ("ansai hold --fleet", "every target of every host"),
        ],
    ),
    ("release", &[("ansai release nginx", "end the hold on it"), ("ansai release --all", "end every hold")]),
    (
        "silence",
        &[
            ("ansai silence nginx --for 30m", "quiet; it is still healed"),
            ("ansai silence nginx --role web --for 1h", "on each host of that role"),
        ],
    ),
    (
        "unsilence",
        &[("ansai unsilence nginx", "tell again"), ("ansai unsilence nginx --role web", "on each host of that role")],
    ),
    (
        "maintenance",
        &[
            ("ansai maintenance start nginx --for 2h", "it is left alone for two hours"),
            ("ansai maintenance list", "what is open"),
            ("ansai maintenance end nginx", "it is watched and healed again"),
        ],
    ),
    (
        "maintenance start",
        &[
            ("ansai maintenance start nginx --for 2h", "it is left alone so long"),
            ("ansai maintenance start --all", "the whole host, for one hour"),
            ("ansai maintenance start --host web-01", "another host of the fleet"),
        ],
    ),
    (
        "maintenance end",
        &[
            ("ansai maintenance end nginx", "it is watched and healed again"),
            ("ansai maintenance end --host web-01", "another host of the fleet"),
        ],
    ),
    ("maintenance list", &[("ansai maintenance list --utc", "with their ends in UTC")]),
    (
        "heal",
        &[
            ("ansai heal nginx --dry-run", "what would be done"),
            ("ansai heal nginx", "do it now"),
            ("ansai heal nginx --role web", "wherever it fails"),
        ],
    ),
    (
        "controller",
        &[
            ("ansai controller init", "make one here; it says what to do next"),
            ("ansai controller doctor", "what keeps it from working"),
        ],
    ),
    ("controller init", &[("ansai controller init --address ctl.example.com", "as hosts reach it")]),
    ("controller run", &[("ansai controller run", "as its unit does")]),
    ("controller backup", &[("ansai controller backup ./ansai.copy", "while it runs or not")]),
    ("controller restore", &[("ansai controller restore ./ansai.copy --dry-run", "what it holds")]),
    ("controller doctor", &[("ansai controller doctor", "what keeps it from working")]),
    ("token", &[("ansai token create --role web --uses 5", "for five hosts"), ("ansai token list", "which there are")]),
    (
        "token create",
        &[
            ("ansai token create", "for one host, good for an hour"),
            ("ansai token create --uses 20 --for 8h", "for twenty hosts"),
            ("ansai token create --api viewer", "to look from elsewhere"),
        ],
    ),
    ("token list", &[("ansai token list", "without their secrets")]),
    ("token revoke", &[("ansai token revoke 0123456789ab", "no host joins by it any more")]),
    (
        "context",
        &[("ansai context add prod https://ctl:7444", "asks for the token"), ("ansai context list", "which there are")],
    ),
    ("context add", &[("ansai context add prod https://ctl:7444", "asks for the token")]),
    ("context list", &[("ansai context list", "without the tokens' secrets")]),
    ("context remove", &[("ansai context remove prod --dry-run", "what would be forgotten")]),
    ("hosts", &[("ansai hosts list", "who is in it, and who waits"), ("ansai hosts accept 3f0c-91aa", "take one in")]),
    ("hosts list", &[("ansai hosts list --role web", "only these"), ("ansai hosts list db", "named so")]),
    (
        "hosts add",
        &[
            ("ansai hosts add --ssh root@web-01 --dry-run", "what is there"),
            ("ansai hosts add --ssh ada@web-01 --sudo", "root by sudo"),
        ],
    ),
    ("hosts accept", &[("ansai hosts accept 3f0c-91aa-72de", "when the host shows the same")]),
    ("hosts reject", &[("ansai hosts reject 3f0c-91aa-72de", "turn it away")]),
    ("hosts rename", &[("ansai hosts rename web-1 web-01", "its history stays")]),
    ("hosts remove", &[("ansai hosts remove web-01", "its certificates end")]),
    (
        "permits",
        &[("ansai permits list", "who holds one, and who waits"), ("ansai permits free p7", "let others go on")],
    ),
    ("permits list", &[("ansai permits list", "who holds one, who waits, and why")]),
    ("permits free", &[("ansai permits free p7 --dry-run", "what that would do")]),
    (
        "fleet",
        &[
            ("ansai fleet plan ./site", "which hosts would get what"),
            ("ansai fleet apply ./site", "one host first, then the others"),
        ],
    ),
    ("fleet plan", &[("ansai fleet plan ./site", "a folder"), ("ansai fleet plan ./site.yaml", "a file for all")]),
    (
        "fleet apply",
        &[
            ("ansai fleet apply ./site --dry-run", "what would be done"),
            ("ansai fleet apply ./site --canary 10% --soak 5m", "a tenth first"),
        ],
    ),
    ("fleet rollouts", &[("ansai fleet rollouts", "how far it is, and why it was stopped")]),
    (
        "fleet rollback",
        &[("ansai fleet rollback --dry-run", "how many hosts it means"), ("ansai fleet rollback", "do it")],
    ),
    ("fleet drift", &[("ansai fleet drift", "which hosts have something else")]),
    (
        "init",
        &[
            ("ansai init --output -", "print it and write nothing"),
            ("ansai init --output ./ansai.yaml", "write it here, to look at it"),
        ],
    ),
    (
        "check",
        &[
            ("ansai check", "the one in force, with what this host lacks"),
            ("ansai check ./ansai.yaml", "another file, before it is put in place"),
            ("ansai check --strict", "for a pipeline: warnings fail as well"),
        ],
    ),
    (
        "reload",
        &[
            ("ansai reload --dry-run", "whether it would be applied, and what changes"),
            ("ansai reload", "apply it now; `ansai check` says what is wrong"),
        ],
    ),
    (
        "config",
        &[
            ("ansai config explain services.NAME", "what may stand there, and examples"),
            ("ansai config show --expanded", "what follows from the files here"),
        ],
    ),
    (
        "config show",
        &[("ansai config show", "the files"), ("ansai config show --expanded", "what follows from them on this host")],
    ),
    ("config layers", &[("ansai config layers", "which files hold, and until when")]),
    (
        "config explain",
        &[
            ("ansai config explain", "which keys there are"),
            ("ansai config explain notify.NAME", "NAME is any name"),
            ("ansai config explain services.nginx.cooldown", "what holds, and why"),
        ],
    ),
    ("config schema", &[("ansai config schema > ansai.schema.json", "for an editor")]),
    ("import", &[("ansai import ansai old.yaml", "print what becomes of it")]),
    (
        "import ansai",
        &[
            ("ansai import ansai old.yaml", "print what becomes of it"),
            ("ansai import ansai old.yaml -o ansai.yaml", "write it"),
        ],
    ),
    (
        "join",
        &[
            ("ansai join https://ctl:7443 --token-file -", "with a token, piped in"),
            ("ansai join ctl --authority 7d05…", "a person accepts it"),
            ("ansai join --token-file web.token", "whom ansai_cluster names"),
        ],
    ),
    ("leave", &[("ansai leave --dry-run", "which controller it is"), ("ansai leave", "be nobody's")]),
    (
        "drill",
        &[
            ("ansai drill app crash --dry-run", "whether it would be allowed"),
            ("ansai drill app crash", "kill it, and see it healed"),
            ("ansai drill app --undo", "end it now; else it ends by itself"),
            ("ansai drill app crash --role web", "on other hosts of the fleet"),
        ],
    ),
    (
        "test",
        &[
            ("ansai test", "all beside the configuration"),
            ("ansai test ./app.scenario --bless", "take what happens now as expected"),
        ],
    ),
    (
        "replay",
        &[
            ("ansai replay ./journal", "what was decided, step by step"),
            ("ansai replay ./journal --with new.yaml", "what would be different"),
        ],
    ),
    (
        "completions",
        &[
            ("ansai completions bash > ansai.bash", "to be read by ~/.bashrc"),
            ("ansai completions zsh > _ansai", "into a folder of $fpath"),
        ],
    ),
    ("man", &[("ansai man | man -l -", "read it"), ("ansai man --out ./pages", "one page a command")]),
];

/// The definition of the program with its help.
pub(crate) fn with_help(program: Command) -> Command {
    let groups = groups(&program);
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}");
    let mut program = program.help_template(template);
    for (name, examples) in EXAMPLES.iter().chain(domain::all().flat_map(|domain| domain.examples())) {
        let path: Vec<&str> = name.split(' ').collect();
        program = with_examples(program, &path, &shown(examples));
    }
    program
}

/// The same without the options that every command takes, but for where to find them: help fits a screen.
pub(crate) fn brief(program: Command) -> Command {
    let options = options(&program);
    let hidden: Vec<clap::Id> =
        program.get_arguments().filter(|known| known.is_global_set()).map(|known| known.get_id().clone()).collect();
    let program = hidden.into_iter().fold(program, |program, id| program.mut_arg(id, |known| known.hide(true)));
    let names: Vec<String> = program.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let program = names.into_iter().fold(program, |program, name| program.mut_subcommand(name, on_few_lines));
    pointing(program).mut_subcommand("options", |command| command.override_help(options))
}

/// The same with all that is said of it in its short help, which has an option on a line. Where commands are listed only their
/// first sentence stands.
fn on_few_lines(command: Command) -> Command {
    match command.get_long_about().cloned() {
        Some(about) => command.about(about).long_about(Resettable::Reset),
        None => command,
    }
}

/// With a word on where those options are, at every depth.
fn pointing(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, pointing));
    match command.get_after_help().map(ToString::to_string) {
        Some(examples) => command.after_help(format!("{examples}\n\n{OPTIONS}")),
        None => command,
    }
}

/// What is told of the options that every command takes.
pub(crate) fn options(program: &Command) -> StyledStr {
    let global = program.get_arguments().filter(|known| known.is_global_set()).cloned();
    let alone = Command::new("ansai").disable_help_flag(true).disable_version_flag(true).args(global);
    alone.help_template("{all-args}").render_help()
}

/// The first example of a command, by its words behind the program's name.
pub(crate) fn example(path: &str) -> Option<&'static str> {
    let mut all = EXAMPLES.iter().chain(domain::all().flat_map(|domain| domain.examples()));
    all.find(|(name, _)| *name == path).and_then(|(_, examples)| examples.first()).map(|(example, _)| *example)
}

/// The definition with examples below the help of one of its commands.
fn with_examples(command: Command, path: &[&str], examples: &str) -> Command {
    match path.split_first() {
        Some((name, rest)) => command.mut_subcommand(*name, |command| with_examples(command, rest, examples)),
        None => command.after_help(examples.to_owned()),
    }
}

/// Every command, by the title of its group.
pub(crate) fn grouped() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    GROUPS.iter().map(|(title, names)| {
        let of_domains = domain::commands().filter(|_| *title == OF_DOMAINS);
        (*title, names.iter().copied().chain(of_domains).collect())
    })
}

fn groups(program: &Command) -> String {
    let mut text = String::new();
    for (title, names) in grouped() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{title}:");
        for name in names {
            let about = program.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            let _ = writeln!(text, "  {name:<12} {}", short(&about.unwrap_or_default()));
        }
        text.push('\n');
    }
    text
}

/// What fits behind a name in 80 columns: the rest stands in the help of the command.
fn short(about: &str) -> &str {
    const ABOUT_MAX: usize = 64;
    let ends = [": ", "; "].into_iter().filter_map(|end| about.find(end)).min();
    ends.filter(|_| about.len() > ABOUT_MAX).map_or(about, |end| &about[..end])
}

fn shown(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = examples.iter().map(|(command, what)| format!("  {command:<width$}   {what}"));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{Found, misunderstood};

    /// A hint outside backticks is told as something to type only when it names one of these.
    #[test]
    fn whoever_tells_hints_knows_every_command() {
        let program = crate::program();
        let shown = program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
        let own: Vec<&str> =
            shown.map(Command::get_name).filter(|name| domain::commands().all(|of| of != *name)).collect();
        let mut known: Vec<&str> = ansai_notify::channel::render::COMMANDS.to_vec();
        known.sort_by_key(|name| own.iter().position(|own| own == name));
        assert_eq!(known, own);
    }

    /// Every command at any depth that is shown, by its words behind the program's name.
    fn all(command: &Command, above: &str) -> Vec<(String, Command)> {
        let is_shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
        let one = |command: &Command| {
            let path = format!("{above} {}", command.get_name()).trim().to_owned();
            let below = all(command, &path);
            std::iter::once((path, command.clone())).chain(below)
        };
        command.get_subcommands().filter(is_shown).flat_map(one).collect()
    }

    /// The last lines of a help are what stays on a screen.
    #[test]
    fn the_help_of_every_command_fits_a_screen_and_says_where_the_other_options_are() {
        const ROWS: usize = 40;
        let program = brief(crate::program()).term_width(80);
        for (path, _) in all(&crate::program(), "") {
            let words = format!("ansai {path} --help");
            let help = program.clone().try_get_matches_from(words.split(' ')).expect_err("it is shown");
            let text = help.render().to_string();
            // On 80 columns and 24 rows the end of it is seen, and it is scrolled back once.
            let lines = text.lines().count();
            assert!(lines <= ROWS, "{path} has {lines} lines:\n{text}");
            assert!(text.trim_end().ends_with(OPTIONS), "{path}: {text}");
            assert!(!text.contains("--state-dir") && !text.contains("--color <"), "{path}: {text}");
        }
        let program = crate::program();
        let text = options(&program).to_string();
        assert!(text.lines().count() <= ROWS, "{text}");
        for known in program.get_arguments().filter(|known| known.is_global_set()) {
            let long = known.get_long().expect("it has a name");
            assert!(text.contains(&format!("--{long}")), "{text}");
        }
    }

    #[test]
    fn the_help_of_every_command_ends_in_examples_of_it_that_are_understood() {
        let commands = all(&crate::program(), "");
        assert!(commands.len() > 30, "{}", commands.len());
        for (path, command) in commands {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().skip(1).collect();
            assert!(help.starts_with("Examples:\n  ansai") && !lines.is_empty(), "{path} has no example: {help}");
            for line in lines {
                let line = line.strip_prefix("  ").expect("an example stands further in");
                let example = line.split("   ").next().unwrap_or_default();
                let words = example.replace(" --user", "");
                assert!(words.starts_with(&format!("ansai {path}")), "`{example}` is no example of `{path}`");
                assert_eq!(misunderstood(Found::Block, example), None, "{example}");
                assert!(line.chars().count() <= 71, "{line}");
            }
        }
    }
}
