//! Every configuration that stands in the documents, in the end-to-end tests or in the demo is valid.
//!
//! In the documents it is each block of YAML, TOML or JSON5; in the code each text of several lines that has a section
//! `services:`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_config::{expanded, parse};
use ansai_model::inventory::Inventory;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder with one of these endings.
fn below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            below(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
}

#[track_caller]
fn check(name: &str, text: &str) {
    let read = |name: &str, text: &str| match parse(&[(name.into(), text.to_owned())]) {
        Ok(configuration) => {
            let bundle = configuration.bundle(&Inventory::default(), 1).expect("it fits together");
            (bundle, configuration.host_settings().clone())
        }
        Err(wrong) => panic!("{wrong}\n{text}"),
    };
    let (bundle, own) = read(name, text);
    assert_eq!(read("expanded.yaml", &expanded(&bundle, &own)), (bundle, own), "the long form says the same");
}

/// The blocks of a page that are configurations, with the numbers of their first lines. Those of a controller are marked `yml`,
/// and tested with its own reader.
fn blocks(page: &str) -> Vec<(usize, &'static str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let ending = match line.trim() {
            "```yaml" => "yaml",
            "```toml" => "toml",
            "```json5" => "json5",
            _ => continue,
        };
        let block: Vec<_> = lines.by_ref().take_while(|(_, line)| line.trim() != "```").collect();
        let Some((number, _)) = block.first() else { continue };
        let text: String = block.iter().map(|(_, line)| format!("{line}\n")).collect();
        blocks.push((number + 1, ending, text));
    }
    blocks
}

#[test]
fn every_configuration_in_the_documents_is_valid() {
    let mut pages = vec![root().join("README.md")];
    below(&root().join("docs"), "md", &mut pages);
    let mut count = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        for (line, ending, block) in blocks(&text) {
            let name = page.file_name().expect("a name").to_string_lossy();
            check(&format!("{name} from line {line}.{ending}"), &block);
            count += 1;
        }
    }
    assert!(count >= 12, "{count} configurations were found");
}

/// The texts of several lines in a Rust file, escapes resolved.
fn texts(code: &str) -> Vec<String> {
    let literals = code.split("\"\\\n").skip(1);
    literals
        .map(|rest| {
            let mut text = String::new();
            let mut chars = rest.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => match chars.next() {
                        Some('n') => text.push('\n'),
                        Some('\n') | None => {}
                        Some(c) => text.push(c),
                    },
                    c => text.push(c),
                }
            }
            text
        })
        .collect()
}

#[test]
fn every_configuration_of_the_tests_and_the_demo_is_valid() {
    let mut files = Vec::new();
    for folder in ["crates/lab", "crates/sim/src", "xtask/src"] {
        below(&root().join(folder), "rs", &mut files);
    }
    let mut count = 0;
    for file in files {
        let code = fs::read_to_string(&file).expect("a file");
        // What is put together while the program runs has no meaning before.
        let whole = texts(&code).into_iter().filter(|text| !text.contains("{{"));
        for text in whole.filter(|text| text.lines().any(|line| line.starts_with("services:"))) {
            check(&format!("{}.yaml", file.display()), &text);
            count += 1;
        }
    }
    assert!(count >= 4, "{count} configurations were found");
}

#[test]
fn blocks_and_texts_are_found() {
    let page = "a\n```yaml\n# ansai.yaml\na: b\n```\n```yaml\nother: {}\n```\n```toml\n# ansai.toml\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], (3, "yaml", "# ansai.yaml\na: b\n".to_owned()));
    assert_eq!(texts("const A: &str = \"\\\nservices:\n  a: \\\"b\\\"\n\";"), ["services:\n  a: \"b\"\n"]);
}
