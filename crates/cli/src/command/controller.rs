//! `ansai controller`: made, run, copied, brought back, looked at.

use std::path::Path;

use ansai_controller::{
    Options,
    home::{Home, HomeError},
    settings::Settings,
};
use ansai_document::Diagnostics;
use ansai_link::address::Address;
use ansai_model::{
    cluster::{Cluster, Part},
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::{SCHEMA, views::FleetStatus};
use ansai_store::{StoreError, sqlite};
use serde_json::json;

use super::{agent, cluster, consent};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    fleet::ControllerCommand,
    show,
};

pub(super) fn run(paths: &Paths, command: ControllerCommand) -> Result<Code, Failure> {
    match command {
        ControllerCommand::Init { address, rehearsal } if rehearsal.dry_run => rehearse_init(paths, address),
        ControllerCommand::Init { address, rehearsal: _ } => init(paths, address),
        ControllerCommand::Run => serve(paths),
        ControllerCommand::Backup { file } => backup(paths, &file),
        ControllerCommand::Restore { file, consent } => restore(paths, &file, consent),
        ControllerCommand::Doctor => doctor(paths),
    }
}

fn home(paths: &Paths) -> Home {
    Home { state_dir: paths.controller_state_dir.clone(), settings: paths.controller_config.clone() }
}

/// Whether a controller was made on this host; nothing when that cannot be seen.
pub(super) fn is_made(paths: &Paths) -> Option<bool> {
    home(paths).store().try_exists().ok()
}

fn refused(error: &HomeError) -> Failure {
    let code = match error {
        HomeError::Store(StoreError::There(_) | StoreError::Missing(_) | StoreError::Foreign { .. }) => Code::Usage,
        HomeError::File(_, why) if why.contains("ermission denied") => Code::Forbidden,
        _ => Code::Failing,
    };
    Failure::new(code, error.to_string(), error.suggestion())
}

fn now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_millisecond())
}

/// The address that was written, or else the one that the configuration names, or this host's name.
fn address(written: Option<String>, cluster: Option<&Cluster>) -> Result<Address, Failure> {
    let named = || cluster.map_or_else(cluster::own_name, |cluster| cluster.management_node.clone());
    let name = written.unwrap_or_else(named);
    let wrong = |error: ansai_link::Trouble| {
        Failure::new(Code::Usage, error.to_string(), "--address controller.example.com, as hosts reach this one")
    };
    name.parse().map_err(wrong)
}

/// Who is expected to join, in a clause.
fn expected(cluster: Option<&Cluster>) -> String {
    match cluster.map_or(0, |cluster| cluster.managed_hosts.len()) {
        0 => String::new(),
        hosts => format!(
            "; {} of ansai_cluster {} expected",
            show::count(hosts, "host"),
            if hosts == 1 { "is" } else { "are" }
        ),
    }
}

/// Says that hosts would look for the controller elsewhere, when they would.
fn warn_of_another(cluster: Option<&Cluster>) {
    let host = cluster::own_name();
    if let Some(cluster) = cluster.filter(|cluster| cluster.part_of(&host) != Part::Manages) {
        let node = &cluster.management_node;
        show::note(&format!(
            "this host is {host}, and the management_node of ansai_cluster is {node}: there hosts look for it"
        ));
    }
}

fn rehearse_init(paths: &Paths, written: Option<String>) -> Result<Code, Failure> {
    let named = cluster::named(paths)?;
    let (address, home) = (address(written, named.as_ref())?, home(paths));
    if home.store().exists() {
        return Err(refused(&StoreError::There(home.store()).into()));
    }
    let (state, settings) = (home.state_dir.display(), home.settings.display());
    let text = format!(
        "it would make a CA and a store in {state}, and write {settings}; hosts would reach it at {address}{}\n\
         nothing was changed (--dry-run)",
        expected(named.as_ref())
    );
    warn_of_another(named.as_ref());
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(&text),
    }
    Ok(Code::Ok)
}

