//! What documents say of the workspace: their paths and links lead somewhere, every crate and module stands on the map, and
//! words that the house does not use stand nowhere. Commands and configurations in them are tested where they are read.

use std::{fs, path::Path};

/// Folders in which a path in backticks is one of ours.
const OURS: &[&str] = &["crates/", "xtask/", "docs/", "packaging/"];

/// Every path in backticks that looks like one of ours must exist.
pub(super) fn check_paths(root: &Path, file: &str, text: &str) -> Vec<String> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted
        .filter(|path| OURS.iter().any(|start| path.starts_with(start)) && !path.contains(['*', ' ', '…', '{']))
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("{file}: `{path}` does not exist — mend the document"))
        .collect()
}

/// Every path in a comment that looks like one of ours must exist.
pub(super) fn check_comments(root: &Path, file: &str, text: &str) -> Vec<String> {
    let comments = text.lines().filter_map(|line| Some(line.split_once('#')?.1));
    let words = comments.flat_map(|comment| comment.split([' ', '(', ')', ',', ';', '`', '"', '\'']));
    words
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| OURS.iter().any(|start| word.starts_with(start)) && !word.contains(['*', '{']))
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("{file}: {path} does not exist — mend the comment"))
        .collect()
}

/// Every outside crate of the workspace has a row on the page that says why it is here, and no other has.
pub(super) fn check_dependencies(manifest: &str, page: &str) -> Vec<String> {
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    let lines = section.split("\n[").next().unwrap_or_default().lines();
    let used: Vec<&str> = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let used: Vec<&str> = used.into_iter().filter(|name| !name.starts_with("ansai-")).collect();
    let said: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let missing = used.iter().filter(|name| !said.contains(name));
    let missing = missing.map(|name| format!("docs/design/dependencies.md: `{name}` has no row — say why it is here"));
    let gone = said.iter().filter(|name| !used.contains(name));
    let gone = gone.map(|name| format!("docs/design/dependencies.md: `{name}` is no crate of Cargo.toml"));
    missing.chain(gone).collect()
}

/// Every link to a file leads to one, and every anchor to a heading.
pub(super) fn check_links(root: &Path, file: &str, text: &str) -> Vec<String> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let links = prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split_once(')'));
    links
        .map(|(link, _)| link)
        .filter(|link| !link.contains("://"))
        .filter_map(|link| {
            let (name, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = if name.is_empty() { root.join(file) } else { root.join(folder).join(name) };
            if !page.exists() {
                return Some(format!("{file}: the link to {link} leads nowhere"));
            }
            let headings = fs::read_to_string(page).unwrap_or_default();
            let is_there =
                anchor.is_empty() || prose(&headings).any(|line| self::anchor(line) == Some(anchor.to_owned()));
            (!is_there).then(|| format!("{file}: the link to {link} finds no such heading"))
        })
        .collect()
}

/// The lines of a page but for its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    })
}

/// The anchor that a heading has, when the line is one.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?.to_lowercase();
    Some(title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-"))
}

/// Every crate of the workspace and every module at its top stands in the map.
pub(super) fn check_map(map: &str, files: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let Some((krate, module)) = top_level(file) else { continue };
        let line = map.lines().find(|line| line.starts_with(&format!("- `{krate}`")));
        let Some(line) = line else {
            findings.push(format!("ARCHITECTURE.md: the modules of `{krate}` are missing"));
            continue;
        };
        if !line.contains(&format!("`{module}`")) {
            findings.push(format!("ARCHITECTURE.md: `{file}` is not named among the modules of `{krate}`"));
        }
    }
    findings.dedup();
    findings
}

/// The crate's folder and the module's name of a file that is one at the top of a crate.
fn top_level(file: &str) -> Option<(&str, &str)> {
    let (krate, module) = file.strip_suffix(".rs")?.split_once("/src/")?;
    let is_module = !module.contains('/') && !matches!(module, "lib" | "main");
    is_module.then_some((krate, module))
}

/// Every page for operators can be found from the README, link by link. What is for developers lies in a folder of its own.
pub(super) fn check_reach(root: &Path, files: &[String]) -> Vec<String> {
    let (mut found, mut next) = (vec!["README.md".to_owned()], 0);
    while let Some(file) = found.get(next).cloned() {
        next += 1;
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in
            prose(&text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split([')', '#']).next())
        {
            let page = joined(folder, link);
            if link.ends_with(".md") && !found.contains(&page) {
                found.push(page);
            }
        }
    }
    let pages = files.iter().filter(|file| file.starts_with("docs/") && file.ends_with(".md"));
    pages
        .filter(|file| !file.starts_with("docs/develop/") && !found.contains(file))
        .map(|file| format!("{file}: no link from README.md leads there, over other pages neither"))
        .collect()
}

