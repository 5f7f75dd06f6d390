//! `ansai check`: everything that is wrong with a configuration, at once.

use std::path::PathBuf;

use crate::{
    Places,
    exit::{Code, Failure},
    show,
};

pub(super) fn check(places: &Places, path: Option<PathBuf>) -> Result<Code, Failure> {
    let path = path.unwrap_or_else(|| places.config.clone());
    match ansai_config::load(&path) {
        Ok(configuration) => {
            let files = configuration.files().len();
            match places.json {
                true => show::print_json(&serde_json::json!({"schema": ansai_protocol::SCHEMA, "errors": []})),
                false => show::print(&format!("{} is valid ({files} files)", path.display())),
            }
            Ok(Code::Ok)
        }
        Err(diagnostics) if places.json => {
            show::print_json(&serde_json::json!({"schema": ansai_protocol::SCHEMA, "errors": diagnostics.0}));
            Ok(Code::Usage)
        }
        Err(diagnostics) => Err(Failure::new(Code::Usage, diagnostics.to_string(), "")),
    }
}
