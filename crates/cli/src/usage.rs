//! What is wrong with the words of a command, in ours: what was written, and what to write instead. What a command may be
//! stands with its definition, and a value's own reader says how one is written.

use std::error::Error as _;

use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};
use strsim::damerau_levenshtein;

use crate::{
    exit::{Code, Failure},
    help,
};

/// What is wrong with these words, which stand behind the program's name.
pub(crate) fn failure(error: &Error, program: &Command, words: &[String]) -> Failure {
    let at = Meant::of(program, words);
    let (what, instead) = at.said(error).unwrap_or_else(|| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        (first.trim_start_matches("error: ").to_owned(), at.help())
    });
    Failure::new(Code::Usage, what, instead)
}

/// The command that was meant, as far as it is one.
struct Meant<'a> {
    /// Its words, with the program's name.
    name: String,
    command: &'a Command,
    /// What every command takes.
    program: &'a Command,
    words: &'a [String],
}

impl<'a> Meant<'a> {
    fn of(program: &'a Command, words: &'a [String]) -> Self {
        let mut at = Self { name: program.get_name().to_owned(), command: program, program, words };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some(option) = word.strip_prefix('-') {
                let takes_value = at.options().any(|known| is_written(known, option) && takes_value(known));
                if takes_value && !word.contains('=') {
                    words.next();
                }
                continue;
            }
            let Some(command) = at.command.find_subcommand(word) else { break };
            at.name = format!("{} {}", at.name, command.get_name());
            at.command = command;
        }
        at
    }

    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let own = self.command.get_arguments();
        own.chain(self.program.get_arguments().filter(|known| known.is_global_set()))
    }

    /// Where more is said.
    fn help(&self) -> String {
        format!("`{} --help` says how it is written", self.name)
    }

    /// As the first example of the command has it.
    fn example(&self) -> String {
        let path = self.name.split_once(' ').map_or("", |(_, path)| path);
        help::example(path).map_or_else(|| self.help(), |example| format!("as in `{example}`; {}", self.help()))
    }

    /// What is wrong, and what to do; nothing when these words know nothing better.
    fn said(&self, error: &Error) -> Option<(String, String)> {
        let name = &self.name;
        let context = |kind| error.get(kind).map(texts).unwrap_or_default();
        let first = |kind| context(kind).into_iter().next();
        let arg = first(ContextKind::InvalidArg).map(|arg| bare(&arg).to_owned());
        Some(match error.kind() {
            ErrorKind::InvalidSubcommand => self.no_command(&first(ContextKind::InvalidSubcommand)?),
            ErrorKind::UnknownArgument => self.unknown(&arg?),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let (arg, value) = (arg?, first(ContextKind::InvalidValue).unwrap_or_default());
                let arg = self.as_written(&arg).pop().unwrap_or(arg);
                let what = match value.is_empty() {
                    true => format!("`{arg}` has no value"),
                    false => format!("`{value}` is no {}", as_value(&arg)),
                };
                let valid = context(ContextKind::ValidValue);
                let instead = match error.source() {
                    // The reader of a value says how one is written.
                    Some(source) => source.to_string(),
                    None if valid.is_empty() => self.help(),
                    None => one_of(&value, &valid),
                };
                (what, instead)
            }
            ErrorKind::MissingRequiredArgument => {
                let missing: Vec<String> = context(ContextKind::InvalidArg).iter().map(|arg| either(arg)).collect();
                (format!("`{name}` needs {}", all_of(missing)), self.example())
            }
            ErrorKind::MissingSubcommand => (format!("`{name}` needs a command"), self.help()),
            ErrorKind::ArgumentConflict => {
                let (arg, others) = (arg?, context(ContextKind::PriorArg));
                let others: Vec<String> = others.iter().map(|other| format!("`{}`", bare(other))).collect();
                match (others.as_slice(), self.as_written(&arg).as_slice()) {
                    ([other], [one, another]) if *other == format!("`{arg}`") => {
                        (format!("`{one}` and `{another}` say the same thing"), "give one of them".to_owned())
                    }
                    ([other], written) if *other == format!("`{arg}`") => {
                        let arg = written.first().unwrap_or(&arg);
                        (format!("`{arg}` is given more than once"), "give it once".to_owned())
                    }
                    (others, _) => {
                        let others =
                            if others.is_empty() { "what else is given".to_owned() } else { others.join(" and ") };
                        (format!("`{arg}` and {others} exclude each other"), "leave one of them out".to_owned())
                    }
                }
            }
            ErrorKind::TooManyValues => {
                let (arg, value) = (arg?, first(ContextKind::InvalidValue).unwrap_or_default());
                (format!("`{arg}` takes no value, and `{value}` is one"), format!("write {arg} alone"))
            }
            ErrorKind::InvalidUtf8 => ("a word of the command is no UTF-8".to_owned(), self.help()),
            _ => return None,
        })
    }

    /// The names by which an option stands among the words, in their order: some have another one.
    fn as_written(&self, arg: &str) -> Vec<String> {
        let long = arg.strip_prefix("--");
        let Some(known) = long.and_then(|long| self.options().find(|known| known.get_long() == Some(long))) else {
            return Vec::new();
        };
        let names: Vec<&str> = known.get_all_aliases().into_iter().flatten().chain(long).collect();
        let mut written: Vec<String> = Vec::new();
        for word in self.words.iter().take_while(|word| *word != "--").filter_map(|word| word.strip_prefix("--")) {
            let name = word.split('=').next().unwrap_or(word);
            if names.contains(&name) && !written.iter().any(|known| known[2..] == *name) {
                written.push(format!("--{name}"));
            }
        }
        written
    }

    /// How what begins with a dash is given to the option before it, when that takes a value.
    fn as_value_before(&self, word: &str) -> Option<String> {
        let pairs = self.words.windows(2).filter(|pair| pair[1].starts_with(word) && !pair[1].starts_with("--"));
        pairs.filter(|pair| !pair[0].contains('=')).find_map(|pair| {
            let option = pair[0].strip_prefix('-')?;
            let is_taken = self.options().any(|known| is_written(known, option) && takes_value(known));
            is_taken.then(|| format!("{}={}", pair[0], pair[1]))
        })
    }

    fn no_command(&self, word: &str) -> (String, String) {
        let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let near = commands_meant(word, &shown.map(Command::get_name).collect::<Vec<_>>());
        let list = format!("`{} --help` lists them", self.name);
        let near: Vec<String> = near.into_iter().map(|near| format!("`{} {near}`", self.name)).collect();
        let instead = match near.is_empty() {
            true => list,
            false => format!("did you mean {}? {list}", near.join(" or ")),
        };
        (format!("`{}` has no command `{word}`", self.name), instead)
    }

    fn unknown(&self, word: &str) -> (String, String) {
        let name = &self.name;
        if let Some(option) = word.strip_prefix("--") {
            let near = nearest(option, self.options().filter(|known| !known.is_hide_set()).filter_map(Arg::get_long));
            let list = format!("`{name} --help` lists them");
            let instead = near.map_or(list.clone(), |near| format!("did you mean `--{near}`? {list}"));
            return (format!("`{name}` has no option `{word}`"), instead);
        }
        if let Some(as_value) = self.as_value_before(word) {
            return (format!("`{name}` has no option `{word}`"), format!("as a value it is written `{as_value}`"));
        }
        if word.starts_with('-') {
            let instead = format!("`{name} --help` lists them; behind `--` what begins with a dash is a name");
            return (format!("`{name}` has no option `{word}`"), instead);
        }
        match self.command.get_positionals().count() {
            0 => (format!("`{name}` takes nothing but options, and `{word}` is none"), self.help()),
            _ => (format!("`{word}` is one too many for `{name}`"), self.example()),
        }
    }
}

