//! The rules of the house that no compiler knows: who may depend on whom, how files begin, what never stands in them, and
//! that documents keep true. It changes nothing.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::cargo;

mod circles;
mod documents;
mod domains;
mod lines;
mod once;
mod reads;

/// Each crate with the crates of ours that it may depend on, as in ARCHITECTURE.md.
const LAYERS: &[(&str, &[&str])] = &[
    ("ansai-model", &[]),
    ("ansai-files", &[]),
    ("ansai-engine", &["ansai-model"]),
    ("ansai-document", &["ansai-model"]),
    ("ansai-keys", &["ansai-document"]),
    ("ansai-condition", &["ansai-model"]),
    ("ansai-config", &["ansai-model", "ansai-files", "ansai-document", "ansai-keys", "ansai-condition"]),
    ("ansai-import", &["ansai-model", "ansai-document"]),
    ("ansai-protocol", &["ansai-model"]),
    ("ansai-link", &["ansai-model", "ansai-files", "ansai-protocol"]),
    ("ansai-store", &["ansai-model", "ansai-protocol"]),
    ("ansai-socket", &["ansai-model", "ansai-files", "ansai-protocol"]),
    ("ansai-fleet", &["ansai-model", "ansai-protocol"]),
    ("ansai-host", &["ansai-model", "ansai-files"]),
    ("ansai-notify", &["ansai-model", "ansai-files", "ansai-host"]),
    (
        "ansai-agent",
        &[
            "ansai-model",
            "ansai-files",
            "ansai-document",
            "ansai-keys",
            "ansai-engine",
            "ansai-config",
            "ansai-protocol",
            "ansai-host",
            "ansai-link",
            "ansai-notify",
            "ansai-socket",
        ],
    ),
    (
        "ansai-controller",
        &[
            "ansai-model",
            "ansai-files",
            "ansai-document",
            "ansai-keys",
            "ansai-config",
            "ansai-protocol",
            "ansai-fleet",
            "ansai-link",
            "ansai-store",
            "ansai-socket",
            "ansai-notify",
        ],
    ),
    (
        "ansai-cli",
        &[
            "ansai-model",
            "ansai-files",
            "ansai-engine",
            "ansai-document",
            "ansai-keys",
            "ansai-condition",
            "ansai-config",
            "ansai-import",
            "ansai-protocol",
            "ansai-host",
            "ansai-link",
            "ansai-notify",
            "ansai-agent",
            "ansai-controller",
            "ansai-store",
        ],
    ),
    (
        "ansai-sim",
        &[
            "ansai-model",
            "ansai-engine",
            "ansai-fleet",
            "ansai-protocol",
            "ansai-store",
            "ansai-config",
            "ansai-host",
            "ansai-notify",
            "ansai-agent",
        ],
    ),
    ("ansai-lab", &[]),
    ("xtask", &["ansai-lab"]),
];

const LINES_MAX: usize = 500;

/// The files that may let time pass, with the reason; everyone else waits for a condition with a deadline.
const SLEEPERS: &[(&str, &str)] = &[
    ("crates/lab/src/poll.rs", "the lab's one way of waiting: a condition, an interval, a deadline"),
    ("crates/cli/src/command/status.rs", "a screen for a person is drawn anew at an interval"),
    ("crates/cli/src/client.rs", "an agent that is busy with others says nothing when it no longer is"),
];

/// The files whose words are not ours, or are the list of those that we do not use.
const WORDLESS: &[&str] = &["Cargo.lock", "LICENSE", "CONTRIBUTING.md"];

/// Words that no Rust file holds, and why; each is put together so that this file does not hold it.
fn forbidden() -> Vec<(String, &'static str)> {
    let joined = |parts: [&str; 2]| parts.concat();
    vec![
        (joined(["#[ign", "ore"]), "a test that is not run is no test: mend it or delete it"),
        (joined(["#[should_", "panic"]), "return a result and check it"),
        (joined(["todo", "!("]), "finish it, or leave it out"),
        (joined(["unimplemen", "ted!("]), "finish it, or leave it out"),
        (joined(["#[al", "low("]), "write #[expect(lint, reason = \"…\")]"),
    ]
}

/// Prints which files name which domain.
#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(crate) fn domains() -> Result<()> {
    let root = cargo::root();
    print!("{}", domains::Reach::of(&sources(&root, &files(&root)?)).listed());
    Ok(())
}

/// The crates' files with their texts.
fn sources(root: &Path, files: &[String]) -> Vec<(String, String)> {
    let files = files.iter().filter(|file| file.starts_with("crates/"));
    files.filter_map(|file| Some((file.clone(), fs::read_to_string(root.join(file)).ok()?))).collect()
}

