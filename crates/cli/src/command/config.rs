//! `ansai config`: the configuration as it is written, in layers, and as the agent applies it on this host.

use std::{path::Path, time::Duration};

use ansai_config::{Configuration, Origin};
use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_model::inventory::Inventory;
use ansai_protocol::SCHEMA;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{
    Places,
    exit::{Code, Failure},
    patience,
    show::{self, Cell},
};

/// The largest file of a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest wait for the service manager.
const UNITS_WAIT: Duration = Duration::from_secs(2);
/// How often it is asked meanwhile.
const UNITS_EVERY: Duration = Duration::from_millis(5);

/// Whether the configuration may be read: what is secret from a person is not missing.
pub(super) fn permitted(path: &Path) -> Result<(), Failure> {
    // What is no file is told of by whoever reads it.
    match ansai_files::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let what = format!("you may not read the configuration {}", path.display());
            Err(Failure::new(Code::Forbidden, what, "run it as root"))
        }
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Reads the configuration, or says all that is wrong with it.
pub(super) fn load(places: &Places) -> Result<Configuration, Failure> {
    let path = &places.config;
    patience::read(path, || {
        permitted(path)?;
        ansai_config::load(path).map_err(|wrong| Failure::wrong(&wrong))
    })
}

pub(super) fn show(places: &Places) -> Result<Code, Failure> {
    let configuration = load(places)?;
    let mut files = Vec::new();
    for path in configuration.files() {
        let text = patience::read(&path, || ansai_files::text(&path, FILE_BYTES_MAX))
            .map_err(|error| Failure::new(Code::Failing, error.to_string(), "ansai check"))?;
        files.push((path, text));
    }
    if places.json {
        let files: Vec<_> = files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect();
        show::print_json(&json!({"schema": SCHEMA, "files": files}));
        return Ok(Code::Ok);
    }
    for (path, text) in files {
        show::print(&format!("# {}\n{text}", path.display()));
    }
    Ok(Code::Ok)
}

/// What follows from the files on this host, in the long form, which is a configuration as well; as JSON the bundle.
pub(super) fn expanded(places: &Places) -> Result<Code, Failure> {
    let configuration = load(places)?;
    let inventory = inventory(places)?;
    let bundle = configuration.bundle(&inventory, 1);
    let bundle = bundle.map_err(|wrong| Failure::wrong(&wrong))?;
    match places.json {
        true => show::print_json(&json!({"schema": SCHEMA, "host": inventory.hostname, "bundle": bundle})),
        false => show::print(&ansai_config::expanded(&bundle)),
    }
    Ok(Code::Ok)
}

/// Every layer with its files, the weakest first, those included that do not hold.
pub(super) fn layers(places: &Places) -> Result<Code, Failure> {
    let configuration = load(places)?;
    if places.json {
        show::print_json(&json!({"schema": SCHEMA, "layers": configuration.layers()}));
        return Ok(Code::Ok);
    }
    let rows = configuration.layers().iter().map(|found| {
        let until = found.expires.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
        let state = match (&found.ignored, until) {
            (Some(why), _) => format!("ignored: {why}"),
            (None, Some(until)) => format!("holds until {until}"),
            (None, None) => "holds".to_owned(),
        };
        vec![Cell::new(found.layer.as_str()), Cell::new(found.file.display()), Cell::new(state)]
    });
    let shipped = vec![Cell::new("shipped"), Cell::new("(in the program)"), Cell::new("holds")];
    show::print(show::table(&["LAYER", "FILE", "STATE"], std::iter::once(shipped).chain(rows)));
    Ok(Code::Ok)
}

/// What holds under a key, who set it, and what it replaced.
pub(super) fn explain(places: &Places, key: &str) -> Result<Code, Failure> {
    let configuration = load(places)?;
    let explained =
        configuration.explain(key).map_err(|wrong| Failure::new(Code::Usage, wrong.what, wrong.suggestion))?;
    if places.json {
        show::print_json(&json!({"schema": SCHEMA, "explained": explained}));
        return Ok(Code::Ok);
    }
    let mut lines = Vec::new();
    if !explained.meaning.is_empty() {
        lines.push(format!("# {}: {}", explained.key, explained.meaning));
    }
    if let Some(holds) = &explained.holds {
        lines.push(format!("# it is not written; `{holds}` holds"));
    }
    let origin = |origin: &Origin| format!("{} {}:{}", origin.layer.as_str(), origin.file, origin.line);
    for value in &explained.values {
        lines.push(format!("{} = {}", value.key, value.set.value));
        lines.push(format!("    set by   {}", origin(&value.set)));
        let shadowed = value.shadowed.iter().map(|weaker| format!("    replaces {}: {}", origin(weaker), weaker.value));
        lines.extend(shadowed);
    }
    if explained.values.is_empty() {
        let default = explained.default.as_deref().unwrap_or("nothing");
        lines.push(format!("{} is not written; what holds: {default}", explained.key));
    }
    show::print(show::Page::lines(lines));
    Ok(Code::Ok)
}

pub(super) fn schema() -> Result<Code, Failure> {
    show::print_json(&ansai_config::schema());
    Ok(Code::Ok)
}

/// Prints `docs/reference/configuration.md`.
pub(super) fn reference() -> Result<Code, Failure> {
    show::print(show::Page::own(ansai_config::reference()));
    Ok(Code::Ok)
}

/// What this host has; without a service manager, it has no units.
pub(super) fn inventory(places: &Places) -> Result<Inventory, Failure> {
    asked(places, async |host| host.inventory().await)
}

/// What this host has, its certificates included; it takes seconds, and its servers are asked.
pub(super) fn survey(places: &Places) -> Result<Inventory, Failure> {
    asked(places, async |host| host.survey().await)
}

fn asked(places: &Places, ask: impl AsyncFn(&LinuxHost) -> Inventory) -> Result<Inventory, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Code::Failing, error.to_string(), ""))?;
    let inventory = runtime.block_on(async {
        let tasks = TaskTracker::new();
        let host = LinuxHost::new(Options::this_machine(places.state_dir.clone()), &tasks);
        let begun = std::time::Instant::now();
        loop {
            let inventory = ask(&host).await;
            let is_awaited = Path::new("/run/systemd/system").exists() && begun.elapsed() < UNITS_WAIT;
            if !inventory.units.is_empty() || !is_awaited {
                return inventory;
            }
            tokio::time::sleep(UNITS_EVERY).await;
        }
    });
    runtime.shutdown_background();
    Ok(inventory)
}
