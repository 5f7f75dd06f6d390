//! For tests: the default of one key is another one for a while, in this thread. It shows that a default stands in one place
//! alone, and changes nothing that is shipped.

use std::cell::Cell;

use crate::table::Key;

/// A key by its name and its meaning, and the default that it has meanwhile.
type Changed = ((&'static str, &'static str), &'static str);

thread_local! {
    static CHANGED: Cell<Option<Changed>> = const { Cell::new(None) };
}

/// The default that a key has for now, when it is another one.
pub(crate) fn default(key: &Key) -> Option<&'static str> {
    CHANGED.get().filter(|(line, _)| *line == (key.name, key.meaning)).map(|(_, default)| default)
}

/// Runs something with another default of a key.
pub fn with<T>(key: &Key, default: &'static str, run: impl FnOnce() -> T) -> T {
    CHANGED.set(Some(((key.name, key.meaning), default)));
    let found = run();
    CHANGED.set(None);
    found
}