/// The parts of a message: texts that clap hands over.
fn texts(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(texts) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Whether an option is what was written behind the first dash.
fn is_written(known: &Arg, written: &str) -> bool {
    match written.strip_prefix('-') {
        Some(long) => known.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long)),
        None => known.get_short().is_some_and(|short| written.chars().eq([short])),
    }
}

fn takes_value(known: &Arg) -> bool {
    known.get_action().takes_values()
}

/// An argument without the name of its value, and without the signs that say whether it may be left out.
fn bare(arg: &str) -> &str {
    arg.split(' ').next().unwrap_or(arg).trim_end_matches("...").trim_matches(['<', '>', '[', ']'])
}

/// What a value is called: what stands in its place is written in capitals.
fn as_value(arg: &str) -> String {
    match arg {
        // Alone it says nothing of what it is.
        "KIND" => "kind of drill".to_owned(),
        option if option.starts_with('-') => format!("value of `{option}`"),
        other => other.to_lowercase(),
    }
}

/// All of several arguments, in words; what is a choice comes last.
fn all_of(mut missing: Vec<String>) -> String {
    let is_choice = |arg: &String| arg.contains(" or ");
    missing.sort_by_key(is_choice);
    let before_last = if missing.len() > 1 && missing.iter().any(is_choice) { ", and " } else { " and " };
    missing.join(before_last)
}

