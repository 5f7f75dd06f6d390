//! What may be given up of a row, and whose word that is.

use std::fs;

use super::{rule::Beyond, *};

const DAY: i64 = 86_400;
const NOW: i64 = 1000 * DAY;
/// The owner's last run.
const RUN: i64 = NOW - 100;

fn rule(text: &str) -> Rule {
    let text = format!("/var/log/app.log {{\n{text}\n}}\n");
    struct One(String);
    impl read::Files for One {
        fn find(&mut self, _: &str) -> Result<Found, String> {
            Ok(Found::File(self.0.clone()))
        }
    }
    let blocks = logrotate::parse(&mut One(text), "/c").expect("understood");
    blocks[0].rule("/var/log/app.log", RUN - 10..=RUN + 10).expect("a rule")
}

/// Rotations by what follows the name of the log, how many days ago each was written, and all changed in the owner's run.
fn row(rule: &Rule, names: &[(&str, i64)]) -> Vec<Rotation> {
    let rotation = |(rest, days): &(&str, i64)| Rotation {
        order: rule.naming.order(rest.as_bytes()).expect("a rotation"),
        written: NOW - days * DAY,
        changed: RUN,
    };
    names.iter().map(rotation).collect()
}

#[track_caller]
fn check(text: &str, names: &[(&str, i64)], beyond: &[&str]) {
    let rule = rule(text);
    let found = given_up(&rule, &row(&rule, names), NOW);
    let gone: Vec<&str> =
        names.iter().zip(found).filter(|(_, beyond)| beyond.is_some()).map(|((name, _), _)| *name).collect();
    assert_eq!(gone, beyond, "{text}: {names:?}");
}

#[test]
fn of_numbers_what_the_count_or_the_age_does_not_keep_is_beyond() {
    let five = [(".1", 1), (".2.gz", 8), (".3.gz", 15), (".4.gz", 22), (".5.gz", 29)];
    check("rotate 5", &five, &[]);
    check("rotate 520", &five, &[]);
    check("rotate 3", &five, &[".4.gz", ".5.gz"]);
    check("rotate -1", &five, &[]);
    check("rotate -1\nmaxage 14", &five, &[".3.gz", ".4.gz", ".5.gz"]);
    check("rotate 4\nmaxage 15", &five, &[".4.gz", ".5.gz"]);
    check("rotate 2\nstart 0", &[(".0", 1), (".1", 2), (".2", 3), (".3", 4)], &[".2", ".3"]);
    check("rotate 2\nstart 5", &[(".5", 1), (".6", 2), (".7", 3), (".1", 4)], &[".7"]);
    // The same days, as after a restore: the numbers say which is which.
    check("rotate 1", &[(".1", 9), (".2", 9), (".3", 9)], &[".2", ".3"]);
    // Both of a place are as old as the place.
    check("rotate 1", &[(".1", 1), (".1.gz", 9), (".2", 10), (".2.gz", 11)], &[".2", ".2.gz"]);
}

#[test]
fn a_row_that_is_broken_shows_what_others_made() {
    // The first run under a smaller count leaves one place empty; one alone behind it may be anybody's.
    check("rotate 2", &[(".1", 1), (".2", 2), (".4", 4)], &[]);
    check("rotate 2", &[(".1", 1), (".2", 2), (".4", 4), (".5", 5), (".6", 6)], &[".4", ".5", ".6"]);
    check("rotate 2", &[(".1", 1), (".2", 2), (".5", 5), (".6", 6)], &[]);
    check("rotate 3", &[(".1", 1), (".2", 2), (".4", 4), (".5", 5)], &[]);
    check("rotate 2", &[(".1", 1), (".2", 2), (".3", 3), (".20", 40)], &[".3"]);
    check("rotate 2", &[(".2", 2), (".3", 3), (".4", 4)], &[]);
    check("rotate 2", &[(".1", 10), (".2", 20), (".3", 5), (".4", 40)], &[]);
    check("rotate 2", &[(".1", 10), (".2", 20), (".3.gz", 30), (".3", 5), (".4", 40)], &[]);
    check("rotate 2\nmaxage 1", &[(".1", 0), (".9", 90)], &[]);
    check("rotate 2", &[], &[]);
}

#[test]
fn what_is_left_of_an_earlier_rule_was_renamed_in_one_run() {
    let rule = rule("rotate 2");
    let names = [(".1", 1), (".2", 2), (".3", 3), (".4", 4), (".5", 5)];
    let beyond = |changed: [i64; 5]| {
        let mut found = row(&rule, &names);
        found.iter_mut().zip(changed).for_each(|(rotation, changed)| rotation.changed = changed);
        given_up(&rule, &found, NOW).iter().filter(|beyond| beyond.is_some()).count()
    };
    let (early, hour) = (RUN - 40 * DAY, 3600);
    assert_eq!(beyond([RUN, RUN, early, early + hour, early + 2 * hour]), 3);
    assert_eq!(beyond([RUN, RUN, early, early + hour, early + 7 * hour]), 2);
    assert_eq!(beyond([RUN, early, early, early, early]), 3);
}

#[test]
fn of_dates_the_newest_are_kept() {
    let four = [("-20260101", 40), ("-20260108.gz", 33), ("-20260115.gz", 26), ("-20260122.gz", 19)];
    check("dateext\nrotate 4", &four, &[]);
    check("dateext\nrotate 2", &four, &["-20260101", "-20260108.gz"]);
    check("dateext\nrotate -1\nmaxage 33", &four, &["-20260101"]);
    let twice = [("-20260101", 40), ("-20260108.gz", 33), ("-20260108", 33)];
    check("dateext\nrotate 1", &twice, &["-20260101"]);
    check("dateext\nrotate 2", &twice, &[]);
}

