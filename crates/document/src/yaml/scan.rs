//! What the parser of YAML could not read, in the words of whoever wrote it: the usual slips are named with what mends
//! them, at the place where they were made. Nothing of the text is repeated: it may be a secret.

use super::offset;
use crate::tree::{FormError, line_range};

/// A slip that is known by its look.
struct Slip {
    start: usize,
    length: usize,
    what: String,
    help: &'static str,
}

const TAB: &str = "YAML is indented with spaces, not with tabs";
const UNKNOWN: &str = "check the indentation, the quotes and the brackets up to this place";

/// The error of the parser as an operator can use it.
pub(super) fn wrong(text: &str, error: &granit_parser::ScanError) -> FormError {
    let start = offset(text, *error.marker());
    let Slip { start, length, what, help } = slip(text, start, error.info());
    FormError { start, length, what, help: Some(help.to_owned()) }
}

fn slip(text: &str, start: usize, info: String) -> Slip {
    let (begin, end) = line_range(text, start);
    let line = &text[begin..end];
    let first = text[start..].chars().next();
    let here = |what: &str, help| Slip { start, length: 0, what: what.to_owned(), help };
    if line.starts_with('\t') || info.contains("tab") {
        return here("a tab stands where YAML wants blanks", TAB);
    }
    if info.contains("unknown anchor") {
        return match text[start..].chars().nth(1) {
            Some(c) if c.is_alphanumeric() => here(
                "this alias stands for nothing",
                "write &NAME before the value that *NAME stands for, or quotes around a name with a *",
            ),
            _ => here("a name that begins with `*` needs quotes", "write \"*\" with its quotes"),
        };
    }
    // One without its end takes in what follows, up to the next quote: the parser stumbles only there, or at the end.
    if let Some(at) = unclosed_quote(text, start) {
        let (what, help) = ("this quote has no end", "write the same quote once more where the text ends");
        return Slip { start: at, length: 1, what: what.to_owned(), help };
    }
    if info.contains("unclosed quote") {
        return here("this quote has no end", "write the same quote once more where the text ends");
    }
    if let Some(sign) = first.filter(|sign| info.contains("unexpected character") && !sign.is_alphanumeric()) {
        return here(
            &format!("a text that begins with `{sign}` needs quotes"),
            "write it between quotes, as in \"@NAME\"",
        );
    }
    let found = match () {
        () if info.contains("mapping values are not allowed") => without_colon(text, begin).or_else(|| {
            let what = "a value with a colon in it needs quotes, and a key stands on a line of its own";
            line[..start - begin].contains(": ").then(|| here(what, "write the value between quotes"))
        }),
        () if info.contains("document start") => {
            without_colon(text, begin).or_else(|| Some(here("this does not belong to what stands above it", UNKNOWN)))
        }
        () if ["flow mapping", "flow sequence", "trailing content"].iter().any(|word| info.contains(word)) => {
            bracket(text, start)
        }
        () if info.contains("block mapping") || info.contains("block sequence") => {
            (indent(line) != above(text, begin).map_or(0, |(line, _)| indent(line))).then(|| {
                let help = "begin it in the same column as the other lines that it belongs to";
                here("this line is indented in another way than those it belongs to", help)
            })
        }
        () => None,
    };
    let help = if info.contains("simple key") {
        "a key is followed by a colon and a space, as in `every: 5s`"
    } else {
        UNKNOWN
    };
    found.unwrap_or_else(|| here(&info, help))
}

/// The quote before a place that has no end there, or that ended only in a later line than it began, right before that place.
fn unclosed_quote(text: &str, stop: usize) -> Option<usize> {
    let (mut open, mut last, mut is_comment) = (None::<(usize, char)>, None, false);
    // What stands in a line before a place, without blanks: a quote begins a text only where a value or a key may begin.
    let (mut before, mut is_behind_blank, mut is_escaped) = (None::<char>, true, false);
    for (at, c) in text[..stop].char_indices() {
        match (open, c) {
            (Some((_, '"')), '\\') if !is_escaped => {
                is_escaped = true;
                continue;
            }
            (Some((begin, sign)), c) if c == sign && !is_escaped => {
                (open, last, before) = (None, Some((begin, at)), Some(c));
            }
            (Some(_), _) => {}
            (None, '\n') => (before, is_comment) = (None, false),
            (None, _) if is_comment => {}
            (None, '#') if is_behind_blank => is_comment = true,
            (None, '"' | '\'') if may_begin(before, is_behind_blank) => open = Some((at, c)),
            (None, c) if !c.is_whitespace() => before = Some(c),
            (None, _) => {}
        }
        is_escaped = false;
        is_behind_blank = c.is_whitespace();
    }
    if let Some((begin, _)) = open {
        return Some(begin);
    }
    let (begin, end) = last?;
    // Nothing but blanks may stand between the two, or the mistake is another.
    let is_right_before = text.get(end + 1..stop)?.chars().all(|c| c == ' ');
    (is_right_before && text[begin..end].contains('\n')).then_some(begin)
}

/// Whether a value or a key may begin behind this sign of a line.
fn may_begin(before: Option<char>, is_behind_blank: bool) -> bool {
    match before {
        None | Some('[' | '{') => true,
        Some(':' | '-' | ',' | '?') => is_behind_blank,
        Some(_) => false,
    }
}

