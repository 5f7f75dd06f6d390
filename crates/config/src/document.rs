//! One tree for YAML, TOML and JSON5: every value with its place in its file. What a value means is not known here.

mod json5;
pub(crate) mod read;
mod toml;
mod yaml;

use std::collections::BTreeMap;

/// The most levels of lists and mappings within each other.
pub(crate) const DEPTH_MAX: usize = 32;
pub(crate) const DEPTH_HELP: &str = "check the brackets; no key needs so many";
/// The most values of one file, those repeated by aliases included.
pub(crate) const NODES_MAX: usize = 250_000;
/// The most values of all files together.
pub(crate) const ALL_NODES_MAX: usize = 500_000;

/// Where something stands: a range of bytes in one of the texts that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The index of the text among all that were read.
    pub(crate) source: usize,
    /// The first byte.
    pub start: usize,
    /// How many bytes; 0 when only the beginning is known.
    pub(crate) length: usize,
}

impl Place {
    /// Its beginning alone.
    #[must_use]
    pub fn beginning(self) -> Self {
        Self { length: 0, ..self }
    }
}

/// A value, where it stands, and what stood there in weaker layers.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) value: Value,
    /// Where it stands.
    pub place: Place,
    /// What it replaced, the weakest first.
    pub(crate) shadowed: Vec<Node>,
}

/// A value as it is written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A text, a number, a truth value or nothing at all: which one is decided by who asks.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(BTreeMap<String, Entry>),
}

/// The value of one key, and where the key stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub key: Place,
    /// The value; boxed, since a map keeps room for eleven entries and most have two.
    pub node: Box<Node>,
}

/// A single value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// As it is written, escapes resolved.
    pub(crate) text: String,
    /// Whether it was marked as a text, so that `"5"` is no number and `""` not nothing.
    pub(crate) is_text: bool,
}

/// Why a text is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormError {
    /// The first byte that is wrong.
    pub(crate) start: usize,
    /// How many bytes; 0 when that is not known.
    pub(crate) length: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl Node {
    pub(crate) fn new(value: Value, place: Place) -> Self {
        Self { value, place, shadowed: Vec::new() }
    }

    /// Nothing at all.
    pub(crate) fn null(place: Place) -> Self {
        Self::new(Value::Scalar(Scalar { text: String::new(), is_text: false }), place)
    }

    /// Whether it is nothing at all: an empty value, `~` or `null` without quotes.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => !scalar.is_text && matches!(scalar.text.as_str(), "" | "~" | "null"),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The text of a single value that is not nothing.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A value that is written without quotes, so that it may be a number or a truth value.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_text => self.text(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn map(&self) -> Option<&BTreeMap<String, Entry>> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map().and_then(|map| map.get(key)).map(|entry| &*entry.node)
    }

    /// What it is, in words that follow "this is".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.is_text => "a text",
            Value::Scalar(scalar) if scalar.text.parse::<f64>().is_ok() => "a number",
            Value::Scalar(scalar) if matches!(scalar.text.as_str(), "true" | "false") => "a truth value",
            Value::Scalar(_) => "a text",
        }
    }

    /// How many values it is made of, itself included.
    pub(crate) fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(list) => 1 + list.iter().map(Self::count).sum::<usize>(),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.count()).sum::<usize>(),
        }
    }

    /// How many levels it has, itself included.
    pub(crate) fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(list) => list.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(map) => map.values().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }
}

/// Puts a key into a mapping, or says that it stands there already.
pub(crate) fn insert(
    map: &mut BTreeMap<String, Entry>,
    name: String,
    key: Place,
    node: Node,
    text: &str,
) -> Result<(), FormError> {
    if let Some(first) = map.get(&name) {
        let line = line_of(text, first.key.start);
        let help = Some(format!("it stands in line {line} already; keep one of the two"));
        return Err(FormError {
            start: key.start,
            length: key.length,
            what: format!("the key `{name}` is there twice"),
            help,
        });
    }
    map.insert(name, Entry { key, node: Box::new(node) });
    Ok(())
}

/// The number of the line that holds a byte, from 1.
#[must_use]
pub fn line_of(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The whole of a text's first line that holds a byte: its range.
pub(crate) fn line_range(text: &str, start: usize) -> (usize, usize) {
    let start = start.min(text.len());
    let bytes = text.as_bytes();
    let begin = bytes[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = bytes[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| start + at);
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::{
        read::{Form, read},
        *,
    };

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
