//! Tables without lines, whose last column is text. Where a terminal has room for them it wraps at words; where it has not, the
//! text stands below its row, and what stands in columns that can be spared before it. What is in the cells is the command's.

use std::fmt;

use ansai_model::{columns::hanging, text::visible_line};
use comfy_table::{Color, ContentArrangement, Table, presets::NOTHING};

use super::{Page, terminal};

/// Fewer columns are none to read a sentence in.
const TEXT_MIN: usize = 30;
/// Where a text begins below its row.
const BELOW: usize = 4;
/// Fewer characters of a name say nothing.
const NAME_MIN: usize = 8;
/// What stands for what was left out.
const MARK: char = '…';

/// A cell of a table: one line, in which nothing is unseen.
pub(crate) struct Cell {
    text: String,
    color: Option<Color>,
}

impl Cell {
    /// With this in it.
    pub(crate) fn new(content: impl fmt::Display) -> Self {
        Self { text: visible_line(&content.to_string()).into_owned(), color: None }
    }

    pub(super) fn colored(word: &str, color: Color) -> Self {
        Self { text: word.to_owned(), color: Some(color) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn shown(&self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(&self.text);
        match self.color {
            Some(color) => cell.fg(color),
            None => cell,
        }
    }
}

/// A table as wide as the terminal when there is one. Of its columns those that are spare go first where there is no room, in
/// this order.
pub(crate) fn table(head: &[&str], spare: &[usize], rows: impl IntoIterator<Item = Vec<Cell>>) -> Page {
    let rows: Vec<Vec<Cell>> = rows.into_iter().collect();
    let (columns, has_color) = (terminal().columns, terminal().has_color);
    Page::own(laid_out(Layout { head, spare, columns, lines_max: usize::MAX, has_color }, rows))
}

/// The same, with at most so many lines of text in a row where a terminal is too narrow for one. What is left out is marked, and
/// below the table stands where it is told.
pub(crate) fn brief_table(
    head: &[&str],
    spare: &[usize],
    rows: impl IntoIterator<Item = Vec<Cell>>,
    lines_max: usize,
    told: &str,
) -> Page {
    let rows: Vec<Vec<Cell>> = rows.into_iter().collect();
    let (columns, has_color) = (terminal().columns, terminal().has_color);
    let table = laid_out(Layout { head, spare, columns, lines_max, has_color }, rows);
    let is_cut = table.lines().any(|line| line.ends_with(CUT));
    let page = Page::own(table);
    if is_cut { page.above(&Page::lines([format!("{MARK} {told}")])) } else { page }
}

/// The end of a text of which a part is left out.
const CUT: &str = " …";

/// A text in lines of so many columns, all but the first so far in; of more lines than these the rest is left out.
fn fitted(text: &str, begin: usize, columns: usize, lines_max: usize) -> String {
    let whole = hanging(text, begin, begin, columns);
    if whole.lines().count() <= lines_max {
        return whole;
    }
    let mut kept: Vec<&str> = whole.lines().take(lines_max).collect();
    let mut last = kept.pop().unwrap_or_default();
    while last.chars().count() + CUT.chars().count() > columns
        && let Some((shorter, _)) = last.rsplit_once(' ')
    {
        last = shorter;
    }
    let last = format!("{}{CUT}", last.trim_end_matches([' ', ',', ';', ':']));
    kept.push(&last);
    kept.join("\n")
}

/// How a table is laid out.
#[derive(Clone, Copy)]
struct Layout<'a> {
    head: &'a [&'a str],
    spare: &'a [usize],
    columns: Option<usize>,
    /// Most lines of text in a row.
    lines_max: usize,
    has_color: bool,
}

fn laid_out(layout: Layout<'_>, mut rows: Vec<Vec<Cell>>) -> String {
    let Layout { head, columns, lines_max, has_color, .. } = layout;
    let last = head.len().saturating_sub(1);
    let Some(columns) = columns else { return drawn(head, &rows, has_color) };
    let widths: Vec<usize> = (0..head.len()).map(|column| width(head, &rows, column)).collect();
    // Each column has a space on both sides; the last needs none behind it.
    let before: usize = widths.iter().take(last).map(|width| width + 2).sum();
    let room = columns.saturating_sub(before + 1);
    if widths.get(last).is_none_or(|width| *width <= room) {
        return drawn(head, &rows, has_color);
    }
    if room >= TEXT_MIN {
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(last)) {
            cell.text = fitted(&cell.text, 0, room, lines_max);
        }
        return drawn(head, &rows, has_color);
    }
    stacked(layout, rows, columns)
}