/// The line above that says something, and where it begins.
fn above(text: &str, begin: usize) -> Option<(&str, usize)> {
    let mut end = begin;
    while end > 0 {
        let (begin, _) = line_range(text, end - 1);
        let line = text[begin..end].trim_end();
        let says = line.trim_start();
        if !says.is_empty() && !says.starts_with('#') {
            return Some((line, begin));
        }
        end = begin;
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A line without its colon, which what stands below it belongs to.
fn without_colon(text: &str, begin: usize) -> Option<Slip> {
    let (line, at) = above(text, begin)?;
    let key = line.split(" #").next().unwrap_or_default().trim_end();
    let is_key = !key.contains(": ") && !key.ends_with(':') && indent(line) < indent(&text[begin..]);
    is_key.then(|| Slip {
        start: at + indent(key),
        length: key.trim_start().len(),
        what: "a colon is missing at the end of this line".to_owned(),
        help: "a key is followed by a colon, and what belongs to it stands below, further in",
    })
}

/// The bracket that was opened last before a place and has no end, or an entry that no comma parts from the one before.
fn bracket(text: &str, start: usize) -> Option<Slip> {
    let (mut open, mut quote, mut before) = (Vec::new(), None, ' ');
    for (at, c) in text[..start].char_indices() {
        match (quote, c) {
            (Some(sign), c) if c == sign => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if " [{,:".contains(before) => quote = Some(c),
            (None, '{' | '[') if " [{,:-\n".contains(before) => open.push((at, c)),
            // One that closes another kind leaves that open.
            (None, '}' | ']') => drop(open.pop_if(|(_, sign)| (*sign == '{') == (c == '}'))),
            (None, _) => {}
        }
        before = c;
    }
    let (at, sign) = open.pop()?;
    let closes = if sign == '{' { '}' } else { ']' };
    let is_ended = text[start..].lines().next().unwrap_or_default().contains(closes) && !text[at..start].contains('\n');
    Some(match (is_ended, sign) {
        (true, _) => Slip {
            start,
            length: 0,
            what: "a comma is missing before this, or a text needs quotes".to_owned(),
            help: "part entries by commas, as in {port: 80, critical: true}",
        },
        (false, '{') => Slip {
            start: at,
            length: 1,
            what: "this `{` has no end".to_owned(),
            help: "write } where the mapping ends",
        },
        (false, _) => {
            Slip { start: at, length: 1, what: "this `[` has no end".to_owned(), help: "write ] where the list ends" }
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::{line_of, read, read::Form};

    #[track_caller]
    fn check(text: &str, line: usize, what: &str) {
        let wrong = read(text, Form::Yaml, 0).expect_err("it is wrong");
        assert_eq!((line_of(text, wrong.start), wrong.what.as_str()), (line, what), "{text}");
    }

    #[test]
    fn the_usual_slips_are_named_where_they_were_made() {
        let colon = "a colon is missing at the end of this line";
        check("services:\n  nginx.service\n    port: 80\n", 2, colon);
        check("services\n\n  # one\n  nginx.service: {}\n", 1, colon);
        check(
            "services:\n  a: {when: b}: c\n",
            2,
            "a value with a colon in it needs quotes, and a key stands on a line of its own",
        );
        check("notify:\n  a: {to: @ops}\n", 2, "a text that begins with `@` needs quotes");
        check("notify:\n  a: {to: `ops`}\n", 2, "a text that begins with ``` needs quotes");
        check("disks:\n  *: {}\n", 2, "a name that begins with `*` needs quotes");
        check("disks: {/: *every}\n", 1, "this alias stands for nothing");
        check("services:\n  a.service: {port: 80\n  b.service: {}\n", 2, "this `{` has no end");
        check("services: {a.service: {needs: [b.service}}\n", 1, "mismatched bracket '[' closed by '}'");
        check(
            "services: {a.service: {probe: \"x\" port: 80}}\n",
            1,
            "a comma is missing before this, or a text needs quotes",
        );
        check("services: {a.service: {needs: [b.service\n", 1, "unclosed bracket '['");
        check(
            "services:\n  a.service:\n    port: 80\n   probe: x\n",
            4,
            "this line is indented in another way than those it belongs to",
        );
    }

    #[test]
    fn a_quote_without_its_end_is_named_where_it_begins() {
        let quote = "this quote has no end";
        check("services:\n  a.service:\n    when: \"b\n    port: 80\n", 3, quote);
        check("services:\n  a.service:\n    when: 'b\n    port: 80\n", 3, quote);
        // The next quote ends it, and what follows that makes no sense.
        check("services:\n  a.service: {when: \"b, port: 80}\n  b.service: {when: \"c\"}\n", 2, quote);
        check("a: 'it is\nb: 'x'\nc: d\n", 1, quote);
        check("# it's\na: \"so # it is\nb: 'x'\n", 2, quote);
        check("a: it's\nb: \"x \\\" y\nc: d\n", 2, quote);
        check("\"a: b\nc: d\n", 1, quote);
        check("a: [\"b, c]\nd: \"e\"\n", 1, quote);
        // A quote within a word begins nothing.
        check("a: it's\nb: {c: d\ne: it's\n", 2, "this `{` has no end");
    }

    #[test]
    fn no_text_breaks_the_words_about_it() {
        for text in [
            "{",
            "[",
            "{\n",
            "a: {\u{e4}",
            "\"",
            "a:\n\u{a0}b: {",
            "- a\nb: c",
            "? {",
            "a: \u{feff}{b",
            "&a *b",
            "*",
            "@",
        ] {
            // Some of these are documents, and no mappings.
            let read = read(text, Form::Yaml, 0);
            assert!(read.map_or(true, |root| root.map().is_none()), "{text}");
        }
    }
}
