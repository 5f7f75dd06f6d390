//! Has the linker lay the functions that an agent at rest runs side by side (`layout.ld`), so that its resident code is small.
//!
//! Debug builds are left as they are: nobody measures them, and they link faster.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=layout.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|it| it == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
        let script = PathBuf::from(folder).join("layout.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
}
