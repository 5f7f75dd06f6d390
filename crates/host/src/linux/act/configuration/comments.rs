//! Whether a file of a configuration differs from its last known good copy in nothing by which a program goes. In doubt it does:
//! a file that is as it was kept says nothing of what was changed, and one that is not kept is new.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::id::UnitName;

use super::{below, found, store};
use crate::linux::owned_path::Trusted;

/// How a comment begins, in the languages in which daemons are configured.
const COMMENTS: [&str; 3] = ["#", ";", "//"];
/// What begins as a comment does and is obeyed, as in sudoers, and in the first line of a script.
const OBEYED: [&str; 2] = ["#!", "#include"];

/// Whether only comments and blank lines of a file were changed since its unit's configuration was kept.
pub(in crate::linux) fn changes_only_comments(state_dir: &Path, unit: &UnitName, file: &Path) -> bool {
    // What is named through a link is kept by its own name.
    let file: PathBuf = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let Ok(place) = store(state_dir, unit) else { return false };
    let kept = found(&below(&place, &file), &Trusted::own());
    let now = found(&file, &Trusted::own().and_one_other());
    match (kept, now) {
        (Ok(Some((kept, _))), Ok(Some((now, _)))) => kept != now && obeyed(&kept).eq(obeyed(&now)),
        _ => false,
    }
}

/// The lines by which a program goes; how they are indented may be a part of them.
fn obeyed(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_comment = |line: &[u8]| {
        let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word.as_bytes()));
        begins(&COMMENTS) && !begins(&OBEYED)
    };
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.filter(move |line| !line.is_empty() && !is_comment(line.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_comment_is_passed_over_and_what_only_looks_so_is_not() {
        let same = |one: &str, other: &str| obeyed(one.as_bytes()).eq(obeyed(other.as_bytes()));
        assert!(same("a\n", "# b\n\na  \n\t; c\n// d"));
        for (one, other) in [("a", "a # b"), ("a", " a"), ("#include x", ""), ("#!/bin/sh", ""), ("a\nb", "b\na")] {
            assert!(!same(one, other), "{one:?} {other:?}");
        }
    }
}
