//! What a validator complains of: the file and the line that it names, as they were then. Only files of the target's own configuration
//! are opened, whatever the words name, and only through folders that nobody else has a hand in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::{
    incident::{Evidence, EvidenceKind},
    time::WallTime,
};
use jiff::Timestamp;

use super::changes::MOMENT;
use crate::linux::{
    act::broken,
    drill::{ending::had_broken, line_in},
    owned_path::{self, Kind, Trusted},
};

/// Most lines of what was said that are looked through.
const SAID_MAX: usize = 64;
/// Most places that are told.
const PLACES_MAX: usize = 4;
/// Of a file of a configuration.
const FILE_BYTES: u64 = 1 << 20;
/// Of a line of it.
const LINE_BYTES: usize = 200;

/// A place that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// Counted from 1.
    line: Option<usize>,
}

/// The places that the words name, as they were when that was said, when they are of this configuration. What drills have broken
/// is noted in the state directory.
pub(super) fn places(said: &str, at: WallTime, configuration: &[String], state_dir: &Path) -> Option<Evidence> {
    let own: Vec<PathBuf> = configuration.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let mut told: Vec<String> = Vec::new();
    let named: Vec<Place> = said.lines().take(SAID_MAX).filter_map(named).collect();
    // Where one line says where, another may only say that it was so.
    let is_told_better = |place: &Place| {
        place.line.is_none() && named.iter().any(|other| other.path == place.path && other.line.is_some())
    };
    for place in named.iter().filter(|place| !is_told_better(place)) {
        let Ok(path) = fs::canonicalize(&place.path) else { continue };
        let is_own = own.iter().any(|own| path.starts_with(own));
        let words = if is_own { shown(place, &path, at, state_dir) } else { None };
        told.extend(words.filter(|words| !told.contains(words) && told.len() < PLACES_MAX));
    }
    (!told.is_empty())
        .then(|| Evidence::new("configuration, where its validator complains", EvidenceKind::Change, told.join("\n")))
}

