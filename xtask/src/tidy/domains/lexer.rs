//! The names and texts of a piece of Rust, without its comments. It knows no more of the language than that takes.

/// A piece of code that may name something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier, and whether it is a part of a path, of a `use` or of a `mod`.
    Name { name: String, is_path: bool },
    /// What stands between quotes.
    Text(String),
}

/// The names and texts of a piece of Rust.
pub(super) fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = code;
    let mut declares = false;
    let mut before = "";
    while let Some(first) = rest.chars().next() {
        let (taken, token) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), None),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |at| at + 2), None),
            '"' => text(rest, 0),
            'r' | 'b' if opens_text(rest) => text(rest, rest.find('"').unwrap_or(0)),
            '\'' => (character(rest), None),
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                declares = matches!(name, "use" | "mod") || declares;
                let is_path = declares || before == "::" || after.starts_with("::");
                (end, Some(Token::Name { name: name.to_owned(), is_path }))
            }
            c => (c.len_utf8(), None),
        };
        declares &= !matches!(first, ';');
        let (piece, after) = rest.split_at(taken);
        before = if rest.starts_with("::") || (first == ':' && before == ":") { "::" } else { piece };
        tokens.extend(token);
        rest = after;
        if before == "::" && rest.starts_with(':') {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    tokens
}

/// Whether a raw or binary text begins here.
fn opens_text(rest: &str) -> bool {
    let rest = rest.strip_prefix('b').unwrap_or(rest);
    let rest = rest.strip_prefix('r').unwrap_or(rest);
    rest.trim_start_matches('#').starts_with('"') && (rest.starts_with('"') || rest.starts_with('#'))
}

/// A text whose quote stands at `open`, with all that it takes.
fn text(rest: &str, open: usize) -> (usize, Option<Token>) {
    let (prefix, body) = (rest.get(..open).unwrap_or_default(), rest.get(open + 1..).unwrap_or_default());
    let length = if prefix.contains('r') {
        body.find(&format!("\"{}", "#".repeat(prefix.matches('#').count())))
    } else {
        let mut is_escaped = false;
        body.char_indices().find_map(|(at, c)| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end.then_some(at)
        })
    };
    let length = length.unwrap_or(body.len());
    let taken = (open + 1 + length + 1 + prefix.matches('#').count()).min(rest.len());
    (taken, body.get(..length).map(|text| Token::Text(text.to_owned())))
}

/// How much a character takes, or the mark of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest.get(3..).and_then(|after| after.find('\'')).map_or(1, |at| at + 4),
        Some((at, c)) if rest.get(at + c.len_utf8()..).is_some_and(|after| after.starts_with('\'')) => {
            at + c.len_utf8() + 1
        }
        Some(_) | None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_characters_and_comments_are_told_apart() {
        let code = "let a = b'\"'; f('\\'', '\\u{7f}', \"x\\\"y\", r#\"q\"q\"#, b\"z\"); // n\n/* m */ a::b";
        let name = |name: &str, is_path| Token::Name { name: name.to_owned(), is_path };
        let text = |text: &str| Token::Text(text.to_owned());
        let wanted = [
            name("let", false),
            name("a", false),
            name("b", false),
            name("f", false),
            text("x\\\"y"),
            text("q\"q"),
            text("z"),
            name("a", true),
            name("b", true),
        ];
        assert_eq!(tokens(code), wanted);
    }
}
