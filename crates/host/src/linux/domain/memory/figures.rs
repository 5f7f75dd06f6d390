//! Reading small files of the kernel, and what the host as a whole says of its memory. Whatever they hold, what is read
//! is bounded and nothing panics: a file that is not there or not understood is a figure less.

use std::path::Path;

use ansai_model::{
    domain::memory::{LimitKind, MemoryLimit, MemorySnapshot},
    units::{ByteSize, Percent},
};

/// Most that is read of a file.
const BYTES_MAX: u64 = 64 * 1024;

/// The text of a file, as far as it is read.
pub(super) fn text(path: &Path) -> Option<String> {
    ansai_files::head_text(path, BYTES_MAX).ok()
}

/// The number that a file holds; `max` is none.
pub(super) fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// The number after a word at the start of a line, as in `anon 4096` or `VmRSS:   2048 kB`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let named = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t']));
    named?.split_whitespace().next()?.parse().ok()
}

/// The same in kibibytes.
pub(super) fn kib(text: &str, name: &str) -> Option<u64> {
    field(text, name).map(|kib| kib.saturating_mul(1024))
}

/// `some avg10` of a pressure file.
pub(super) fn pressure(path: &Path) -> Option<Percent> {
    let text = text(path)?;
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    let (whole, fraction) = share.split_once('.').unwrap_or((share, "0"));
    let hundredths: u64 = format!("{fraction:0<2}").get(..2)?.parse().ok()?;
    Some(Percent::of(whole.parse::<u64>().ok()?.saturating_mul(100).saturating_add(hundredths), 10_000))
}

/// What the host has left for the unit besides what it holds, and how pressed the host is.
pub(super) fn add_host(root: &Path, found: &mut MemorySnapshot) {
    let meminfo = text(&root.join("proc/meminfo")).unwrap_or_default();
    if let Some(available) = kib(&meminfo, "MemAvailable:") {
        let at = ByteSize(found.anonymous().0.saturating_add(available));
        found.limits.push(MemoryLimit { at, kind: LimitKind::Shared });
    }
    found.host_pressure = pressure(&root.join("proc/pressure/memory"));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A root with these files.
    pub(in super::super) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder above")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn pressure_is_read_and_nonsense_is_no_pressure() {
        let folder = root(&[
            ("a", "some avg10=12.34 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("b", "some avg10=oops\n"),
            ("c", "some avg10=ä.ö"),
        ]);
        assert_eq!(pressure(&folder.path().join("a")), Some(Percent::of(1234, 10_000)));
        for nonsense in ["b", "c", "d"] {
            assert_eq!(pressure(&folder.path().join(nonsense)), None, "{nonsense}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "anon_thp 9\nanon 4096\nfile x\n";
        assert_eq!((field(text, "anon"), field(text, "file"), field(text, "shmem")), (Some(4096), None, None));
    }

    #[test]
    fn what_the_host_has_left_is_a_limit_that_others_share() {
        let folder = root(&[
            ("proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    100 kB\n"),
            ("proc/pressure/memory", "some avg10=1.00 avg60=0.00 avg300=0.00 total=0\n"),
        ]);
        let mut found = MemorySnapshot { resident: ByteSize(1024), ..MemorySnapshot::default() };
        add_host(folder.path(), &mut found);
        assert_eq!(found.limit(), Some(&MemoryLimit { at: ByteSize(101 * 1024), kind: LimitKind::Shared }));
        assert_eq!(found.host_pressure, Percent::new(1));
    }
}
