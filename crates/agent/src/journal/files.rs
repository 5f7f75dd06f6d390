//! The files of a journal: how they are called, which of them may go first, and how they are read, compressed or not.
//! What stands in them is not known here.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

/// The most text that is read from one file; a test need not wait for that much.
const TEXT_BYTES_MAX: u64 = if cfg!(test) { 32 << 20 } else { 1 << 30 };

/// A file of a journal. All numbers come from one row that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    /// With the digest of what it holds.
    Attachment(String),
}

impl Found {
    pub(super) fn is_segment(&self) -> bool {
        self.kind == Kind::Segment
    }
}

/// A segment that is written now.
pub(super) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.jsonl.gz"))
}

pub(super) fn attachment(dir: &Path, number: u64, digest: &str) -> PathBuf {
    dir.join(format!("{number:08}-{digest}.json.gz"))
}

/// The files in a directory, the oldest first; none when it cannot be listed.
pub(super) fn list(dir: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let (number, kind) = understood(entry.file_name().to_str()?)?;
            Some(Found { number, kind, path: entry.path(), bytes: entry.metadata().map_or(0, |meta| meta.len()) })
        })
        .collect();
    found.sort_by_key(|file| file.number);
    found
}

/// What a name says. Segments were written without compression once, and are still read.
fn understood(name: &str) -> Option<(u64, Kind)> {
    if let Some(number) = name.strip_suffix(".jsonl.gz").or_else(|| name.strip_suffix(".jsonl")) {
        return Some((number.parse().ok()?, Kind::Segment));
    }
    let (number, digest) = name.strip_suffix(".json.gz")?.split_once('-')?;
    Some((number.parse().ok()?, Kind::Attachment(digest.to_owned())))
}

/// Which file goes first: the oldest segment, and before it what only older segments referred to. A segment refers to the
/// newest attachment before it, and to those that were made while it was written. The newest attachment stays, since the
/// next segment may refer to it.
pub(super) fn first_to_go(files: &[Found], keep: Option<u64>) -> Option<&Found> {
    let oldest = files.iter().find(|file| file.is_segment());
    let attachments = || files.iter().filter(|file| !file.is_segment());
    let needed = match oldest {
        Some(segment) => attachments().rfind(|file| file.number < segment.number).or_else(|| attachments().next()),
        None => attachments().next_back(),
    };
    let unneeded = attachments().find(|file| needed.is_some_and(|needed| file.number < needed.number));
    unneeded.or(oldest.filter(|segment| Some(segment.number) != keep))
}

/// Opens a file for reading, whichever way it was written. At most [`TEXT_BYTES_MAX`] of its text are read: a small file
/// that is compressed, or has holes, may claim to be any size.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = ansai_files::open(path)?;
    // One that nothing was written to yet is no broken one.
    let is_packed = path.extension().is_some_and(|ending| ending == "gz") && file.metadata()?.len() > 0;
    let file = BufReader::new(file);
    Ok(match is_packed {
        true => Box::new(BufReader::new(MultiGzDecoder::new(file).take(TEXT_BYTES_MAX))),
        false => Box::new(file.take(TEXT_BYTES_MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Found> {
        let file = |name: &&str| {
            let (number, kind) = understood(name).expect("a name");
            Found { number, kind, path: PathBuf::from(name), bytes: 1 }
        };
        names.iter().map(file).collect()
    }

    /// In which order files go, the last segment being written.
    fn order(names: &[&str], keep: u64) -> Vec<String> {
        let (mut files, mut gone) = (files(names), Vec::new());
        while let Some(first) = first_to_go(&files, Some(keep)).cloned() {
            gone.push(first.path.display().to_string());
            files.retain(|file| file.number != first.number);
        }
        gone
    }

    #[test]
    fn an_attachment_goes_with_the_last_segment_that_refers_to_it() {
        let names = ["1.jsonl", "2-a.json.gz", "3.jsonl.gz", "4-b.json.gz", "5.jsonl.gz", "6.jsonl.gz"];
        assert_eq!(order(&names, 6), ["1.jsonl", "3.jsonl.gz", "2-a.json.gz", "5.jsonl.gz"]);
        // The one that is written began before the change, so both are its own.
        assert_eq!(order(&names[1..4], 3), Vec::<String>::new());
        assert_eq!(order(&["1-a.json.gz", "2-b.json.gz"], 9), ["1-a.json.gz"]);
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in ["x.jsonl", "1.json", "1-a.json", "-a.json.gz", "1.jsonl.gz.tmp", ""] {
            assert_eq!(understood(name), None, "{name}");
        }
    }
}
