//! The closing table of the fleet's demo: what was done, what was expected, what was seen, and whether that is the same.

use super::super::show::COLUMNS;

/// What was done, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) done: String,
    pub(super) expected: String,
    pub(super) seen: String,
    pub(super) is_so: bool,
}

/// Columns of what was done and of what was expected; what was seen has the rest.
const DONE: usize = 29;
const EXPECTED: usize = 29;
const SEEN: usize = COLUMNS - DONE - EXPECTED - MARK - 3;
const MARK: usize = 3;

/// Each line in as many rows as its longest cell takes.
pub(super) fn table(lines: &[Line]) -> Vec<String> {
    let row = |mark: &str, done: &str, expected: &str, seen: &str| {
        format!("{mark:<MARK$} {done:<DONE$} {expected:<EXPECTED$} {seen}").trim_end().to_owned()
    };
    let mut rows = vec![row("", "DONE", "EXPECTED", "SEEN")];
    for line in lines {
        let cells = [wrapped(&line.done, DONE), wrapped(&line.expected, EXPECTED), wrapped(&line.seen, SEEN)];
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |column: usize, at: usize| cells[column].get(at).map_or("", String::as_str);
        rows.extend((0..height).map(|at| {
            let mark = match (at, line.is_so) {
                (0, true) => "ok",
                (0, false) => "NO",
                _ => "",
            };
            row(mark, cell(0, at), cell(1, at), cell(2, at))
        }));
    }
    rows
}

/// A text in lines of at most so many characters, between words where that can be.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.chars().count() + 1 + rest.len() > columns {
            lines.push(std::mem::take(&mut line));
        }
        while rest.len() > columns {
            lines.push(rest.drain(..columns).collect());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(rest);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_hundred_columns_and_loses_no_word() {
        let long = "a sentence that is much too long for one row of a table that fits an ordinary terminal".to_owned();
        let whole = "x".repeat(3 * COLUMNS);
        let line = Line { done: long.clone(), expected: whole.clone(), seen: long.clone(), is_so: false };
        let well = Line { seen: "short".into(), is_so: true, ..line.clone() };
        let rows = table(&[line, well]);
        assert!(rows.iter().all(|row| row.chars().count() <= COLUMNS), "{rows:#?}");
        assert_eq!(rows.iter().filter(|row| row.starts_with("NO ")).count(), 1);
        assert_eq!(rows.iter().filter(|row| row.starts_with("ok ")).count(), 1);
        let shown = rows.concat();
        assert_eq!(shown.matches('x').count(), 2 * whole.len());
        assert!(long.split(' ').all(|word| shown.matches(word).count() >= 3), "{rows:#?}");
        assert_eq!(wrapped("ab cd ef", 5), ["ab cd", "ef"]);
    }
}
