//! What is understood, what is refused with which words and where, and that nothing makes it panic.

use std::time::Duration;

use ansai_model::{
    condition::{Comparison, Expression, FIELDS, FieldSpec, NODES_MAX, Value, ValueType},
    units::{ByteSize, Percent},
};
use proptest::prelude::*;

use ansai_condition::{BYTES_MAX, ConditionError, parse};

/// The text is understood, and means what is written there in full.
fn check(text: &str, meaning: &str) {
    match parse(text) {
        Ok(condition) => assert_eq!(condition.expression.to_string(), meaning, "{text}"),
        Err(wrong) => panic!("{text}: {}", shown(text, &wrong)),
    }
}

/// An error as an operator sees it: the text, a marker below the place, the help.
fn shown(text: &str, wrong: &ConditionError) -> String {
    let (before, marked) = (text[..wrong.offset].chars().count(), &text[wrong.offset..wrong.offset + wrong.length]);
    let marker = "^".repeat(marked.chars().count().max(1));
    let help = wrong.suggestion.as_deref().unwrap_or("-");
    format!("{text}\n{}{marker} {}\nhelp: {help}", " ".repeat(before), wrong.message)
}

#[test]
fn words_values_and_signs_are_understood() {
    check("failures > 3", "failures > 3");
    check("  unit.state=='failed'\n", "unit.state == \"failed\"");
    check("took >= 1h30m", "took >= 90m");
    check("failing_for > 90s and failures >= 2", "failing_for > 90s and failures >= 2");
    check("took < 1.5s", "took < 1500ms");
    check("took < 0.0005ms", "took < 0.000500ms");
    check("host.memory_available < 7.25%", "host.memory_available < 7.25%");
    check("figure.size > 1.5GiB", "figure.size > 1536MiB");
    check("figure.size > 1TB", "figure.size > 976562500KiB");
    check("figure.temperature < -4.5", "figure.temperature < -4.5");
    check("figure.\"free space\" < 10%", "figure.\"free space\" < 10%");
    check("figure.'http.status' == 503", "figure.http.status == 503");
    check("symptom contains \"tab \\t and \\\"quote\\\"\"", "symptom contains \"tab \\t and \\\"quote\\\"\"");
    check("unit.result in [\"oom-kill\", \"signal\"]", "unit.result in [\"oom-kill\", \"signal\"]");
    check("unit.exit_code not in [0, 1]", "not unit.exit_code in [0, 1]");
    check("true", "true");
    check("(failures) > (3)", "failures > 3");
    check("(failures > 3) == true", "(failures > 3) == true");
}

#[test]
fn and_binds_closer_than_or_and_not_closer_than_both() {
    let condition = parse("not failures > 1 and took > 1s or check == \"unit\"").expect("valid");
    let Expression::Any(parts) = &*condition.expression else { panic!("{condition:?}") };
    let Expression::All(both) = &parts[0] else { panic!("{condition:?}") };
    assert!(matches!(&both[0], Expression::Not(_)));
    check("not (failures > 1 or took > 1s)", "not (failures > 1 or took > 1s)");
    check("(failures > 1 or took > 1s) and true", "(failures > 1 or took > 1s) and true");
    check("failures > 1 and (took > 1s and true)", "failures > 1 and (took > 1s and true)");
    check("failures > 1 and (took > 1s or true)", "failures > 1 and (took > 1s or true)");
    check("not not true", "not not true");
}

#[test]
fn the_source_is_kept_as_it_was_written() {
    let text = "failures  >  3";
    assert_eq!(parse(text).expect("valid").source.as_str(), text);
}