/// One of several arguments, in words.
fn either(arg: &str) -> String {
    bare(arg).replace('|', " or ")
}

/// The values that there are, and the one that is near.
pub(crate) fn one_of(value: &str, valid: &[String]) -> String {
    let list = match valid.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("write {} or {last}", rest.join(", ")),
        _ => format!("write {}", valid.join("")),
    };
    match nearest(value, valid.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

/// What was probably meant: with few slips, or by its beginning. In a short word two slips make another word.
fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = 1 + written.chars().count() / 5;
    let known: Vec<&str> = known.collect();
    let near = known.iter().map(|known| (damerau_levenshtein(written, known), *known));
    let near = near.filter(|(distance, _)| *distance <= far).min();
    let begun = || known.iter().copied().find(|known| is_beginning(written, known));
    near.filter(|(distance, _)| *distance <= 1).map(|(_, near)| near).or_else(begun).or(near.map(|(_, near)| near))
}

fn is_beginning(written: &str, whole: &str) -> bool {
    written.len() >= BEGINNING_MIN && whole.starts_with(written)
}

/// The fewest letters by which a whole word is known.
const BEGINNING_MIN: usize = 3;
/// What other programs call it, and ours.
const OTHERWISE: &[(&str, &str)] = &[
    ("list", "status"),
    ("ls", "status"),
    ("ps", "status"),
    ("log", "incidents"),
    ("logs", "incidents"),
    ("events", "incidents"),
    ("validate", "check"),
    ("lint", "check"),
    ("pause", "hold"),
    ("stop", "hold"),
    ("resume", "release"),
    ("unhold", "release"),
    ("mute", "silence"),
    ("unmute", "unsilence"),
    ("fix", "heal"),
    ("repair", "heal"),
    ("restart", "heal"),
    ("deny", "reject"),
];

/// The commands that a word may have been meant as: all that begin so, or what it is called otherwise, or the nearest.
fn commands_meant<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let stem = word.strip_suffix('s').filter(|stem| stem.len() >= BEGINNING_MIN).unwrap_or(word);
    let one = |name: &str| known.iter().copied().find(|known| *known == name);
    let near = nearest(word, known.iter().copied());
    if let Some(near) = near.filter(|near| damerau_levenshtein(word, near) <= 1) {
        return vec![near];
    }
    let begun: Vec<&str> = known.iter().copied().filter(|name| is_beginning(stem, name)).collect();
    if !begun.is_empty() {
        return begun;
    }
    let otherwise = OTHERWISE.iter().find(|(other, _)| *other == word).and_then(|(_, ours)| one(ours));
    otherwise.or(near).into_iter().collect()
}

