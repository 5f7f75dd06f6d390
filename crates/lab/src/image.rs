//! The base image: a Debian root that every lab host boots from through a throwaway overlay, built once and kept outside the build tree.
//!
//! It is stamped with a hash of its recipe, built beside its place, and renamed when whole, so a killed build leaves no half image.
//! It deliberately starts nothing and enables no service: a test enables what it needs, so that an idle host boots fast.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::FlockOperation;

use crate::progress::{self, Step};
use crate::sources::{self, Source};

/// What debootstrap installs: the least that boots a systemd.
const PACKAGES_BASE: &[&str] = &["systemd", "dbus", "systemd-sysv", "iproute2", "procps", "ca-certificates"];

/// What is added in the root: the real servers, engines and peers that tests and benchmarks need.
const PACKAGES_ADDED: &[&str] = &[
    "nginx-light",
    "postgresql",
    "postfix",
    "sasl2-bin",
    "libsasl2-modules",
    "monit",
    "openssl",
    "podman",
    "runc",
    "logrotate",
    "openssh-server",
];

/// Run in the mount namespace of the build, with the root as `$1` and the packages as the rest.
const RECIPE: &str = r#"
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/lab"
printf 'path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n' >> "$root/etc/dpkg/dpkg.cfg.d/lab"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root
echo 'postfix postfix/main_mailer_type select No configuration' | chroot "$root" debconf-set-selections
chroot "$root" apt-get -q -o Acquire::Languages=none update
chroot "$root" apt-get -q -y --no-install-recommends install "$@"
for unit in nginx postgresql postfix saslauthd monit e2scrub_reap ssh; do
    chroot "$root" systemctl -q disable "$unit.service" 2>/dev/null || true
done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer logrotate.timer \
    getty@.service console-getty.service systemd-logind.service systemd-networkd.service systemd-resolved.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for unit in podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* "$root/etc/apt/apt.conf.d/00lab"
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf" "$root/etc/hostname"
: > "$root/etc/machine-id"
printf '127.0.0.1 localhost lab.test\n' > "$root/etc/hosts"
mkdir -p "$root/usr/local/lib/ansai-lab"
umount "$root/proc"
"#;

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
pub fn is_built() -> Result<bool> {
    Ok(path_of(&stamp()?).is_dir())
}

/// The image for the present recipe; an error that says how to build it if it is not there.
pub fn open() -> Result<Image> {
    let root = path_of(&stamp()?);
    let shared = lock(&root, FlockOperation::LockShared)?;
    ensure!(root.is_dir(), "the lab's base image is not built: run `cargo xtask setup` as root");
    Ok(Image { root, _shared: shared })
}

/// Builds the image unless it is there. Two builders at once: the second waits for the first, and finds its work done.
pub fn build() -> Result<()> {
    let stamp = stamp()?;
    let root = path_of(&stamp);
    if root.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(cache_dir()).with_context(|| format!("creating {}", cache_dir().display()))?;
    let _builder = lock(&cache_dir().join("build"), FlockOperation::LockExclusive)?;
    if root.is_dir() {
        return Ok(());
    }
    remove_unused(&stamp);
    let building = cache_dir().join(format!("building-{stamp}"));
    let step = Step::start("building the base image (about a minute, once)");
    let codename = sources::codename()?;
    let sources = sources::of_release(Path::new("/etc/apt"), &codename)?;
    bootstrap(&building, &codename, &sources[0])?;
    write_build_settings(&building, &sources)?;
    add_packages(&building)?;
    fs::rename(&building, &root).context("putting the finished image in its place")?;
    step.done();
    Ok(())
}

fn bootstrap(root: &Path, codename: &str, source: &Source) -> Result<()> {
    let step = Step::start("debootstrap");
    let include = format!("--include={}", PACKAGES_BASE.join(","));
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

fn add_packages(root: &Path) -> Result<()> {
    let step = Step::start("adding servers and peers to the image");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", RECIPE, "recipe"]);
    command.arg(root).args(PACKAGES_ADDED);
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

fn path_of(stamp: &str) -> PathBuf {
    cache_dir().join(format!("image-{stamp}"))
}

/// A hash over everything that decides what the image holds.
fn stamp() -> Result<String> {
    let codename = sources::codename()?;
    let parts = [&PACKAGES_BASE.join(" "), &PACKAGES_ADDED.join(" "), RECIPE, &codename];
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
fn remove_unused(stamp: &str) {
    let Ok(entries) = fs::read_dir(cache_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_half_built = name.starts_with("building-");
        let is_old = name.starts_with("image-") && !name.ends_with(stamp);
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