/// The name below the root of what a page in `folder` calls `link`.
fn joined(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Every command of the project that a page names is one; `usage` has a line for each.
pub(super) fn check_commands(file: &str, text: &str, usage: &str) -> Vec<String> {
    const START: &str = "cargo xtask ";
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let words = |rest: &'_ str| -> Vec<String> {
        let command = rest.split(['`', '#']).next().unwrap_or_default().split(' ').take_while(is_word);
        command.map(str::to_owned).collect()
    };
    let known: Vec<_> = usage.lines().filter_map(|line| Some(words(line.strip_prefix(START)?))).collect();
    let named = text.split(START).skip(1).map(|rest| words(rest.lines().next().unwrap_or_default()));
    named
        .filter(|named| !known.iter().any(|known| !named.is_empty() && known.starts_with(named)))
        .map(|named| format!("{file}: there is no `{START}{}`", named.join(" ")))
        .collect()
}

/// Every file of end-to-end tests stands on the page of tests.
pub(super) fn check_tests(page: &str, files: &[String]) -> Vec<String> {
    let names =
        files.iter().filter_map(|file| file.strip_prefix("crates/lab/tests/")).filter(|name| !name.contains('/'));
    names
        .filter(|name| !page.contains(&format!("`{name}`")))
        .map(|name| format!("docs/develop/testing.md: `{name}` is not named — say what it shows"))
        .collect()
}

/// The part of the page of tests that names the tests of the bug reports and of the situations beside them.
const BAD_DAY: &str = "\n## A bad day\n";
/// How many cases of bug reports there are, `W01` and so on.
const CASES: usize = 18;

/// Each test that the table of bug reports names is there, and each report has an end-to-end test with its number.
/// `sources` are the files of tests, by their names.
pub(super) fn check_cases(page: &str, sources: &[(String, String)]) -> Vec<String> {
    let part = page.split(BAD_DAY).nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let is_name = |word: &&str| word.contains('_') && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let named: Vec<&str> = part.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect();
    let is_there = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let gone = named.iter().filter(|name| !is_there(name));
    let mut findings: Vec<String> =
        gone.map(|name| format!("docs/develop/testing.md: there is no test `{name}`")).collect();
    for case in 1..=CASES {
        let number = format!("w{case:02}_");
        let has_number = |line: &str| {
            let name = line.trim_start().strip_prefix("fn ").unwrap_or_default();
            name.split('(').next().is_some_and(|name| name.starts_with(&number) || name.contains(&format!("_{number}")))
        };
        let end_to_end = sources.iter().filter(|(file, _)| file.starts_with("crates/lab/tests/"));
        if !end_to_end.flat_map(|(_, text)| text.lines()).any(has_number) {
            findings
                .push(format!("crates/lab/tests: no test carries the number of case {}", number.trim_end_matches('_')));
        }
    }
    findings
}

/// The words of the table in CONTRIBUTING.md, each with what is written instead.
pub(super) fn words(contributing: &str) -> Vec<(String, String)> {
    let table = contributing.split("\n| not | but |\n").nth(1).unwrap_or_default();
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    // A verb is refused in all its forms.
    rows.map(|(word, instead)| (word.strip_suffix('e').filter(|stem| stem.ends_with("is")).unwrap_or(word), instead))
        .map(|(word, instead)| (word.to_owned(), instead.to_owned()))
        .collect()
}

/// No word that the house does not use, and nothing that names one machine or where it gets its packages.
pub(super) fn check_words(file: &str, text: &str, words: &[(String, String)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, lower) = (index + 1, line.to_lowercase());
        for (word, instead) in words.iter().filter(|(word, _)| lower.contains(word.as_str())) {
            findings.push(format!("{file}:{number}: `{word}` — write {instead}"));
        }
        for place in places().iter().filter(|place| line.contains(place.as_str())) {
            findings.push(format!("{file}:{number}: `{place}` — nothing names one machine or registry"));
        }
    }
    findings
}

