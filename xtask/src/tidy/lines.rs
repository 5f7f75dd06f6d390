//! How many lines a crate has that everybody has to read: those that ship, tests left out. What a crate is for, and whether a
//! part of it belongs elsewhere, people say.

/// What is counted, by what the names of its files begin with, and the most lines that it may have. A file counts where the
/// longest beginning fits, so that a domain which comes has a limit of its own; a number may only fall.
const PARTS: &[(&str, &str, usize)] = &[
    ("config", "crates/config/src/", 8_970),
    ("config: container", "crates/config/src/domain/container", 350),
    ("config: database", "crates/config/src/domain/database", 300),
];

/// The lines of a part's files, without files and folders of tests.
fn count(begins: &str, files: &[(String, String)]) -> usize {
    let longest =
        |file: &str| PARTS.iter().map(|(_, begins, _)| begins).filter(|begins| file.starts_with(**begins)).max();
    let own = files.iter().filter(|(file, _)| longest(file).is_some_and(|own| *own == begins) && file.ends_with(".rs"));
    let shipped = own.filter(|(file, _)| !file.ends_with("/tests.rs") && !file.contains("/tests/"));
    shipped.map(|(_, text)| text.lines().count()).sum()
}

/// The parts that have grown too long; `files` are names with their texts.
pub(super) fn check(files: &[(String, String)]) -> Vec<String> {
    let counted = PARTS.iter().map(|(_, begins, most)| (begins, most, count(begins, files)));
    counted
        .filter(|(_, most, lines)| lines > most)
        .map(|(begins, most, lines)| format!("{begins}: {lines} lines without tests, {most} are the limit"))
        .collect()
}

/// A row for each part.
pub(super) fn table(files: &[(String, String)]) -> String {
    let row =
        |(name, begins, most): &(&str, &str, usize)| format!("{name:<20} {} of {most} lines\n", count(begins, files));
    PARTS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_ship_are_counted_and_each_once() {
        let file = |name: &str, lines: usize| (name.to_owned(), "x\n".repeat(lines));
        let (most, of_domain) = (PARTS[0].2, PARTS[1].2);
        let files = |lines, domain| {
            vec![
                file("crates/config/src/a.rs", lines),
                file("crates/config/src/domain/container.rs", domain - 1),
                file("crates/config/src/domain/container/keys.rs", 1),
                file("crates/config/src/a/tests.rs", most),
                file("crates/config/src/tests/b.rs", most),
                file("crates/config/tests/c.rs", most),
                file("crates/config/src/policy.yaml", most),
                file("crates/other/src/a.rs", most),
            ]
        };
        assert_eq!(check(&files(most, of_domain)), Vec::<String>::new());
        assert_eq!(check(&files(most + 1, of_domain)).len(), 1);
        assert_eq!(check(&files(most, of_domain + 1)).len(), 1);
        let row = format!("{:<20} 7 of {most} lines\n", "config");
        assert!(table(&files(7, of_domain)).starts_with(&row), "{}", table(&files(7, of_domain)));
    }
}
