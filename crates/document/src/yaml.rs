//! YAML to the tree, over the events of the parser. Aliases and `<<` are resolved under the limit on values.
//! Tags mean nothing here, and a file holds one document.

mod scan;

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::tree::{
    DEPTH_HELP, DEPTH_MAX, Entry, FormError, NODES_MAX, Node, Place, Reading, Scalar, Twice, Value, insert,
};

/// A list or mapping that has not ended.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: BTreeMap<String, Entry>, merges: Vec<Node>, key: Option<(String, Place)> },
}

struct Reader<'a> {
    text: &'a str,
    source: usize,
    open: Vec<Open>,
    /// What stands behind each name, and how deep it is.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
    twice: Twice,
}

pub(crate) fn read(text: &str, source: usize) -> Reading {
    let mut reader = Reader {
        text,
        source,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
        documents: 0,
        twice: Twice::default(),
    };
    for event in Parser::new_from_str(text) {
        let taken = event.map_err(|error| scan::wrong(text, &error)).and_then(|(event, span)| reader.take(event, span));
        if let Err(error) = taken {
            return reader.twice.and(error);
        }
    }
    let end = Place { source, start: 0, length: 0 };
    let root = reader.root.filter(|root| !root.is_null());
    reader.twice.of(root.unwrap_or_else(|| Node::new(Value::Map(BTreeMap::new()), end)))
}

/// The byte that a marker stands at.
fn offset(text: &str, marker: Marker) -> usize {
    let found = marker
        .byte_offset()
        .unwrap_or_else(|| text.char_indices().nth(marker.index()).map_or(text.len(), |(at, _)| at));
    let mut start = found.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    start
}

impl Reader<'_> {
    fn place(&self, span: Span) -> Place {
        let start = offset(self.text, span.start);
        let end = offset(self.text, span.end).max(start);
        // The end of a plain value may reach over the break to the next line.
        let length = self.text[start..end].trim_end().len();
        Place { source: self.source, start, length }
    }

    fn wrong<T>(&self, place: Place, what: impl Into<String>, help: &str) -> Result<T, FormError> {
        let help = (!help.is_empty()).then(|| help.to_owned());
        Err(FormError { start: place.start, length: place.length, what: what.into(), help })
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), FormError> {
        let place = self.place(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.wrong(
                        place,
                        "a second document begins here",
                        "a file holds one document; make two files",
                    );
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_text = style != ScalarStyle::Plain;
                let scalar = Scalar { text: text.into_owned(), is_text };
                self.value(Node::new(Value::Scalar(scalar), place), anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, Content::List(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map { map: BTreeMap::new(), merges: Vec::new(), key: None };
                self.open(place, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place)?,
            Event::Alias(anchor) => {
                let Some((node, depth)) = self.anchors.get(&anchor) else {
                    return self.wrong(place, "this alias is part of what it stands for", "write out what is meant");
                };
                if self.open.len() + depth > DEPTH_MAX {
                    return self.wrong(place, format!("more than {DEPTH_MAX} levels within each other"), DEPTH_HELP);
                }
                let node = node.clone();
                self.nodes = self.nodes.saturating_add(node.count());
                self.value(Node { place, ..node }, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), FormError> {
        if self.open.len() >= DEPTH_MAX {
            return self.wrong(place, format!("more than {DEPTH_MAX} levels within each other"), DEPTH_HELP);
        }
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            return self.wrong(place, "a key must be a text", "quote a key that begins with { or [");
        }
        self.open.push(Open { place, anchor, content });
        Ok(())
    }

    fn close(&mut self, end: Place) -> Result<(), FormError> {
        let Some(Open { place, anchor, content }) = self.open.pop() else { return Ok(()) };
        let length = end.start.saturating_add(end.length).saturating_sub(place.start);
        let length = self.text[place.start..].get(..length).map_or(0, |slice| slice.trim_end().len());
        let place = Place { length, ..place };
        let value = match content {
            Content::List(list) => Value::List(list),
            Content::Map { mut map, merges, .. } => {
                for merge in merges {
                    for (key, entry) in merge.map().into_iter().flatten() {
                        map.entry(key.clone()).or_insert_with(|| entry.clone());
                    }
                }
                Value::Map(map)
            }
        };
        self.value(Node::new(value, place), anchor)
    }

    /// A value that is complete goes where it belongs: it is a key, an item, the value of a key, or the document.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), FormError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            return self.wrong(
                node.place,
                format!("more than {NODES_MAX} values"),
                "split the file, and use fewer aliases",
            );
        }
        if anchor != 0 {
            self.nodes = self.nodes.saturating_add(node.count());
            self.anchors.insert(anchor, (node.clone(), node.depth()));
        }
        let text = self.text;
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(list)) => list.push(node),
            Some(Content::Map { key: key @ None, .. }) => match node.value {
                Value::Scalar(scalar) => *key = Some((scalar.text, node.place)),
                Value::List(_) | Value::Map(_) => return self.wrong(node.place, "a key must be a text", "quote it"),
            },
            Some(Content::Map { map, merges, key: key @ Some(_) }) => {
                let (name, place) = key.take().unwrap_or_default();
                if name == "<<" && node.map().is_some() {
                    merges.push(node);
                } else {
                    insert(map, name, place, node, (text, &mut self.twice));
                }
            }
        }
        Ok(())
    }
}
