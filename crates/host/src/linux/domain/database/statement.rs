//! A statement without its values: what a person may be told of what somebody asked a database. Whatever is not surely a word, an
//! operator or a name goes. Comments go as well.

/// Most characters that are told.
const LENGTH_MAX: usize = 200;

/// The statement with `?` in the place of each value. What is not understood, or not whole, ends it.
pub(super) fn without_values(statement: &str) -> String {
    let mut told = String::new();
    let mut rest = statement.trim();
    while let Some(c) = rest.chars().next() {
        if told.chars().count() >= LENGTH_MAX {
            told.push('…');
            break;
        }
        let after_word = told.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let Some(next) = step(rest, c, after_word, &mut told) else {
            told.push('…');
            break;
        };
        rest = next;
    }
    told.trim_end().to_owned()
}

/// Takes the next part; what is left, or nothing when nobody can say where the part ends.
fn step<'a>(rest: &'a str, c: char, after_word: bool, told: &mut String) -> Option<&'a str> {
    match c {
        '\'' => {
            told.push('?');
            literal(rest, '\'')
        }
        '"' => {
            let after = literal(rest, '"')?;
            told.push_str(&rest[..rest.len() - after.len()]);
            Some(after)
        }
        '$' if !after_word => dollar(rest, told),
        '-' if rest.starts_with("--") => {
            blank(told);
            Some(rest.split_once('\n').map_or("", |(_, after)| after))
        }
        // They may be nested.
        '/' if rest.starts_with("/*") => {
            let (comment, after) = rest.get(2..)?.split_once("*/")?;
            blank(told);
            (!comment.contains("/*")).then_some(after)
        }
        c if c.is_ascii_digit() && !after_word => {
            told.push('?');
            Some(rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_')))
        }
        c if c.is_whitespace() => {
            blank(told);
            Some(rest.trim_start())
        }
        c => {
            told.push(c);
            rest.get(c.len_utf8()..)
        }
    }
}

fn blank(told: &mut String) {
    if !told.ends_with(' ') {
        told.push(' ');
    }
}

/// What is left after a text in quotes, of which two are one; with a backslash in it nobody can say where it ends.
fn literal(rest: &str, quote: char) -> Option<&str> {
    let mut rest = rest.get(1..)?;
    loop {
        let (inside, after) = rest.split_once(quote)?;
        if inside.contains('\\') {
            return None;
        }
        match after.strip_prefix(quote) {
            Some(more) => rest = more,
            None => return Some(after),
        }
    }
}

/// `$1` is a place for a value; `$tag$…$tag$` is one.
fn dollar<'a>(rest: &'a str, told: &mut String) -> Option<&'a str> {
    let after = rest.get(1..)?;
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        told.push('?');
        return Some(after.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    let (tag, after) = after.split_once('$')?;
    if !tag.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    told.push('?');
    Some(after.split_once(&format!("${tag}$"))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statement: &str, told: &str) {
        assert_eq!(without_values(statement), told);
    }

    #[test]
    fn no_value_of_a_statement_is_told() {
        check("SELECT * FROM t WHERE a = 'it''s' AND b=42", "SELECT * FROM t WHERE a = ? AND b=?");
        check(
            "UPDATE \"My t\" SET a1 = -1.5e3, b = $2 -- a secret\n WHERE c",
            "UPDATE \"My t\" SET a1 = -?, b = ? WHERE c",
        );
        check("SELECT E'a', U&'b', $$c$$, $x$d$$e$x$, 0xFF /* f */ FROM t2", "SELECT E?, U&?, ?, ?, ? FROM t2");
        check("  ALTER\n\tTABLE t  ADD x int ", "ALTER TABLE t ADD x int");
        check("", "");
    }

    #[test]
    fn what_is_not_whole_or_not_sure_ends_it() {
        check("INSERT INTO t VALUES ('cut o", "INSERT INTO t VALUES (?…");
        check(r"SELECT E'a\'b secret', c", "SELECT E?…");
        check(r"SELECT 'a\', 'b secret'", "SELECT ?…");
        check("SELECT $x$ secret", "SELECT ?…");
        check("SELECT /* secret", "SELECT …");
        check("SELECT /* a /* b */ secret */", "SELECT …");
        check("SELECT \"cut", "SELECT …");
        check("SELECT $a b$ secret", "SELECT …");
        let long = without_values(&"ab, ".repeat(500));
        assert!(long.chars().count() <= LENGTH_MAX + 1 && long.ends_with('…'), "{long}");
        // Whatever comes.
        for bytes in [&b"'\xff$\"--"[..], b"\xc3\xa9'\xc3", b"$$$", b"$", b"/*", b"--"] {
            without_values(&String::from_utf8_lossy(bytes));
        }
    }
}
