//! How far each domain reaches: which production files name it outside its own files. A domain that many files name is
//! not one value, and the next one would have to be added in all of them.
//!
//! *Production files* are `crates/*/src`, Rust and YAML, without tests and without the crates
//! that only test the others. A domain's *own* files have its
//! name, in one or in many, in their path: `model/src/domain/disk.rs`, `linux/domain/disk/usage.rs`.
//!
//! A file *names* a domain when its code, without comments and tests, has
//! - its name as a part of a path (`disk::usage`, `domain::{disk, memory}`, `mod disk;`),
//! - an identifier of which its name is a word (`DiskProbe`, `Probe::Disk`, `nameless_disks`, `policy.disk`),
//! - a text that is its key, alone or before a `.`, `/` or `#` (`"disks"`, `"disk.used"`, `"disk/"`).
//!
//! Prose is no name: neither comments nor longer texts are looked at. What has the same word and means something else
//! stands in `HOMONYMS`, for as long as there is such a word. A domain that has a file in the model stands in `DOMAINS`.

use std::collections::{BTreeMap, BTreeSet};

mod lexer;

use lexer::{Token, tokens};

/// Each domain with its names and the most files that may name it. A bound only falls; the goal is 8 for each.
const DOMAINS: &[(&str, &[&str], usize)] = &[
    ("service", &["service", "services"], 7),
    ("disk", &["disk", "disks", "filesystem", "filesystems"], 6),
    ("certificate", &["certificate", "certificates"], 8),
    ("memory", &["memory"], 5),
    ("timesync", &["timesync"], 6),
    ("container", &["container", "containers"], 6),
    ("database", &["database", "databases"], 6),
];

/// Words that look like a domain's and mean something else: where, and what they mean. `*` stands for anything at an end, and
/// `::` for a part of a path.
const HOMONYMS: &[(&str, &[&str], &str)] = &[
    (
        "crates/engine/src/",
        &["memory", "memory_of*", "known_memory_of*", "TargetMemory"],
        "what is remembered of a target",
    ),
    ("crates/", &["own_memory", "memory_max", "memory_bytes*"], "what the agent itself holds"),
    ("crates/agent/src/", &["Memory"], "what the agent itself holds"),
    ("crates/model/src/domain/disk/", &["Containers"], "images that no container uses, which make room"),
    ("crates/config/src/domain/disk", &["Containers", "containers"], "images that no container uses, which make room"),
    ("crates/host/src/linux/domain/disk", &["Containers"], "images that no container uses, which make room"),
    ("crates/import/src/domain/disk.rs", &["containers"], "images that no container uses, which make room"),
    ("crates/", &["memory_available"], "a figure of the host"),
    ("crates/", &["MemoryStore", "is_in_memory"], "what no device keeps"),
    ("crates/", &["verify_certificate", "InvalidCertificate"], "a web server's, of whichever probe asks it"),
    (
        "crates/",
        &[
            "CertificateDer",
            "CertificateError",
            "NoCertificatesPresented",
            "*_root_certificate*",
            "add_parsable_*",
            "with_custom_certificate_verifier",
        ],
        "names of the TLS library",
    ),
    ("crates/notify/src/channel/", &["Certificate"], "a mail server's"),
    ("crates/link/src/", &["*ertificate*"], "a host's or a controller's, by which they know each other"),
    (
        "crates/agent/src/uplink",
        &["Certificate", "certificate", "::certificate"],
        "the host's, by which its controller knows it",
    ),
    ("crates/protocol/src/link", &["Certificate", "certificate"], "a host's, by which its controller knows it"),
    ("crates/fleet/src/", &["Certificate", "certificate"], "a host's, by which its controller knows it"),
    (
        "crates/controller/src/",
        &["*ertificate*", "CERTIFICATE_EVERY"],
        "a host's or its own, by which they know each other",
    ),
    ("crates/fleet/src/incidents.rs", &["service"], "the agent's own unit"),
    ("crates/agent/src/", &["ReadOnlyFilesystem"], "an error of the system"),
    ("crates/store/src/", &["DiskFull"], "an error of the database"),
    ("crates/store/src/", &["Database", "DatabaseCorrupt"], "the controller's own store"),
    (
        "crates/import/src/domain/service.rs",
        &["DATABASES", "database", "is_database"],
        "units that are named after one, in the predecessor's words",
    ),
    ("crates/agent/src/", &["::service"], "names of libraries"),
    ("crates/socket/src/", &["::service"], "names of libraries"),
    ("crates/", &["service_fn", "SERVICE_UNAVAILABLE", "terms_of_service_agreed"], "names of libraries"),
    ("crates/host/src/linux/systemd/", &["SERVICE", "ServiceKind"], "a kind of unit, as systemd has it"),
    ("crates/host/src/linux/redact/", &["service"], "a part of what a secret is called, as in `service_key`"),
];

