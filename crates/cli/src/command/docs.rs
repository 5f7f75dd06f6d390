//! What is made from the program's own description of itself: completions, manual pages, the reference.

use std::{fmt::Write as _, io, path::PathBuf};

use ansai_keys::manual::escaped;
use clap::Command;

use crate::{
    exit::{Code, Failure},
    help, show,
};

/// What stands on the page about the keys, and around them in the manual page: `ansai.yaml(5)`.
const KEYS: &str = include_str!("docs/configuration.txt");
const MANUAL: &str = include_str!("docs/ansai.yaml.5");

/// What only the running agent knows, in the one shell that nearly every server has.
const NAMES: &str = include_str!("docs/names.bash");

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Code, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut offered(&crate::program()), "ansai", &mut out);
    if shell == clap_complete::Shell::Bash {
        out.extend_from_slice(NAMES.as_bytes());
    }
    show::print(show::Page::own(String::from_utf8_lossy(&out)));
    Ok(Code::Ok)
}

/// Prints the page of the program, or writes it and one for each subcommand into a folder.
pub(super) fn man(out: Option<PathBuf>) -> Result<Code, Failure> {
    let Some(folder) = out else {
        let unmade = |error: io::Error| {
            Failure::new(
                Code::Failing,
                format!("no manual page: {}", ansai_files::said(&error)),
                "name a folder with --out",
            )
        };
        let page = page(described()).map_err(unmade)?;
        show::print(show::Page::own(String::from_utf8_lossy(&page)));
        return Ok(Code::Ok);
    };
    let failed = |error: io::Error| {
        let what = format!("no manual page in {}: {}", folder.display(), ansai_files::said(&error));
        Failure::new(Code::Failing, what, "name a folder that can be written to")
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut program = described();
    program.build();
    for command in below(&program).into_iter().chain([described()]) {
        // A built subcommand is displayed as `ansai-status`, which is the name of its page as well.
        let name = command.get_display_name().unwrap_or("ansai").to_owned();
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, page(command).map_err(failed)?).map_err(failed)?;
        show::print(&path.display().to_string());
    }
    let path = folder.join("ansai.yaml.5");
    std::fs::write(&path, file_format()).map_err(failed)?;
    show::print(&path.display().to_string());
    Ok(Code::Ok)
}

/// The same command line without what is hidden, which the makers of completions would offer.
fn offered(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set()).map(offered);
    // Names are kept for as long as the program runs, which is not long.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut shown = Command::new(name).args(arguments).groups(command.get_groups().cloned()).subcommands(subcommands);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if command.get_version().is_some() {
        shown = shown.version(env!("CARGO_PKG_VERSION"));
    }
    shown
}

/// Every subcommand at any depth that is shown.
fn below(command: &Command) -> Vec<Command> {
    let is_shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    let subcommands = command.get_subcommands().filter(is_shown);
    subcommands.flat_map(|command| std::iter::once(command.clone()).chain(below(command))).collect()
}

/// The program as pages describe it: `help` says no more than they do, and has no page.
fn described() -> Command {
    crate::program().disable_help_subcommand(true)
}

/// How a command is written: a line, or one for each command below it.
fn synopsis(command: &Command) -> String {
    let is_whole = command.get_name() == "ansai";
    let below = if is_whole { Vec::new() } else { below(command) };
    let leaves: Vec<Command> = below.into_iter().filter(|command| !command.has_subcommands()).collect();
    let written = if leaves.is_empty() { vec![command.clone()] } else { leaves };
    let lines = written.into_iter().map(|mut command| {
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ");
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
        let rest = usage.strip_prefix(&name).unwrap_or(&usage).to_owned();
        format!("\\fB{name}\\fR{rest}").replace('-', "\\-")
    });
    lines.collect::<Vec<_>>().join("\n.br\n")
}

