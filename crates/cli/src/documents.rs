//! What the documents say of the program is what the program does: commands are understood, JSON is JSON, and the pages that
//! list every probe, action, gate and exit code do. It judges no prose, and runs no command; `crates/lab` does that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::{decision::Gate, operator::DrillKind};
use clap::{CommandFactory, error::ErrorKind};

use crate::{Program, exit::Code};

/// A page below the project's root.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files with this ending at and below a folder, by their names below the project's root.
fn below(folder: &str, ending: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut names, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder") {
            let path = folder.join(entry.expect("an entry").file_name());
            match root.join(&path).is_dir() {
                true => folders.push(path),
                false => names.push(path.to_string_lossy().into_owned()),
            }
        }
    }
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names
}

/// Every page for readers, by its name below the project's root.
fn pages() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned(), "ARCHITECTURE.md".into(), "SPECIFICATION.md".into()];
    names.extend(below("docs", ".md"));
    names.into_iter().map(|name| (name.clone(), page(&name))).collect()
}

/// Where a command stands: within a sentence it may be only named, in a block a reader copies it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Sentence,
    Block,
}

/// The commands of a page that begin with `ansai`, and the blocks of JSON, each with its line.
#[derive(Default)]
struct Contents {
    commands: Vec<(usize, Found, String)>,
    json: Vec<(usize, String)>,
}

fn contents(page: &str) -> Contents {
    let mut contents = Contents::default();
    let mut fence: Option<String> = None;
    let mut block = String::new();
    for (index, line) in page.lines().enumerate() {
        let number = index + 1;
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            match fence.take() {
                Some(kind) if kind == "json" => contents.json.push((number, std::mem::take(&mut block))),
                Some(_) => {}
                None => fence = Some(kind.to_owned()),
            }
            block.clear();
            continue;
        }
        if fence.is_some() {
            block.push_str(line);
            block.push('\n');
            let command = line.trim_start_matches("$ ");
            if command.starts_with("ansai ") && matches!(fence.as_deref(), Some("console" | "sh")) {
                contents.commands.push((number, Found::Block, command.to_owned()));
            }
            continue;
        }
        for span in line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("ansai ")) {
            contents.commands.push((number, Found::Sentence, span.to_owned()));
        }
    }
    contents
}

/// A command's words as a shell would give them, without its comment; names in capitals become something that fits.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = command.split(" #").next().unwrap_or_default().split([';', '|', '>']).next().unwrap_or_default();
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let (word, after) = match rest.strip_prefix(['"', '\'']) {
            Some(quoted) => quoted.split_once(['"', '\'']).unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(match word {
            "KIND" => "crash".to_owned(),
            "SHELL" => "bash".to_owned(),
            word => word.to_owned(),
        });
        rest = after;
    }
    words.retain(|word| word != "…");
    words
}

