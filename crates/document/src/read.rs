//! Reads a text in the form in which it is written, which the name of its file says.

use std::path::Path;

use crate::{
    json5, toml,
    tree::{FormError, Node, Place, Reading},
    yaml,
};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `.yaml`, `.yml` and whatever has another ending.
    Yaml,
    /// `.toml`
    Toml,
    /// `.json`, `.json5`
    Json5,
}

/// The endings of files that are read from folders.
pub const ENDINGS: &[&str] = &["yaml", "yml", "json", "json5", "toml"];

impl Form {
    /// How a file of this name is written.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Self::Toml,
            Some("json" | "json5") => Self::Json5,
            Some(_) | None => Self::Yaml,
        }
    }
}

/// Reads a text. An empty one is an empty mapping; `source` is the index that its places get.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(text: &str, form: Form, source: usize) -> Result<Node, FormError> {
    let Reading { root, wrong } = read_all(text, form, source);
    match (root, wrong.into_iter().next()) {
        (_, Some(error)) => Err(error),
        (Some(root), None) => Ok(root),
        (None, None) => Ok(Node::null(Place { source, start: 0, length: 0 })),
    }
}

/// The same with all that is wrong with its form; where that does not hide the rest, as a key that stands twice, with the rest.
#[must_use]
pub fn read_all(text: &str, form: Form, source: usize) -> Reading {
    match form {
        Form::Yaml => yaml::read(text, source),
        Form::Toml => toml::read(text, source),
        Form::Json5 => json5::read(text, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{DEPTH_MAX, Value};

    /// The tree in one line: texts in quotes, everything else bare.
    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Scalar(_) if node.is_null() => "null".into(),
            Value::Scalar(scalar) if scalar.is_text => format!("{:?}", scalar.text),
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Value::Map(map) => {
                let entries = map.iter().map(|(key, entry)| format!("{key}:{}", shown(&entry.node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[track_caller]
    fn check(form: Form, text: &str, expect: Result<&str, (usize, &str)>) {
        match (read(text, form, 0), expect) {
            (Ok(node), expect) => assert_eq!(Ok(shown(&node).as_str()), expect, "{text}"),
            (Err(error), Ok(_)) => assert_eq!(None, Some(error), "{text}"),
            (Err(error), Err((start, what))) => {
                assert_eq!(error.start, start, "{error:?}");
                assert!(error.what.contains(what), "{error:?}");
            }
        }
    }

    #[test]
    fn one_tree_comes_from_three_forms() {
        let expect = Ok(r#"{a:{b:1 c:[true "x" "5"]} d:null}"#);
        check(Form::Yaml, "a:\n  b: 1\n  c: [true, \"x\", '5']\nd:\n", expect);
        check(Form::Json5, "// so\n{a: {b: 1, 'c': [true, \"x\", '5',]}, d: null /* and so */,}", expect);
        check(
            Form::Toml,
            "d = false\n[a]\nb = 1\nc = [true, \"x\", '5']\n",
            Ok(r#"{a:{b:1 c:[true "x" "5"]} d:false}"#),
        );
        for form in [Form::Yaml, Form::Json5, Form::Toml] {
            check(form, "", Ok("{}"));
        }
        check(Form::Yaml, "# only words\n\n", Ok("{}"));
    }

    #[test]
    fn a_key_twice_is_refused_at_its_second_place() {
        check(Form::Yaml, "a: 1\nb: 2\na: 3\n", Err((10, "`a` is there twice")));
        check(Form::Json5, "{a: 1, a: 2}", Err((7, "`a` is there twice")));
        check(Form::Toml, "a = 1\na = 2\n", Err((6, "duplicate")));
    }

    #[test]
    fn a_key_twice_hides_nothing_of_what_else_is_there() {
        for (form, text) in [
            (Form::Yaml, "a: {b: 1}\nc: 2\na: {b: 3, d: 4}\nc: 5\ne: 6\n"),
            (Form::Json5, "{a: {b: 1}, c: 2, a: {b: 3, d: 4}, c: 5, e: 6}"),
        ] {
            let Reading { root, wrong } = read_all(text, form, 0);
            assert_eq!(root.as_ref().map(shown).as_deref(), Some("{a:{b:1 d:4} c:2 e:6}"), "{text}");
            let places: Vec<&str> = wrong.iter().map(|wrong| &text[wrong.start..][..wrong.length]).collect();
            assert_eq!(places, ["a", "c"], "{wrong:?}");
        }
        let text = "a = 1\na = 2\n[b]\nc = 1\nc = 2\nd = 3\n";
        let Reading { root, wrong } = read_all(text, Form::Toml, 0);
        assert_eq!((root.as_ref().map(shown).as_deref(), wrong.len()), (Some("{a:1 b:{c:1 d:3}}"), 2), "{wrong:?}");
        // What is no document at all is said as that, with the keys before it.
        let Reading { root, wrong } = read_all("a: 1\na: 2\nb: [\n", Form::Yaml, 0);
        assert!(root.is_none() && wrong.len() == 2, "{wrong:?}");
        let Reading { wrong, .. } = read_all(&"a: 1\n".repeat(10_000), Form::Yaml, 0);
        assert!(wrong.len() <= 100, "what is told is bounded");
    }

    #[test]
    fn aliases_and_merges_are_understood_and_bounded() {
        check(Form::Yaml, "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", Ok("{a:{b:1} c:{b:1} d:{b:1 e:2}}"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", ")));
        }
        let error = read(&bomb, Form::Yaml, 0).expect_err("a bomb");
        assert!(error.what.contains("more than"), "{error:?}");
        // Many aliases of one large value, of which none has a name of its own.
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(1_000), "*a, ".repeat(1_000));
        let error = read(&wide, Form::Yaml, 0).expect_err("a bomb");
        assert!(error.what.contains("more than"), "{error:?}");
        let chain: String = (1..5_000).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
        let error = read(&format!("a0: &a0 x\n{chain}"), Form::Yaml, 0).expect_err("a chain");
        assert!(error.what.contains("levels"), "{error:?}");
    }

    #[test]
    fn depth_is_bounded_in_every_form() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for (form, text) in
            [(Form::Yaml, deep.clone()), (Form::Json5, deep.clone()), (Form::Toml, format!("a = {deep}"))]
        {
            assert!(read(&text, form, 0).is_err());
        }
        let flat = format!("{}1{}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1));
        assert!(read(&flat, Form::Json5, 0).is_ok());
    }

    #[test]
    fn places_lead_to_the_values() {
        let text = "a:\n  ü: \"wert\"\n";
        let node = read(text, Form::Yaml, 3).expect("valid");
        let entry = node.get("a").and_then(Node::map).and_then(|map| map.get("ü")).expect("there");
        let slice = |place: Place| &text[place.start..place.start + place.length];
        assert_eq!((slice(entry.key), slice(entry.node.place), entry.key.source), ("ü", "\"wert\"", 3));
        let text = "{ a: [1, \"zwei\"] }";
        let node = read(text, Form::Json5, 0).expect("valid");
        let list = node.get("a").and_then(Node::list).expect("a list");
        assert_eq!(&text[list[1].place.start..][..list[1].place.length], "\"zwei\"");
    }

    #[test]
    fn the_forms_of_json5_are_understood() {
        let text = "{a: +0x1F, b: .5, c: 'it\\'s', d: \"\\u0041\\\n!\", $e_1: -Infinity, f: [1e3]}";
        check(Form::Json5, text, Ok(r#"{$e_1:-Infinity a:31 b:.5 c:"it's" d:"A!" f:[1e3]}"#));
        check(Form::Json5, "{a: 1 b: 2}", Err((6, "`,` or `}`")));
        check(Form::Json5, "{a: \"x\n\"}", Err((6, "the text has no end")));
        check(Form::Json5, "{a: 1} x", Err((7, "after the end")));
        check(Form::Json5, "/* so", Err((0, "comment has no end")));
    }
}
