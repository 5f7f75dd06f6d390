//! The recorded curves, as they stand in `tests/recorded`.

use std::{fs, path::Path};

/// A recorded curve: readings at equal steps of time, in bytes.
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) leaks: bool,
    pub(crate) values: Vec<f64>,
}

/// All curves of a folder, by name.
pub(crate) fn all(folder: &str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(folder);
    let mut curves: Vec<Recorded> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("it can be read");
            let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
            let values = json["values"].as_array().expect("values");
            Recorded {
                name: json["name"].as_str().expect("a name").to_owned(),
                leaks: json["leaks"].as_bool().unwrap_or(false),
                values: values.iter().map(|value| value.as_f64().expect("a number") * 1024.0).collect(),
            }
        })
        .collect();
    curves.sort_by(|one, other| one.name.cmp(&other.name));
    curves
}
