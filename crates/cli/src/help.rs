//! The help of the program: its commands in groups, and examples of those that are used most. What a command does stands
//! with its definition.

use std::fmt::Write as _;

use clap::Command;

/// What a new operator does first.
pub(crate) const BEGIN: &str = "\
Begin:
  ansai init                     writes a configuration; it only observes
  ansai check                    says whether it is right
  systemctl enable --now ansai   starts the agent
  ansai status                   shows what it sees
  ansai doctor                   says what is amiss

`ansai COMMAND --help` says more of a command, with examples.";

/// The commands as a person looks for them.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("Ask it", &["status", "incidents", "report", "explain", "doctor"]),
    ("Tell it", &["hold", "release", "silence", "unsilence", "maintenance", "approve", "reject", "heal"]),
    ("Configure it", &["init", "check", "reload", "config", "import", "certificate"]),
    ("Try it", &["drill", "test", "replay"]),
    ("The program", &["agent", "completions", "man"]),
];

/// Examples, by command.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "status",
        &[("ansai status --failed", "only what is not healthy"), ("ansai status nginx --watch", "again each second")],
    ),
    (
        "incidents",
        &[("ansai incidents --open", "what has not ended"), ("ansai incidents --watch", "what happens from now on")],
    ),
    ("report", &[("ansai report", "the latest incident"), ("ansai report i7 --utc", "incident i7, with times in UTC")]),
    ("explain", &[("ansai explain nginx", "a service"), ("ansai explain /var", "a filesystem")]),
    ("doctor", &[("ansai doctor --send-test", "also try every way to tell people")]),
    (
        "hold",
        &[
            ("ansai hold --all --reason \"moving\"", "nothing is done until a release"),
            ("ansai hold 'web*' --until 2h", "these targets, and for two hours"),
        ],
    ),
    ("release", &[("ansai release --all", "end every hold")]),
    ("silence", &[("ansai silence nginx --for 30m", "tell nobody; it is still healed")]),
    ("heal", &[("ansai heal nginx --dry-run", "what would be done"), ("ansai heal nginx", "do it now")]),
    ("init", &[("ansai init --output -", "print it and write nothing")]),
    ("check", &[("ansai check --strict", "for a pipeline: warnings fail as well")]),
    (
        "drill",
        &[
            ("ansai drill app crash --dry-run", "whether it would be allowed"),
            ("ansai drill app crash", "kill it, and see it healed"),
            ("ansai drill app --undo", "end it now; else it ends by itself"),
        ],
    ),
];

/// The definition of the program with its help.
pub(crate) fn with_help(program: Command) -> Command {
    let groups = groups(&program);
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}");
    let mut program = program.help_template(template);
    for (name, examples) in EXAMPLES {
        program = program.mut_subcommand(name, |command| command.after_help(shown(examples)));
    }
    program
}

fn groups(program: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{title}:");
        for name in *names {
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