/// Each wrong condition, the place marked below it, what is said, and the help.
const WRONG: &[(&str, &str)] = &[
    ("", "\n^ the condition ends too early\nhelp: a field or a value is missing"),
    ("unit.stat == \"failed\"", "^^^^^^^^^ there is no field `unit.stat`\nhelp: did you mean `unit.state`?"),
    ("restarts > 3", "^^^^^^^^ there is no field `restarts`\nhelp: did you mean `unit.restarts`?"),
    ("failures > 3 AND true", "             ^^^ `AND` is not expected here\nhelp: write `and`"),
    ("NOT true", "^^^ there is no field `NOT`\nhelp: write `not`"),
    (
        "unit.state == failed",
        "              ^^^^^^ there is no field `failed`\nhelp: a text stands in quotes: \"failed\"",
    ),
    (
        "unit.state == \"actve\"",
        "              ^^^^^^^ `unit.state` is never \"actve\"\nhelp: did you mean \"active\"?",
    ),
    (
        "unit.result in [\"signal\", \"oom\"]",
        "                          ^^^^^ `unit.result` is never \"oom\"\nhelp: it is one of success, exit-code, signal, \
         core-dump, watchdog, start-limit-hit, oom-kill, timeout, resources, protocol, other",
    ),
    (
        "failing_for > 30",
        "              ^^ `failing_for` is a duration, but `30` is a number\nhelp: write its unit, as in 30s, 5m or 2h",
    ),
    (
        "host.memory_available < 10",
        "                        ^^ `host.memory_available` is a percentage, but `10` is a number\nhelp: write its \
         unit, as in 90%",
    ),
    (
        "failures > 30s",
        "           ^^^ `failures` is a number, but `30s` is a duration\nhelp: write a number, as 3 or 0.5",
    ),
    (
        "took > failures",
        "       ^^^^^^^^ `took` is a duration, but `failures` is a number\nhelp: only values of one type can be compared",
    ),
    ("symptom > \"a\"", "        ^ `>` cannot compare a text\nhelp: write ==, !=, contains or in"),
    (
        "failures contains 3",
        "         ^^^^^^^^ `contains` cannot compare a number\nhelp: it looks for a part of a text; write == or < or > here",
    ),
    ("true < false", "     ^ `<` cannot compare a boolean\nhelp: write == or !="),
    (
        "failures and true",
        "^^^^^^^^ `failures` is a number, and a condition is needed\nhelp: compare it, as in failures > 3",
    ),
    (
        "not figure.load",
        "    ^^^^^^^^^^^ `figure.load` is a figure, and a condition is needed\nhelp: compare it, as in figure.load > 3",
    ),
    (
        "took > 30sec",
        "         ^^^ there is no unit `sec`\nhelp: write s; the units are ms, s, m, h, d, B, kB, KiB, MB, \
      MiB, GB, GiB, TB, TiB and %",
    ),
    (
        "took > 1h30",
        "           ^ a unit is missing\nhelp: the units are ms, s, m, h, d, B, kB, KiB, MB, MiB, GB, GiB, \
      TB, TiB and %",
    ),
    (
        "took > 30 s",
        "       ^^ `took` is a duration, but `30` is a number
help: write its unit, as in 30s, 5m or 2h",
    ),
    (
        "figure.age > 30 s",
        "                ^ the unit `s` stands apart
help: write it right behind its number, as in 30s",
    ),
    (
        "host.memory_available < 101%",
        "                        ^^^^ this is no percentage\nhelp: write 0% to 100%, with at most two decimals",
    ),
    ("took > 99999d", "       ^^^^^^ this duration is too long\nhelp: write at most 36500d"),
    ("figure.size > 99999999TiB", "              ^^^^^^^^^^^ this size is too large\nhelp: -"),
    ("took > -5s", "       ^^^ what has a unit is never negative\nhelp: leave the sign out"),
    (
        "failures > 1234567890123456789",
        "           ^^^^^^^^^^^^^^^^^^^ this number has too many digits\nhelp: write at most 18",
    ),
    ("failures = 3", "         ^ `=` is no sign of this language\nhelp: write =="),
    ("true && false", "     ^^ `&&` is no sign of this language\nhelp: write `and`"),
    ("!true", "^ `!` is no sign of this language\nhelp: write `not`"),
    ("failures > 3;", "            ^ `;` has no meaning here\nhelp: texts stand in quotes"),
    ("symptom == \"open", "           ^^^^^ the text does not end\nhelp: close it with \""),
    (
        "symptom == \"\\x\"",
        "            ^^ this escape is not known\nhelp: write \\\\ for a backslash; \\\", \\', \\n and \\t are known besides",
    ),
    ("(failures > 3", "             ^ a parenthesis is not closed\nhelp: write ) here"),
    ("failures > 3)", "            ^ there is no parenthesis that this one closes\nhelp: leave it out"),
    ("failures >", "          ^ the condition ends too early\nhelp: a field or a value is missing"),
    ("failures > and", "           ^^^ a field or a value is missing before `and`\nhelp: -"),
    ("1 < failures < 3", "             ^ comparisons do not form a chain\nhelp: join two comparisons with `and`"),
    ("failures in 3", "            ^ a list is missing\nhelp: write it as [\"a\", \"b\"]"),
    ("failures in []", "             ^ a value is missing in the list\nhelp: write it as [\"a\", \"b\"]"),
    ("failures in [1 2]", "               ^ the list does not end\nhelp: write , before another value, or ] here"),
    (
        "failures in [1, 2s]",
        "                ^^ `2s` is a duration, but the list is compared with a number\nhelp: all values of a list have \
         the type of what is looked for",
    ),
    (
        "failures not 3",
        "         ^^^ `not` is not expected here\nhelp: write `x not in [\u{2026}]`, or `not` before a whole comparison",
    ),
];

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_write() {
    for (text, expected) in WRONG {
        let wrong = parse(text).map(|condition| panic!("{condition:?} was understood")).unwrap_err();
        let expected = format!("{text}\n{}", expected.trim_start_matches('\n'));
        assert_eq!(shown(text, &wrong), expected);
    }
}

