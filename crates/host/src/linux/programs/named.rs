//! Which programs a command line names: the one that is begun, the script of an interpreter, what a text for a shell begins,
//! and each program among the arguments.
//!
//! It deliberately is no shell: of a text it knows words, quotes and where a command begins, and no variables. A path that is
//! put together only when it runs is seen by nobody.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ansai_model::probe::CommandLine;

use super::pieces::{self, Piece};
use crate::linux::command;

/// Shells, which run what their first argument names, or the text behind `-c`.
const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "ksh", "zsh"];
/// Others that run what their first argument names, or a text behind one of these options.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("perl", &["-e", "-E"]),
    ("php", &["-r"]),
    ("ruby", &["-e"]),
    ("node", &["-e", "-p"]),
    ("lua", &["-e"]),
    ("Rscript", &["-e"]),
    ("python", &["-c"]),
];
/// Programs and words of a shell behind which another command begins.
const BEFORE_A_COMMAND: &[&str] = &[
    "env", "busybox", "exec", "command", ".", "source", "nice", "nohup", "setsid", "sudo", "time", "timeout", "if",
    "then", "else", "elif", "while", "until", "do", "!",
];
/// Others that run the text behind `-c` in a shell.
const GIVE_TO_A_SHELL: &[&str] = &["su", "runuser", "flock", "script"];
/// Most words of one text that are looked at.
const WORDS_MAX: usize = 1024;
/// How deep texts within texts are looked at.
const DEPTH_MAX: usize = 8;

/// A path of a command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    path: PathBuf,
    /// Whether it is run for sure; otherwise it is when it can be.
    is_run: bool,
}

impl Named {
    fn run(path: PathBuf) -> Self {
        Self { path, is_run: true }
    }

    /// What is run for sure.
    pub(super) fn begun(self) -> Option<PathBuf> {
        self.is_run.then_some(self.path)
    }

    /// The program that it is, whether it is there or not.
    pub(super) fn program(self) -> Option<PathBuf> {
        (self.is_run || is_program(&self.path)).then_some(self.path)
    }
}

/// The paths that a command line names as programs, or that may be some; none but the host's own folders is touched.
pub(super) fn paths(line: &CommandLine) -> Vec<Named> {
    let folder = Path::new(line.directory.as_deref().unwrap_or("/"));
    let mut found = Vec::new();
    begun(&line.argv, folder, &mut found);
    // What exists and can be run is taken for a program wherever it stands.
    let arguments = line.argv.iter().skip(1).map(PathBuf::from).filter(|path| path.is_absolute());
    found.extend(arguments.map(|path| Named { path, is_run: false }));
    found.sort();
    found.dedup();
    found
}

/// What these words begin.
fn begun(mut words: &[String], folder: &Path, found: &mut Vec<Named>) {
    while let Some((program, arguments)) = words.split_first() {
        found.extend(called(program, folder).map(Named::run));
        let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
        if BEFORE_A_COMMAND.contains(&name) {
            let is_before = |word: &&String| is_given(word);
            words = &arguments[arguments.iter().take_while(is_before).count()..];
            continue;
        }
        read(name, arguments, folder, found);
        return;
    }
}

/// What an interpreter is to read: a script, or a text.
fn read(name: &str, arguments: &[String], folder: &Path, found: &mut Vec<Named>) {
    let is_shell = SHELLS.contains(&name);
    let texts_of = |(known, options): &(&str, &'static [&'static str])| {
        let is_it = *known == name || (*known == "python" && name.starts_with("python"));
        is_it.then_some(*options)
    };
    let Some(texts) = is_shell.then_some(&["-c"][..]).or_else(|| INTERPRETERS.iter().find_map(texts_of)) else {
        return;
    };
    let mut options = arguments.iter().take_while(|argument| argument.starts_with('-'));
    // A shell takes its options in one word as well, as `-ec`.
    let is_text = |option: &String| {
        let is_in_one = is_shell && !option.starts_with("--") && option.ends_with('c');
        texts.contains(&option.as_str()) || is_in_one
    };
    if let Some(at) = options.position(is_text) {
        if let Some(text) = arguments.get(at + 1) {
            match is_shell {
                true => in_shell(text, DEPTH_MAX, found),
                false => in_text(text, found),
            }
        }
        return;
    }
    let script = arguments.iter().find(|argument| !argument.starts_with('-'));
    found.extend(script.map(|script| Named::run(folder.join(script))));
}

