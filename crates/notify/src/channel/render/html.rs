//! A page as HTML: one column, inline styles only (mail programs drop the rest), everything escaped.

use std::fmt::Write;

use super::document::{Block, Document, Tone};

const BODY: &str = "margin:0;padding:12px;background:#f4f4f2;color:#1d1d1b;font:16px/1.45 system-ui,sans-serif";
const CARD: &str = "max-width:680px;margin:0 auto;background:#fff;border-radius:6px;padding:16px";
const TITLE: &str = "font-size:14px;margin:20px 0 4px;color:#55554f";
const CODE: &str = "background:#f4f4f2;border-radius:4px;padding:8px;margin:4px 0;font:13px/1.4 monospace;\
                    white-space:pre-wrap;overflow-wrap:anywhere";
const CELL: &str = "padding:2px 12px 2px 0;vertical-align:top;color:#55554f;white-space:nowrap";

/// Lays a page out.
pub(super) fn document(document: &Document) -> String {
    let mut out = String::with_capacity(4096);
    let headline = escaped(&document.headline);
    let edge = match document.tone {
        Tone::Good => "#2e7d32",
        Tone::Bad => "#b3261e",
        Tone::Plain => "#8a6d00",
    };
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{headline}</title></head>\n\
         <body style=\"{BODY}\"><div style=\"{CARD};border-top:4px solid {edge}\">\n\
         <h1 style=\"font-size:20px;margin:0\">{headline}</h1>\n"
    );
    for section in &document.sections {
        let _ = writeln!(out, "<h2 style=\"{TITLE}\">{}</h2>", escaped(section.title));
        for entry in &section.blocks {
            block(&mut out, entry);
        }
    }
    let footer = escaped(&document.footer);
    let _ = write!(out, "<p style=\"{TITLE};font-size:13px\">{footer}</p>\n</div></body></html>\n");
    out
}

fn block(out: &mut String, block: &Block) {
    // Writing to a string cannot fail.
    let _ = match block {
        Block::Paragraph(text) => writeln!(out, "<p style=\"margin:4px 0\">{}</p>", escaped(text)),
        Block::Facts(facts) => {
            let rows = facts.iter().map(|(label, value)| row(label, value, Tone::Plain));
            writeln!(out, "<table style=\"border-collapse:collapse\">{}</table>", rows.collect::<String>())
        }
        Block::Timeline(entries) => {
            let rows = entries.iter().map(|(time, tone, text)| row(time, text, *tone));
            writeln!(out, "<table style=\"border-collapse:collapse\">{}</table>", rows.collect::<String>())
        }
        Block::Points(points) => {
            let items = points.iter().map(|point| format!("<li>{}</li>", escaped(point)));
            writeln!(out, "<ul style=\"margin:4px 0;padding-left:20px\">{}</ul>", items.collect::<String>())
        }
        Block::Quote { source, lines } => writeln!(
            out,
            "<p style=\"margin:8px 0 0\">{}</p><pre style=\"{CODE}\">{}</pre>",
            escaped(source),
            escaped(&lines.join("\n"))
        ),
        Block::Commands(commands) => writeln!(out, "<pre style=\"{CODE}\">{}</pre>", escaped(&commands.join("\n"))),
    };
}

fn row(label: &str, value: &str, tone: Tone) -> String {
    let color = match tone {
        Tone::Good => "color:#2e7d32",
        Tone::Bad => "color:#b3261e",
        Tone::Plain => "color:inherit",
    };
    format!(
        "<tr><td style=\"{CELL}\">{}</td><td style=\"{color};overflow-wrap:anywhere\">{}</td></tr>",
        escaped(label),
        escaped(value)
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