/// Why the program would not understand a command.
pub(crate) fn misunderstood(found: Found, command: &str) -> Option<String> {
    let error = Program::command().try_get_matches_from(words(command)).err()?;
    let is_incomplete = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let is_fine = is_help || (found == Found::Sentence && is_incomplete);
    (!is_fine).then(|| error.to_string())
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in pages() {
        // That page is made from the same description.
        let written = contents(&text).commands.into_iter().filter(|_| name != "docs/reference/cli.md");
        for (line, found, command) in written {
            count += 1;
            wrong.extend(misunderstood(found, &command).map(|why| format!("{name}:{line}: `{command}`: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 50, "{count} commands were found");
}

#[test]
fn a_command_that_is_none_is_noticed() {
    let text =
        "Say `ansai hold` or `ansai hodl`.\n```console\n$ ansai drill app crash --yes  # now\n$ ansai drill\n```\n";
    let commands = contents(text).commands;
    let wrong: Vec<usize> =
        commands.iter().filter(|(_, found, text)| misunderstood(*found, text).is_some()).map(|c| c.0).collect();
    assert_eq!((commands.len(), wrong), (4, vec![1, 4]));
    assert_eq!(words("ansai hold \"a b\" KIND … # why"), ["ansai", "hold", "a b", "crash"]);
}

#[test]
fn every_json_in_the_documents_is_json() {
    let mut count = 0;
    for (name, text) in pages() {
        for (line, block) in contents(&text).json {
            let read = serde_json::from_str::<serde_json::Value>(&block);
            assert!(read.is_ok(), "{name} up to line {line}: {read:?}");
            count += 1;
        }
    }
    assert!(count >= 1, "no JSON was found");
}

/// The names of an enumeration's variants, as they are serialized.
fn variants(code: &str, name: &str) -> Vec<String> {
    let body = code.split(&format!("pub enum {name} {{\n")).nth(1).and_then(|rest| rest.split("\n}\n").next());
    let lines = body.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names
        .map(|line| {
            let word: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            let mut kebab = String::new();
            for c in word.chars() {
                if c.is_ascii_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            kebab
        })
        .collect()
}

/// The same with those of the domains, which one variant stands for.
fn with_domains(code: &str, name: &str) -> Vec<String> {
    let mut all = variants(code, name);
    let domains = variants(include_str!("../../model/src/domain.rs"), &format!("Domain{name}"));
    assert!(domains.len() >= 3, "{domains:?}");
    all.retain(|name| name != "domain");
    all.extend(domains);
    all
}

/// The names of a section's keys on the page of the configuration, which another test compares with the table.
fn keys(section: &str) -> Vec<String> {
    let page = page("docs/reference/configuration.md");
    let rows = page.split(&format!("\n## {section}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = rows.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect()
}

#[test]
fn every_probe_and_its_keys_are_described() {
    let page = page("docs/reference/probes.md");
    let variants = with_domains(include_str!("../../model/src/probe.rs"), "Probe");
    assert!(variants.len() >= 9, "{variants:?}");
    for name in variants {
        assert!(page.contains(&format!("\n## `{name}`")), "docs/reference/probes.md has no section `{name}`");
    }
    let (probe, expect) = (keys("A probe"), keys("What an answer must be"));
    assert!(probe.len() > 15 && expect.len() >= 4, "{probe:?} {expect:?}");
    let expect = expect.into_iter().map(|key| format!("expect.{key}"));
    for key in probe.into_iter().filter(|key| key != "expect").chain(expect) {
        let is_named = [format!("`{key}`"), format!("`{key}: "), format!("{{{key}: ")].iter().any(|n| page.contains(n));
        assert!(is_named, "docs/reference/probes.md does not name the key `{key}`");
    }
}

#[test]
fn every_action_and_every_drill_is_described() {
    let page = page("docs/reference/actions.md");
    let variants = with_domains(include_str!("../../model/src/action.rs"), "Action");
    assert!(variants.len() >= 15, "{variants:?}");
    for name in variants.iter().map(|name| name.replace('-', "_")) {
        let section = page.split(&format!("\n### `{name}`\n")).nth(1).and_then(|rest| rest.split("\n### ").next());
        let section = section.unwrap_or_else(|| panic!("docs/reference/actions.md has no section `{name}`"));
        for said in ["Disruption: ", "twice: ", "undo: "] {
            assert!(section.contains(said), "docs/reference/actions.md does not say `{said}` of `{name}`");
        }
    }
    for kind in DrillKind::ALL {
        let row = format!("\n| {} |", kind.as_str());
        assert!(page.contains(&row), "docs/reference/actions.md does not describe the drill {}", kind.as_str());
    }
}

#[test]
fn every_kind_of_notice_is_described() {
    let page = page("docs/telling.md");
    let kinds = variants(include_str!("../../model/src/notify.rs"), "NoticeKind");
    assert!(kinds.len() >= 6, "{kinds:?}");
    for kind in kinds {
        assert!(page.contains(&format!("\n| `{kind}` |")), "docs/telling.md does not describe `{kind}`");
    }
}

#[test]
fn every_gate_and_exit_code_is_explained() {
    let (rules, trouble) = (page("docs/rules.md"), page("docs/troubleshooting.md"));
    for gate in Gate::ALL {
        let row = format!("\n| {} |", gate.as_str());
        assert!(rules.contains(&row), "docs/rules.md does not explain the gate: {}", gate.as_str());
    }
    for (code, meaning, _) in Code::ALL {
        let row = format!("\n| {} | {meaning} |", *code as u8);
        assert!(trouble.contains(&row), "docs/troubleshooting.md does not explain the exit code: {meaning}");
    }
}

#[test]
fn every_operation_and_every_event_of_the_local_api_is_described() {
    let page = page("docs/reference/api.md");
    let operations = variants(include_str!("../../model/src/operator.rs"), "Operation");
    let events = variants(include_str!("../../protocol/src/event.rs"), "EventKind");
    assert!(operations.len() >= 11 && events.len() >= 10, "{operations:?} {events:?}");
    for (section, names) in [("Operate", operations), ("Events", events)] {
        let text = page.split(&format!("\n## {section}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows: Vec<&str> = text.unwrap_or_default().lines().filter(|line| line.starts_with("| `")).collect();
        for name in names {
            let is_named =
                rows.iter().any(|row| row.split(" | ").next().is_some_and(|c| c.contains(&format!("`{name}`"))));
            assert!(is_named, "docs/reference/api.md does not describe `{name}` under {section}");
        }
    }
}

/// The parts of a quotation that stand in the program as they are: what is put in between is a number, a name in capitals,
/// or follows a colon.
fn quoted_parts(quotation: &str) -> Vec<String> {
    let is_put_in = |word: &&str| !word.chars().any(char::is_lowercase);
    let mut parts = vec![String::new()];
    for word in quotation.split_whitespace() {
        match is_put_in(&word) {
            true => parts.push(String::new()),
            false => {
                let part = parts.last_mut().expect("there is one");
                part.push_str(if part.is_empty() { "" } else { " " });
                part.push_str(word.trim_end_matches(':'));
            }
        }
        if word.ends_with(':') {
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn what_the_program_says_is_quoted_as_it_says_it() {
    let code: String = below("crates", ".rs")
        .iter()
        .filter(|name| name.contains("/src/") && !name.ends_with("documents.rs"))
        .map(|name| page(name))
        .collect();
    let mut count = 0;
    for (name, text) in pages() {
        let mut is_quoting = false;
        for line in text.lines() {
            is_quoting = line.starts_with("| it says |") || (is_quoting && line.starts_with('|'));
            let cell = line.split('|').nth(1).filter(|_| is_quoting).unwrap_or_default();
            // A command that is named beside a quotation is none.
            let quotations = cell.split('`').skip(1).step_by(2).filter(|quotation| !quotation.starts_with("ansai "));
            for part in quotations.flat_map(quoted_parts) {
                assert!(code.contains(&part), "{name} quotes `{part}`, which the program does not say");
                count += 1;
            }
        }
    }
    assert!(count >= 15, "{count} quotations were found");
    assert_eq!(quoted_parts("done: failed 1 times in CONDITION now"), ["done", "failed", "times in", "now"]);
}

/// Whoever has installed a package has no `docs/` in the folder that they are in: a message names a page by where the package
/// puts it.
#[test]
fn messages_name_pages_of_the_documents_where_they_are_installed() {
    const PLACE: &str = "/usr/share/doc/ansai/";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut folders, mut wrong, mut named) = (vec![sources], Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                // Tests read the pages themselves, and so do the programs of this project alone.
                folders
                    .extend((!["tests", "target", "benches", "lab", "sim"].contains(&name.as_str())).then_some(path));
            } else if name.ends_with(".rs") && !["tests.rs", "documents.rs"].contains(&name.as_str()) {
                let text = fs::read_to_string(&path).expect("text");
                let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
                for (line, at) in lines.flat_map(|line| line.match_indices("docs/").map(move |(at, _)| (line, at))) {
                    let page = line[at..].split(['"', ' ', '`', ';', ',']).next().unwrap_or_default();
                    if !page.contains(".md") || line.contains("contains(\"docs/") {
                        continue;
                    }
                    named += 1;
                    let is_there = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page).is_file();
                    if !line[..at].ends_with(PLACE) || !is_there {
                        wrong.push(format!("{}: {}", path.display(), line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty() && named >= 5, "{named}: {}", wrong.join("\n"));
}
