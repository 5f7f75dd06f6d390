//! A key is one line: its default is read by its own kind, and stands nowhere else. Each default is changed in its line, and
//! the schema, the reference page, `explain` and the long form are seen to follow.

use super::*;
use ansai_document::{Findings, Form, Node, Sources, read, units::shown_duration};
use ansai_keys::{
    Key, Shape, Unwritten, changed, check,
    page::{keys_of, sections, shapes},
    schema::{as_json, slug},
};

use crate::{
    expanded,
    keys::{action::STEP, config::CONFIG},
    parse, schema,
    slice::{LOCAL_TIMEOUT, PROCESS_TIMEOUT},
};

/// Every line with a default that is a value, and the mapping that it stands in.
fn defaults() -> Vec<(&'static Shape, &'static Key)> {
    let lines = shapes(&CONFIG).into_iter().flat_map(|shape| shape.keys.iter().map(move |key| (shape, key)));
    lines.filter(|(_, key)| key.value().is_some()).collect()
}

/// A default as the document that an operator would have written.
fn written(key: &Key, value: &str) -> Node {
    // A pattern is written between quotes, or else it is an alias.
    let text = if value == "*" { format!("{}: \"*\"", key.name) } else { format!("{}: {value}", key.name) };
    read(&text, Form::Yaml, 0).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

#[test]
fn each_key_has_a_meaning_and_a_name_of_its_own() {
    for shape in shapes(&CONFIG) {
        for (index, key) in shape.keys.iter().enumerate() {
            assert!(!key.meaning.is_empty() && !key.meaning.ends_with('.'), "{}", key.name);
            assert!(shape.keys[..index].iter().all(|earlier| earlier.name != key.name), "{}", key.name);
        }
    }
}

#[test]
fn each_default_is_a_value_of_its_kind() {
    let nothing = Sources::default();
    for (shape, key) in defaults() {
        let mut findings = Findings::new(&nothing);
        let document = written(key, key.value().expect("it has one"));
        check(&mut findings, document.get(key.name).expect("it is there"), &key.kind, key.name, &|_, _| None);
        assert!(findings.is_valid(), "{}, {}", shape.title, key.name);
    }
}

#[test]
fn a_default_in_words_says_the_figures_that_hold() {
    for key in shapes(&CONFIG).into_iter().flat_map(|shape| shape.keys) {
        if let Unwritten::Words(words, figures) = key.default {
            assert_eq!(words.matches("{}").count(), figures.len(), "{}", key.name);
            assert!(!key.said().expect("words").contains("{}"), "{}", key.name);
        }
    }
    let timeout = STEP.key("timeout").and_then(Key::said).expect("words");
    let [local, process] = [LOCAL_TIMEOUT, PROCESS_TIMEOUT].map(shown_duration);
    assert!(timeout.starts_with(&local) && timeout.contains(&format!("; {process} for a process")), "{timeout}");
}

/// Another value of the same kind.
fn another(kind: &Kind, value: &'static str) -> &'static str {
    match kind {
        Kind::Truth | Kind::Short(Kind::Truth, _) if value == "true" => "false",
        Kind::Truth | Kind::Short(Kind::Truth, _) => "true",
        Kind::Word(_, words) => words.iter().copied().find(|word| *word != value).expect("several words"),
        Kind::Whole { .. } => "7",
        Kind::Duration | Kind::Between { .. } => "17s",
        Kind::Size => "17KiB",
        Kind::Percent => "87%",
        Kind::Statuses => "204",
        Kind::List(_) => "[17s]",
        Kind::Short(Kind::Word(..), _) => "learned",
        Kind::Shape(_) => "{actions: 17, per: 17s}",
        Kind::Special(_) if value.starts_with("https://") => "https://ca.example.com/other",
        Kind::Text | Kind::Short(Kind::Text, _) => "other",
        other => panic!("no other value of {other:?}"),
    }
}

/// Files that write as little as may be written, so that everything else is a default.
const LITTLE: &[&str] = &[
    "",
    "services: {a.service: {}}",
    "services: {a.service: {probe: 'http://127.0.0.1/', memory: true}}",
    "services: {a.service: {probe: {nagios: [/bin/a]}, validate: [/bin/a], configuration: [/etc/a]}}",
    "services: {a.service: {probe: {executable: /bin/a}, environment: [{file: /etc/a}]}}",
    "services: {a.service: {policy: {quiet: {at: '02:00'}}}}",
    "disks: {/: {clean: {temporary: [{path: /var/tmp/a}]}}}",
    "disks: {/: {autonomy: act}}",
    "timesync: {unit: a.service}",
    "containers: {web: {restarts_max: 5}}",
    "services: {a.service: {probe: {container: {name: web}}}}",
    "databases: {main: {postgresql: /run/postgresql}}",
    "services: {a.service: {probe: {database: {postgresql: /run/postgresql}}}}",
    "services: {a.service: {probe: {timesync: {unit: b.service}}}}",
    "certificates: {a.example.com: {file: /etc/a.pem, renew: {acme: {webroot: /srv}}}}",
    "certificates: {a.example.com: {file: /etc/a.pem, services: [a.service], renew: {acme: {dns: {set: [/bin/a]}}}}}",
    "notify: {a: {webhook: 'https://a.example.com/'}}",
    "heartbeat: {url: 'https://a.example.com/'}",
    "targets: {service/a.service: {}}\n\
     checks: {service/a.service#a: {probe: {unit: a.service}, trend: {figure: a, limit: b}}}\n\
     rules: {a: {target: service/a.service, checks: [a], runbook: a}}\n\
     policies: {other: {}}\n\
     runbooks: {a: [{name: a, steps: [{exec: [/bin/a]}]}, {name: other, steps: [{wait: 1s}]}]}",
    "targets: {disk//: {}, certificate/a: {}}\n\
     checks:\n\
       \x20 disk//#full: {probe: {disk: {mount: /, look: full}}}\n\
       \x20 disk//#errors: {probe: {disk: {mount: /, look: errors}}}\n\
       \x20 certificate/a#a: {probe: {certificate: {file: /etc/a.pem}}}\n\
     runbooks:\n\
       \x20 a:\n\
       \x20   - {name: a, steps: [{disk: {mount: /, clean: journal, goal: 80%, keep: 1MiB}}]}\n\
       \x20   - {name: b, steps: [{certificate: {renew: {name: a, file: /etc/a.pem, by: {certbot: a}}}}]}\n\
       \x20   - {name: c, steps: [{certificate: {replace: {renew: {name: a, file: /etc/a.pem, by: {certbot: a}}, \
     deploy: {name: a, source: {certificate: /etc/a.pem}}}}}]}\n",
];

/// The long form of a file, or what is wrong with it: a default that does not fit the rest is one that is heard as well.
fn long_form(text: &str) -> String {
    let inventory = ansai_model::inventory::Inventory::default();
    match parse(&[("a.yaml".into(), text.to_owned())]) {
        Ok(read) => read
            .bundle(&inventory, 1)
            .map_or_else(|wrong| wrong.to_string(), |bundle| expanded(&bundle, read.host_settings())),
        Err(wrong) => wrong.to_string(),
    }
}

/// Defaults that no long form shows: the key's mapping and its name, and why.
const UNSEEN: &[(&str, &str)] = &[];

#[test]
fn a_default_stands_in_its_line_alone() {
    let before: Vec<String> = LITTLE.iter().map(|text| long_form(text)).collect();
    let mut unseen = Vec::new();
    for (shape, key) in defaults() {
        let value = another(&key.kind, key.value().expect("it has one"));
        changed::with(key, value, || {
            let row = format!("| `{}` |", key.name);
            let page = sections(&CONFIG);
            let section = page.split(&format!("\n## {}\n", shape.title)).nth(1).unwrap_or_default();
            let row = section.lines().find(|line| line.starts_with(&row)).unwrap_or_default();
            assert!(row.contains(&format!("| `{value}` |")), "the page says {row}");
            let said = keys_of(shape).into_iter().find(|said| said.name == key.name);
            assert_eq!(said.and_then(|said| said.default).as_deref(), Some(value), "{} of {}", key.name, shape.title);
            let defaults = schema::schema()["$defs"][slug(shape)]["properties"][key.name]["default"].clone();
            assert!(!defaults.is_null(), "{} of {}", key.name, shape.title);
            assert_eq!(defaults, as_json(value, &key.kind), "{} of {}", key.name, shape.title);
            let is_seen = LITTLE.iter().zip(&before).any(|(text, before)| long_form(text) != *before);
            if !is_seen {
                unseen.push((shape.title, key.name));
            }
        });
    }
    assert_eq!(unseen, UNSEEN, "no long form follows these");
}
