//! The JSON schema for editors, made from the table of keys.

use serde_json::Value;

use crate::keys::config::CONFIG;

/// The schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    ansai_keys::schema::schema(&CONFIG, "ansai.yaml")
}

#[cfg(test)]
mod tests;
