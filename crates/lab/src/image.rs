//! The images: Debian roots that lab hosts boot from through a throwaway overlay, built once and kept outside the build tree.
//!
//! The base image is every host's; that of the daemons is a copy of it with many servers more, that of the engines one with
//! Docker. What is in them stands in [`recipes`]. An image is stamped with a hash of its recipe, built beside its place, and renamed when whole, so a killed build leaves no half image.
//! It deliberately starts nothing and enables no service: a test enables what it needs, so that an idle host boots fast.

mod recipes;

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::FlockOperation;

use crate::progress::{self, Step};
use crate::sources::{self, Source};

/// Which image a host boots from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// What most tests need.
    #[default]
    Base,
    /// The base image with the real daemons of Debian that one test is about.
    Daemons,
    /// The base image, which has Podman, with Docker besides.
    Engines,
}

impl Kind {
    /// What the names of its images begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Base => "image-",
            Self::Daemons => "daemons-",
            Self::Engines => "engines-",
        }
    }
}

/// The folder of everything that the lab keeps between runs: `$ANSAI_LAB_DIR`, or `/var/cache/ansai-lab`.
#[must_use]
pub fn cache_dir() -> PathBuf {
    std::env::var_os("ANSAI_LAB_DIR").map_or_else(|| PathBuf::from("/var/cache/ansai-lab"), PathBuf::from)
}

/// A whole image in use; while it lives, no other process removes the image.
#[derive(Debug)]
pub struct Image {
    root: PathBuf,
    _shared: File,
}

impl Image {
    /// The image's root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Whether the image for the present recipe is there.
pub fn is_built(kind: Kind) -> Result<bool> {
    Ok(path_of(kind)?.is_dir())
}

/// The image for the present recipe; an error that says how to build it if it is not there.
pub fn open(kind: Kind) -> Result<Image> {
    let root = path_of(kind)?;
    let shared = lock(&root, FlockOperation::LockShared)?;
    ensure!(root.is_dir(), "the lab's image {} is not built: run `cargo xtask setup` as root", root.display());
    Ok(Image { root, _shared: shared })
}

/// Builds the image unless it is there, and the one that it begins with. Two builders at once: the second waits for the
/// first, and finds its work done.
pub fn build(kind: Kind) -> Result<()> {
    let root = path_of(kind)?;
    if root.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(cache_dir()).with_context(|| format!("creating {}", cache_dir().display()))?;
    if kind != Kind::Base {
        build(Kind::Base)?;
    }
    let _builder = lock(&cache_dir().join("build"), FlockOperation::LockExclusive)?;
    if root.is_dir() {
        return Ok(());
    }
    remove_unused(kind, &root);
    let building = cache_dir().join(format!("building-{}", stamp(kind)?));
    let step = Step::start(match kind {
        Kind::Base => "building the base image (about a minute, once)",
        Kind::Daemons => "building the image of the daemons (one to three minutes, once)",
        Kind::Engines => "building the image of the container engines (a minute, once)",
    });
    let codename = sources::codename()?;
    let sources = sources::of_release(Path::new("/etc/apt"), &codename)?;
    match kind {
        Kind::Base => bootstrap(&building, &codename, &sources[0])?,
        Kind::Daemons | Kind::Engines => copy(open(Kind::Base)?.root(), &building)?,
    }
    write_build_settings(&building, &sources)?;
    add_packages(kind, &building)?;
    fs::rename(&building, &root).context("putting the finished image in its place")?;
    step.done();
    Ok(())
}

/// Copies the base image, so that hosts of this one need one overlay as all others do.
fn copy(base: &Path, root: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto"]).arg(base).arg(root);
    logged(&mut command, "copy")
}

fn bootstrap(root: &Path, codename: &str, source: &Source) -> Result<()> {
    let step = Step::start("debootstrap");
    let include = format!("--include={}", recipes::PACKAGES_BASE.join(","));
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &include, codename]).arg(root).arg(&source.uri);
    logged(&mut command, "debootstrap")?;
    step.done();
    Ok(())
}

/// The machine's own sources and its apt settings (proxies, validity of dated mirrors) for the time of the build.
fn write_build_settings(root: &Path, sources: &[Source]) -> Result<()> {
    let lines: Vec<String> = sources.iter().map(Source::line).collect();
    fs::remove_dir_all(root.join("etc/apt/sources.list.d")).ok();
    fs::write(root.join("etc/apt/sources.list"), lines.join("\n") + "\n").context("writing the image's sources")?;
    let dump = Command::new("apt-config").arg("dump").output().context("running apt-config")?;
    let dump = String::from_utf8_lossy(&dump.stdout);
    let wanted = ["Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::http", "Acquire::https"];
    let kept: Vec<&str> = dump.lines().filter(|line| wanted.iter().any(|key| line.starts_with(key))).collect();
    fs::write(root.join("etc/apt/apt.conf.d/00lab"), kept.join("\n") + "\n")
        .context("writing the image's apt settings")?;
    for file in ["etc/resolv.conf", "etc/hosts"] {
        fs::copy(Path::new("/").join(file), root.join(file)).ok();
    }
    Ok(())
}

fn add_packages(kind: Kind, root: &Path) -> Result<()> {
    let step = Step::start("adding servers and peers to the image");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", &recipes::script(kind), "recipe"]);
    command.arg(root).args(recipes::packages(kind));
    logged(&mut command, "packages")?;
    step.done();
    Ok(())
}

/// Runs a step of the build with its words in a file; when it fails, the end of that file is the error.
fn logged(command: &mut Command, name: &str) -> Result<()> {
    let path = cache_dir().join(format!("build-{name}.log"));
    let log = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let status = command.status().with_context(|| format!("starting {name}"))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(15)..].join("\n");
    anyhow::bail!("{name} failed ({status}); the whole log is {}; its end:\n{end}", path.display())
}

fn path_of(kind: Kind) -> Result<PathBuf> {
    Ok(cache_dir().join(format!("{}{}", kind.prefix(), stamp(kind)?)))
}

/// A hash over everything that decides what the image holds.
fn stamp(kind: Kind) -> Result<String> {
    let beneath = match kind {
        Kind::Base => recipes::PACKAGES_BASE.join(" "),
        Kind::Daemons | Kind::Engines => stamp(Kind::Base)?,
    };
    let parts = [beneath, recipes::packages(kind).join(" "), recipes::script(kind), sources::codename()?];
    Ok(format!("{:016x}", fnv1a(parts.join("\n").as_bytes())))
}

/// FNV-1a, because the standard hasher may change with the compiler and a cryptographic one would be a dependency.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn lock(beside: &Path, how: FlockOperation) -> Result<File> {
    let path = beside.with_extension("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {} (run `cargo xtask setup` as root first)", path.display()))?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, how))
        .with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Removes half-built images of killed builders, and images of older recipes that no host uses.
fn remove_unused(kind: Kind, root: &Path) {
    let Ok(entries) = fs::read_dir(cache_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && path != root) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_half_built = name.starts_with("building-");
        let is_old = name.starts_with(kind.prefix());
        let is_unused = is_old && lock(&path, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_half_built || is_unused {
            progress::say(&format!("lab: removing {}", path.display()));
            fs::remove_dir_all(&path).ok();
            fs::remove_file(path.with_extension("lock")).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
