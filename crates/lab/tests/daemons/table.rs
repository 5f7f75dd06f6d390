//! The table of daemons and deeds as it is printed, and its wrong cells.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::deed::Deed;
use crate::list::Daemon;

/// What came of one deed on one daemon; without a deed, how it is looked at.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) unit: &'static str,
    pub(crate) deed: Option<Deed>,
    pub(crate) text: String,
    /// Why something else is right here than for most.
    pub(crate) reason: Option<&'static str>,
    /// What is known of a cell that is not as is right.
    pub(crate) wrong: Option<String>,
}

/// The whole table, and below it the reasons of what is an exception.
pub(crate) fn of(cells: &[Cell]) -> String {
    let columns: Vec<Option<Deed>> = Deed::ALL.into_iter().map(Some).chain([None]).collect();
    let units: BTreeSet<&str> = cells.iter().map(|cell| cell.unit).collect();
    let text = |unit: &str, deed: &Option<Deed>| {
        let cell = cells.iter().find(|cell| cell.unit == unit && cell.deed == *deed);
        cell.map(|cell| cell.text.clone()).unwrap_or_default()
    };
    let mut rows = vec![vec!["daemon".to_owned()]];
    rows[0].extend(columns.iter().map(|deed| deed.map_or("looked at by `init`'s", Deed::title).to_owned()));
    for unit in &units {
        let name = unit.trim_end_matches(".service").to_owned();
        rows.push([name].into_iter().chain(columns.iter().map(|deed| text(unit, deed))).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let mut shown = format!("{} daemons; seconds from the deed, and from its end where one was told\n\n", units.len());
    for row in &rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{}", line.join("  ").trim_end());
    }
    for cell in cells {
        if let (Some(deed), Some(reason)) = (cell.deed, cell.reason) {
            let _ = writeln!(shown, "{}, {}: {reason}", cell.unit, deed.title());
        }
    }
    shown
}

/// The cells that are not as is right, with all that is known of them, and those that are missing.
pub(crate) fn wrong<'a>(cells: &[Cell], daemons: impl Iterator<Item = &'a Daemon>) -> Vec<String> {
    let told = |cell: &Cell| {
        let said = cell.wrong.as_ref()?;
        let title = cell.deed.map_or("init", Deed::title);
        Some(format!("── {} {title}: {}\n{said}", cell.unit, cell.text))
    };
    let missing = daemons.flat_map(|daemon| {
        let is_there = |deed: Deed| cells.iter().any(|cell| cell.unit == daemon.unit && cell.deed == Some(deed));
        let absent = Deed::ALL.into_iter().filter(move |deed| !is_there(*deed));
        absent.map(|deed| format!("── {} {}: nothing came of it", daemon.unit, deed.title()))
    });
    cells.iter().filter_map(told).chain(missing).collect()
}