/// The counts of all files, as a table and as what is wrong with it.
pub(super) struct Reach {
    named: BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>,
    /// Domains that are not counted.
    uncounted: BTreeSet<String>,
    /// Homonyms that nobody uses: where, and which.
    unused: BTreeSet<(&'static str, &'static str)>,
}

/// Where each domain has a file of its name.
const MODEL: &str = "crates/model/src/domain/";

impl Reach {
    /// Counts; files are given with their texts.
    pub(super) fn of(files: &[(String, String)]) -> Self {
        let tests = tests(files);
        let shipped = files.iter().filter(|(file, _)| is_shipped(file) && !tests.contains(file));
        let mut named: BTreeMap<_, BTreeMap<_, _>> =
            DOMAINS.iter().map(|(domain, ..)| (*domain, BTreeMap::new())).collect();
        let all = HOMONYMS.iter().flat_map(|(folder, names, _)| names.iter().map(move |name| (*folder, *name)));
        let mut unused: BTreeSet<_> = all.collect();
        for (file, text) in shipped {
            let tokens = if file.ends_with(".rs") { tokens(before_tests(text)) } else { keys(text) };
            for (domain, names, _) in DOMAINS.iter().filter(|(_, names, _)| !is_own(file, names)) {
                let (found, homonyms) = naming(file, &tokens, names);
                unused.retain(|homonym| !homonyms.contains(homonym));
                if let (false, Some(files)) = (found.is_empty(), named.get_mut(domain)) {
                    files.insert(file.clone(), found);
                }
            }
        }
        let domains = files.iter().filter_map(|(file, _)| file.strip_prefix(MODEL)?.strip_suffix(".rs"));
        let is_counted = |name: &&str| name.contains('/') || DOMAINS.iter().any(|(_, names, _)| names.contains(name));
        let uncounted = domains.filter(|name| !is_counted(name)).map(str::to_owned).collect();
        Self { named, uncounted, unused }
    }

    /// What is above its bound, and bounds that are higher than they need be.
    pub(super) fn check(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for domain in &self.uncounted {
            findings.push(format!(
                "{MODEL}{domain}.rs: a domain that is not counted — add its line in xtask/src/tidy/domains.rs"
            ));
        }
        for (domain, _, bound) in DOMAINS {
            let count = self.named.get(domain).map_or(0, BTreeMap::len);
            if count > *bound {
                findings.push(format!(
                    "{count} files name the domain `{domain}`, {bound} may — go through the layer's list of domains; \
                     `cargo xtask tidy --domains` says which files do"
                ));
            }
            if count < *bound {
                findings.push(format!(
                    "xtask/src/tidy/domains.rs: {count} files name the domain `{domain}`, and {bound} may — write {count}"
                ));
            }
        }
        findings
    }

    /// Homonyms that no file has any more.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.unused.iter();
        let said = |(folder, name)| format!("xtask/src/tidy/domains.rs: no file of {folder} has `{name}` — remove it");
        unused.map(|(folder, name)| said((folder, name))).collect()
    }

    /// How many files name each domain, as a table.
    pub(super) fn table(&self) -> String {
        let row = |(domain, files): (_, &BTreeMap<_, _>)| format!("{domain:<12} {:>3}\n", files.len());
        self.named.iter().fold("files that name a domain outside its own:\n".to_owned(), |text, (domain, files)| {
            text + &row((domain, files))
        })
    }

    /// The table, with the files of each domain and what names it there.
    pub(super) fn listed(&self) -> String {
        let mut text = self.table();
        for (domain, files) in &self.named {
            text += &format!("\n{domain}\n");
            for (file, found) in files {
                let found: Vec<&str> = found.iter().map(String::as_str).collect();
                text += &format!("  {file}: {}\n", found.join(" "));
            }
        }
        text
    }
}