/// A manual page. What stands below the options is a table of examples, which keeps its lines.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let synopsis = synopsis(&command);
    let mut page = Vec::new();
    clap_mangen::Man::new(command).source(concat!("ansai ", env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    let (head, rest) = page.split_once(".SH SYNOPSIS\n").unwrap_or((&page, ""));
    let (_, description) = rest.split_once(".SH DESCRIPTION").unwrap_or(("", rest));
    let page = format!("{head}.SH SYNOPSIS\n{synopsis}\n.SH DESCRIPTION{description}");
    let Some((above, rest)) = page.split_once(".SH EXTRA\n") else { return Ok(page.into_bytes()) };
    let (examples, below) = rest.split_once(".SH VERSION").unwrap_or((rest, ""));
    // The section has the title that the help has to give itself.
    let examples = examples.trim_start().trim_start_matches("Examples:\n");
    let below = format!(".SH VERSION{below}");
    Ok(format!("{above}.SH EXAMPLES\n.nf\n{}\n.fi\n{below}", examples.trim_end()).into_bytes())
}

/// The manual page of the configuration file.
fn file_format() -> String {
    let version = escaped(env!("CARGO_PKG_VERSION"));
    let keys = ansai_keys::manual::sections(ansai_config::table());
    let text = MANUAL.replacen(".\\\" The keys.\n", &keys, 1);
    format!(".TH ansai.yaml 5 \"\" \"ansai {version}\" \"File formats\"\n{text}")
}

/// Prints the options that every command takes.
pub(super) fn options() -> Result<Code, Failure> {
    show::help(&help::options(&crate::program()));
    Ok(Code::Ok)
}

/// Prints `docs/reference/configuration.md`.
pub(super) fn keys() -> Result<Code, Failure> {
    show::print(show::Page::own(KEYS.to_owned() + &ansai_keys::page::sections(ansai_config::table())));
    Ok(Code::Ok)
}

/// Prints `docs/reference/cli.md`.
pub(super) fn reference() -> Result<Code, Failure> {
    show::print(show::Page::own(markdown()));
    Ok(Code::Ok)
}

fn markdown() -> String {
    let mut program = crate::program();
    program.build();
    let mut text = String::from("# The command line\n\nThis page is made by `ansai reference`; do not edit it.\n");
    section(&mut text, &program, "ansai", 2);
    text.push_str("\n## Exit codes\n\n| code | meaning | for example |\n|---|---|---|\n");
    for (code, meaning, example) in Code::ALL {
        let _ = writeln!(text, "| {} | {meaning} | {example} |", *code as u8);
    }
    text
}

fn section(text: &mut String, command: &Command, name: &str, level: usize) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{} `{name}`\n\n{about}\n", "#".repeat(level));
    let is_own = |argument: &&clap::Arg| {
        let is_inherited = argument.is_global_set() && level > 2;
        !argument.is_hide_set() && !is_inherited && !matches!(argument.get_id().as_str(), "help" | "version")
    };
    let arguments: Vec<_> = command.get_arguments().filter(is_own).collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
    }
    for argument in arguments {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = default.join(" ");
        let has_default = !default.is_empty() && argument.get_action().takes_values();
        let default = if has_default { format!(". Default: `{default}`.") } else { String::new() };
        let variable = argument.get_env().map(|name| format!(" Environment: `{}`.", name.to_string_lossy()));
        let (shown, variable) = (argument.to_string().replace('|', "\\|"), variable.unwrap_or_default());
        let _ = writeln!(text, "| `{shown}` | {help}{default}{variable} |");
    }
    let is_shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for subcommand in command.get_subcommands().filter(is_shown) {
        section(text, subcommand, &format!("{name} {}", subcommand.get_name()), level + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_the_manual_page_and_no_line_is_a_request_by_accident() {
        let page = file_format();
        for shape in ansai_keys::page::shapes(ansai_config::table()) {
            for key in shape.keys {
                assert!(page.contains(&format!(".BR {} ", escaped(key.name))), "{}", key.name);
            }
        }
        let known = [".TH ", ".SH ", ".TP", ".BR ", ".B ", ".I ", ".RI ", ".PP", ".br", ".EX", ".EE"];
        let odd =
            page.lines().find(|line| line.starts_with(['.', '\'']) && !known.iter().any(|word| line.starts_with(word)));
        assert_eq!(odd, None);
        assert!(page.ends_with("(1)\n") && page.contains("disks: {\"*\": {}}\n.EE\n.SH THE FILE\n"), "{page}");
        assert_eq!(escaped(".a \"b\"\\ -c"), "\\&.a \\(dqb\\(dq\\e \\-c");
    }

    #[test]
    fn the_description_holds_together() {
        crate::program().debug_assert();
    }

    #[test]
    fn words_that_people_write_first_are_understood() {
        for words in ["drill app kill", "drill app config", "hold app --for 2h", "status --all", "unsilence app --yes"]
        {
            let words = std::iter::once("ansai").chain(words.split(' '));
            assert!(crate::program().try_get_matches_from(words).is_ok());
        }
        assert!(crate::program().try_get_matches_from(["ansai", "drill", "app", "kil"]).is_err());
    }

    #[test]
    fn the_help_names_each_subcommand_once_in_a_group() {
        let program = crate::program();
        let shown: Vec<&str> =
            program.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name).collect();
        let mut grouped: Vec<&str> = crate::help::grouped().flat_map(|(_, names)| names).collect();
        assert_eq!(grouped.len(), shown.len(), "{grouped:?} {shown:?}");
        grouped.retain(|name| !shown.contains(name));
        assert_eq!(grouped, [""; 0]);
        let help = crate::program().render_help().to_string();
        assert!(help.contains("Ask it:\n  status ") && help.contains("--config <PATH>"), "{help}");
        let groups = help.split("Options:").next().unwrap_or_default();
        assert!(groups.lines().skip(6).all(|line| line.chars().count() <= 80), "{help}");
        let long = |text: &str| text.lines().find(|line| line.chars().count() > 79).map(str::to_owned);
        assert_eq!(long(crate::help::BEGIN), None);
        for command in program.get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert_eq!(long(&examples), None, "{}", command.get_name());
        }
    }

    #[test]
    fn no_shell_offers_what_is_hidden() {
        use clap_complete::Shell;
        fn names(command: &Command, is_hidden: bool, found: &mut Vec<String>) {
            for below in command.get_subcommands() {
                let is_hidden = is_hidden || below.is_hide_set();
                found.extend(is_hidden.then(|| below.get_about().map(ToString::to_string).unwrap_or_default()));
                names(below, is_hidden, found);
            }
        }
        let mut hidden = Vec::new();
        names(&crate::program(), false, &mut hidden);
        assert!(hidden.len() > 2, "{hidden:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut offered(&crate::program()), "ansai", &mut out);
            let text = String::from_utf8(out).expect("text");
            assert!(!hidden.iter().any(|about| text.contains(about)), "{shell}");
            assert!(!text.contains("subcmd__reference") && !text.contains("subcmd__complete\""), "{shell}");
            assert!(text.contains("maintenance") && text.contains("dry-run"), "{shell}");
        }
    }

    #[test]
    fn a_synopsis_shows_how_each_command_is_written() {
        let mut program = described();
        program.build();
        let of = |name: &str| {
            let found = below(&program).into_iter().find(|command| command.get_bin_name() == Some(name));
            synopsis(&found.expect("it is there"))
        };
        assert_eq!(synopsis(&described()), "\\fBansai\\fR [OPTIONS] <COMMAND>");
        assert_eq!(of("ansai drill"), "\\fBansai drill\\fR [OPTIONS] <TARGET> <KIND|\\-\\-undo>");
        let wide = "<TARGETS|\\-\\-all|\\-\\-fleet|\\-\\-host <NAME>|\\-\\-role <ROLE>|\\-\\-label <KEY=VALUE>>";
        let maintenance = format!(
            "\\fBansai maintenance start\\fR [OPTIONS] {wide}\n.br\n\
             \\fBansai maintenance end\\fR [OPTIONS] {wide}\n.br\n\
             \\fBansai maintenance list\\fR [OPTIONS]"
        );
        assert!(of("ansai maintenance").starts_with(&maintenance), "{}", of("ansai maintenance"));
        for command in below(&program) {
            assert!(!synopsis(&command).contains("COMMAND>"), "{:?}", command.get_bin_name());
        }
    }

    #[test]
    fn examples_in_manual_pages_keep_their_lines() {
        let mut program = crate::program();
        program.build();
        for command in below(&program).into_iter().chain([crate::program()]) {
            let page = String::from_utf8(page(command).expect("a page")).expect("text");
            assert!(!page.contains("EXTRA"), "{page}");
            let examples = page.split(".SH EXAMPLES\n.nf\n").nth(1).and_then(|rest| rest.split("\n.fi\n").next());
            // A page begins at the eighth column.
            let is_long = |line: &str| line.replace("\\*(Aq", "'").replace('\\', "").chars().count() > 73;
            assert!(!examples.unwrap_or_default().lines().any(is_long), "{page}");
        }
    }

    #[test]
    fn each_subcommand_and_argument_says_what_it_is_for() {
        fn check(command: &Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {argument} says nothing", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        let mut program = crate::program();
        program.build();
        check(&program);
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = crate::program().get_long_about().map(ToString::to_string).unwrap_or_default();
        for (code, meaning, _) in Code::ALL {
            assert!(help.contains(&format!("{} {meaning}", *code as u8)), "{help} lacks {meaning}");
        }
    }

    #[test]
    fn the_reference_names_every_subcommand() {
        let text = markdown();
        for command in crate::program().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(text.contains(&format!("`ansai {}`", command.get_name())), "{}", command.get_name());
        }
    }
}