#[test]
fn what_is_too_long_too_deep_or_too_much_is_refused() {
    let long = format!("failures > 3{}", " ".repeat(BYTES_MAX));
    assert!(parse(&long).expect_err("too long").message.contains("at most 1024 are read"));
    for text in
        ["(".repeat(BYTES_MAX), "not ".repeat(BYTES_MAX / 4), format!("{}true{}", "(".repeat(40), ")".repeat(40))]
    {
        assert!(parse(&text).expect_err("too deep").message.contains("nested more than 32 deep"), "{text}");
    }
    // Nesting that the parser's own depth lets through still makes a tree that is too deep.
    let woven = format!("{}true{}", "true and (true or not ".repeat(17), ")".repeat(17));
    assert!(parse(&woven).expect_err("too deep").message.contains("nested more than 32 deep"));
    let many = vec!["1"; NODES_MAX + 1].join(",");
    let wrong = parse(&format!("failures in [{many}]")).expect_err("too much");
    assert!(wrong.message.contains("more than 256 parts"), "{}", wrong.message);
}

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conditions.md");
    std::fs::read_to_string(path).expect("the page on conditions")
}

#[test]
fn every_example_of_the_page_is_understood() {
    let page = page();
    let blocks = page.split("```condition\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let lines: Vec<&str> = blocks.flat_map(str::lines).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in lines {
        parse(line).map_err(|wrong| panic!("{}", shown(line, &wrong))).ok();
    }
}

#[test]
fn the_page_names_every_field_with_its_type_and_every_unit() {
    let page = page();
    for field in FIELDS {
        let words: Vec<String> = field.words.iter().map(|word| format!("`{word}`")).collect();
        let words = if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) };
        let row = format!("| `{}` | {} | {}{words} |", field.name, field.value_type, field.meaning);
        assert!(page.contains(&row), "docs/conditions.md lacks the row\n{row}");
    }
    for unit in ["ms", "s", "m", "h", "d", "B", "kB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB", "%"] {
        assert!(page.contains(&format!("`{unit}`")), "docs/conditions.md does not name the unit {unit}");
    }
}

