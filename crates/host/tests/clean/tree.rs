//! A real tree of files to be cleaned, and what lies beside it, in a temporary folder of its own.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// One thing in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) place: Vec<&'static str>,
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
}

/// What it is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File { days: u64, size: usize, is_open: bool, is_linked: bool },
    LinkToFile,
    LinkToFolder,
    Pipe,
    Folder,
}

/// What can be told of a file: its kind, mode, content and where a link leads.
pub(crate) type Seen = (u32, u64, Vec<u8>);

pub(crate) struct Tree {
    dir: tempfile::TempDir,
    /// Kept open until the end.
    _open: Vec<File>,
    open: Vec<PathBuf>,
}

impl Tree {
    pub(crate) fn plant(entries: &[Entry]) -> Self {
        let mut tree = Self { dir: tempfile::tempdir().expect("a folder"), _open: Vec::new(), open: Vec::new() };
        fs::create_dir(tree.scope()).expect("made");
        fs::create_dir_all(tree.outside().join("folder")).expect("made");
        tree.plant_outside("file", 50);
        fs::write(tree.outside().join("folder/a.log"), "outside").expect("written");
        age(&tree.outside().join("folder/a.log"), 50);
        for (index, entry) in entries.iter().enumerate() {
            tree.add(entry, index);
        }
        tree
    }

    fn add(&mut self, entry: &Entry, index: usize) {
        let path = self.path(entry);
        let parent = path.parent().expect("a parent");
        // Names may clash; then the first one stays.
        if fs::create_dir_all(parent).is_err() || fs::symlink_metadata(&path).is_ok() {
            return;
        }
        match &entry.kind {
            Kind::File { days, size, is_open, is_linked } => {
                fs::write(&path, vec![b'x'; *size]).expect("written");
                age(&path, *days);
                if *is_linked {
                    fs::hard_link(&path, self.outside().join(format!("linked-{index}"))).expect("linked");
                }
                if *is_open {
                    self._open.push(File::open(&path).expect("opened"));
                    self.open.push(path);
                }
            }
            Kind::LinkToFile => symlink(self.outside().join("file"), &path).expect("linked"),
            Kind::LinkToFolder => symlink(self.outside().join("folder"), &path).expect("linked"),
            Kind::Pipe => assert!(Command::new("mkfifo").arg(&path).status().expect("run").success()),
            Kind::Folder => fs::create_dir(&path).expect("made"),
        }
    }

    pub(crate) fn plant_outside(&self, name: &str, days: u64) {
        let path = self.outside().join(name);
        fs::write(&path, format!("outside {name}")).expect("written");
        age(&path, days);
    }

    pub(crate) fn scope(&self) -> PathBuf {
        self.dir.path().join("scope")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.scope().join(entry.place.iter().collect::<PathBuf>()).join(OsStr::from_bytes(&entry.name))
    }

    /// Everything in and around the scope.
    pub(crate) fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        let mut all = BTreeMap::new();
        look(self.dir.path(), &mut all);
        all
    }

    /// Whether a rule gives it up, said in another way than the code under test says it.
    pub(crate) fn may_go(&self, path: &Path, pattern: &str, days: u64) -> bool {
        let meta = fs::symlink_metadata(path).expect("there");
        let age = meta.modified().expect("known").elapsed().unwrap_or_default();
        let is_meant = pattern == "*" || path.file_name().expect("a name").as_bytes().ends_with(b".log");
        let is_free = meta.nlink() == 1 && !self.open.iter().any(|open| open == path);
        meta.is_file() && age.as_secs() >= days * 86_400 && is_meant && is_free && path.starts_with(self.scope())
    }
}

fn age(path: &Path, days: u64) {
    let at = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
    File::options().write(true).open(path).and_then(|file| file.set_modified(at)).expect("aged");
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, Seen>) {
    let meta = fs::symlink_metadata(path).expect("there");
    let content = if meta.is_file() {
        fs::read(path).expect("read")
    } else if meta.is_symlink() {
        fs::read_link(path).expect("a link").as_os_str().as_bytes().to_vec()
    } else {
        assert!(meta.is_dir() || meta.file_type().is_fifo());
        Vec::new()
    };
    let links = if meta.is_dir() { 0 } else { meta.nlink() };
    if path.file_name().is_some() {
        all.insert(path.to_owned(), (meta.mode(), links, content));
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).expect("read").flatten() {
            look(&entry.path(), all);
        }
    }
}
