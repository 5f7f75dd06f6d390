//! Pieces of messages: the key of something within something, words as one reads them, texts that are cut.

/// The key of something within something.
pub fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Some words as one reads them: `a`, `b` or `c`.
pub fn any_of<T: AsRef<str>>(words: &[T]) -> String {
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
pub fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