fn is_shipped(file: &str) -> bool {
    let is_source = file.starts_with("crates/") && file.contains("/src/");
    let tests_others = ["crates/lab/", "crates/sim/"].iter().any(|folder| file.starts_with(folder));
    let is_test = file.ends_with("/tests.rs") || file.contains("/tests/");
    is_source && !tests_others && !is_test && (file.ends_with(".rs") || file.ends_with(".yaml"))
}

/// The files of modules that are compiled for tests only.
fn tests(files: &[(String, String)]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (file, text) in files.iter().filter(|(file, _)| is_shipped(file)) {
        let root = file.ends_with("/lib.rs") || file.ends_with("/main.rs");
        let folder =
            if root { file.rsplit_once('/').map_or("", |(folder, _)| folder) } else { file.trim_end_matches(".rs") };
        for (_, rest) in text.split("#[cfg(test)]\n").skip(1).filter_map(|part| part.split_once("mod ")) {
            if let Some((name, _)) = rest.split_once(';').filter(|(name, _)| !name.contains(char::is_whitespace)) {
                tests.insert(format!("{folder}/{name}.rs"));
            }
        }
    }
    tests
}

/// Tests stand at the end of a file.
fn before_tests(text: &str) -> &str {
    let ends = text.match_indices("#[cfg(test)]\n").find(|(at, found)| {
        let rest = text.get(at + found.len()..).unwrap_or_default();
        rest.lines()
            .find(|line| !line.starts_with("#["))
            .is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    });
    ends.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

fn is_own(file: &str, names: &[&str]) -> bool {
    file.split(['/', '.']).any(|part| names.contains(&part))
}

/// The keys of a file of YAML; its comments are prose.
fn keys(text: &str) -> Vec<Token> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|word| !word.is_empty()).map(|word| Token::Name { name: word.to_owned(), is_path: false }).collect()
}

/// What of a file names the domain with these names, and which homonyms of it stand there.
fn naming(file: &str, tokens: &[Token], names: &[&str]) -> (BTreeSet<String>, BTreeSet<(&'static str, &'static str)>) {
    let (mut found, mut homonyms) = (BTreeSet::new(), BTreeSet::new());
    for token in tokens {
        match token {
            Token::Name { name, is_path } => {
                let is_named = words(name).any(|word| names.contains(&word.as_str()));
                let is_part = *is_path && names.contains(&name.as_str());
                let looked_up = if is_part { format!("::{name}") } else { name.clone() };
                if is_named {
                    let known = homonyms_of(file, &looked_up);
                    if known.is_empty() {
                        found.insert(name.clone());
                    }
                    homonyms.extend(known);
                }
            }
            Token::Text(text) => {
                let is_key = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-./#{}:*".contains(c));
                let first = text.split(['.', '/', '#']).next().unwrap_or_default();
                if is_key && names.contains(&first) {
                    let known = homonyms_of(file, text);
                    if known.is_empty() {
                        found.insert(format!("\"{text}\""));
                    }
                    homonyms.extend(known);
                }
            }
        }
    }
    (found, homonyms)
}

/// The homonyms that a name is in a file.
fn homonyms_of(file: &str, name: &str) -> Vec<(&'static str, &'static str)> {
    let fits = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (None, Some(begin)) => name.starts_with(begin),
        (Some(end), None) => name.ends_with(end),
        (None, None) => name == pattern,
    };
    let here = HOMONYMS.iter().filter(|(folder, ..)| file.starts_with(folder));
    let patterns = here.flat_map(|(folder, names, _)| names.iter().map(move |pattern| (*folder, *pattern)));
    patterns.filter(|(_, pattern)| fits(pattern)).collect()
}

