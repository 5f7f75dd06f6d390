//! Which files of a crate import each other in a circle: two may, more are no parts but one thing in many files.
//! It reads paths that begin with `crate::`, `super::`, `self::` or a module of the file, in what is shipped; methods that
//! are called on a value it cannot see.

use std::collections::{BTreeMap, BTreeSet};

/// The crates for which it holds, with the most files that a circle of theirs has; a number above two may only fall.
const CRATES: &[(&str, usize)] =
    &[("condition", 2), ("config", 2), ("document", 2), ("engine", 2), ("import", 2), ("keys", 2)];
/// So many files of one circle are allowed everywhere: a part and what was put beside it.
const ALLOWED: usize = 2;

/// A module by the names that lead to it from the root of its crate.
type Module = Vec<String>;

/// Checks the crates for which it holds; `files` are names with their texts.
pub(super) fn check(files: &[(String, String)]) -> Vec<String> {
    CRATES.iter().flat_map(|(name, most)| check_crate(&format!("crates/{name}/src/"), *most, files)).collect()
}

fn check_crate(folder: &str, most: usize, files: &[(String, String)]) -> Vec<String> {
    let own = files.iter().filter_map(|(file, text)| Some((module_of(file.strip_prefix(folder)?)?, text)));
    let texts: BTreeMap<Module, &String> = own.collect();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> =
        texts.iter().map(|(module, text)| (module, imports(module, text, &texts))).collect();
    let circles = circles(&imports);
    let longest = circles.iter().map(BTreeSet::len).max().unwrap_or(0).max(ALLOWED);
    if longest < most {
        return vec![format!("{folder}: no circle has more than {longest} files now — lower its number from {most}")];
    }
    let too_long = circles.iter().filter(|circle| circle.len() > most);
    too_long
        .map(|circle| {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            let (count, names) = (names.len(), names.join(", "));
            format!("{folder}: {count} files import each other in a circle, at most {most} may — {names}")
        })
        .collect()
}

/// The module of a file below `src/`, as its name says.
fn module_of(file: &str) -> Option<Module> {
    let name = file.strip_suffix(".rs").filter(|name| !name.ends_with("tests") && *name != "main")?;
    let name = if name == "lib" { "" } else { name };
    Some(name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// What a module imports, by the files in which that stands.
fn imports<'a>(module: &Module, text: &str, texts: &'a BTreeMap<Module, &String>) -> BTreeSet<&'a Module> {
    let text = shipped(text);
    let tokens = tokens(&text);
    let mut found = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_first = index == 0 || tokens[index - 1] != "::";
        if !is_first || tokens.get(index + 1).map(String::as_str) != Some("::") {
            continue;
        }
        let start = match token.as_str() {
            "crate" => Module::new(),
            "self" => module.clone(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            child => [module.as_slice(), &[child.to_owned()]].concat(),
        };
        if texts.contains_key(&start) {
            follow(&tokens, index + 1, &start, texts, &mut found);
        }
    }
    found.remove(module);
    found
}

/// Follows a path from its first `::`, into each branch of it; says where it ends.
fn follow<'a>(
    tokens: &[String],
    mut index: usize,
    from: &Module,
    texts: &'a BTreeMap<Module, &String>,
    found: &mut BTreeSet<&'a Module>,
) -> usize {
    let mut module = from.clone();
    while tokens.get(index).map(String::as_str) == Some("::") {
        let Some(next) = tokens.get(index + 1) else { break };
        if next == "{" {
            return branches(tokens, index + 2, &module, texts, found);
        }
        module = stepped(&module, next, texts);
        index += 2;
    }
    found.extend(texts.get_key_value(&module).map(|(module, _)| module));
    index
}

/// Follows each branch between braces; says where they end.
fn branches<'a>(
    tokens: &[String],
    mut index: usize,
    module: &Module,
    texts: &'a BTreeMap<Module, &String>,
    found: &mut BTreeSet<&'a Module>,
) -> usize {
    while let Some(token) = tokens.get(index) {
        match token.as_str() {
            "}" => return index + 1,
            "," => index += 1,
            name => index = follow(tokens, index + 1, &stepped(module, name, texts), texts, found).max(index + 1),
        }
    }
    index
}

/// The module that a name leads to, or the same one when it names a thing in it.
fn stepped(module: &Module, name: &str, texts: &BTreeMap<Module, &String>) -> Module {
    if name == "super" {
        return module[..module.len().saturating_sub(1)].to_vec();
    }
    let next = [module.as_slice(), &[name.to_owned()]].concat();
    if texts.contains_key(&next) { next } else { module.clone() }
}

/// The text without comments and without the tests at its end.
fn shipped(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Names, `::`, and single characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_name = false;
    for letter in text.chars() {
        let is_of_name = letter.is_alphanumeric() || letter == '_';
        match tokens.last_mut() {
            Some(last) if is_of_name && is_name => last.push(letter),
            Some(last) if letter == ':' && last == ":" => last.push(letter),
            _ if letter.is_whitespace() => {}
            _ => tokens.push(letter.to_string()),
        }
        is_name = is_of_name;
    }
    tokens
}

/// The sets of modules of which each leads to each other.
fn circles<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> BTreeSet<BTreeSet<&'a Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (*module, reach(module, imports))).collect();
    let is_back = |from: &Module, to: &Module| reached.get(to).is_some_and(|all| all.contains(from));
    let circle = |module: &'a Module, all: &BTreeSet<&'a Module>| {
        all.iter().copied().filter(|other| is_back(module, other)).collect::<BTreeSet<_>>()
    };
    let all = reached.iter().map(|(module, all)| circle(module, all));
    all.filter(|circle| circle.len() > 1).collect()
}

fn reach<'a>(from: &Module, imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&'a Module> = imports.get(from).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(imports.get(next).into_iter().flatten().copied());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], most: usize, findings: &[&str]) {
        let files: Vec<_> = files.iter().map(|(file, text)| (format!("a/{file}"), (*text).to_owned())).collect();
        assert_eq!(check_crate("a/", most, &files), findings);
    }

    #[test]
    fn three_files_in_a_circle_are_found_however_they_name_each_other() {
        let lib = ("lib.rs", "mod one;\nmod two;\n");
        let two = ("two.rs", "use crate::{one::{self, inner::Deep}, One};\n");
        let circle = "a/: 3 files import each other in a circle, at most 2 may — one, one::inner, two";
        check(
            &[
                lib,
                ("one.rs", "mod inner;\nfn a() { inner::deep() }\n"),
                two,
                ("one/inner.rs", "fn a() { crate::two::b() }\n"),
            ],
            2,
            &[circle],
        );
        check(
            &[lib, ("one.rs", "use self::inner::Deep;\n"), two, ("one/inner.rs", "use super::super::two;\n")],
            2,
            &[circle],
        );
    }

    #[test]
    fn two_files_comments_and_tests_make_none() {
        let one = ("one.rs", "use super::two::{Two, x as y};\n");
        check(&[one, ("two.rs", "use crate::one;\n"), ("three.rs", "use crate::two;\n")], 2, &[]);
        let tests = "use core::one;\n// crate::three\n#[cfg(test)]\nmod tests {\n    use crate::three;\n}\n";
        check(&[("one.rs", "use crate::two;\n"), ("two.rs", tests), ("three.rs", "use crate::one;\n")], 2, &[]);
    }

    #[test]
    fn a_number_only_falls() {
        check(&[("one.rs", "")], 3, &["a/: no circle has more than 2 files now — lower its number from 3"]);
    }
}
