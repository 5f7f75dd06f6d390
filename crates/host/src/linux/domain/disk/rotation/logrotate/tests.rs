//! Configurations of logrotate, as they are read and as they are refused.

use std::collections::BTreeMap;

use super::*;
use crate::linux::domain::disk::rotation::name::Order;

struct Planted(BTreeMap<&'static str, Found>);

impl Files for Planted {
    fn find(&mut self, path: &str) -> Result<Found, String> {
        Ok(self.0.get(path).cloned().unwrap_or(Found::Missing))
    }
}

fn file(text: &str) -> Found {
    Found::File(text.to_owned())
}

fn read(text: &str) -> Result<Vec<Block>, String> {
    parse(&mut Planted(BTreeMap::from([("/c", file(text))])), "/c")
}

/// How many rotations of a log are kept, how old, and where its second newest would lie.
fn rule(text: &str, path: &str) -> Option<(Option<u64>, Option<u64>, String)> {
    let blocks = read(text).expect("understood");
    let block = blocks.iter().find(|block| block.is_about(path))?;
    let rule = block.rule(path, 0..=1)?;
    Some((rule.count, rule.days_max, format!("{}/{}", rule.naming.folder, rule.naming.stem)))
}

#[track_caller]
fn keeps(text: &str, path: &str, expected: Option<(i64, Option<u64>, &str)>) {
    let expected = expected.map(|(count, days, place)| (u64::try_from(count).ok(), days, place.to_owned()));
    assert_eq!(rule(text, path), expected, "{text}");
}

#[test]
fn what_is_kept_follows_defaults_and_blocks() {
    let a = "/var/log/a.log";
    keeps("rotate 4\n/var/log/a.log {\n}\n", a, Some((4, None, a)));
    keeps("rotate 4\n/var/log/a.log {\n rotate=520\n maxage 30\n}\n", a, Some((520, Some(30), a)));
    keeps("/var/log/a.log {\n rotate -1\n maxage 30\n}\n", a, Some((-1, Some(30), a)));
    keeps("/var/log/a.log {\n rotate 4\n maxage 0\n}\n", a, Some((4, None, a)));
    // What follows a block does not hold for it.
    keeps("rotate 2\n/var/log/a.log {\n}\nrotate 9\n", a, Some((2, None, a)));
    keeps("\"/var/log/a.log\" '/var/log/b c.log'\n# more\n/var/log/*.txt\n{\n\trotate 3\n}\n", a, Some((3, None, a)));
    let b = "/var/log/b c.log";
    keeps("\"/var/log/a.log\" '/var/log/b c.log'\n/var/log/*.txt\n{\n\trotate 3\n}\n", b, Some((3, None, b)));
    keeps("/var/log/*.log {\n rotate 3\n}\n", "/var/log/deep/a.log", None);
    keeps("/var/log/* {\n rotate 3\n}\n", "/var/log/.hidden", None);
    let script = "/var/log/a.log {\n postrotate\n  rotate 1\n  }\n endscript\n rotate 7\n}\n";
    keeps(script, a, Some((7, None, a)));
}

#[test]
fn where_rotations_lie_and_what_they_are_called() {
    let a = "/var/log/app/a.log";
    let at = |more: &str| format!("{a} {{\nrotate 4\n{more}\n}}\n");
    keeps(&at("olddir old"), a, Some((4, None, "/var/log/app/old/a.log")));
    keeps(&at("olddir ../old/"), a, Some((4, None, "/var/log/old/a.log")));
    keeps(&at("olddir /srv/old"), a, Some((4, None, "/srv/old/a.log")));
    keeps(&at("olddir /srv/old\nnoolddir"), a, Some((4, None, a)));
    keeps(&at("olddir ../../../../x"), a, None);
    keeps(&at("extension .log"), a, Some((4, None, "/var/log/app/a")));
    keeps(&at("addextension .txt"), a, Some((4, None, a)));
    keeps(&at("dateext\ndateformat -%d"), a, None);
    let order = |more: &str, rest: &str| {
        let blocks = read(&at(more)).expect("understood");
        blocks[0].rule(a, 0..=1).expect("a rule").naming.order(rest.as_bytes())
    };
    assert_eq!(order("", ".2.gz"), Some(Order::Number(2)));
    assert_eq!(order("start 0", ".0"), Some(Order::Number(0)));
    assert_eq!(order("extension .log", ".2.log.gz"), Some(Order::Number(2)));
    assert_eq!(order("compressext .packed", ".2.packed"), Some(Order::Number(2)));
    assert_eq!(order("dateext", ".2"), None);
    assert!(order("dateext", "-20260131.gz").is_some() && order("dateext", "-2026013106").is_none());
    assert!(order("dateext\nhourly", "-2026013106").is_some());
    assert!(order("dateext\ndateformat .%s", ".1700000000").is_some());
    assert_eq!(order("dateext\nnodateext", ".7"), Some(Order::Number(7)));
}

#[test]
fn an_owner_that_does_more_than_to_delete_does_it_itself() {
    let a = "/var/log/a.log";
    let at = |more: &str| format!("{a} {{\nrotate 4\n{more}\n}}\n");
    for more in ["mail root", "shred", "preremove\n/bin/archive $1\nendscript", "rotate 0", "rotate 0\nmaxage 9"] {
        keeps(&at(more), a, None);
        keeps(&format!("rotate 4\n{more}\n{a} {{\n}}\n"), a, None);
    }
    keeps(&at("mail root\nnomail\nshred\nnoshred"), a, Some((4, None, a)));
    // None kept is the default.
    keeps(&format!("{a} {{\nweekly\n}}\n"), a, None);
}

#[test]
fn what_is_not_understood_is_an_error_with_its_place() {
    let cases = [
        ("/a {\n rotate four\n}\n", "/c, line 2: `rotate` is no number"),
        ("/a {\n rotate 4 # weeks\n}\n", "/c, line 2: `rotate` is no number"),
        ("/a {\n rotate -2\n}\n", "/c, line 2: `rotate` is no count"),
        ("/a {\n rotate 99999999999999999999\n}\n", "/c, line 2: `rotate` is no number"),
        ("/a {\n maxage -1\n}\n", "/c, line 2: `maxage` is negative"),
        ("/a {\n keepforever\n}\n", "/c, line 2: `keepforever` is not known"),
        ("tabooext + .old\n", "/c, line 1: `tabooext` is not known"),
        ("/a {\n rotate 4\n", "/c: a block does not end"),
        ("/a\n/b\n", "/c: a block does not end"),
        ("/a {\n postrotate\n x\n}\n", "/c: a block does not end"),
        ("postrotate\n x\n", "/c: a script does not end"),
        ("/a { rotate 4 }\n", "/c, line 1: `{` is no plain path"),
        ("/a\\ b {\n}\n", "/c, line 1: `/a\\\\` is no plain path"),
        ("\"/a {\n}\n", "/c, line 1: a quotation mark is open"),
        ("/a b {\n}\n", "/c, line 1: `b` is no plain path"),
        ("}\n", "/c, line 1: `}` is not known"),
        ("olddir\n", "/c, line 1: `olddir` says nothing"),
        ("include /nowhere\n", "/c, line 1: /nowhere: not there"),
        ("\u{1b}[2J\n", "/c, line 1: `\\u{1b}[2J` is not known"),
    ];
    for (text, why) in cases {
        assert_eq!(read(text), Err(why.to_owned()), "{text}");
    }
    assert_eq!(read(""), Ok(Vec::new()));
}

#[test]
fn inclusions_are_read_in_order_and_what_they_set_stays_set() {
    let names = ["b", "a", "a.rpmsave", "a~", "folder", "foreign"].map(str::to_owned).to_vec();
    let mut planted = Planted(BTreeMap::from([
        ("/c", file("rotate 4\ninclude /d\n/var/log/last {\n}\n")),
        ("/d", Found::Folder(names)),
        ("/d/a", file("/var/log/a {\n rotate 1\n}\n")),
        ("/d/b", file("rotate 9\n/var/log/b {\n}\n")),
        ("/d/a~", file("nonsense\n")),
        ("/d/a.rpmsave", file("nonsense\n")),
        ("/d/folder", Found::Folder(Vec::new())),
        ("/d/foreign", Found::Ignored),
    ]));
    let blocks = parse(&mut planted, "/c").expect("understood");
    let of = |path: &str| {
        let block = blocks.iter().find(|block| block.is_about(path)).expect("a block");
        (block.options.rotate, block.source.clone())
    };
    assert_eq!(of("/var/log/a"), (1, "/d/a, line 1".into()));
    assert_eq!(of("/var/log/b"), (9, "/d/b, line 2".into()));
    assert_eq!(of("/var/log/last"), (9, "/c, line 3".into()));
}

#[test]
fn files_that_include_each_other_are_an_error_and_no_loop() {
    let mut planted = Planted(BTreeMap::from([("/c", file("include /e\n")), ("/e", file("include /c\n"))]));
    let why = parse(&mut planted, "/c").expect_err("refused");
    assert!(why.contains("include each other"), "{why}");
    let mut itself = Planted(BTreeMap::from([
        ("/c", file("include /d\n")),
        ("/d", Found::Folder(vec!["x".into()])),
        ("/d/x", file("include /d\n")),
    ]));
    assert!(parse(&mut itself, "/c").is_err());
}

proptest::proptest! {
    /// Whatever stands in it, it is read or refused.
    #[test]
    fn nothing_in_a_configuration_breaks_the_reader(text in "([a-z/{}\"'#=\\\\*\\[\n ~-]|rotate|include|endscript|maxage| 9){0,60}") {
        let _ = read(&text);
        let _ = is_path(&text, "/var/log/a");
        let _ = plain(&text);
    }
}