fn init(paths: &Paths, written: Option<String>) -> Result<Code, Failure> {
    let named = cluster::named(paths)?;
    let (address, home) = (address(written, named.as_ref())?, home(paths));
    let by = Text::new(format!("user {}", rustix::process::getuid().as_raw()));
    let hosts = named.as_ref().map_or(&[][..], |cluster| cluster.managed_hosts.as_slice());
    let made = home.make(&address, hosts, by, now()).map_err(|error| refused(&error))?;
    warn_of_another(named.as_ref());
    let token = made.token.expose();
    let (state, settings) = (home.state_dir.display(), home.settings.display());
    if paths.json {
        show::print_json(&json!({
            "schema": SCHEMA, "address": address.to_string(), "token": token, "uses": made.uses,
            "lasts_seconds": made.lasts.as_secs(), "ca": made.token.authority,
        }));
        return Ok(Code::Ok);
    }
    let kept = if made.kept_settings { " (it was there, and is as it was)" } else { "" };
    let expected = if made.kept_settings { String::new() } else { expected(named.as_ref()) };
    show::print(&format!(
        "A controller is made: its CA and its store are in {state}, its configuration is {settings}{kept}{expected}.\n\n\
         Start it here, and join each host with its own agent:\n\n  \
         systemctl enable --now ansai-controller\n  \
         echo {token} | ansai join https://{address} --token-file -\n\n\
         The token is good for {} hosts and for {}; it is shown this once. `ansai token create` makes another.",
        made.uses,
        Shown(made.lasts)
    ));
    Ok(Code::Ok)
}

fn serve(paths: &Paths) -> Result<Code, Failure> {
    agent::log();
    let home = home(paths);
    let settings = Settings::of(&home.settings).map_err(|diagnostics| Failure::wrong(&diagnostics))?;
    // The work is waiting, and the disk has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Code::Failing, error.to_string(), ""))?;
    let options = Options { home, settings, runtime_dir: paths.controller_runtime_dir.clone() };
    let result = runtime.block_on(ansai_controller::run(options));
    runtime.shutdown_background();
    result.map(|()| Code::Ok).map_err(|error| {
        let why: Vec<String> = error.chain().map(ToString::to_string).collect();
        let what = format!("the controller cannot run: {}", why.join(": "));
        let todo = error
            .downcast_ref::<HomeError>()
            .map_or("`ansai controller doctor` says more".into(), HomeError::suggestion);
        Failure::new(Code::Failing, what, todo)
    })
}

fn backup(paths: &Paths, file: &Path) -> Result<Code, Failure> {
    home(paths).backup(file).map_err(|error| refused(&error))?;
    said(paths, &format!("{} holds the controller, with its CA's key: keep it as you keep passwords", file.display()));
    Ok(Code::Ok)
}

fn said(paths: &Paths, text: &str) {
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(text),
    }
}

fn restore(paths: &Paths, file: &Path, assent: ConsentArgs) -> Result<Code, Failure> {
    let home = home(paths);
    let found = sqlite::examine(file).map_err(|error| refused(&error.into()))?;
    if let Some(wrong) = found.wrong.first() {
        return Err(refused(&StoreError::Damaged(wrong.clone()).into()));
    }
    let what = format!(
        "{} becomes what {} holds: {}, {} entries of what was done; what happened since that copy is not in it",
        home.state_dir.display(),
        file.display(),
        show::count(found.hosts, "host"),
        found.done
    );
    if assent.rehearsal.dry_run {
        said(paths, &format!("{what}\nnothing was changed (--dry-run)"));
        return Ok(Code::Ok);
    }
    let proof = if home.store().exists() { consent::Proof::Yes } else { consent::Proof::Nothing };
    consent::ask(&what, &proof, assent)?;
    let restored = home.restore(file, now()).map_err(|error| refused(&error))?;
    let aside =
        restored.aside.map_or_else(String::new, |aside| format!("\nwhat was there lies in {}", aside.display()));
    let text = format!(
        "{} came back, as life {}: what hosts were told before binds them until they are told anew{aside}\n\
         systemctl start ansai-controller",
        show::count(restored.hosts, "host"),
        restored.epoch
    );
    said(paths, &text);
    Ok(Code::Ok)
}

/// One thing that was looked at.
struct Look {
    what: String,
    /// What is wrong with it, and what to do.
    wrong: Option<(String, String)>,
    /// Whether the controller works all the same.
    is_warning: bool,
}

impl Look {
    fn well(what: impl Into<String>) -> Self {
        Self { what: what.into(), wrong: None, is_warning: false }
    }

    fn wrong(what: impl Into<String>, why: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what: what.into(), wrong: Some((why.into(), todo.into())), is_warning: false }
    }
}