/// The paths in a text that is none for a shell, or is only given to a command: they are programs when they can be run.
fn in_text(text: &str, found: &mut Vec<Named>) {
    let is_between = |letter: char| letter.is_whitespace() || "\"'`<>$,;|&(){}=".contains(letter);
    let words = text.split(is_between).filter(|word| !word.is_empty()).take(WORDS_MAX);
    let paths = words.map(PathBuf::from).filter(|path| path.is_absolute());
    found.extend(paths.map(|path| Named { path, is_run: false }));
}

/// The paths in a text for a shell: where a command begins it is a program whether it is there or not, elsewhere when it can
/// be run. What is quoted is a word and begins nothing, unless whoever it is given to runs it.
fn in_shell(text: &str, depth: usize, found: &mut Vec<Named>) {
    let Some(depth) = depth.checked_sub(1) else { return in_text(text, found) };
    // The command whose words these are, its last word, and whether the next is a file.
    let (mut command, mut last, mut is_file) = (None::<String>, String::new(), false);
    let mut begins = true;
    for piece in pieces::of(text) {
        match piece {
            Piece::Ends => (command, last, is_file, begins) = (None, String::new(), false, true),
            Piece::Redirects => is_file = true,
            Piece::Inner(inner) => in_shell(&inner, depth, found),
            Piece::Word(word) if std::mem::take(&mut is_file) => in_text(&word, found),
            Piece::Word(word) => {
                let is_program = begins && !is_given(&word);
                if is_text_of(command.as_deref(), &last) {
                    in_shell(&word, depth, found);
                } else if is_program && Path::new(&word).is_absolute() {
                    found.push(Named::run(PathBuf::from(&word)));
                } else {
                    in_text(&word, found);
                }
                begins &= is_given(&word) || is_before_a_command(&word);
                if is_program {
                    command = Some(name_of(&word).to_owned());
                }
                last = word;
            }
        }
    }
}

/// Whether the word behind this one is a text that the command gives to a shell.
fn is_text_of(command: Option<&str>, last: &str) -> bool {
    let Some(command) = command else { return false };
    let is_option = last.starts_with('-') && !last.starts_with("--") && last.ends_with('c');
    command == "eval" || (is_option && (SHELLS.contains(&command) || GIVE_TO_A_SHELL.contains(&command)))
}

