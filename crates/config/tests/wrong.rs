//! What an operator reads when a file is wrong: one snapshot a file in `tests/wrong/`, each with place, line, what is
//! wrong and what to do. And whatever the bytes are, reading them ends, without a panic.

use std::{fs, path::Path, path::PathBuf};

use ansai_config::{expanded, parse};
use ansai_document::{Diagnostics, Level};
use ansai_model::inventory::Inventory;
use proptest::prelude::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn files(name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder(name)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_none_or(|ending| ending != "snap" && ending != "new"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn each_wrong_file_says_what_is_wrong_and_what_to_do() {
    let files = files("wrong");
    assert!(files.len() >= 25);
    for (name, text) in files {
        let wrong = match parse(&[(name.clone().into(), text)]) {
            Ok(_) => panic!("{name} is valid"),
            Err(wrong) => wrong,
        };
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => folder("wrong"), omit_expression => true}, {
            insta::assert_snapshot!(name.clone(), wrong.to_string());
        });
        check_places(&name, &wrong);
    }
}

/// Each error of these single files has its place, its line, and no secret in it.
fn check_places(name: &str, Diagnostics(list): &Diagnostics) {
    for found in list {
        assert_eq!((found.file.as_str(), found.level), (name, Level::Error), "{found}");
        assert!(found.line > 0 && found.column > 0 && found.snippet.is_some(), "{found}");
        assert!(found.suggestion.is_some(), "{found}");
        let shown = found.to_string();
        assert!(!shown.contains("hunter2") && !shown.contains("abcdef"), "{shown}");
    }
}

#[test]
fn each_dangerous_file_is_valid_and_warned_of() {
    for (name, text) in files("dangerous") {
        let configuration = match parse(&[(name.clone().into(), text)]) {
            Ok(configuration) => configuration,
            Err(wrong) => panic!("{name}: {wrong}"),
        };
        let said: Vec<_> = configuration.warnings().iter().map(ToString::to_string).collect();
        assert!(!said.is_empty(), "{name}");
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => folder("dangerous"), omit_expression => true}, {
            insta::assert_snapshot!(name, said.join("\n\n"));
        });
    }
}

/// A valid or wrong file, with some bytes of it replaced, removed or put elsewhere.
fn mutated() -> impl Strategy<Value = (String, String)> {
    let all: Vec<_> = [files("valid"), files("wrong")].concat();
    let change = (any::<prop::sample::Index>(), 0_usize..8, "[ -~\\n\\t\"{}\\[\\]:&*]{0,8}");
    (prop::sample::select(all), prop::collection::vec(change, 0..6)).prop_map(|((name, text), changes)| {
        let mut bytes = text.into_bytes();
        for (at, removed, put) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, put.into_bytes());
        }
        (name, String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// Reading ends with errors that can be shown, or with a configuration whose long form says the same.
fn check_ends(name: &str, text: String) {
    match parse(&[(name.into(), text)]) {
        Ok(configuration) => {
            configuration.warnings().iter().for_each(|warning| drop(warning.to_string()));
            let bundle = configuration.bundle(&Inventory::default(), 1).expect("it was checked");
            let long = expanded(&bundle, configuration.host_settings());
            match parse(&[("expanded.yaml".into(), long.clone())]) {
                Ok(again) => {
                    assert_eq!(again.bundle(&Inventory::default(), 1).expect("it was checked"), bundle, "{long}")
                }
                Err(wrong) => panic!("{wrong}\n{long}"),
            }
        }
        Err(wrong) => assert!(!wrong.0.is_empty() && !wrong.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic((name, text) in mutated()) {
        check_ends(&name, text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), ending in "yaml|toml|json5") {
        check_ends(&format!("x.{ending}"), String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn random_texts_never_panic(text in "([a-z]{1,4}|[:{}\\[\\],\"'#&*!|>%@`?\\\\-]|\\n| |ä|\\t|<<|//|/\\*|0x|\\.|5){0,60}", ending in "yaml|toml|json5") {
        check_ends(&format!("x.{ending}"), text);
    }
}