/// Paths of one machine and hosts of package registries; each is put together so that this file does not hold it.
fn places() -> Vec<String> {
    const PARTS: &[[&str; 2]] = &[
        ["/wo", "rk/"],
        ["/tmp/", "wt"],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["registry.npmjs", ".org"],
        ["files.python", "hosted.org"],
        ["pypi", ".org"],
        ["deb.debian", ".org"],
        ["proxy.golang", ".org"],
        ["registry-1.docker", ".io"],
    ];
    PARTS.iter().map(|parts| parts.concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_that_lead_nowhere_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("b.md"), "# Title\n\n## A back-off `x`\n").expect("written");
        let check = |text: &str| check_links(folder.path(), "a.md", text).len();
        fs::write(folder.path().join("a.md"), "## Here\n").expect("written");
        assert_eq!(check("[b](b.md) [b](b.md#a-back-off-x) [a](#here) [w](https://example.com/#x)"), 0);
        assert_eq!(check("[c](c.md)"), 1);
        assert_eq!(check("[b](b.md#a-backoff)"), 1);
        assert_eq!(check("```\n[c](c.md)\n```\n"), 0);
        assert_eq!(check_paths(Path::new("/"), "a.md", "see `crates/none/at/all.rs`").len(), 1);
    }

    #[test]
    fn a_comment_that_names_what_is_not_there_is_found() {
        let check = |text: &str| check_comments(&crate::cargo::root(), "Cargo.toml", text).len();
        assert_eq!(check("# see crates/model, and docs/start.md.\na = \"crates/none\"\n"), 0);
        assert_eq!(check("a = 1 # see docs/none.md.\n"), 1);
    }

    #[test]
    fn a_crate_without_a_reason_and_a_reason_without_a_crate_are_found() {
        let manifest = "[workspace.dependencies]\nansai-a = { path = \"a\" }\nb = \"1\"\n\n[profile.dev]\nc = 1\n";
        assert_eq!(check_dependencies(manifest, "| `b` | for what |\n"), Vec::<String>::new());
        assert_eq!(check_dependencies(manifest, "| `c` | for what |\n").len(), 2);
    }

    #[test]
    fn a_command_that_there_is_not_is_found() {
        let usage = "cargo xtask test              every test\ncargo xtask bench heal        how long\n";
        let check = |text: &str| check_commands("a.md", text, usage).len();
        assert_eq!(check("`cargo xtask test`\ncargo xtask bench heal   # slow\n`cargo xtask bench`"), 0);
        assert_eq!(check("`cargo xtask tests`, `cargo xtask bench hael`"), 2);
    }

    #[test]
    fn a_page_that_nobody_finds_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("docs/deep")).expect("made");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        write("README.md", "[a](docs/a.md#x)");
        write("docs/a.md", "[b](deep/b.md)");
        write("docs/deep/b.md", "[a](../a.md) [c](../c.md)");
        let check =
            |files: &[&str]| check_reach(folder.path(), &files.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&["docs/a.md", "docs/deep/b.md", "docs/c.md", "docs/develop/x.md"]), Vec::<String>::new());
        assert_eq!(check(&["docs/d.md"]).len(), 1);
    }

    #[test]
    fn a_module_that_is_on_no_map_is_found() {
        let map = "- `crates/a`: `one`, `two`.\n";
        let check = |files: &[&str]| check_map(map, &files.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()).len();
        assert_eq!(check(&["crates/a/src/lib.rs", "crates/a/src/one.rs", "crates/a/src/one/deep.rs", "docs/x.md"]), 0);
        assert_eq!(check(&["crates/a/src/three.rs"]), 1);
        assert_eq!(check(&["crates/b/src/one.rs", "crates/b/src/two.rs"]), 1);
        let tests = ["crates/lab/tests/a.rs".to_owned(), "crates/lab/tests/deep/b.rs".to_owned()];
        assert_eq!(check_tests("`a.rs`", &tests), Vec::<String>::new());
        assert_eq!(check_tests("`b.rs`", &tests).len(), 1);
    }

    #[test]
    fn a_case_without_a_test_is_found_and_a_test_that_is_not_there() {
        let numbered = |cases: usize| (1..=cases).map(|case| format!("fn w{case:02}_x() {{\n")).collect::<String>();
        let check =
            |page: &str, cases: usize| check_cases(page, &[("crates/lab/tests/a.rs".to_owned(), numbered(cases))]);
        let page = "x `not_here`\n## A bad day\n\n| 1 | `w01_x`, `a.rs` |\n\n## More\n`not_here`\n";
        assert_eq!(check(page, CASES), Vec::<String>::new());
        assert_eq!(check(&page.replace("w01_x", "w01_y"), CASES).len(), 1);
        assert_eq!(check(page, CASES - 1).len(), 1);
    }

    #[test]
    fn each_word_and_place_can_be_found() {
        let words = words("x\n| not | but |\n|---|---|\n| grey | gray |\n| realise | realize |\n\n| a | b |\n");
        assert_eq!(words.len(), 2);
        for text in ["The Grey.", "realised"] {
            assert_eq!(check_words("a.md", text, &words).len(), 1, "{text}");
        }
        assert_eq!(check_words("a.md", "gray, realized", &words), Vec::<String>::new());
        for place in places() {
            assert_eq!(check_words("a.md", &place, &words).len(), 1, "{place}");
        }
    }
}
