//! What the files of a unit name: which files they are, and what a start of the unit runs and reads by them. It reads no file.

use std::path::Path;

use ansai_model::probe::CommandLine;

use crate::linux::programs;

/// Most words of one line that are looked at.
const WORDS_MAX: usize = 256;

/// The names of the files of a unit: its own, and its template's.
pub(in crate::linux) fn names_of(unit: &str) -> Vec<String> {
    let template = unit.split_once('@').zip(unit.rsplit_once('.'));
    let template = template.map(|((name, _), (_, kind))| format!("{name}@.{kind}"));
    [unit.to_owned()].into_iter().chain(template.filter(|name| name != unit)).collect()
}

/// Where the configuration of a service of this name lies by custom.
pub(in crate::linux) fn usual_of(unit: &str) -> Vec<String> {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let stem = stem.split_once('@').map_or(stem, |(stem, _)| stem);
    if stem.is_empty() {
        return Vec::new();
    }
    [format!("/etc/{stem}"), format!("/etc/{stem}.conf"), format!("/etc/default/{stem}")].into()
}

/// The paths in the text of a unit that its start runs and reads: programs and the scripts that interpreters are given, wherever
/// they lie, further arguments, and environments.
pub(in crate::linux) fn named_in(text: &str) -> Vec<String> {
    let folder = text.lines().filter_map(|line| line.trim().strip_prefix("WorkingDirectory=")).next_back();
    let folder = folder.map(|folder| folder.trim().trim_start_matches('-')).filter(|folder| folder.starts_with('/'));
    let mut found: Vec<String> = text.lines().flat_map(|line| in_line(line, folder)).collect();
    found.sort();
    found.dedup();
    found
}

fn in_line(line: &str, folder: Option<&str>) -> Vec<String> {
    let Some((key, value)) = line.split_once('=') else { return Vec::new() };
    let key = key.trim();
    let is_begun = ["ExecStart", "ExecCondition"].iter().any(|begun| key.starts_with(begun));
    if !is_begun && !["EnvironmentFile", "LoadCredential"].iter().any(|read| key.starts_with(read)) {
        return Vec::new();
    }
    let words = value.split(|end: char| end.is_whitespace() || "='\":,;".contains(end));
    let words = words.map(|word| word.trim_start_matches(PREFIXES));
    let read = words.filter(|word| is_path(word) && !is_volatile(word)).map(ToOwned::to_owned);
    let begun = if is_begun { begun_by(value, folder) } else { Vec::new() };
    read.chain(begun).collect()
}

/// What stands before a program in systemd.service(5), or before the name of a file.
const PREFIXES: [char; 6] = ['@', '-', ':', '+', '!', '|'];

/// The programs of a command, and the scripts that its interpreters are to read: they change only when somebody changes them.
fn begun_by(value: &str, folder: Option<&str>) -> Vec<String> {
    let mut argv = words(value);
    let Some(first) = argv.first_mut() else { return Vec::new() };
    let program = first.trim_start_matches(PREFIXES);
    let has_name = first.split(program).next().is_some_and(|prefixes| prefixes.contains('@'));
    *first = program.to_owned();
    // The word behind it is what the program is told to be called, and none of its arguments.
    if has_name && argv.len() > 1 {
        argv.remove(1);
    }
    let line = CommandLine { directory: folder.map(ToOwned::to_owned), ..CommandLine::new(argv) };
    let begun = programs::begun_by(&line).filter_map(|path| path.to_str().map(ToOwned::to_owned));
    begun.filter(|path| is_path(path)).collect()
}

/// The words of the first command of a line, without their quotes.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in value.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
        if words.len() >= WORDS_MAX || words.last().is_some_and(|word| word == ";") {
            break;
        }
    }
    words.extend(word);
    words.into_iter().take_while(|word| word != ";").collect()
}

/// What systemd puts in for a specifier or a variable is not known here.
fn is_path(word: &str) -> bool {
    word.starts_with('/') && word.len() > 1 && !word.contains(['%', '$', '*']) && Path::new(word).file_name().is_some()
}

/// Whether what lies there changes by being used.
fn is_volatile(path: &str) -> bool {
    ["/dev/", "/proc/", "/sys/", "/run/", "/var/", "/tmp/"].iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, named: &[&str]) {
        assert_eq!(named_in(text), named, "{text}");
    }

    #[test]
    fn the_files_that_a_unit_names_are_known_and_what_changes_by_being_used_is_left_out() {
        check(
            "ExecStart=/usr/sbin/app --config=/etc/a/b.conf -x /etc/c",
            &["/etc/a/b.conf", "/etc/c", "/usr/sbin/app"],
        );
        check("ExecStartPre=-/bin/sh -c 'exec /usr/bin/x'", &["/bin/sh", "/usr/bin/x"]);
        check("EnvironmentFile=-/etc/default/app", &["/etc/default/app"]);
        check("ExecStart=/usr/bin/app /run/app.sock /var/log/app /etc/%i.conf", &["/usr/bin/app"]);
        for line in ["", "=", "ExecStart=", "ExecReload=/bin/kill", "Description=/x", "WorkingDirectory=/srv"] {
            check(line, &[]);
        }
    }

    #[test]
    fn a_script_is_known_wherever_it_lies_and_however_it_is_called() {
        check("ExecStart=/var/lib/app/x.sh /var/lib/app/data", &["/var/lib/app/x.sh"]);
        check("ExecStart=/usr/bin/python3 -u '/var/www/my app.py' /tmp/x", &["/usr/bin/python3", "/var/www/my app.py"]);
        check("ExecStart=/bin/bash -eu /tmp/run.sh", &["/bin/bash", "/tmp/run.sh"]);
        check("ExecStart=!!/bin/sh /run/x.sh ; /bin/echo /var/y", &["/bin/echo", "/bin/sh", "/run/x.sh"]);
        check("WorkingDirectory=-/srv/app\nExecStart=/bin/sh run.sh", &["/bin/sh", "/srv/app/run.sh"]);
        check("ExecStart=@/bin/sh /var/app/named /var/app/run.sh", &["/bin/sh", "/var/app/run.sh"]);
        check("ExecStart=/bin/sh -c 'cd /var/app; exec /var/app/run.sh'", &["/bin/sh", "/var/app/run.sh"]);
        check("ExecStart=/bin/sh \"$HOME/x.sh\" ", &["/bin/sh"]);
        check("ExecStart='/opt/my app/x", &["/opt/my", "/opt/my app/x"]);
    }
}