/// Each row with its text below it.
fn stacked(layout: Layout<'_>, rows: Vec<Vec<Cell>>, columns: usize) -> String {
    let Layout { head, spare, lines_max, has_color, .. } = layout;
    let last = head.len().saturating_sub(1);
    let mut kept: Vec<usize> = (0..last).collect();
    let wide = |kept: &[usize]| kept.iter().map(|column| width(head, &rows, *column) + 2).sum::<usize>();
    for column in spare {
        if wide(&kept) > columns + 1 {
            kept.retain(|kept| kept != column);
        }
    }
    // A name that still has no room is cut where a mark says so.
    let surplus = wide(&kept).saturating_sub(columns + 1);
    let first = kept.first().map_or(0, |column| width(head, &rows, *column));
    let name_max = first.saturating_sub(surplus).max(NAME_MIN);
    let mut texts = Vec::new();
    let mut above = Vec::new();
    for mut row in rows {
        let text = row.get(last).map(|cell| cell.text.clone()).unwrap_or_default();
        row.truncate(last);
        // What has no column says itself before the text.
        let left_out = row.iter().enumerate().filter(|(column, _)| !kept.contains(column));
        let said = left_out.map(|(_, cell)| cell.text.as_str()).chain([text.as_str()]).filter(|text| !text.is_empty());
        texts.push(said.collect::<Vec<_>>().join(": "));
        let mut cells = row.into_iter().enumerate().filter(|(column, _)| kept.contains(column)).map(|(_, cell)| cell);
        let name = cells.next().map(|cell| Cell { text: shortened(&cell.text, name_max), ..cell });
        above.push(name.into_iter().chain(cells).collect::<Vec<_>>());
    }
    let head: Vec<&str> = kept.iter().map(|column| head[*column]).collect();
    let drawn = drawn(&head, &above, has_color);
    let mut lines = drawn.lines();
    let mut out: Vec<String> = lines.next().map(str::to_owned).into_iter().collect();
    for (line, text) in lines.zip(texts) {
        out.push(line.to_owned());
        if !text.is_empty() {
            let begin = " ".repeat(BELOW);
            out.push(fitted(&format!("{begin}{text}"), BELOW, columns, lines_max));
        }
    }
    out.join("\n")
}

fn width(head: &[&str], rows: &[Vec<Cell>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(Cell::width);
    cells.chain([head.get(column).map_or(0, |head| head.chars().count())]).max().unwrap_or(0)
}

/// A name in so many characters: its beginning and its end, which tell it from others.
fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let left = most.saturating_sub(1);
    let (begin, end) = (left.div_ceil(2), left / 2);
    name.chars().take(begin).chain([MARK]).chain(name.chars().skip(length - end)).collect()
}

fn drawn(head: &[&str], rows: &[Vec<Cell>], has_color: bool) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head.to_vec()).set_content_arrangement(ContentArrangement::Disabled);
    match has_color {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    for row in rows {
        table.add_row(row.iter().map(Cell::shown));
    }
    table.to_string().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[&str] = &["TARGET", "HEALTH", "INCIDENT", "DETAIL"];

    fn rows() -> Vec<Vec<Cell>> {
        let row = |cells: [&str; 4]| cells.map(Cell::new).into();
        vec![
            row(["postgresql@15-main.service", "FAILING", "i12", "nothing is done: hold: held by root (moving it)"]),
            row(["nginx.service", "healthy", "", ""]),
        ]
    }

    #[track_caller]
    fn check(columns: Option<usize>, expected: &[&str]) {
        assert_eq!(laid_out(layout(columns, usize::MAX), rows()), expected.join("\n"));
    }

    fn layout(columns: Option<usize>, lines_max: usize) -> Layout<'static> {
        Layout { head: HEAD, spare: &[2], columns, lines_max, has_color: false }
    }

    #[test]
    fn a_row_has_no_more_lines_of_text_than_it_may_and_says_that_there_is_more() {
        let long = "escalated to a person: there is no room, and nothing that may be deleted; ".repeat(8);
        for columns in 30..120 {
            for most in 1..5 {
                let rows = vec![["/var", "FAILING", "i3", long.as_str()].map(Cell::new).into()];
                let text = laid_out(layout(Some(columns), most), rows);
                // The head and, where it stands above its text, the name.
                assert!((most + 1..=most + 2).contains(&text.lines().count()), "{columns}, {most}: {text}");
                assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
                assert!(text.ends_with(CUT), "{text}");
            }
        }
        let rows = vec![["/var", "FAILING", "i3", long.as_str()].map(Cell::new).into()];
        assert!(!laid_out(layout(None, 4), rows).contains(MARK), "what is no terminal has the whole");
    }

    #[test]
    fn a_table_has_the_width_of_its_terminal_and_no_name_is_cut_in_silence() {
        let whole = [
            " TARGET                      HEALTH   INCIDENT  DETAIL",
            " postgresql@15-main.service  FAILING  i12       nothing is done: hold: held by root (moving it)",
            " nginx.service               healthy",
        ];
        check(None, &whole);
        check(Some(120), &whole);
        check(
            Some(80),
            &[
                " TARGET                      HEALTH   INCIDENT  DETAIL",
                " postgresql@15-main.service  FAILING  i12       nothing is done: hold: held by",
                "                                                root (moving it)",
                " nginx.service               healthy",
            ],
        );
        check(
            Some(60),
            &[
                " TARGET                      HEALTH   INCIDENT",
                " postgresql@15-main.service  FAILING  i12",
                "    nothing is done: hold: held by root (moving it)",
                " nginx.service               healthy",
            ],
        );
        check(
            Some(40),
            &[
                " TARGET                      HEALTH",
                " postgresql@15-main.service  FAILING",
                "    i12: nothing is done: hold: held by",
                "    root (moving it)",
                " nginx.service               healthy",
            ],
        );
        check(
            Some(30),
            &[
                " TARGET                HEALTH",
                " postgresql…n.service  FAILING",
                "    i12: nothing is done:",
                "    hold: held by root (moving",
                "    it)",
                " nginx.service         healthy",
            ],
        );
    }

    #[test]
    fn no_line_is_longer_than_its_terminal() {
        for columns in 20..120 {
            let text = laid_out(layout(Some(columns), usize::MAX), rows());
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
        }
    }
}