#[test]
fn a_log_that_its_owner_did_not_rotate_last_is_somebody_elses() {
    for text in ["rotate 1", "dateext\nrotate 1"] {
        let rule = rule(text);
        let names = if text.starts_with('d') { ["-20260102", "-20260101"] } else { [".1", ".2"] };
        let mut found = row(&rule, &[(names[0], 1), (names[1], 2)]);
        assert_eq!(given_up(&rule, &found, NOW), [None, Some(Beyond::Count)]);
        for changed in [RUN - 11, RUN + 11] {
            found[0].changed = changed;
            assert_eq!(given_up(&rule, &found, NOW), [None, None], "{text}");
        }
    }
}

#[test]
fn the_words_name_the_limit_and_its_place() {
    let rule = rule("rotate 4\nmaxage 30");
    assert_eq!(rule.why(Beyond::Count).to_string(), "beyond `rotate 4` of /c, line 1");
    assert_eq!(rule.why(Beyond::Age).to_string(), "beyond `maxage 30` of /c, line 1");
}

/// A host with these files.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    root
}

fn known(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let known = Known::read(host(files).path()).expect("nobody is at work");
    (known.logs.into_iter().map(|log| log.path).collect(), known.remarks)
}

const STATE: &str = "logrotate state -- version 2\n\"/var/log/a.log\" 2026-1-1-0:0:0\n\"/var/log/b.log\" 2026-1-1-0:0:0\n\
                     \"/var/log/audit/audit.log\" 2026-1-1-0:0:0\n";

#[test]
fn a_log_is_known_by_its_state_and_by_exactly_one_rule() {
    let all = "/var/log/a.log /var/log/audit/audit.log /var/log/new.log {\n rotate 2\n}\n";
    let (status, conf) = ("var/lib/logrotate/status", "etc/logrotate.conf");
    assert_eq!(known(&[(conf, all), (status, STATE)]), (vec!["/var/log/a.log".into()], vec![]));
    assert_eq!(known(&[(conf, all), ("var/lib/logrotate.status", STATE)]).0, ["/var/log/a.log"]);
    // Without the state it is not known who made anything, and without a rule not what is kept.
    assert_eq!(known(&[(conf, all)]), (vec![], vec![]));
    assert_eq!(known(&[(status, STATE)]), (vec![], vec![]));
    let twice = format!("{all}/var/log/a* {{\n rotate 9\n}}\n");
    assert_eq!(known(&[(conf, &twice), (status, STATE)]).0, [""; 0]);
    let shared = "/var/log/a.log {\n rotate 2\n}\n";
    let newsyslog = "/var/log/a.log 640 3 * @T00 J\n";
    let marked = "Jan  1 00:00:00 host newsyslog[12]: logfile turned over\n";
    let both = [(conf, shared), (status, STATE), ("etc/newsyslog.conf", newsyslog), ("var/log/a.log", marked)];
    assert_eq!(known(&both).0, [""; 0]);
    assert_eq!(known(&both[2..]).0, ["/var/log/a.log"]);
    assert_eq!(known(&[both[2], ("var/log/a.log", "Jan  1 00:00:00 host app: begun\n")]).0, [""; 0]);
}

#[test]
fn logs_whose_rotations_share_their_names_are_left_alone() {
    let state = "logrotate state -- version 2\n\"/var/log/x/a.log\" 2026-1-1\n\"/var/log/y/a.log\" 2026-1-1\n\
                 \"/var/log/y/b.log\" 2026-1-1\n";
    let conf = "olddir /var/log/old\nrotate 3\n/var/log/*/*.log {\n}\n";
    assert_eq!(known(&[("etc/logrotate.conf", conf), ("var/lib/logrotate/status", state)]).0, ["/var/log/y/b.log"]);
}

#[test]
fn what_cannot_be_read_keeps_everything_of_its_owner() {
    let (status, conf) = ("var/lib/logrotate/status", "etc/logrotate.conf");
    let good = "/var/log/a.log {\n rotate 2\n}\n";
    let large = "#".repeat(5 << 20);
    for files in [
        [(conf, "/var/log/a.log {\n rotate two\n}\n"), (status, STATE)],
        [(conf, &large), (status, STATE)],
        [(conf, good), (status, "rubbish")],
        [(conf, "include /etc/logrotate.conf\n"), (status, STATE)],
    ] {
        let (logs, remarks) = known(&files);
        assert!(logs.is_empty() && remarks.len() == 1 && remarks[0].contains("is kept"), "{logs:?} {remarks:?}");
    }
}

#[test]
fn no_pipe_keeps_us_waiting_and_what_others_may_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let (status, conf) = ("var/lib/logrotate/status", "etc/logrotate.conf");
    let root = host(&[(status, STATE), ("etc/logrotate.d/x", "/var/log/a.log {\n rotate 2\n}\n")]);
    let read = || Known::read(root.path()).expect("nobody is at work");
    let made = std::process::Command::new("mkfifo").arg(root.path().join(conf)).status().expect("mkfifo");
    assert!(made.success());
    let known = read();
    assert!(known.logs.is_empty() && known.remarks[0].contains("no regular file"), "{known:?}");
    fs::remove_file(root.path().join(conf)).expect("removed");
    fs::write(root.path().join(conf), "include /etc/logrotate.d\n").expect("written");
    assert_eq!(read().logs.len(), 1);
    for path in [status, "etc/logrotate.d/x", conf] {
        let set = |mode| fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(mode)).expect("set");
        set(0o666);
        assert!(read().logs.is_empty(), "{path}");
        set(0o644);
    }
}
