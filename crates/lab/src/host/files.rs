//! Reading and writing a host's files from outside, without a process inside.
//!
//! Every path is resolved inside the host's root by the kernel (`openat2`), so that no symlink of the host leads to the machine's files.
//! It deliberately sets no owners: files belong to root; a test that needs another owner runs `chown`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Host;

impl Host {
    /// Writes a file whole (never half: it is renamed into place), with its missing folders.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        let write = || -> Result<()> {
            let folder = self.create_folder(path.parent().context("a path without a folder")?)?;
            let name = path.file_name().context("a path without a file name")?;
            let mut hidden = std::ffi::OsString::from(".lab-");
            hidden.push(name);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, &hidden, flags, Mode::from_raw_mode(mode))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            File::from(file).write_all(bytes.as_ref())?;
            rustix::fs::renameat(&folder, &hidden, &folder, name)?;
            Ok(())
        };
        write().with_context(|| format!("writing {} on lab host `{}`", path.display(), self.name))
    }

    /// Copies a file of the machine into the host.
    pub fn copy_in(&self, machine: &Path, host: impl AsRef<Path>, mode: u32) -> Result<()> {
        let bytes = std::fs::read(machine).with_context(|| format!("reading {}", machine.display()))?;
        self.write_file(host, bytes, mode)
    }

    /// The bytes of a file.
    pub fn read_bytes(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let read = || -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::from(self.open(path, OFlags::RDONLY)?).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().with_context(|| format!("reading {} on lab host `{}`", path.display(), self.name))
    }

    /// The text of a file.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Result<String> {
        String::from_utf8(self.read_bytes(path)?).context("a file that is not UTF-8")
    }

    /// Whether something is at `path`.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.open(path.as_ref(), OFlags::PATH).is_ok()
    }

    /// Removes a file; it is no error when there is none.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let folder = match self.open(path.parent().context("a path without a folder")?, OFlags::PATH) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("removing {}", path.display())),
        };
        let name = path.file_name().context("a path without a file name")?;
        match rustix::fs::unlinkat(&folder, name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("removing {} on lab host `{}`", path.display(), self.name))
            }
        }
    }

    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let root = self.root()?;
        rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    fn root(&self) -> rustix::io::Result<OwnedFd> {
        let root = format!("/proc/{}/root", self.leader().as_raw_nonzero());
        rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens a folder, creating what is missing of it.
    fn create_folder(&self, path: &Path) -> Result<OwnedFd> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {}
            other => return other.with_context(|| format!("opening {}", path.display())),
        }
        let parent = self.create_folder(path.parent().context("no root folder")?)?;
        let name: &OsStr = path.file_name().context("a folder without a name")?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("creating {}", path.display())),
        }
        Ok(self.open(path, OFlags::PATH | OFlags::DIRECTORY)?)
    }
}
