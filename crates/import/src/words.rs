//! Pieces of the text that is written: durations, quoted texts, and text of the old file as it may stand in a comment.

/// Text from the old file as it may stand in a message or in a comment: on one line, and not long.
pub(crate) fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
    if text.chars().nth(80).is_some() { format!("{line}…") } else { line }
}

/// Seconds in the largest unit that holds them whole.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let found = units.iter().find(|(_, size)| seconds.is_multiple_of(*size));
    found.map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

/// A text between quotes; it holds no control characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
