//! The shipped layer, the weakest of all: made from the lines of the keys, so that a person sees every default with its key
//! and a file replaces it. What only one reader knows stands with that reader.

use ansai_document::written::{Fields, Written};
use ansai_keys::{Key, Kind, Shape};

use crate::{
    domain,
    keys::{config::CONFIG, limits::POLICY},
};

/// What it is called in messages.
pub(crate) const NAME: &str = "the shipped defaults";

/// The shipped layer as text.
pub(crate) fn text() -> String {
    let own = CONFIG.keys.iter().filter(|key| key.ships).fold(Fields::default(), with);
    // The policies of the domains follow, as entries below the last section.
    let policies = Fields::default().put("default", mapping(&POLICY)).done();
    own.put("policies", policies).document() + &domain::policies()
}

fn mapping(shape: &Shape) -> Written {
    shape.keys.iter().fold(Fields::default(), with).done()
}

/// With the default of one more key, or of all those in it.
fn with(fields: Fields, key: &Key) -> Fields {
    match (key.value(), key.kind) {
        (Some(value), _) => fields.put(key.name, Written::plain(value)),
        (None, Kind::Shape(shape)) => fields.put(key.name, mapping(shape)),
        (None, _) => fields,
    }
}
