//! `ansai init`: a first configuration from what this host runs. It observes only, until the operator says otherwise.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use ansai_host::linux::port_owner;
use ansai_model::{
    domain::service::{ActiveState, validators},
    inventory::{Inventory, UnitFacts},
};
use ansai_protocol::SCHEMA;
use serde_json::json;

use crate::{
    Places,
    exit::{Code, Failure},
    show,
};

/// Units that init leaves alone: the system's own plumbing.
const PLUMBING: &[&str] = &[
    "systemd-*",
    "dbus*",
    "getty@*",
    "serial-getty@*",
    "console-getty*",
    "user@*",
    "user-runtime-dir@*",
    "ansai*",
    "polkit*",
    "emergency*",
    "rescue*",
    "initrd-*",
    "plymouth*",
    "container-getty@*",
    "modprobe@*",
    "kmod*",
    "ifup@*",
    "networking.service",
    "keyboard-setup*",
    "console-setup*",
    "apt-*",
    "dpkg-*",
    "e2scrub*",
    "fstrim*",
    "logrotate*",
    "man-db*",
    "wtmp*",
    "ldconfig*",
    "proc-sys-*",
    "dm-event*",
    "lvm2-*",
    "blk-availability*",
    "*-init.service",
];
const PORTS_TRIED: &[u16] = &[80, 443, 8080, 8000, 3000, 5000, 5432, 3306, 6379, 25, 53, 22];

pub(super) fn init(places: &Places, output: Option<PathBuf>, force: bool, dry_run: bool) -> Result<Code, Failure> {
    let failed = |what: String, todo: &str| Failure::new(Code::Failing, what, todo);
    let units = units(super::config::inventory(places)?);
    let text = configuration(&units);
    // What init writes must be valid, or it helps nobody.
    let output = output.unwrap_or_else(|| places.config.clone());
    ansai_config::parse(&[(output.clone(), text.clone())]).map_err(|error| {
        failed(format!("the configuration that init made is not valid: {error}"), "please report this as a bug")
    })?;
    let is_printed = dry_run || output.as_os_str() == "-";
    if !is_printed {
        write(&output, &text, force)?;
    }
    if places.json {
        let written = (!is_printed).then_some(&output);
        show::print_json(&json!({"schema": SCHEMA, "written": written, "configuration": text}));
    } else if is_printed {
        show::print(&text);
    } else {
        let count = match units.len() {
            0 => "no service runs here but the system's own".to_owned(),
            1 => "1 service, observed only".to_owned(),
            many => format!("{many} services, observed only"),
        };
        let next = "read it, set `autonomy: act` where ansai may heal, then systemctl enable --now ansai";
        show::print(&format!("{} written: {count}\nnext: {next}", output.display()));
    }
    Ok(Code::Ok)
}

/// Writes a configuration; one that is there is replaced only by force, and then kept as `.bak`.
pub(super) fn write(output: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        let what = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
            _ => Failure::new(Code::Failing, what, "name another place with --output"),
        }
    };
    if output.exists() {
        if !force {
            let what = format!("{} is there already and was not touched", output.display());
            return Err(Failure::new(Code::Usage, what, "--force replaces it, and keeps it as .bak"));
        }
        let backup = PathBuf::from(format!("{}.bak", output.display()));
        std::fs::copy(output, &backup).map_err(|error| failed(&backup, error))?;
    }
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    std::fs::write(output, text).map_err(|error| failed(output, error))
}

fn units(inventory: Inventory) -> Vec<UnitFacts> {
    let is_plumbing =
        |unit: &UnitFacts| PLUMBING.iter().any(|pattern| ansai_model::policy::matches(pattern, unit.name.as_str()));
    let mut units = inventory.units;
    units.retain(|unit| unit.active == ActiveState::Active && !unit.is_oneshot && !is_plumbing(unit));
    units
}

fn configuration(units: &[UnitFacts]) -> String {
    let mut text = String::from(
        "# ansai.yaml, written by `ansai init` from what runs on this host.\n\
         # `observe` records what would be done and does nothing; `act` heals. It can be set for each service as well.\n\
         autonomy: observe\n\n\
         # notify:\n#   email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}\n\n",
    );
    text.push_str(if units.is_empty() { "services: {}\n" } else { "services:\n" });
    let root = Path::new("/");
    let mut ports = std::collections::BTreeMap::new();
    for port in PORTS_TRIED {
        for owner in port_owner::owners(root, *port) {
            ports.entry(owner.unit.unwrap_or_default()).or_insert(*port);
        }
    }
    for unit in units {
        let name = unit.name.as_str();
        let description = unit.description.as_str().replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  # {description}");
        let validator =
            validators::for_unit(name).map(|validator| format!("  # validated with `{}`", validator.argv.join(" ")));
        let validator = validator.unwrap_or_default();
        let _ = match ports.get(name) {
            Some(port) => writeln!(text, "  \"{name}\": {{probe: \"tcp://127.0.0.1:{port}\"}}{validator}"),
            None => writeln!(text, "  \"{name}\": {{}}{validator}"),
        };
    }
    text
}
