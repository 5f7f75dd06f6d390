//! A page as plain text of a given width, with or without colors.

use ansai_model::columns::hanging;

use super::{
    Color, RenderOptions,
    document::{Block, Document, Tone},
};

const WIDTH_MIN: usize = 40;

/// Lays a page out.
pub(super) fn document(document: &Document, options: &RenderOptions) -> String {
    let mut page = Page { text: String::new(), width: options.width.max(WIDTH_MIN), color: options.color };
    let headline = page.wrapped(&document.headline, 0, 0);
    let headline = page.painted(&headline, document.tone);
    page.line(&headline);
    for section in &document.sections {
        page.line("");
        let title = page.bold(section.title);
        page.line(&title);
        for block in &section.blocks {
            page.block(block);
        }
    }
    page.line("");
    let footer = page.wrapped(&format!("-- {}", document.footer), 0, 3);
    page.line(&footer);
    page.text
}

struct Page {
    text: String,
    width: usize,
    color: Color,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => {
                let text = self.wrapped(text, 2, 2);
                self.line(&text);
            }
            Block::Facts(facts) => {
                let label_width = facts.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
                for (label, value) in facts {
                    let text = self.wrapped(&format!("{label:label_width$}  {value}"), 2, label_width + 4);
                    self.line(&text);
                }
            }
            Block::Timeline(entries) => {
                for (time, tone, text) in entries {
                    let mark = self.painted(mark(*tone), *tone);
                    let text = self.wrapped(text, time.len() + 6, time.len() + 6);
                    let line = format!("  {time}  {mark} {}", text.trim_start());
                    self.line(&line);
                }
            }
            Block::Points(points) => {
                for point in points {
                    let text = self.wrapped(&format!("- {point}"), 2, 4);
                    self.line(&text);
                }
            }
            Block::Quote { source, lines } => {
                self.line(&format!("  {source}:"));
                for line in lines {
                    let quoted = format!("    | {line}");
                    let quoted = match quoted.chars().count() <= self.width {
                        true => quoted,
                        // What goes on is told from the next line of the source.
                        false => self.wrapped(&quoted, 0, 6).replace("\n      ", "\n    : "),
                    };
                    self.line(&quoted);
                }
            }
            Block::Commands(commands) => {
                for command in commands {
                    self.line(&format!("  $ {command}"));
                }
            }
        }
    }

    /// Breaks text at spaces; a word longer than a line stays whole, so that paths and commands can be copied.
    fn wrapped(&self, text: &str, first_indent: usize, indent: usize) -> String {
        // The spaces that align the first column are kept: only the text after the indent is broken.
        let line = format!("{}{text}", " ".repeat(first_indent));
        hanging(&line, indent.max(first_indent), indent, self.width)
    }

    fn bold(&self, text: &str) -> String {
        match self.color {
            Color::Never => text.to_uppercase(),
            Color::Always => format!("\x1b[1m{text}\x1b[0m"),
        }
    }

    fn painted(&self, text: &str, tone: Tone) -> String {
        match (self.color, tone) {
            (Color::Never, _) | (Color::Always, Tone::Plain) => text.to_owned(),
            (Color::Always, Tone::Good) => format!("\x1b[32m{text}\x1b[0m"),
            (Color::Always, Tone::Bad) => format!("\x1b[31m{text}\x1b[0m"),
        }
    }
}

/// What a line's tone looks like without colors.
fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "+",
        Tone::Bad => "!",
        Tone::Plain => "·",
    }
}
