//! Everything as code: files to diagnostics or a validated bundle.
//!
//! [`load`] reads one file, or every file of a folder in the order of their names, with the layers beside it, over the
//! shipped defaults;
//! [`Configuration::bundle`] deduces checks, rules, runbooks and policies for the units that a host has.
//! Nothing half-valid passes: wrong configuration gives [`ansai_document::Diagnostics`] and no configuration.
//!
//! A text becomes a tree (`ansai_document`), is held against the table of all keys (`keys`), is merged over the weaker
//! layers (`layer`), and is read into values (`fill`, `read`), from which each domain deduces what is not written (`domain`).

mod common;
mod configuration;
mod domain;
mod expand;
mod explain;
mod fill;
mod keys;
mod layer;
mod lint;
mod load;
mod read;
mod schema;
mod shipped;
mod slice;

pub use configuration::Configuration;
pub use expand::expanded;
pub use explain::{Explained, Explanation, May, NoKey, Origin};
pub use keys::{config::table, notify::CHANNEL};
pub use layer::{Input, Layer, LayerFile};
pub use lint::{NOBODY_TO_TELL, NOTHING_WATCHED};
pub use load::{changed_at, load, load_at, load_over, parse, parse_layers, resting::Resting};
pub use read::notify::routes;
pub use schema::schema;
