//! What takes long to build is built once: the demo's own program and what it shows need a library in C both, and cargo builds
//! that twice when they ask for it with other features. It looks at no other crate: those take a second or two.

use anyhow::{Result, ensure};

use crate::cargo;

/// The library, and what binds it.
const LONG: &[&str] = &["aws-lc-sys", "aws-lc-rs"];

/// Which features each side has them built with, where they differ.
pub(super) fn check() -> Result<Vec<String>> {
    let (own, shown) = (tree(&["xtask"])?, tree(&["ansai-cli", "ansai-lab"])?);
    Ok(differing(&own, &shown))
}

/// The crates that these packages are built of, a line each with its features.
fn tree(packages: &[&str]) -> Result<String> {
    let mut arguments = vec!["tree", "--quiet", "--edges", "normal", "--prefix", "none", "--format", "{p}|{f}"];
    packages.iter().for_each(|package| arguments.extend(["--package", package]));
    let (is_done, text) = cargo::messages(&arguments)?;
    ensure!(is_done, "`cargo tree` failed");
    Ok(text)
}

fn differing(own: &str, shown: &str) -> Vec<String> {
    let features = |tree: &str, name: &str| {
        let line = tree.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split_once('|')).map(|(_, features)| features.trim_end_matches(" (*)").to_owned())
    };
    let differs = |name: &&&str| features(own, name).is_some() && features(own, name) != features(shown, name);
    let found = LONG.iter().filter(differs).map(|name| {
        let [own, shown] = [own, shown].map(|tree| features(tree, name).unwrap_or_default());
        format!("Cargo.toml: the demo builds `{name}` twice, with `{own}` and with `{shown}` — name the same features for ansai-lab")
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_would_be_built_twice_is_found() {
        let tree = |features: &str| format!("xtask v1.0.0 (/a)|\naws-lc-sys v0.47.0|{features}\nsyn v3.0.9|full\n");
        assert_eq!(differing(&tree("a,b"), &tree("a,b (*)")), Vec::<String>::new());
        assert_eq!(differing(&tree("a"), &tree("a,b")).len(), 1);
        assert_eq!(differing("xtask v1.0.0 (/a)|\n", &tree("a")), Vec::<String>::new(), "it is not needed at all");
    }
}
