//! `ansai config`: the configuration as it is written, in layers, and as the agent applies it on this host.

use std::{collections::BTreeMap, path::Path, time::Duration};

use ansai_agent::{ceiling::Ceiling, uplink::membership::Folder};
use ansai_config::{Configuration, Input, Layer, Origin};
use ansai_document::Diagnostics;
use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_keys::page::MayKey;
use ansai_model::{
    action::{ActionOutcome, ActionRun},
    id::UnitName,
    inventory::{Inventory, Standing},
    probe::Probe,
    unit::{ActiveState, UnitExpectation},
};
use ansai_protocol::SCHEMA;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{
    Paths, domain,
    exit::{Code, Failure},
    patience,
    show::{self, Cell},
};

/// The largest file of a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest wait for the service manager.
const UNITS_WAIT: Duration = Duration::from_secs(2);
/// Longest look at one unit.
const LOOK_TIME: Duration = Duration::from_secs(5);
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
pub(crate) fn load(paths: &Paths) -> Result<Configuration, Failure> {
    patience::read(&paths.config, || read(paths))
}

/// The same, for whoever waits for it in another way.
pub(super) fn read(paths: &Paths) -> Result<Configuration, Failure> {
    let path = &paths.config;
    permitted(path)?;
    let read = of_fleet(paths, path).and_then(|of_fleet| ansai_config::load_over(path, of_fleet));
    read.map_err(|wrong| Failure::wrong(&wrong))
}

/// What an agent goes on with while its files are refused, if that is kept and may be obeyed.
pub(super) fn in_force(paths: &Paths) -> Option<Configuration> {
    ansai_agent::in_force_instead_of(&paths.config, &paths.state_dir).ok()
}

/// What the fleet says of this host, below its own configuration; of another configuration nothing. Whoever may not look into
/// the agent's folder does not know.
pub(super) fn of_fleet(paths: &Paths, path: &Path) -> Result<Vec<Input>, Diagnostics> {
    let folder = Folder::of(&paths.state_dir);
    match folder.stamp() {
        Ok(Some(_)) if *path == paths.config => ansai_agent::trust::of_fleet(path, &folder),
        Ok(_) | Err(_) => Ok(Vec::new()),
    }
}

pub(super) fn show(paths: &Paths) -> Result<Code, Failure> {
    let configuration = load(paths)?;
    let mut files = Vec::new();
    let of_fleet = of_fleet(paths, &paths.config).map_err(|wrong| Failure::wrong(&wrong))?;
    for path in configuration.files() {
        if let Some(found) = of_fleet.iter().find(|found| found.file == path) {
            files.push((path, found.text.clone()));
            continue;
        }
        let text = patience::read(&path, || ansai_files::text(&path, FILE_BYTES_MAX))
            .map_err(|error| Failure::new(Code::Failing, error.to_string(), "ansai check"))?;
        files.push((path, text));
    }
    if paths.json {
        let files: Vec<_> = files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect();
        show::print_json(&json!({"schema": SCHEMA, "files": files}));
        return Ok(Code::Ok);
    }
    for (path, text) in files {
        show::print(show::Page::file(&format!("# {}\n{text}", path.display())));
    }
    Ok(Code::Ok)
}

/// What follows from the files on this host, in the long form, which is a configuration as well; as JSON the bundle.
pub(super) fn expanded(paths: &Paths) -> Result<Code, Failure> {
    let configuration = load(paths)?;
    let inventory = inventory(paths)?;
    let bundle = configuration.bundle(&inventory, 1);
    let ceiling = Ceiling::of(&paths.config).map_err(|wrong| Failure::wrong(&wrong))?;
    let bundle = ceiling.over(bundle.map_err(|wrong| Failure::wrong(&wrong))?);
    let own = configuration.host_settings();
    match paths.json {
        true => show::print_json(
            &json!({"schema": SCHEMA, "host": inventory.hostname, "bundle": bundle, "host_settings": own}),
        ),
        false => show::print(show::Page::file(&ansai_config::expanded(&bundle, own))),
    }
    Ok(Code::Ok)
}