/// Values that the language can write, of every type.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-1_000_000i32..1_000_000, 0u32..100).prop_map(|(a, b)| Value::Number(f64::from(a) + f64::from(b) / 100.0)),
        "\\PC{0,12}|[\"\\\\\n\t']{0,5}".prop_map(|text| Value::Text(text.as_str().into())),
        (0u64..1_000_000_000, 0u32..1_000_000_000).prop_map(|(s, n)| Value::Duration(Duration::new(s, n))),
        (0u64..1000).prop_map(|hours| Value::Duration(Duration::from_secs(hours * 3600))),
        (0u64..1_000_000_000_000_000).prop_map(|bytes| Value::Bytes(ByteSize(bytes))),
        (0u64..=10_000).prop_map(|of| Value::Percent(Percent::of(of, 10_000))),
    ]
}

/// A field that can be compared with the value, whatever it is.
fn field_for(value: &Value, pick: usize) -> Box<str> {
    let fits = |field: &&FieldSpec| field.value_type == value.value_type() && field.words.is_empty();
    let fields: Vec<&FieldSpec> = FIELDS.iter().filter(fits).collect();
    let figures = ["figure.size", "figure.http.status", "figure.free space", "figure./var \"x\""];
    match pick % (fields.len() + 1) {
        0 => figures[pick % figures.len()].into(),
        other => fields[other - 1].name.into(),
    }
}

fn comparison(value_type: ValueType, pick: usize) -> Comparison {
    use Comparison as C;
    let all: &[C] = match value_type {
        ValueType::Text => &[C::Equal, C::NotEqual, C::Contains],
        ValueType::Bool => &[C::Equal, C::NotEqual],
        _ => &[C::Equal, C::NotEqual, C::Less, C::LessOrEqual, C::Greater, C::GreaterOrEqual],
    };
    all[pick % all.len()]
}

/// Well-typed conditions of any form.
fn expression() -> impl Strategy<Value = Expression> {
    let leaf = (value(), any::<usize>(), any::<usize>(), any::<bool>()).prop_map(|(value, a, b, is_list)| {
        let field = Box::new(Expression::Field(field_for(&value, a)));
        match is_list {
            true => Expression::In(field, vec![value.clone(); b % 3 + 1]),
            false => {
                let comparison = comparison(value.value_type(), b);
                Expression::Compare(field, comparison, Box::new(Expression::Literal(value)))
            }
        }
    });
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Expression::Not(Box::new(part))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            (inner, any::<bool>()).prop_map(|(part, value)| {
                let value = Expression::Literal(Value::Bool(value));
                Expression::Compare(Box::new(part), Comparison::Equal, Box::new(value))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_the_same(expression in expression()) {
        let text = expression.to_string();
        prop_assume!(text.len() <= BYTES_MAX);
        match parse(&text) {
            Ok(condition) => prop_assert_eq!(&*condition.expression, &expression, "{}", text),
            Err(wrong) => prop_assert!(false, "{}", shown(&text, &wrong)),
        }
    }

    #[test]
    fn any_text_gives_a_condition_or_an_error_with_a_place_inside(
        text in prop_oneof![
            "\\PC{0,200}",
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            "([a-z.]{1,8}|[0-9.]{1,6}|[a-zA-Z%]{1,3}|and|or|not|in|figure\\.|[()\\[\\],<>=!&|\"'\\\\ -]|µ){0,60}",
        ]
    ) {
        if let Err(wrong) = parse(&text) {
            prop_assert!(text.is_char_boundary(wrong.offset), "{:?}", wrong);
            prop_assert!(text.is_char_boundary(wrong.offset + wrong.length), "{:?}", wrong);
        }
    }
}
