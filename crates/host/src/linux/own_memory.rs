//! What this program holds of the machine's memory and does not need: given back, so that an agent at rest is as small as
//! what it does at rest. It looks at nothing but itself, and keeps what was ever written.

use std::{fs, path::Path};

use super::kernel;

/// A process has some sixty mappings; of a strange one nothing is given back.
const SMAPS_BYTES_MAX: u64 = 1 << 20;

/// One heap for all threads: the few that look at files in the background would each keep one of their own, mostly
/// empty. To be called before there is a second thread.
pub fn share_one_heap() {
    kernel::share_one_heap();
}

/// Gives back what lies free in the heap.
pub fn trim() {
    kernel::trim_heap();
}

/// Gives back the pages of code that only the start needed: one that is needed again is taken from the file cache, or read
/// again from the program's file. Not to be called while something is broken: the disk that is read from may be it.
pub fn forget_start() {
    let program = fs::read_link("/proc/self/exe");
    if let (Ok(smaps), Ok(program)) = (ansai_files::text(Path::new("/proc/self/smaps"), SMAPS_BYTES_MAX), program) {
        let stays = |path: &str| Path::new(path) == program || path.ends_with("/libc.so.6");
        unwritten(&smaps, stays).into_iter().for_each(|(from, to)| kernel::forget_pages(from, to));
    }
}

/// A mapping while its lines are read.
struct Mapping {
    range: (usize, usize),
    is_read_only_file: bool,
    is_unwritten: bool,
    is_swap_free: bool,
}

/// The mappings of files that stay mapped as long as we run, that nobody may write and of which no page was ever written by
/// us: their pages can be read again as they were. What the loader put right before it was sealed was written, and is not
/// among them, even when it is swapped out. A library that may be unloaded at this moment is not among them either: what
/// is mapped there next may be memory of ours.
fn unwritten(smaps: &str, stays: impl Fn(&str) -> bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current: Option<Mapping> = None;
    let mut end = |mapping: Option<Mapping>| {
        let whole = mapping.filter(|it| it.is_read_only_file && it.is_unwritten && it.is_swap_free);
        found.extend(whole.map(|mapping| mapping.range));
    };
    for line in smaps.lines() {
        if let Some(mapping) = head(line, &stays) {
            end(current.replace(mapping));
            continue;
        }
        let Some((mapping, (key, value))) = current.as_mut().zip(line.split_once(':')) else { continue };
        match key {
            "Anonymous" => mapping.is_unwritten = value.trim() == "0 kB",
            "Swap" => mapping.is_swap_free = value.trim() == "0 kB",
            _ => {}
        }
    }
    end(current);
    found
}

/// The first line of a mapping: `55e0-55f0 r-xp 00000000 08:01 42   /usr/bin/ansai`. Until the opposite is said, something
/// in it was written.
fn head(line: &str, stays: impl Fn(&str) -> bool) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let range = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    let mode = fields.next()?;
    // The path is the rest behind three more fields, and may hold blanks.
    let path = line.find('/').map_or("", |at| &line[at..]);
    let is_read_only_file = stays(path) && matches!(mode, "r--p" | "r-xp");
    Some(Mapping { range, is_read_only_file, is_unwritten: false, is_swap_free: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(range: &str, mode: &str, path: &str, anonymous: &str, swap: &str) -> String {
        format!(
            "{range} {mode} 00001000 08:01 42    {path}\nSize:   4 kB\nAnonymous:    {anonymous}\nSwap:   {swap}\nVmFlags: rd ex\n"
        )
    }

    #[test]
    fn only_files_that_were_never_written_are_given_back() {
        let smaps = [
            mapping("1000-2000", "r-xp", "/usr/bin/ansai", "0 kB", "0 kB"),
            mapping("2000-3000", "r--p", "/usr/bin/ansai", "0 kB", "0 kB"),
            mapping("2100-2200", "r-xp", "/usr/bin/ansai (deleted)", "0 kB", "0 kB"),
            mapping("2200-2300", "r-xp", "/usr/lib/libnss_dns.so", "0 kB", "0 kB"),
            mapping("3000-4000", "r--p", "/usr/bin/ansai", "4 kB", "0 kB"),
            mapping("4000-5000", "r--p", "/usr/bin/ansai", "0 kB", "4 kB"),
            mapping("5000-6000", "rw-p", "/usr/bin/ansai", "0 kB", "0 kB"),
            mapping("6000-7000", "r--p", "[vvar]", "0 kB", "0 kB"),
            mapping("7000-8000", "r--s", "/dev/shm/x", "0 kB", "0 kB"),
            mapping("8000-9000", "r-xp", "", "0 kB", "0 kB"),
            "9000-a000 r-xp 00001000 08:01 42 /lib/libc.so.6\nSize: 4 kB\n".to_owned(),
            mapping("a000-b000", "r-xp", "/lib/libc.so.6", "0 kB", "0 kB"),
        ];
        let stays = |path: &str| path == "/usr/bin/ansai" || path == "/lib/libc.so.6";
        assert_eq!(unwritten(&smaps.concat(), stays), [(0x1000, 0x2000), (0x2000, 0x3000), (0xa000, 0xb000)]);
        assert_eq!(unwritten("nonsense\n: \nffffffffffffffffffff-0 r-xp 0 0 0 /x\nAnonymous: 0 kB\n", |_| true), []);
    }

    /// Resident KiB of this program's code.
    fn resident() -> u64 {
        let program = fs::read_link("/proc/self/exe").expect("known").display().to_string();
        let smaps = fs::read_to_string("/proc/self/smaps").expect("read");
        let mut lines = smaps.lines();
        lines.find(|line| line.contains(" r-xp ") && line.ends_with(&program)).expect("mapped");
        let size = lines.find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")).expect("a size");
        size.parse().expect("a number")
    }

    #[test]
    fn what_is_given_back_comes_again_when_it_is_needed() {
        let before = resident();
        trim();
        forget_start();
        let after = resident();
        assert!(after < before, "{after} kB, {before} kB before");
        // Code that was not needed since works as before.
        let text = mapping("1000-2000", "r-xp", "/x y", "0 kB", "0 kB");
        assert_eq!(unwritten(&text, |path| path == "/x y"), [(0x1000, 0x2000)]);
        assert_eq!(format!("{:>8.3e}", 12_345.678_f64), " 1.235e4");
    }
}
