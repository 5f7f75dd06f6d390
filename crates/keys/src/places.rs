//! Where a key of some name stands in a table. What is at those places is not known here.

use std::collections::VecDeque;

use ansai_document::text::joined;

use crate::{Key, Shape, page::mapping};

/// Most places that are named.
const PLACES_MAX: usize = 4;
/// Most mappings that are looked into.
const SHAPES_MAX: usize = 400;
/// How many mappings deep.
const DEPTH_MAX: usize = 4;

/// The places of a key of this name in a mapping that stands under `key` and below it, the nearest first; at most four. `spares`
/// says below which key of a mapping the name of that key may be left out.
#[must_use]
pub fn places(
    name: &str,
    (key, shape): (&str, &'static Shape),
    spares: &dyn Fn(&'static Shape) -> Option<&'static Key>,
) -> Vec<String> {
    let (mut places, mut next, mut seen) = (Vec::new(), VecDeque::from([(key.to_owned(), shape, 0)]), 0);
    while let Some((at, shape, depth)) = next.pop_front() {
        seen += 1;
        if seen > SHAPES_MAX || places.len() >= PLACES_MAX {
            break;
        }
        let spared = spares(shape);
        let below_spared = spared.and_then(|key| mapping(&key.kind)).map(|(_, shape)| shape);
        if [Some(shape), below_spared].into_iter().flatten().any(|shape| shape.key(name).is_some()) {
            places.push(joined(&at, name));
        }
        let others = shape.keys.iter().filter(|inner| spared.is_none_or(|spared| spared.name != inner.name));
        for inner in others.filter(|_| depth < DEPTH_MAX) {
            if let Some((steps, shape)) = mapping(&inner.kind) {
                next.push_back((format!("{}{steps}", joined(&at, inner.name)), shape, depth + 1));
            }
        }
    }
    places
}