fn name_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// An option, an assignment or a figure, as `timeout -k 5 10s` has them before its command.
fn is_given(word: &str) -> bool {
    word.contains('=') || word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn is_before_a_command(word: &str) -> bool {
    let name = name_of(word);
    BEFORE_A_COMMAND.contains(&name) || is_interpreter(name)
}

/// Whether a program of this name runs what it is given to read.
pub(super) fn is_interpreter(name: &str) -> bool {
    let is_it = |(known, _): &(&str, &[&str])| *known == name || (*known == "python" && name.starts_with("python"));
    name == "env" || SHELLS.contains(&name) || INTERPRETERS.iter().any(is_it)
}

/// The file of a program as it is called: by its path, or found in a folder of programs. The first is the one that runs.
fn called(program: &str, folder: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(folder.join(program));
    }
    command::FOLDERS.iter().map(|searched| Path::new(searched).join(program)).find(|path| path.is_file())
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(directory: Option<&str>, argv: &[&str], runs: &[&str]) {
        let line = CommandLine { directory: directory.map(str::to_owned), ..CommandLine::new(argv.iter().copied()) };
        let programs = paths(&line).into_iter().filter_map(Named::program);
        let mut found: Vec<String> = programs.map(|path| path.display().to_string()).collect();
        found.dedup();
        let is_of_the_host = |path: &String| ["/bin/", "/usr/bin/", "/sbin/"].iter().any(|at| path.starts_with(at));
        let named: Vec<&str> = found.iter().filter(|path| !is_of_the_host(path)).map(String::as_str).collect();
        assert_eq!(named, runs, "{argv:?}");
    }

    #[test]
    fn programs_and_scripts_are_named_whether_they_are_there_or_not() {
        check(None, &["/opt/app/check", "/opt/app/data"], &["/opt/app/check"]);
        check(None, &["/opt/app/check", "/bin/true", "/bin/no-such-program"], &["/opt/app/check"]);
        check(Some("/srv/app"), &["./check"], &["/srv/app/./check"]);
        check(Some("/srv/app"), &["sh", "check", "argument"], &["/srv/app/check"]);
        check(None, &["bash", "-eu", "/opt/check.sh"], &["/opt/check.sh"]);
        check(None, &["env", "-i", "A=b", "python3", "-u", "/opt/check.py"], &["/opt/check.py"]);
        check(None, &["busybox", "sh", "/opt/check"], &["/opt/check"]);
        check(None, &["timeout", "10", "nice", "-n", "5", "/opt/check"], &["/opt/check"]);
        check(None, &["no-such-program", "-x"], &[]);
    }

    #[test]
    fn a_text_for_a_shell_names_what_it_begins_and_not_what_it_reads() {
        let check = |text: &str, runs: &[&str]| check(Some("/tmp"), &["sh", "-c", text], runs);
        check("/opt/check --quick", &["/opt/check"]);
        check("test -e /tmp/x && /opt/check", &["/opt/check"]);
        check("A=1 exec /opt/check < /tmp/in > /tmp/out", &["/opt/check"]);
        check("echo $(/opt/one) `/opt/two` | /opt/three", &["/opt/one", "/opt/three", "/opt/two"]);
        check("if ! /opt/check; then bash /opt/mend; fi", &["/opt/check", "/opt/mend"]);
        check("timeout -k 5 10s nice -n 5 /opt/check", &["/opt/check"]);
        check("cat /tmp/x; grep -q y /var/lib/z", &[]);
        check(". '/opt/lib.sh'; \"/opt/check\"", &["/opt/check", "/opt/lib.sh"]);
    }

    #[test]
    fn what_is_quoted_or_given_begins_no_command() {
        let check = |text: &str, runs: &[&str]| check(Some("/tmp"), &["sh", "-c", text], runs);
        check("echo 'gone; /tmp/x (/tmp/y) | /tmp/z'", &[]);
        check("grep -E \"^(/tmp/x|/tmp/y)\" /tmp/z", &[]);
        check("awk '/tmp/ {print; /tmp/x}' /tmp/y", &[]);
        check("echo $(/opt/one) /tmp/x; PATH=/tmp/bin find /tmp -exec /tmp/y {} /tmp/z \\;", &["/opt/one"]);
        check("/opt/check 2>&1 /tmp/x; >/tmp/log /opt/other # ; /tmp/y", &["/opt/check", "/opt/other"]);
        // In double quotes a text within the text is run all the same, and a shell runs what it is given.
        check("echo \"it is $(/opt/one 'a; /tmp/x')\"", &["/opt/one"]);
        check("bash -ec '/opt/one; /opt/two \"; /tmp/x\"'", &["/opt/one", "/opt/two"]);
        check(
            "su app -c 'exec /opt/one'; timeout 5 sh -c \"/opt/two\"; eval '/opt/three;'",
            &["/opt/one", "/opt/three", "/opt/two"],
        );
        check("'/opt/my check' --quick", &["/opt/my check"]);
    }

    #[test]
    fn a_text_for_another_interpreter_names_the_programs_that_are_there() {
        check(None, &["perl", "-e", "exec '/usr/sbin/no-such-program', '/opt/x'"], &[]);
        check(None, &["python3", "-c", "open('/tmp/x')"], &[]);
    }
}
