//! `cargo xtask dist`: the release build as a Debian package. What is in the package stands in `packaging/`.
//!
//! Beside it, as far as this machine can: static programs that a controller carries to hosts over SSH, which need no library of
//! theirs. What cannot be built is said and left out; such a controller carries its own program.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Where packages are put.
const FOLDER: &str = "target/dist";
/// Where static programs are put; those that are there go into the package.
const CARRIED: &str = "target/dist/carried";

/// A kind of machine for which a static program is built.
struct Static {
    processor: &'static str,
    target: &'static str,
    /// The C compiler for it, and the Debian package that brings one.
    compiler: &'static str,
    package: &'static str,
}

const STATICS: [Static; 2] = [
    Static {
        processor: "x86_64",
        target: "x86_64-unknown-linux-musl",
        compiler: "x86_64-linux-musl-gcc",
        package: "musl-tools",
    },
    Static {
        processor: "aarch64",
        target: "aarch64-unknown-linux-musl",
        compiler: "aarch64-linux-musl-gcc",
        package: "a musl toolchain for aarch64",
    },
];

/// Builds the program for release, the static ones, and the package of all of them.
#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(crate) fn run() -> Result<()> {
    cargo::run(&["build", "--release", "--quiet", "-p", "ansai-cli"])?;
    for one in &STATICS {
        match one.missing()? {
            Some(missing) => println!("no static program for {}: {missing}", one.processor),
            None => one.build()?,
        }
    }
    let mut build = Command::new(cargo::root().join("packaging/deb/build"));
    build.args(["target/release/ansai", FOLDER]).current_dir(cargo::root());
    let status = build.status().context("packaging/deb/build cannot be run")?;
    if status.success() { Ok(()) } else { bail!("packaging/deb/build ended with {status}") }
}

impl Static {
    /// What this machine has not, that is needed.
    fn missing(&self) -> Result<Option<String>> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", self.target]).current_dir(cargo::root());
        let libraries = rustc.output().context("rustc cannot be run")?;
        let libraries = PathBuf::from(String::from_utf8_lossy(&libraries.stdout).trim());
        if !libraries.is_dir() {
            return Ok(Some(format!("rustup target add {}", self.target)));
        }
        let has_compiler = Command::new(self.compiler).arg("--version").output().is_ok();
        Ok((!has_compiler).then(|| format!("there is no {}, which {} brings", self.compiler, self.package)))
    }

    fn build(&self) -> Result<()> {
        let name = self.target.replace('-', "_");
        let mut build = cargo::command(&["build", "--release", "--quiet", "-p", "ansai-cli", "--target", self.target]);
        build.env(format!("CC_{name}"), self.compiler);
        build.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), self.compiler);
        let status = build.status().context("cargo cannot be run")?;
        if !status.success() {
            bail!("the static program for {} cannot be built", self.processor);
        }
        let folder = cargo::root().join(CARRIED);
        std::fs::create_dir_all(&folder)?;
        let built = cargo::root().join("target").join(self.target).join("release/ansai");
        std::fs::copy(built, folder.join(format!("ansai-{}", self.processor)))?;
        Ok(())
    }
}