fn doctor(paths: &Paths) -> Result<Code, Failure> {
    let home = home(paths);
    let settings = Settings::of(&home.settings);
    let told = settings.as_ref().ok().map(|settings| told(&home, settings));
    let looks =
        [Some(listens(&home, settings)), told, Some(store(&home)), Some(authority(&home)), Some(running(paths))];
    let looks: Vec<Look> = looks.into_iter().flatten().collect();
    let is_well = looks.iter().all(|look| look.wrong.is_none() || look.is_warning);
    if paths.json {
        let looks: Vec<_> = looks
            .iter()
            .map(|look| match &look.wrong {
                None => json!({"what": look.what, "is_well": true}),
                Some((why, todo)) => json!({
                    "what": look.what, "is_well": false, "is_warning": look.is_warning, "why": why, "suggestion": todo,
                }),
            })
            .collect();
        show::print_json(&json!({"schema": SCHEMA, "looks": looks}));
    } else {
        let lines = looks.iter().flat_map(|look| match &look.wrong {
            None => vec![format!("ok     {}", look.what)],
            Some((why, todo)) => {
                let word = if look.is_warning { "warn " } else { "WRONG" };
                vec![format!("{word}  {}: {why}", look.what), format!("       help: {todo}")]
            }
        });
        show::print(show::Page::lines(lines));
    }
    Ok(if is_well { Code::Ok } else { Code::Failing })
}

/// Whether anybody hears of what no single host can say.
fn told(home: &Home, settings: &Settings) -> Look {
    let what = "people are told of silent hosts, twins and a full store";
    if settings.routes.is_empty() {
        let todo = format!(
            "write notify: {{email: {{to: you@example.com, smtp: \"smtp://127.0.0.1:25\"}}}} into {}, then: systemctl restart ansai-controller",
            home.settings.display()
        );
        return Look { is_warning: true, ..Look::wrong(what, "nobody is, for its configuration has no route", todo) };
    }
    let names: Vec<String> = settings.routes.iter().map(|route| route.id.to_string()).collect();
    Look::well(format!("{what}: {}", names.join(", ")))
}

fn listens(home: &Home, settings: Result<Settings, Diagnostics>) -> Look {
    let file = home.settings.display();
    match settings {
        Ok(settings) => {
            let api = match settings.api {
                Some(api) => format!(", and answers its API on {}", api.listen),
                None => String::new(),
            };
            Look::well(format!("{file}: it listens on {}{api}", settings.listen))
        }
        Err(diagnostics) => Look::wrong(file.to_string(), diagnostics.text(None), "mend it; comments in it say how"),
    }
}

fn store(home: &Home) -> Look {
    let what = format!("{}", home.store().display());
    match sqlite::examine(&home.store()) {
        Ok(found) => match found.wrong.first() {
            None => Look::well(format!(
                "{what}: {}, {} entries of what was done, life {}",
                show::count(found.hosts, "host"),
                found.done,
                found.epoch
            )),
            Some(wrong) => Look::wrong(what, wrong, "`ansai controller restore` brings back a copy"),
        },
        Err(error) => Look::wrong(what, error.to_string(), error.suggestion()),
    }
}

fn authority(home: &Home) -> Look {
    match home.authority() {
        Ok(authority) => Look::well(format!("its CA: {}", authority.fingerprint().short())),
        Err(error) => Look::wrong("its CA", error.to_string(), error.suggestion()),
    }
}

fn running(paths: &Paths) -> Look {
    let what = "the controller answers";
    let status = client::of_controller(paths, "/v1/status").and_then(client::read::<FleetStatus>);
    match status {
        Ok(FleetStatus { store_error: Some(why), .. }) => {
            Look::wrong(what, why.to_string(), "make room on the filesystem of its store; agents go on by themselves")
        }
        Ok(FleetStatus { untold: 1.., .. }) => {
            let why = "hosts have given it messages to tell people, and it has nobody to tell";
            Look::wrong(what, why, "write `notify:` into its file, then: systemctl restart ansai-controller")
        }
        Ok(status) => {
            let up = status.hosts.iter().filter(|host| host.is_connected).count();
            let expected = match status.expected {
                0 => String::new(),
                hosts => format!("; {hosts} that are expected have not joined (`ansai hosts list`)"),
            };
            Look::well(format!("{what}: {up} of {} are connected{expected}", show::count(status.hosts.len(), "host")))
        }
        Err(failure) => Look::wrong(what, failure.what(), failure.suggestion()),
    }
}