/// A place, when the file was changed, and what stood there. What was put back since is looked up in what was kept of it.
fn shown(place: &Place, path: &Path, at: WallTime, state_dir: &Path) -> Option<String> {
    let name = place.path.display();
    let there = read(path)?;
    // What was there is kept as it is put back, and so after that was said.
    let kept = || read(&broken(path)).filter(|kept| kept.changed >= at);
    let (was, changed) = match there.changed <= at {
        true => (Some(there.text.clone()), Timestamp::from_millisecond(there.changed.0).ok()),
        false => (kept().map(|kept| kept.text), None),
    };
    let Some(was) = was else {
        // What a drill had put there is kept by nobody, and known.
        let drilled = place.line.and_then(|number| Some((number, line_in(&there.text, number)?)));
        if let Some((number, line)) = drilled.filter(|_| had_broken(state_dir, path, at)) {
            return Some(format!("{name}:{number}: {line}"));
        }
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        return Some(format!("{name}{line}, changed since"));
    };
    let changed = changed.map(|at| format!(", changed at {}", at.strftime(MOMENT))).unwrap_or_default();
    let line = place.line.and_then(|line| Some((line, was.lines().nth(line.checked_sub(1)?)?.trim())));
    Some(match line {
        Some((number, line)) => {
            let end = (0..=LINE_BYTES.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
            format!("{name}:{number}{changed}: {}", &line[..end])
        }
        None => format!("{name}{changed}"),
    })
}

/// A file as it is.
struct File {
    changed: WallTime,
    text: String,
}

fn read(path: &Path) -> Option<File> {
    let found = owned_path::follow(path, &Trusted::own().and_one_other()).ok()?;
    if found.kind() != Kind::File {
        return None;
    }
    let text = String::from_utf8_lossy(&found.bytes(FILE_BYTES).ok()?).into_owned();
    let changed = Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()?;
    Some(File { changed: WallTime(changed.as_millisecond()), text })
}

/// The file that a line names, and the line in it: behind a colon, or behind the word.
fn named(said: &str) -> Option<Place> {
    let is_end = |end: char| end.is_whitespace() || "'\"`,;()[]<>=".contains(end);
    let mut words = said.split(is_end).filter(|word| !word.is_empty());
    let path = words.find(|word| word.starts_with('/') && word.len() > 1)?;
    let (path, behind) = path.split_once(':').unwrap_or((path, ""));
    let number = |word: &str| word.trim_matches(':').split(':').next().and_then(|digits| digits.parse().ok());
    let line = number(behind).or_else(|| {
        let mut words = said.split(is_end).filter(|word| !word.is_empty());
        let is_word = |word: &str| word.trim_end_matches(':').eq_ignore_ascii_case("line");
        words.find(|word| is_word(word))?;
        number(words.next()?)
    });
    Some(Place { path: PathBuf::from(path.trim_end_matches('.')), line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_line_are_found_in_the_words_of_known_validators() {
        let cases = [
            ("nginx: [emerg] unexpected \"}\" in /etc/nginx/conf.d/a.conf:12", "/etc/nginx/conf.d/a.conf", Some(12)),
            ("AH00526: Syntax error on line 33 of /etc/apache2/apache2.conf:", "/etc/apache2/apache2.conf", Some(33)),
            ("/etc/ssh/sshd_config: line 5: Bad configuration option: x", "/etc/ssh/sshd_config", Some(5)),
            ("[ALERT] (7) : config : parsing [/etc/haproxy/haproxy.cfg:9] : x", "/etc/haproxy/haproxy.cfg", Some(9)),
            ("/etc/bind/named.conf.options:3: unknown option 'x'", "/etc/bind/named.conf.options", Some(3)),
            ("postconf: fatal: /etc/postfix/main.cf, line 12: missing '='", "/etc/postfix/main.cf", Some(12)),
            ("Error in configuration file /etc/dovecot/dovecot.conf line 8: x", "/etc/dovecot/dovecot.conf", Some(8)),
            ("nginx: configuration file /etc/nginx/nginx.conf test failed", "/etc/nginx/nginx.conf", None),
        ];
        for (said, path, line) in cases {
            assert_eq!(named(said), Some(Place { path: path.into(), line }), "{said}");
        }
        for said in ["", "line 5 is wrong", "/", "a / b"] {
            assert_eq!(named(said), None, "{said}");
        }
    }

    #[test]
    fn what_is_named_is_shown_when_it_is_of_the_configuration_and_nothing_else_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (etc, secret) = (folder.path().join("app"), folder.path().join("secret"));
        fs::create_dir_all(etc.join("conf.d")).expect("made");
        let file = etc.join("conf.d/a.conf");
        fs::write(&file, "listen 80\n  listen 8o  \n").expect("written");
        fs::write(&secret, "secret\n").expect("written");
        std::os::unix::fs::symlink(&secret, etc.join("link.conf")).expect("a link");
        let declared = [etc.display().to_string()];
        let state = folder.path().join("state");
        let at = |said: &str, at| places(said, at, &declared, &state).map(|found| found.text.to_string());
        let told = |said: &str| at(said, WallTime(i64::MAX));
        let twice = format!("bad in {0}:2\nbad in {0}:2\nthe file {0} is bad", file.display());
        let said = told(&twice).expect("shown");
        assert!(said.starts_with(&format!("{}:2, changed at ", file.display())), "{said}");
        assert!(said.ends_with("Z: listen 8o") && said.lines().count() == 1, "{said}");
        // It has no such line, so that only the file is told.
        assert!(told(&format!("bad in {}:9", file.display())).is_some_and(|said| !said.contains("listen")));
        for other in [secret.display().to_string(), etc.join("link.conf").display().to_string(), "/etc/passwd".into()] {
            assert_eq!(told(&format!("bad in {other}:1")), None, "{other}");
        }
        assert_eq!(told(&format!("bad in {}:1", etc.display())), None, "a folder");
        // It was put back since: what stood there is in what was kept of it, if anything was.
        let before = WallTime(Timestamp::now().as_millisecond() - 60_000);
        let name = format!("bad in {}:2", file.display());
        assert_eq!(at(&name, before), Some(format!("{}:2, changed since", file.display())));
        fs::write(broken(&file), "listen 80\nlisten no\n").expect("written");
        assert_eq!(at(&name, before), Some(format!("{}:2: listen no", file.display())));
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        fs::File::open(broken(&file)).and_then(|kept| kept.set_modified(old)).expect("aged");
        assert_eq!(at(&name, before), Some(format!("{}:2, changed since", file.display())), "it is of an earlier time");
    }

    #[test]
    fn the_line_of_a_drill_is_told_though_the_file_is_as_it_was_and_nothing_of_it_is_kept() {
        use crate::linux::drill::{break_file, ending::Lasting, undo};
        let folder = tempfile::tempdir().expect("a folder");
        let (file, state) = (folder.path().join("app.conf"), folder.path().join("state"));
        fs::write(&file, "listen 80\n").expect("written");
        let declared = [file.display().to_string()];
        let drill = Lasting::breaking("app.service", file.clone());
        drill.keep(&state).expect("kept");
        break_file(&file, &Trusted::own()).expect("broken");
        // It is complained of while it is broken, and the file is written anew after that.
        let said_at = WallTime(Timestamp::now().as_millisecond());
        let is_later = || read(&file).is_some_and(|file| file.changed > said_at);
        while !is_later() {
            undo(&file).expect("undone");
            fs::write(&file, "listen 80\n").expect("put back");
        }
        drill.end(&state).expect("ended");
        let told = |line: usize, at: WallTime| {
            let said = format!("bad in {}:{line}", file.display());
            places(&said, at, &declared, &state).map(|found| found.text.to_string())
        };
        let line = "}}} ansai drill: this line is broken on purpose";
        assert_eq!(told(3, said_at), Some(format!("{}:3: {line}", file.display())));
        // Another line, and another time, are not the drill's.
        assert_eq!(told(1, said_at), Some(format!("{}:1, changed since", file.display())));
        let before = WallTime(said_at.0 - 600_000);
        assert_eq!(told(3, before), Some(format!("{}:3, changed since", file.display())));
    }
}
