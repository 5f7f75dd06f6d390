//! A key of a new mapping is one line: with it the value is checked, read, written and described. The clock here stands for
//! whatever comes next; nothing of it is shipped.

use std::time::Duration;

use super::Filled;
use ansai_document::{Findings, Form, Node, Sources};
use ansai_keys::{Kind, Shape, check, key, page::keys_of};

use crate::{fill::shape, keys::PERIOD};

/// Whether a clock is right.
#[derive(Clone, Debug, PartialEq)]
struct Clock {
    drift_max: Duration,
    every: Duration,
    is_set: bool,
    source: Option<String>,
}

fills! {
    Clock {
        drift_max: key("drift_max", Kind::Duration, "The most that it may be wrong by").default("1s"),
        every: key("every", PERIOD, "The period").default("1m"),
        is_set: key("set", Kind::Truth, "Whether it is set when it is wrong").default("false"),
        source: key("source", Kind::Text, "Whom it is compared with").needed("a clock needs its `source`", "write source: HOST"),
    }
}

static CLOCK: Shape = shape::<Clock>("A clock");

fn node(text: &str) -> Node {
    ansai_document::read(text, Form::Yaml, 0).expect("a document")
}

/// What is read, or what is wrong with it.
fn read(text: &str, base: Option<&Clock>) -> Result<Clock, String> {
    let nothing = Sources::default();
    let mut findings = Findings::new(&nothing);
    let node = node(text);
    check(&mut findings, &node, &Kind::Shape(&CLOCK), "clock", &|_, _| None);
    let found = Clock::filled(&mut findings, &node, "clock", base);
    findings.finish().map_err(|wrong| wrong.0.into_iter().map(|one| one.what).collect::<Vec<_>>().join("; "))?;
    found.ok_or_else(|| "nothing is read, and nothing said".to_owned())
}

#[test]
fn what_is_not_written_is_as_its_line_says_or_as_what_stands_below() {
    let minute = Duration::from_secs(60);
    let own = Clock { drift_max: Duration::from_secs(1), every: minute, is_set: false, source: Some("a".into()) };
    assert_eq!(read("source: a", None), Ok(own.clone()));
    let other = Clock { drift_max: minute, is_set: true, ..own };
    assert_eq!(read("{drift_max: 1m, set: true, source: a}", None), Ok(other.clone()));
    assert_eq!(read("every: 2m", Some(&other)), Ok(Clock { every: 2 * minute, ..other }));
}

#[test]
fn what_is_wrong_is_said_once_for_each_key() {
    assert_eq!(read("set: true", None), Err("a clock needs its `source`".to_owned()));
    let wrong = "`1 parsec` is no duration; `1ms` is too short";
    assert_eq!(read("{drift_max: 1 parsec, every: 1ms, source: a}", None), Err(wrong.to_owned()));
    assert_eq!(read("{sorce: a, source: a}", None), Err("there is no key `sorce` here".to_owned()));
}

#[test]
fn what_is_written_out_is_read_back() {
    for text in ["source: a", "{drift_max: 5ms, every: 2h, set: true, source: a b}"] {
        let clock = read(text, None).expect("valid");
        let written = clock.fields().document();
        assert_eq!(read(&written, None), Ok(clock), "{written}");
    }
    assert_eq!(
        read("source: a", None).map(|clock| clock.fields().document()),
        Ok("drift_max: 1s\nevery: 1m\nsource: a\n".into())
    );
}

#[test]
fn the_line_says_what_may_be_written() {
    let said = keys_of(&CLOCK).into_iter().map(|key| (key.name, key.kind, key.default)).collect::<Vec<_>>();
    let line =
        |name: &str, kind: &str, default: Option<&str>| (name.to_owned(), kind.to_owned(), default.map(str::to_owned));
    let expect = [
        line("drift_max", "a duration", Some("1s")),
        line("every", "a duration, 100ms or more", Some("1m")),
        line("set", "true or false", Some("false")),
        line("source", "a text", None),
    ];
    assert_eq!(said, expect);
}
