//! Where this machine gets its packages: its own apt sources, read from both formats, so that no mirror is ever written into the code.
//!
//! It deliberately reads only what the base image needs (binary packages of `main`), and checks no signatures: apt and debootstrap do.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One place that packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The mirror.
    pub uri: String,
    /// The suite, such as `bookworm-updates`.
    pub suite: String,
    /// The components, such as `main`.
    pub components: Vec<String>,
}

impl Source {
    /// The source as a line of `sources.list`, restricted to `main`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("deb {} {} main", self.uri, self.suite)
    }
}

/// The release's code name from `/etc/os-release`.
pub fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(line.context("/etc/os-release has no VERSION_CODENAME: the lab needs Debian")?.trim_matches('"').to_owned())
}

/// This machine's sources of `main` for the release `codename`, its updates and its security fixes; the release itself comes first.
pub fn of_release(apt: &Path, codename: &str) -> Result<Vec<Source>> {
    let all = read(apt)?;
    let mut found = Vec::new();
    for suite in [codename.to_owned(), format!("{codename}-updates"), format!("{codename}-security")] {
        found.extend(
            all.iter().filter(|source| source.suite == suite && source.components.iter().any(|c| c == "main")).cloned(),
        );
    }
    anyhow::ensure!(
        found.first().is_some_and(|source| source.suite == codename),
        "no source of `{codename} main` in {}: add one to {}/sources.list",
        apt.display(),
        apt.display()
    );
    Ok(found)
}

fn read(apt: &Path) -> Result<Vec<Source>> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(parse_lines(&text)),
            Some("sources") => sources.extend(parse_stanzas(&text)),
            _ => {}
        }
    }
    Ok(sources)
}

/// The one-line format: `deb [options] URI SUITE COMPONENT…`.
fn parse_lines(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source { uri: words.next()?, suite: words.next()?, components: words.collect() })
}

/// The deb822 format: stanzas of `Key: values`, continued by lines that begin with white space.
fn parse_stanzas(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let stanzas = lines.split(|line| line.trim().is_empty());
    stanzas.flat_map(parse_stanza).collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Source> {
    let values = |key: &str| -> Vec<String> {
        let mut values = Vec::new();
        let mut is_inside = false;
        for line in lines {
            if line.starts_with([' ', '\t']) {
                if is_inside {
                    values.extend(line.split_whitespace().map(str::to_owned));
                }
                continue;
            }
            let Some((name, rest)) = line.split_once(':') else { continue };
            is_inside = name.eq_ignore_ascii_case(key);
            if is_inside {
                values.extend(rest.split_whitespace().map(str::to_owned));
            }
        }
        values
    };
    let is_off = values("Enabled").first().is_some_and(|value| value.eq_ignore_ascii_case("no"));
    if is_off || !values("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let (suites, components) = (values("Suites"), values("Components"));
    let pairs = values("URIs").into_iter().flat_map(|uri| suites.iter().map(move |suite| (uri.clone(), suite.clone())));
    pairs.map(|(uri, suite)| Source { uri, suite, components: components.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parsed: &[Source], expected: &[&str]) {
        let shown: Vec<String> =
            parsed.iter().map(|s| format!("{} {} {}", s.uri, s.suite, s.components.join("+"))).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_line_format() {
        let text = "# comment\ndeb http://a.example/debian bookworm main contrib # why\ndeb-src http://a.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://b.example/x stable main\ndebx y z\n";
        check(
            &parse_lines(text),
            &["http://a.example/debian bookworm main+contrib", "https://b.example/x stable main"],
        );
    }

    #[test]
    fn stanza_format() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://a.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: x\nComponents: main\n\n\
                    Types: deb-src\nURIs: http://src.example\nSuites: x\nComponents: main\n";
        check(
            &parse_stanzas(text),
            &["http://a.example/debian bookworm main", "http://a.example/debian bookworm-updates main"],
        );
    }

    #[test]
    fn a_machine_without_the_release_is_told_what_to_add() {
        let error = of_release(Path::new("/nonexistent"), "bookworm").unwrap_err().to_string();
        assert_eq!(error, "no source of `bookworm main` in /nonexistent: add one to /nonexistent/sources.list");
    }
}
