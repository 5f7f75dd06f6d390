//! Pieces of messages and keys: the key of something within something, lists of words, texts that are cut, names of units
//! with their ending.

/// The key of something within something.
pub(crate) fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Some words as one reads them: `a`, `b` or `c`.
pub(crate) fn any_of<T: AsRef<str>>(words: &[T]) -> String {
    match words.split_last() {
        Some((last, [])) => last.as_ref().to_owned(),
        Some((last, others)) => {
            let others: Vec<_> = others.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", others.join(", "), last.as_ref())
        }
        None => String::new(),
    }
}

/// A text short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The name of a unit, which is a service when it has no ending.
pub(crate) fn with_ending(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}
