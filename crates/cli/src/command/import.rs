//! `ansai import ansai`: the predecessor's configuration becomes ours. What becomes of each key is `ansai-import`'s.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use ansai_import::{BYTES_MAX, Fate, Imported, Note};
use ansai_protocol::SCHEMA;
use serde_json::json;

use super::init;
use crate::{
    Paths,
    exit::{Code, Failure},
    patience, show,
};

pub(super) fn predecessor(paths: &Paths, file: &Path, output: Option<PathBuf>, force: bool) -> Result<Code, Failure> {
    let text = read(file)?;
    let imported = match ansai_import::predecessor(file, &text) {
        Ok(imported) => imported,
        Err(wrong) if paths.json => {
            show::print_json(&json!({"schema": SCHEMA, "errors": wrong.0}));
            return Ok(Code::Usage);
        }
        Err(wrong) => {
            let mut lines: Vec<String> = wrong.0.iter().map(|wrong| format!("{wrong}\n")).collect();
            lines.push("nothing was written".to_owned());
            return Err(Failure::new(Code::Usage, lines.join("\n"), "mend the old file, and import it again"));
        }
    };
    let name = output.clone().unwrap_or_else(|| PathBuf::from("ansai.yaml"));
    // What is written must be valid, or it helps nobody.
    ansai_config::parse(&[(name, imported.configuration.clone())]).map_err(|wrong| {
        let what = format!("the configuration that was made is not valid: {wrong}");
        Failure::new(Code::Failing, what, "please report this as a bug")
    })?;
    if let Some(output) = &output {
        init::write(output, &imported.configuration, force)?;
    }
    told(paths, &imported, output.as_deref());
    Ok(if imported.is_incomplete() { Code::Failing } else { Code::Ok })
}

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        let what = format!("{}: {}", file.display(), ansai_files::said(&error));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
            _ => Failure::new(Code::Usage, what, "name the predecessor's YAML file"),
        }
    };
    let bytes = match file.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            // One byte more than is read shows that there is more.
            std::io::stdin().take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
            bytes
        }
        // What is too large is said by whoever reads it.
        false => {
            let read = patience::read(file, || ansai_files::head(file, BYTES_MAX as u64 + 1));
            read.map_err(|error| failed(error.into()))?.0
        }
    };
    String::from_utf8(bytes).map_err(|error| {
        let what = format!("{}: byte {} is no UTF-8", file.display(), error.utf8_error().valid_up_to());
        Failure::new(Code::Usage, what, "is it the predecessor's YAML file?")
    })
}

/// How much of the old file became what.
fn summary(notes: &[Note]) -> String {
    let kinds = [
        (Fate::Wanted, "to be completed by you"),
        (Fate::NotYet, "not done by ansai yet"),
        (Fate::Dropped, "not carried over"),
        (Fate::Changed, "carried over differently"),
    ];
    let count = |fate| notes.iter().filter(|note| note.fate == fate).count();
    let counts = kinds.iter().map(|(fate, words)| (count(*fate), words)).filter(|(count, _)| *count > 0);
    let parts: Vec<String> = counts.map(|(count, words)| format!("{count} {words}")).collect();
    match parts.is_empty() {
        true => "everything is carried over".to_owned(),
        false => format!("carried over, but for what is listed at its end: {}", parts.join(", ")),
    }
}

fn told(paths: &Paths, imported: &Imported, output: Option<&Path>) {
    let Imported { configuration, notes } = imported;
    if paths.json {
        let text = configuration;
        return show::print_json(&json!({"schema": SCHEMA, "written": output, "configuration": text, "notes": notes}));
    }
    let listed = summary(notes);
    match output {
        None => {
            show::print(configuration);
            show::note(&listed);
        }
        Some(output) => {
            let path = output.display();
            show::print(&format!("{path} written: {listed}\nnext: read it, then: ansai check {path}"));
        }
    }
}
