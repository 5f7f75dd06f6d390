//! A text for a shell, taken apart: its words without their quotes, where a command ends, what is read and written, and the
//! texts within it that are commands themselves.
//!
//! It deliberately replaces nothing: a variable is a word of which nothing is known, and a here-document is read as commands.
//! Any text is taken.

use std::{iter::Peekable, str::Chars};

/// Most pieces of one text.
const PIECES_MAX: usize = 1024;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word, with what was quoted in it as it is.
    Word(String),
    /// The next word names a file that is read or written.
    Redirects,
    /// A command has ended, and another may begin.
    Ends,
    /// A text whose output stands here, as `$(date)`; it is a word, or a part of one.
    Inner(String),
}

/// The pieces of a text.
pub(super) fn of(text: &str) -> Vec<Piece> {
    let mut reader = Reader { left: text.chars().peekable(), word: None, found: Vec::new() };
    reader.read();
    reader.found.truncate(PIECES_MAX);
    reader.found
}

struct Reader<'a> {
    left: Peekable<Chars<'a>>,
    /// The word that has begun; an empty one in quotes is one.
    word: Option<String>,
    found: Vec<Piece>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(letter) = self.left.next() {
            if self.found.len() >= PIECES_MAX {
                return;
            }
            match letter {
                '\'' => self.single(),
                '"' => self.double(),
                '\\' => {
                    // The end of a line that goes on is nothing.
                    if let Some(next) = self.left.next().filter(|next| *next != '\n') {
                        self.push(next);
                    }
                }
                '$' => self.dollar(),
                '`' => self.backquoted(),
                '#' if self.word.is_none() => while self.left.next_if(|letter| *letter != '\n').is_some() {},
                '<' | '>' => self.redirect(),
                '&' if self.left.next_if_eq(&'>').is_some() => self.redirect(),
                ';' | '|' | '&' | '(' | ')' | '\n' => {
                    self.end_word();
                    self.found.push(Piece::Ends);
                }
                _ if letter.is_whitespace() => self.end_word(),
                _ => self.push(letter),
            }
        }
        self.end_word();
    }

    fn push(&mut self, letter: char) {
        self.word.get_or_insert_default().push(letter);
    }

    fn end_word(&mut self) {
        match self.word.take() {
            // What groups commands stands alone.
            Some(word) if word == "{" || word == "}" => self.found.push(Piece::Ends),
            Some(word) => self.found.push(Piece::Word(word)),
            None => {}
        }
    }

    fn single(&mut self) {
        self.word.get_or_insert_default();
        while let Some(letter) = self.left.next().filter(|letter| *letter != '\'') {
            self.push(letter);
        }
    }

    fn double(&mut self) {
        self.word.get_or_insert_default();
        while let Some(letter) = self.left.next().filter(|letter| *letter != '"') {
            match letter {
                '\\' => {
                    if let Some(next) = self.left.next() {
                        self.push(next);
                    }
                }
                '$' => self.dollar(),
                '`' => self.backquoted(),
                _ => self.push(letter),
            }
        }
    }

    /// `$(text)` is a text of its own; `${name}` and `$name` are replaced by nobody knows what.
    fn dollar(&mut self) {
        if self.left.next_if_eq(&'(').is_some() {
            let inner = self.until_closed();
            self.found.push(Piece::Inner(inner));
            self.word.get_or_insert_default();
        } else {
            self.push('$');
        }
    }

    fn backquoted(&mut self) {
        let mut inner = String::new();
        while let Some(letter) = self.left.next().filter(|letter| *letter != '`') {
            inner.push(letter);
        }
        self.found.push(Piece::Inner(inner));
        self.word.get_or_insert_default();
    }

    fn redirect(&mut self) {
        // The number before it says what is redirected, and the mark behind it that a number follows.
        if self.word.as_ref().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        if self.left.next_if_eq(&'(').is_some() {
            let inner = self.until_closed();
            self.found.push(Piece::Inner(inner));
            return;
        }
        while self.left.next_if(|letter| matches!(letter, '<' | '>' | '&' | '|')).is_some() {}
        self.found.push(Piece::Redirects);
    }

    /// The text up to the parenthesis that closes what was opened, quotes heeded.
    fn until_closed(&mut self) -> String {
        let (mut text, mut open, mut quote) = (String::new(), 1, None);
        while let Some(letter) = self.left.next() {
            match (quote, letter) {
                (None, '(') => open += 1,
                (None, ')') => open -= 1,
                (None, '\'' | '"') => quote = Some(letter),
                (Some(mark), _) if mark == letter => quote = None,
                _ => {}
            }
            if open == 0 {
                break;
            }
            text.push(letter);
            if letter == '\\' && quote != Some('\'') {
                text.extend(self.left.next());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown = |piece: &Piece| match piece {
            Piece::Word(word) => format!("[{word}]"),
            Piece::Redirects => ">".to_owned(),
            Piece::Ends => ";".to_owned(),
            Piece::Inner(inner) => format!("({inner})"),
        };
        assert_eq!(of(text).iter().map(shown).collect::<String>(), expect, "{text}");
    }

    #[test]
    fn a_text_is_taken_apart_as_a_shell_does_it() {
        check("a 'b c;d'\"e | f\" g", "[a][b c;de | f][g]");
        check("a; b|c&&d\ne", "[a];[b];[c];;[d];[e]");
        check("a \\; \"x\\\"y\" '' b\\\nc", "[a][;][x\"y][][bc]");
        check("echo \"now $(date '+%H)') and `id`\" $HOME ${A}", "[echo](date '+%H)')(id)[now  and ][$HOME][${A}]");
        check("a >out 2>&1 <in &>all # rest; of\nb", "[a]>[out]>[1]>[in]>[all];[b]");
        check("{ a; } ( b ) awk '{print}' {}", ";[a];;;[b];[awk][{print}][{}]");
        check("diff <(a) 'unended", "[diff](a)[unended]");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[ -~\n]{0,300}", deep in 0_usize..400) {
            prop_assert!(of(&text).len() <= PIECES_MAX);
            of(&"$(".repeat(deep));
            of(&"(;".repeat(4 * deep));
        }
    }
}
