//! A part of a manual page: every mapping that can be reached from one, with its keys, as troff.

use std::fmt::Write as _;

use crate::{
    page::{MayKey, keys_of, shapes},
    table::Shape,
};

/// A section for each mapping.
#[must_use]
pub fn sections(root: &'static Shape) -> String {
    let mut text = String::new();
    for shape in shapes(root) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, ".SH {}", escaped(&shape.title.to_uppercase()));
        for MayKey { name, kind, default, meaning } in keys_of(shape) {
            let default = default.map(|default| format!("; default: {default}")).unwrap_or_default();
            let (name, about) = (escaped(&name), escaped(&format!("{kind}{default}")));
            let _ = writeln!(text, ".TP\n.BR {name} \" ({about})\"\n{}.", escaped(&meaning));
        }
    }
    text
}

/// Text that troff shows as it is: no requests, no escapes, dashes that can be copied.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}
