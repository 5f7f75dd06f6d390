//! Whatever the program reads has a bound and is a regular file: it is read through `crates/files`, and nothing else opens
//! files for reading. Tests read as they like; what opens a file for writing is not looked at here.

/// The crates that run on people's hosts.
const CRATES: &[&str] = &[
    "crates/host/src/",
    "crates/agent/src/",
    "crates/link/src/",
    "crates/document/src/",
    "crates/keys/src/",
    "crates/condition/src/",
    "crates/config/src/",
    "crates/import/src/",
    "crates/cli/src/",
    "crates/socket/src/",
    "crates/store/src/",
    "crates/controller/src/",
];

/// The files that may open something by themselves, with the reason.
const READERS: &[(&str, &str)] = &[
    ("crates/notify/src/durable.rs", "a folder is opened to make its names durable, and not read"),
    ("crates/host/src/linux/domain/certificate/store.rs", "a folder is opened to make its names durable, and not read"),
    (
        "crates/host/src/linux/aside/share.rs",
        "the kernel's list of mounts is opened to be told of changes, and not read",
    ),
    ("crates/store/src/sqlite.rs", "a file and its folder are opened to make them durable, and not read"),
    ("crates/cli/src/documents.rs", "it is a test"),
];

/// What reads without a bound, or waits for whoever should write; put together so that this file does not hold it.
fn refused() -> [String; 4] {
    [["fs::", "read("], ["fs::", "read_to_string("], ["File::", "open("], ["OpenOptions::new().", "read(true).open("]]
        .map(|parts| parts.concat())
}

/// Whether a file is one of tests, which nobody ships.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Checks a file of Rust.
pub(super) fn check(file: &str, text: &str) -> Vec<String> {
    let is_allowed = READERS.iter().any(|(name, _)| *name == file);
    if !CRATES.iter().any(|folder| file.starts_with(folder)) || is_test(file) || is_allowed {
        return Vec::new();
    }
    let refused = refused();
    // Tests stand at the end of a file.
    let mut lines = text.lines().enumerate().peekable();
    let mut findings = Vec::new();
    while let Some((number, line)) = lines.next() {
        let is_module = |next: &str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| is_module(next)) {
            break;
        }
        for word in refused.iter().filter(|word| line.contains(word.as_str())) {
            findings.push(format!(
                "{file}:{}: `{word}` — read it through ansai_files, which has a bound and takes only regular files",
                number + 1
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_read_is_refused_in_what_is_shipped_and_nowhere_else() {
        for word in refused() {
            let text = format!("//! A.\nfn a() {{ std::{word}path); }}\n");
            for folder in CRATES {
                let found = check(&format!("{folder}a.rs"), &text);
                assert!(matches!(&found[..], [one] if one.contains("a.rs:2: ")), "{word} in {folder}: {found:?}");
            }
            let elsewhere =
                ["crates/lab/src/a.rs", "crates/host/src/a/tests.rs", "crates/host/src/tests/a.rs", READERS[0].0];
            for file in elsewhere {
                assert_eq!(check(file, &text), Vec::<String>::new(), "{file}");
            }
            let tested = format!("//! A.\n#[cfg(test)]\nmod tests {{\nfn a() {{ std::{word}path); }}\n}}\n");
            assert_eq!(check("crates/host/src/a.rs", &tested), Vec::<String>::new());
            // A module of tests that lies elsewhere ends nothing.
            let after = format!("//! A.\n#[cfg(test)]\nmod tests;\nfn a() {{ std::{word}path); }}\n");
            assert_eq!(check("crates/host/src/a.rs", &after).len(), 1);
        }
    }
}
