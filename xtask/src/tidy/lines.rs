//! How many lines a crate has that everybody has to read: those that ship, tests left out. What a crate is for, and whether a
//! part of it belongs elsewhere, people say.

/// The crates for which it holds, with the most lines that theirs may have; a number may only fall.
const CRATES: &[(&str, usize)] = &[("config", 8_970)];

/// The lines of a crate's files, without files and folders of tests.
fn count(name: &str, files: &[(String, String)]) -> usize {
    let folder = format!("crates/{name}/src/");
    let own = files.iter().filter(|(file, _)| file.starts_with(&folder) && file.ends_with(".rs"));
    let shipped = own.filter(|(file, _)| !file.ends_with("/tests.rs") && !file.contains("/tests/"));
    shipped.map(|(_, text)| text.lines().count()).sum()
}

/// The crates that have grown too long; `files` are names with their texts.
pub(super) fn check(files: &[(String, String)]) -> Vec<String> {
    let counted = CRATES.iter().map(|(name, most)| (name, most, count(name, files)));
    counted
        .filter(|(_, most, lines)| lines > most)
        .map(|(name, most, lines)| format!("crates/{name}/src: {lines} lines without tests, {most} are the limit"))
        .collect()
}

/// A row for each crate.
pub(super) fn table(files: &[(String, String)]) -> String {
    let row = |(name, most): &(&str, usize)| format!("{name:<14} {} of {most} lines\n", count(name, files));
    CRATES.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_ship_are_counted() {
        let file = |name: &str, lines: usize| (name.to_owned(), "x\n".repeat(lines));
        let most = CRATES[0].1;
        let files = |lines| {
            vec![
                file("crates/config/src/a.rs", lines),
                file("crates/config/src/a/tests.rs", most),
                file("crates/config/src/tests/b.rs", most),
                file("crates/config/tests/c.rs", most),
                file("crates/config/src/policy.yaml", most),
                file("crates/other/src/a.rs", most),
            ]
        };
        assert_eq!(check(&files(most)), Vec::<String>::new());
        assert_eq!(check(&files(most + 1)).len(), 1);
        assert_eq!(table(&files(7)), format!("config         7 of {most} lines\n"));
    }
}