/// Every layer with its files, the weakest first, those included that do not hold.
pub(super) fn layers(paths: &Paths) -> Result<Code, Failure> {
    let configuration = load(paths)?;
    if paths.json {
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
    show::print(show::table(&["LAYER", "FILE", "STATE"], &[], std::iter::once(shipped).chain(rows)));
    Ok(Code::Ok)
}

/// What may stand under a key, what holds, who set it, and what it replaced. Without a key, of the whole file.
pub(super) fn explain(paths: &Paths, key: &str) -> Result<Code, Failure> {
    let configuration = match load(paths) {
        // What may be written is asked before anything is.
        Err(_) if !paths.config.exists() => ansai_config::parse(&[]).map_err(|wrong| Failure::wrong(&wrong))?,
        loaded => loaded?,
    };
    let explained =
        configuration.explain(key).map_err(|wrong| Failure::new(Code::Usage, wrong.what, wrong.suggestion))?;
    let is_written = !explained.values.is_empty();
    let deduced = (!is_written).then(|| domain::deduced(&configuration, &explained.key)).flatten();
    if paths.json {
        show::print_json(&json!({"schema": SCHEMA, "explained": explained, "deduced": deduced}));
        return Ok(Code::Ok);
    }
    let mut lines = vec![match explained.key.as_str() {
        "" => "The file, as it may be written:".to_owned(),
        key => format!("{key}: {}", explained.meaning),
    }];
    let may = &explained.may;
    // How a mapping is written is told by its keys.
    let is_mapping = !may.keys.is_empty() && may.steps.is_empty();
    let how = if is_mapping { String::new() } else { format!(" ({})", may.how) };
    lines.push(format!("  kind     {}{how}", may.kind));
    let default = may.default.as_ref().or(explained.default.as_ref());
    lines.extend(default.map(|default| format!("  default  {default}")));
    let head = show::Page::lines(std::mem::take(&mut lines)).above(&example(&may.example));
    lines.extend(explained.holds.as_ref().map(|holds| format!("It is not written; `{holds}` holds:")));
    let is_whole = explained.key.is_empty();
    for value in explained.values.iter().filter(|_| !is_whole) {
        lines.push(format!("{} = {}", value.key, value.set.value));
        lines.push(format!("    set by   {}", origin(&value.set)));
        let shadowed = value.shadowed.iter().map(|weaker| format!("    replaces {}: {}", origin(weaker), weaker.value));
        lines.extend(shadowed);
    }
    if explained.values.is_empty() && !is_whole {
        lines.push(match deduced {
            Some(deduced) => format!("It is not written here; what follows is: {deduced}"),
            None => "It is not written here.".to_owned(),
        });
    }
    let blank = show::Page::own("");
    let page = if is_whole { head } else { head.above(&blank).above(&show::Page::lines(lines)) };
    show::print(match may.keys.first() {
        None => page,
        Some(first) => page.above(&blank).above(&below(&explained.key, &may.steps, &may.keys, first)),
    });
    Ok(Code::Ok)
}

/// What may stand below a key, and how more is asked of one of it.
fn below(key: &str, steps: &str, all: &[MayKey], first: &MayKey) -> show::Page {
    let whole = format!("{key}{steps}");
    let next = if whole.is_empty() { first.name.clone() } else { format!("{whole}.{}", first.name) };
    let begin = (!steps.is_empty()).then(|| format!("What may stand under {whole}:"));
    let table = keys(all).above(&show::Page::lines(["", &format!("`ansai config explain {next}` says more of one.")]));
    match begin {
        Some(begin) => show::Page::lines([begin]).above(&table),
        None => table,
    }
}

/// The example as it is to be copied, further in.
fn example(text: &str) -> show::Page {
    let lines = text.lines().map(|line| format!("\n    {line}"));
    show::Page::file(&format!("  example{}", lines.collect::<String>()))
}

/// Where a value stands; nobody can look it up in the program.
fn origin(origin: &Origin) -> String {
    match origin.layer {
        Layer::Shipped => origin.file.clone(),
        Layer::Fleet
        | Layer::FleetRole
        | Layer::FleetHost
        | Layer::Site
        | Layer::Role
        | Layer::Host
        | Layer::Emergency => {
            format!("{} {}:{}", origin.layer.as_str(), origin.file, origin.line)
        }
    }
}

/// The keys that may stand in a mapping, each with its kind and what it means.
fn keys(keys: &[MayKey]) -> show::Page {
    let rows = keys.iter().map(|key| {
        let default = key.default.as_ref().map(|default| format!(" (default: {default})")).unwrap_or_default();
        vec![Cell::new(&key.name), Cell::new(&key.kind), Cell::new(format!("{}{default}", key.meaning))]
    });
    show::table(&["KEY", "KIND", "MEANING"], &[1], rows)
}

pub(super) fn schema() -> Result<Code, Failure> {
    show::print_json(&ansai_config::schema());
    Ok(Code::Ok)
}

/// What this host has; without a service manager, it has no units.
pub(crate) fn inventory(paths: &Paths) -> Result<Inventory, Failure> {
    asked(paths, async |host| (host.inventory().await, ())).map(|(inventory, ())| inventory)
}

/// What this host has, its certificates included; it takes seconds, and its servers are asked.
pub(super) fn survey(paths: &Paths) -> Result<Inventory, Failure> {
    asked(paths, async |host| (host.survey().await, ())).map(|(inventory, ())| inventory)
}

/// How these names stand with this host's systemd, and the names of the units that it knows; nothing where it does not answer.
pub(super) fn standings(paths: &Paths, units: &[UnitName]) -> Option<(BTreeMap<UnitName, Standing>, Vec<UnitName>)> {
    let asked = asked(paths, async |host| (host.inventory().await, host.standings(units).await));
    let (inventory, standings) = asked.ok()?;
    Some((standings?, inventory.units.into_iter().map(|unit| unit.name).collect()))
}

/// What this host's service manager says of the activity of a unit, when it answers.
pub(super) fn activity(paths: &Paths, unit: &UnitName) -> Option<ActiveState> {
    let probe = Probe::Unit { unit: unit.clone(), expect: UnitExpectation::Running };
    let looked = asked(paths, async |host| (host.inventory().await, host.observe(&probe, LOOK_TIME).await));
    looked.ok()?.1.unit().map(|unit| unit.active)
}

/// What comes of an action on this host, done by this program itself.
pub(super) fn performed(paths: &Paths, run: &ActionRun) -> Result<ActionOutcome, Failure> {
    asked(paths, async |host| {
        let inventory = host.inventory().await;
        // It is asked again where no unit is known yet.
        let outcome = match inventory.units.is_empty() {
            true => ActionOutcome::Failed { why: "no service manager answers".into() },
            false => host.perform(run).await,
        };
        (inventory, outcome)
    })
    .map(|(_, outcome)| outcome)
}

/// What runs what waits for this host.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let what = format!("nothing can be asked of this host: {}", ansai_files::said(&error));
        Failure::new(Code::Failing, what, "see with `ulimit -a` how much this program may open")
    })
}

/// Asks this host, until its service manager answers, for what it has and for something else.
fn asked<T>(paths: &Paths, ask: impl AsyncFn(&LinuxHost) -> (Inventory, T)) -> Result<(Inventory, T), Failure> {
    let runtime = runtime()?;
    let answer = runtime.block_on(async {
        let tasks = TaskTracker::new();
        let host = LinuxHost::new(Options::this_machine(paths.state_dir.clone()), &tasks);
        let begun = std::time::Instant::now();
        loop {
            let answer = ask(&host).await;
            let is_awaited = Path::new("/run/systemd/system").exists() && begun.elapsed() < UNITS_WAIT;
            if !answer.0.units.is_empty() || !is_awaited {
                return answer;
            }
            tokio::time::sleep(UNITS_EVERY).await;
        }
    });
    runtime.shutdown_background();
    Ok(answer)
}
