//! From texts in layers to one tree: each is read and held against the table, the stronger ones are put over the weaker.
//! Which role layer holds follows from the role, and an emergency layer holds until it expires.

use std::path::Path;

use ansai_document::{
    ALL_NODES_MAX, Findings, Form, Node, Place, Source, Sources, Value, merge, nearest, place_of, read_all, text::cut,
};
use ansai_keys::{Kind, check};

use crate::{
    keys::config::{CONFIG, meant},
    layer::{Input, Layer, LayerFile},
};
use ansai_model::time::WallTime;

/// The texts as sources; their order is that of the inputs, which is from the weakest to the strongest.
pub(super) fn sources(inputs: &[Input]) -> Sources {
    let source = |input: &Input| {
        let (name, text) = (input.file.display().to_string(), input.text.clone());
        Source { name, text, rank: input.layer as u8 }
    };
    Sources(inputs.iter().map(source).collect())
}

/// What came of the layers.
pub(super) struct Stack {
    pub(super) tree: Node,
    pub(super) files: Vec<LayerFile>,
}

pub(super) fn stack(findings: &mut Findings<'_>, sources: &Sources, inputs: &[Input], now: WallTime) -> Stack {
    let mut documents: Vec<Option<Node>> = Vec::new();
    let mut values = 0;
    for (index, source) in sources.0.iter().enumerate() {
        let node = findings.read(index, read_all(&source.text, Form::of(Path::new(&source.name)), index));
        values += node.as_ref().map_or(0, Node::count);
        if values > ALL_NODES_MAX {
            let what = format!("the files up to this one have more than {ALL_NODES_MAX} values together");
            let help = "a host needs less than that; use fewer aliases".to_owned();
            findings.error(Place { source: index, ..Place::default() }, "", what, help);
            break;
        }
        node.iter().for_each(|node| check(findings, node, &Kind::Shape(&CONFIG), "", &meant));
        documents.push(node);
    }
    let expirations: Vec<Option<WallTime>> = inputs
        .iter()
        .zip(&mut documents)
        .enumerate()
        .map(|(index, (input, document))| expires(findings, document.as_mut()?, input.layer, index))
        .collect();
    // What has expired says nothing any more, not even of the role.
    let holds = |index: usize| expirations.get(index).copied().flatten().is_none_or(|at| at > now);
    let role = role(findings, inputs, &documents, &holds);
    let mut stack = Stack { tree: Node::null(Place::default()), files: Vec::new() };
    for (index, (input, document)) in inputs.iter().zip(documents).enumerate() {
        let Some(node) = document else { continue };
        let ignored = match &input.role {
            Some(own) if role.as_deref() != Some(own.as_str()) => Some(format!("the role of this host is not `{own}`")),
            Some(_) | None => (!holds(index)).then(|| "it has expired".to_owned()),
        };
        if ignored.is_none() {
            merge(findings, (sources, &is_entry), &mut stack.tree, node, "");
        }
        let (layer, file, expires) = (input.layer, input.file.clone(), expirations.get(index).copied().flatten());
        if input.layer != Layer::Shipped {
            stack.files.push(LayerFile { layer, file, ignored, expires });
        }
    }
    for (index, input) in inputs.iter().enumerate() {
        let found = stack.files.iter().find(|found| found.file == input.file);
        if let Some(at) = found.filter(|found| found.ignored.is_some()).and_then(|found| found.expires) {
            expired(findings, sources, index, at);
        }
    }
    stack
}

/// Whether the entries of a section are things with names of their own, each written in one file of a layer, whole.
fn is_entry(section: &str) -> bool {
    CONFIG.key(section).is_some_and(|key| matches!(key.kind, Kind::Named(_)))
}

/// The role of this host, from the strongest layer that says it.
fn role(
    findings: &mut Findings<'_>,
    inputs: &[Input],
    documents: &[Option<Node>],
    holds: &dyn Fn(usize) -> bool,
) -> Option<String> {
    let said = inputs.iter().zip(documents).enumerate().rev();
    let role = said
        .filter(|(index, (input, _))| input.role.is_none() && holds(*index))
        .filter_map(|(_, (_, node))| node.as_ref()?.section("agent")?.get("role"))
        .find_map(|node| node.text().map(|text| (text.to_owned(), node.place)));
    let known: Vec<&str> = inputs.iter().filter_map(|input| input.role.as_deref()).collect();
    match &role {
        None if !known.is_empty() => {
            let what = "there are role layers, and this host has no role";
            let place = Place { source: inputs.iter().position(|input| input.role.is_some())?, ..Place::default() };
            findings.warning(place, "agent.role", what, format!("write agent: {{role: {}}}", known[0]));
        }
        Some((role, place)) if !known.is_empty() && !known.contains(&role.as_str()) => {
            let what = format!("there is no layer for the role `{}`", cut(role));
            findings.warning(*place, "agent.role", what, nearest(role, known.iter().copied()));
        }
        Some(_) | None => {}
    }
    role.map(|(role, _)| role)
}

/// Takes `expires` out of a document: an emergency layer must have it, any other must not.
fn expires(findings: &mut Findings<'_>, node: &mut Node, layer: Layer, source: usize) -> Option<WallTime> {
    let (place, at) = (place_of(node, "expires"), node.moment_at("expires"));
    let is_there = node.has("expires");
    if let Value::Map(map) = &mut node.value {
        map.remove("expires");
    }
    match (layer, is_there) {
        (Layer::Emergency, true) => at,
        (Layer::Emergency, false) => {
            let what = "an emergency layer must say when it ends";
            let help = "write expires: with a moment, as 2030-01-31T08:00:00Z".to_owned();
            findings.error(Place { source, ..Place::default() }, "expires", what, help);
            None
        }
        (_, true) => {
            let help = format!(
                "delete it, or put the file into layers/emergency; this one is of the {} layer",
                layer.as_str()
            );
            findings.error(place, "expires", "only an emergency layer expires", help);
            None
        }
        (_, false) => None,
    }
}

fn expired(findings: &mut Findings<'_>, sources: &Sources, index: usize, at: WallTime) {
    let found = sources.get(index).and_then(|source| Some((source, source.text.find("expires")?)));
    let place = Place { source: index, start: found.map_or(0, |(_, start)| start), length: "expires".len() };
    let when = jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default();
    let what = format!("this emergency layer ended at {when} and is ignored");
    findings.warning(place, "expires", what, "delete the file, or set a later time".to_owned());
}