/// The words of an identifier, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    let mut is_new = true;
    for c in name.chars() {
        if c == '_' {
            is_new = true;
            continue;
        }
        if is_new || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        (was_lower, is_new) = (c.is_lowercase(), false);
    }
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, named: &[&str]) {
        let reach = Reach::of(&[(file.to_owned(), text.to_owned())]);
        let found: Vec<&str> =
            reach.named.iter().filter(|(_, files)| !files.is_empty()).map(|(domain, _)| *domain).collect();
        assert_eq!(found, named, "{file}: {text}");
    }

    #[test]
    fn code_names_a_domain_and_prose_does_not() {
        let file = "crates/agent/src/shell.rs";
        check(file, "use model::domain::{\n    disk::Usage,\n    memory,\n};", &["disk", "memory"]);
        check(file, "match probe { Probe::Certificate(_) => 1 }", &["certificate"]);
        check(file, "fn nameless_disks() {}", &["disk"]);
        check(file, "let is_it = target.domain() == \"disk\" || \"memory.used\" == figure;", &["disk", "memory"]);
        check(file, "let key = format!(\"services.{name}\");", &["service"]);
        check(file, "// A disk: Probe::Disk.\n/* memory:: */ fn f() { say(\"a disk is full\"); let c = '\"'; }", &[]);
        check(
            file,
            "fn f<'a>(x: &'a str) { r#\"disk\"#; }\n#[cfg(test)]\nmod tests {\n    use disk::Usage;\n}\n",
            &["disk"],
        );
        check(file, "fn f() {}\n#[cfg(test)]\nmod tests {\n    use disk::Usage;\n}\n", &[]);
        check("crates/config/src/policies.yaml", "policies:\n  disk: {attempts: 2} # memory\n", &["disk"]);
    }

    #[test]
    fn own_files_tests_and_words_of_another_meaning_do_not_count() {
        check("crates/host/src/linux/domain/disk/usage.rs", "use disk::Usage;", &[]);
        check("crates/cli/src/command/init/disks.rs", "disks::proposal();", &[]);
        check("crates/host/src/linux/domain/disk/usage.rs", "use memory::Figures;", &["memory"]);
        check("crates/host/tests/contract.rs", "use disk::Usage;", &[]);
        check("crates/lab/src/host.rs", "use disk::Usage;", &[]);
        check("crates/engine/src/state.rs", "memory.attempts(TargetMemory)", &[]);
        check("crates/engine/src/state.rs", "use domain::memory::LIFE;", &["memory"]);
        check("crates/host/src/linux/redact/name.rs", "const KEYS: &[&str] = &[\"service\"];", &[]);
        check("crates/host/src/linux/redact/name.rs", "const KEYS: &[&str] = &[\"service.name\"];", &["service"]);
        let parent = ("crates/notify/src/channel.rs".to_owned(), "#[cfg(test)]\nmod fixtures;\n".to_owned());
        let test = ("crates/notify/src/channel/fixtures.rs".to_owned(), "use disk::Usage;".to_owned());
        assert!(Reach::of(&[parent, test]).named["disk"].is_empty());
    }

    #[test]
    fn a_domain_of_the_model_is_counted_and_a_homonym_is_there() {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let reach =
            Reach::of(&[file("crates/model/src/domain/disk.rs", ""), file("crates/model/src/domain/tape.rs", "")]);
        assert_eq!(reach.uncounted.iter().collect::<Vec<_>>(), ["tape"]);
        assert!(reach.check().iter().any(|finding| finding.contains("domain/tape.rs")));
        let all = reach.unused().len();
        let used = Reach::of(&[file("crates/agent/src/metrics.rs", "let own_memory = 1;")]);
        assert_eq!(used.unused().len(), all - 1);
    }

    #[test]
    fn a_bound_holds_in_both_directions() {
        let file = |index| (format!("crates/agent/src/a{index}.rs"), "use disk::Usage;".to_owned());
        let bound = DOMAINS.iter().find(|(domain, ..)| *domain == "disk").map_or(0, |(.., bound)| *bound);
        let said = |count: usize| {
            let findings = Reach::of(&(0..count).map(file).collect::<Vec<_>>()).check();
            findings.iter().filter(|finding| finding.contains("`disk`")).count()
        };
        assert_eq!((said(bound - 1), said(bound), said(bound + 1)), (1, 0, 1));
    }
}