/// How many.
pub(crate) fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "write a whole number, as 20")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says of a command that it does not understand.
    fn said(command: &str) -> (String, String) {
        let words: Vec<String> = command.split(' ').skip(1).map(str::to_owned).collect();
        let error = crate::program().try_get_matches_from(command.split(' ')).expect_err("misunderstood");
        let failure = failure(&error, &crate::program(), &words);
        assert_eq!(failure.code, Code::Usage);
        (failure.what().to_owned(), failure.suggestion().to_owned())
    }

    #[track_caller]
    fn check(command: &str, what: &str, instead: &str) {
        let said = said(command);
        assert_eq!(said.0, what, "{command}");
        assert!(said.1.starts_with(instead), "{command}: {}", said.1);
    }

    #[test]
    fn a_misspelled_command_or_option_is_told_with_the_nearest() {
        check("ansai stauts --json", "`ansai` has no command `stauts`", "did you mean `ansai status`?");
        check(
            "ansai --config /x maintenance strat",
            "`ansai maintenance` has no command `strat`",
            "did you mean `ansai maintenance start`?",
        );
        check("ansai frobnicate", "`ansai` has no command `frobnicate`", "`ansai --help` lists them");
        check("ansai status --jsom", "`ansai status` has no option `--jsom`", "did you mean `--json`?");
        check("ansai -x", "`ansai` has no option `-x`", "`ansai --help` lists them");
        check(
            "ansai hold x --reason -moving",
            "`ansai hold` has no option `-m`",
            "as a value it is written `--reason=-moving`",
        );
    }

    /// What is short is near to many words, and is rather the beginning of one, or another word for it.
    #[test]
    fn a_short_word_is_taken_for_what_it_begins_or_is_called_otherwise() {
        for (word, meant) in [
            ("cert", "`ansai certificate`?"),
            ("certs", "`ansai certificate`?"),
            ("rep", "`ansai report` or `ansai replay`?"),
            ("conf", "`ansai config`?"),
            ("maint", "`ansai maintenance`?"),
            ("logs", "`ansai incidents`?"),
            ("pause", "`ansai hold`?"),
            ("hold-all", ""),
            ("rest", "`ansai test`?"),
            ("cat", ""),
        ] {
            let (_, instead) = said(&format!("ansai {word}"));
            let expected =
                if meant.is_empty() { "`ansai --help` lists".to_owned() } else { format!("did you mean {meant}") };
            assert!(instead.starts_with(&expected), "{word}: {instead}");
        }
        check("ansai status --js", "`ansai status` has no option `--js`", "`ansai status --help`");
        check("ansai status --fail", "`ansai status` has no option `--fail`", "did you mean `--failed`?");
        check("ansai drill nginx conf", "`conf` is no kind of drill", "did you mean `configuration`?");
    }

    #[test]
    fn a_value_that_is_none_is_told_with_how_one_is_written() {
        check("ansai incidents --limit x", "`x` is no value of `--limit`", "write a whole number, as 20");
        check("ansai incidents --limit -1", "`-1` is no value of `--limit`", "write a whole number, as 20");
        check("ansai incidents --limit", "`--limit` has no value", "");
        check("ansai status --color purple", "`purple` is no value of `--color`", "write auto, always or never");
        check("ansai completions fsh", "`fsh` is no shell", "did you mean `fish`? write bash, ");
        check(
            "ansai drill nginx crsh",
            "`crsh` is no kind of drill",
            "did you mean `crash`? write crash, hang, exit, port, configuration or loop",
        );
        check("ansai status --json=yes", "`--json` takes no value, and `yes` is one", "write --json alone");
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        check("ansai hold", "`ansai hold` needs TARGETS or --all or --fleet or --host", "as in `ansai hold --all");
        check("ansai drill nginx", "`ansai drill` needs KIND or --undo", "as in `ansai drill app crash --dry-run`");
        check(
            "ansai drill",
            "`ansai drill` needs TARGET, and KIND or --undo",
            "as in `ansai drill app crash --dry-run`",
        );
        check("ansai explain", "`ansai explain` needs TARGET", "as in `ansai explain nginx`");
        check(
            "ansai doctor foo",
            "`ansai doctor` takes nothing but options, and `foo` is none",
            "`ansai doctor --help`",
        );
        check("ansai report i7 i8", "`i8` is one too many for `ansai report`", "as in `ansai report`");
        check("ansai status -q --json", "`--quiet` and `--json` exclude each other", "leave one of them out");
        check("ansai incidents --limit 1 --limit 2", "`--limit` is given more than once", "give it once");
        for command in ["maintenance start", "silence", "hold"] {
            let both = format!("ansai {command} app --for 1h --until 18:30");
            check(&both, "`--for` and `--until` say the same thing", "give one of them");
            let twice = format!("ansai {command} app --until=1h --until 18:30");
            check(&twice, "`--until` is given more than once", "give it once");
            for option in ["--for", "--until"] {
                check(&format!("ansai {command} app {option}"), &format!("`{option}` has no value"), "");
            }
        }
        check("ansai drill nginx crash --undo", "`KIND` and `--undo` exclude each other", "leave one of them out");
    }

    /// Whatever is left out, doubled or misspelled anywhere is told in our words.
    #[test]
    fn no_command_is_refused_in_anothers_words() {
        fn all(command: &Command, above: &str, found: &mut Vec<String>) {
            for below in command.get_subcommands() {
                let path = format!("{above} {}", below.get_name());
                all(below, &path, found);
                found.push(path);
            }
        }
        let mut commands = Vec::new();
        all(&crate::program(), "ansai", &mut commands);
        for command in commands {
            for more in
                ["", " --frobnicate", " -9", " a b c d e", " --json=1", " --config", " --color x", " --quiet --quiet"]
            {
                let line = format!("{command}{more}");
                let Err(error) = crate::program().try_get_matches_from(line.split(' ')) else { continue };
                if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                    continue;
                }
                let (what, instead) = said(&line);
                let is_ours = !what.contains("argument") && !what.contains("subcommand") && !what.contains("'");
                assert!(is_ours && !instead.is_empty(), "{line}: {what}: {instead}");
            }
        }
    }
}
