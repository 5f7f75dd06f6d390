//! Which program this is: its version, and the number that its linker gave it, by which two builds of one version are told apart.
//! It compares nothing.

use std::path::Path;

/// Of the beginning of the file, where the number stands.
const HEAD_BYTES: u64 = 64 << 10;
/// What begins every file of this kind, of 64 bits and with the low byte first.
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// A part of the program that holds notes.
const NOTES: u32 = 4;
/// The note with the number.
const NUMBER: u32 = 3;
/// Of the number, so many bytes are shown; they tell builds apart as well as all.
const SHOWN_BYTES: usize = 8;

/// The version, with the number of the build when its linker gave it one: `1.0.0 (build 54bcba039d05d4da)`.
#[must_use]
pub fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let head = ansai_files::head(Path::new("/proc/self/exe"), HEAD_BYTES);
    match head.ok().and_then(|(head, _)| number(&head)) {
        Some(number) => format!("{version} (build {number})"),
        None => version.to_owned(),
    }
}

/// The number in the notes of a program, by its beginning.
fn number(head: &[u8]) -> Option<String> {
    if !head.starts_with(MAGIC) {
        return None;
    }
    let (table, size, count) = (word(head, 0x20, 8)?, word(head, 0x36, 2)?, word(head, 0x38, 2)?);
    (0..count).find_map(|index| {
        let part = head.get(table.checked_add(index.checked_mul(size)?)?..)?;
        let is_of_notes = word(part, 0, 4)? == usize::try_from(NOTES).ok()?;
        let (begin, length) = (word(part, 0x08, 8)?, word(part, 0x20, 8)?);
        is_of_notes.then(|| noted(head.get(begin..begin.checked_add(length)?)?)).flatten()
    })
}

/// The number among notes.
fn noted(mut notes: &[u8]) -> Option<String> {
    loop {
        let (name, length, kind) = (word(notes, 0, 4)?, word(notes, 4, 4)?, word(notes, 8, 4)?);
        let said = 12_usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let end = said.checked_add(length)?;
        let number = notes.get(said..end)?;
        if notes.get(12..)?.starts_with(b"GNU\0") && kind == usize::try_from(NUMBER).ok()? && !number.is_empty() {
            return Some(number.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

/// A number of so many bytes, the low one first.
fn word(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    usize::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of one part with these notes.
    fn of(notes: &[u8]) -> Vec<u8> {
        let mut head = [MAGIC, &[0; 58]].concat();
        (head[0x20], head[0x36], head[0x38]) = (0x40, 0x38, 1);
        let mut part = [0; 0x38];
        part[0] = 4;
        part[0x08] = 0x78;
        part[0x20] = u8::try_from(notes.len()).expect("few");
        [head, part.into(), notes.into()].concat()
    }

    #[test]
    fn the_number_of_a_build_is_read_from_its_notes() {
        let note = |kind: u8, name: &[u8; 4], said: &[u8]| {
            [&[4, 0, 0, 0, u8::try_from(said.len()).expect("few"), 0, 0, 0, kind, 0, 0, 0][..], name, said].concat()
        };
        let number_of = |notes: &[u8]| number(&of(notes));
        let build = note(3, b"GNU\0", &[0x54, 0xbc, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(number_of(&build).as_deref(), Some("54bc010203040506"));
        let before = note(1, b"GNU\0", &[0; 4]);
        assert_eq!(number_of(&[before.clone(), build.clone()].concat()).as_deref(), Some("54bc010203040506"));
        assert_eq!(number_of(&before), None);
        assert_eq!(number_of(&note(3, b"Xen\0", &[1; 4])), None);
        // Nothing of it is believed: it may end anywhere, and say any length.
        let whole = of(&build);
        (0..whole.len()).for_each(|end| assert_eq!(number(&whole[..end]), None, "{end}"));
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] = 0xff;
            drop(number(&torn));
        }
        assert!(program().starts_with(env!("CARGO_PKG_VERSION")));
    }
}