/// Checks every rule; all findings at once.
#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(crate) fn run() -> Result<()> {
    let root = cargo::root();
    let mut findings = Vec::new();
    let files = files(&root)?;
    let read = |name: &str| fs::read_to_string(root.join(name)).with_context(|| name.to_owned());
    let words = documents::words(&read("CONTRIBUTING.md")?);
    for file in &files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        if file.ends_with(".rs") {
            findings.extend(check_rust(file, &text));
            findings.extend(reads::check(file, &text));
        }
        if file.ends_with(".toml") {
            findings.extend(documents::check_comments(&root, file, &text));
        }
        if file.ends_with(".md") {
            findings.extend(documents::check_paths(&root, file, &text));
            findings.extend(documents::check_links(&root, file, &text));
            findings.extend(documents::check_commands(file, &text, crate::USAGE));
        }
        if !WORDLESS.contains(&file.as_str()) {
            findings.extend(documents::check_words(file, &text, &words));
        }
    }
    findings.extend(documents::check_map(&read("ARCHITECTURE.md")?, &files));
    findings.extend(documents::check_reach(&root, &files));
    findings.extend(documents::check_dependencies(&read("Cargo.toml")?, &read("docs/design/dependencies.md")?));
    findings.extend(documents::check_tests(&read("docs/develop/testing.md")?, &files));
    let tests = files.iter().filter(|file| file.contains("/tests/") && file.ends_with(".rs"));
    let tests: Vec<(String, String)> = tests.map(|file| Ok((file.clone(), read(file)?))).collect::<Result<_>>()?;
    findings.extend(documents::check_cases(&read("docs/develop/testing.md")?, &tests));
    let sources = sources(&root, &files);
    findings.extend(circles::check(&sources));
    findings.extend(lines::check(&sources));
    let reach = domains::Reach::of(&sources);
    findings.extend(reach.check());
    findings.extend(reach.unused());
    for (name, allowed) in LAYERS {
        let folder =
            if *name == "xtask" { "xtask".to_owned() } else { format!("crates/{}", name.trim_start_matches("ansai-")) };
        let manifest = fs::read_to_string(root.join(&folder).join("Cargo.toml")).with_context(|| folder.clone())?;
        findings.extend(check_layer(&format!("{folder}/Cargo.toml"), &manifest, allowed));
    }
    let (_, second_provider) = cargo::read(&["tree", "--workspace", "--target", "all", "--quiet", "-i", "ring"])?;
    if !second_provider.trim().is_empty() {
        findings
            .push(format!("Cargo.lock: a second TLS provider came in — turn default features off\n{second_provider}"));
    }
    findings.extend(once::check()?);
    if findings.is_empty() {
        print!("{}{}", reach.table(), lines::table(&sources));
        return Ok(());
    }
    bail!("{}", findings.join("\n"))
}

/// The files that git knows or would add.
fn files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be run")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn check_rust(file: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{file}:1: does not say what it is for — begin with //!"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{file}: {lines} lines — split it, {LINES_MAX} are the limit"));
    }
    let sleep = ["thread::", "sleep"].concat();
    let may_sleep = SLEEPERS.iter().any(|(name, _)| *name == file);
    for (number, line) in text.lines().enumerate() {
        if line.contains(&sleep) && !may_sleep {
            findings.push(format!("{file}:{}: `{sleep}` — wait for a condition with a deadline", number + 1));
        }
        for (word, why) in forbidden() {
            if line.contains(&word) {
                findings.push(format!("{file}:{}: `{word}` — {why}", number + 1));
            }
        }
    }
    findings
}

fn check_layer(file: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| name.starts_with("ansai-") && !allowed.contains(name))
        .map(|name| format!("{file}: depends on {name} — the architecture does not allow that"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_can_fail() {
        assert_eq!(check_rust("a.rs", "//! A.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(check_rust("a.rs", "fn a() {}\n").len(), 1);
        assert_eq!(check_rust("a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
        for (word, _) in forbidden() {
            assert_eq!(check_rust("a.rs", &format!("//! A.\n{word}\n")).len(), 1, "{word}");
        }
        let sleeper = format!("//! A.\nstd::{}{}(x);\n", "thread::", "sleep");
        assert_eq!(check_rust("a.rs", &sleeper).len(), 1);
        assert_eq!(check_rust(SLEEPERS[0].0, &sleeper), Vec::<String>::new());
        let manifest = "[dependencies]\nansai-engine.workspace = true\nserde.workspace = true\n[dev-dependencies]\nansai-lab.workspace = true\n";
        assert_eq!(check_layer("Cargo.toml", manifest, &[]).len(), 1);
        assert_eq!(check_layer("Cargo.toml", manifest, &["ansai-engine"]), Vec::<String>::new());
    }
}
