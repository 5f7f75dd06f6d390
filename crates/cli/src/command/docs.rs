//! What is made from the program's own description of itself: completions, manual pages, the reference.

use std::{fmt::Write as _, io, path::PathBuf};

use clap::{Command, CommandFactory};

use crate::{
    Program,
    exit::{Code, Failure},
    show,
};

/// What only the running agent knows, in the one shell that nearly every server has.
const TARGETS: &str = include_str!("docs/targets.bash");

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Code, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "ansai", &mut out);
    if shell == clap_complete::Shell::Bash {
        out.extend_from_slice(TARGETS.as_bytes());
    }
    show::print(show::Page::own(String::from_utf8_lossy(&out)));
    Ok(Code::Ok)
}

/// Prints the page of the program, or writes it and one for each subcommand into a folder.
pub(super) fn man(out: Option<PathBuf>) -> Result<Code, Failure> {
    let Some(folder) = out else {
        let unmade = |error: io::Error| Failure::new(Code::Failing, format!("no manual page: {error}"), "");
        let page = page(Program::command()).map_err(unmade)?;
        show::print(show::Page::own(String::from_utf8_lossy(&page)));
        return Ok(Code::Ok);
    };
    let failed = |error: io::Error| {
        let what = format!("no manual page in {}: {error}", folder.display());
        Failure::new(Code::Failing, what, "name a folder that can be written to")
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut program = Program::command();
    program.build();
    for command in below(&program).into_iter().chain([Program::command()]) {
        // A built subcommand is displayed as `ansai-status`, which is the name of its page as well.
        let name = command.get_display_name().unwrap_or("ansai").to_owned();
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, page(command).map_err(failed)?).map_err(failed)?;
        show::print(&path.display().to_string());
    }
    Ok(Code::Ok)
}

/// Every subcommand at any depth that is shown.
fn below(command: &Command) -> Vec<Command> {
    let is_shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    let subcommands = command.get_subcommands().filter(is_shown);
    subcommands.flat_map(|command| std::iter::once(command.clone()).chain(below(command))).collect()
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

/// Prints `docs/reference/cli.md`.
pub(super) fn reference() -> Result<Code, Failure> {
    show::print(show::Page::own(markdown()));
    Ok(Code::Ok)
}

fn markdown() -> String {
    let mut program = Program::command();
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
    fn the_description_holds_together() {
        Program::command().debug_assert();
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
        let mut program = Program::command();
        program.build();
        check(&program);
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Program::command().get_long_about().map(ToString::to_string).unwrap_or_default();
        for (code, meaning, _) in Code::ALL {
            assert!(help.contains(&format!("{} {meaning}", *code as u8)), "{help} lacks {meaning}");
        }
    }

    #[test]
    fn the_reference_names_every_subcommand() {
        let text = markdown();
        for command in Program::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(text.contains(&format!("`ansai {}`", command.get_name())), "{}", command.get_name());
        }
    }
}
