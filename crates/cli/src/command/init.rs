//! `ansai init`: a first configuration from what this host runs. It observes only, until the operator says otherwise.

mod found;

use std::path::{Path, PathBuf};

use ansai_protocol::SCHEMA;
use serde_json::json;

pub(crate) use self::found::Found;
use crate::{
    Paths, client, domain,
    exit::{Code, Failure},
    show,
};

/// Most units that have failed and are named.
const FAILED_MAX: usize = 5;
/// Most characters of a text of this host that are repeated in a comment.
const TEXT_MAX: usize = 100;
/// Largest configuration that is kept as `.bak`.
const BEFORE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn init(paths: &Paths, output: Option<PathBuf>, force: bool, dry_run: bool) -> Result<Code, Failure> {
    let failed = |what: String, todo: &str| Failure::new(Code::Failing, what, todo);
    let output = output.unwrap_or_else(|| paths.config.clone());
    let is_for_stdout = output.as_os_str() == "-";
    // Nobody waits for what cannot be written in the end.
    if !is_for_stdout {
        writable(&output, force)?;
    }
    // A person who waits hears for what.
    if show::terminal().error_columns.is_some() {
        show::note("looking at what runs here; what was started just now has half a minute to answer …");
    }
    let inventory = super::config::survey(paths)?;
    looked(paths, inventory.units.is_empty())?;
    let found = found::on_this_host(inventory);
    let whose = if paths.user { Whose::Person } else { Whose::Host };
    let text = proposal(&found, whose);
    // What init writes must be valid, or it helps nobody.
    let read = ansai_config::parse(&[(output.clone(), text.clone())]);
    read.and_then(|configuration| configuration.bundle(&found.inventory, 1)).map_err(|error| {
        failed(format!("the configuration that init made is not valid: {error}"), "please report this as a bug")
    })?;
    if let Some(failed) = failed_now(&found) {
        show::note(&failed);
    }
    let is_printed = dry_run || is_for_stdout;
    if !is_printed {
        write(&output, &text, force)?;
    } else if !is_for_stdout {
        try_out(&output, &text)?;
        if let Some(folder) = missing_folder(&output) {
            show::note(&format!("the folder {} would be made for it", folder.display()));
        }
    }
    if paths.json {
        let written = (!is_printed).then_some(&output);
        let failed: Vec<&str> = found.failed().map(|unit| unit.name.as_str()).collect();
        show::print_json(&json!({"schema": SCHEMA, "written": written, "configuration": text, "failed": failed}));
    } else if is_printed {
        show::print(show::Page::file(&text));
    } else {
        let counts = counts(&found, whose);
        let next = next(&output, &paths.config, || client::status(paths).is_ok());
        show::print(&format!("{} written: {counts}, observed only\nnext: {next}", output.display()));
    }
    Ok(Code::Ok)
}

/// That units have failed now, which is no good moment to begin with, and which of them are not proposed.
fn failed_now(found: &Found) -> Option<String> {
    let all: Vec<&str> = found.failed().map(|unit| unit.name.as_str()).take(FAILED_MAX + 1).collect();
    let first = all.first()?;
    let named = match all.len() {
        1 => (*first).to_owned(),
        count if count <= FAILED_MAX => all.join(", "),
        _ => format!("{} and others", all[..FAILED_MAX].join(", ")),
    };
    let is_proposed = |name: &&str| found.units().any(|unit| unit.name.as_str() == *name);
    let left_out: Vec<&str> = all.iter().take(FAILED_MAX).filter(|name| !is_proposed(name)).copied().collect();
    let left_out = match left_out.len() {
        0 => String::new(),
        count if count == all.len() => "; it is not for ansai to look after, unless you write so".to_owned(),
        _ => format!("; not proposed: {}", left_out.join(", ")),
    };
    Some(format!("warning: failed right now: {named} (`systemctl status {first}` says why){left_out}"))
}

/// What is proposed for this host, for an agent that was carried here: whether it is valid it finds out itself.
pub(super) fn proposed_here(paths: &Paths) -> Result<String, Failure> {
    let inventory = super::config::survey(paths)?;
    Ok(proposal(&found::on_this_host(inventory), Whose::Host))
}

/// What to do with what was written. A file that the agent does not read is not brought into force by it.
fn next(output: &Path, config: &Path, has_agent: impl FnOnce() -> bool) -> String {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (written, read) = (whole(output), whole(config));
    if written != read && written.parent() != Some(&read) {
        let (output, config) = (output.display(), config.display());
        return format!("read it, then `ansai check {output}`; the agent reads {config}, not this file");
    }
    // The package may have started an agent already.
    let then = if has_agent() { "ansai reload" } else { "systemctl enable --now ansai" };
    format!("read it, set `autonomy: act` where ansai may heal, then {then}")
}

/// Refuses to say that nothing runs where nobody could look: no units are known, as their service manager cannot be asked.
/// A host on which systemd does not run has none, and is looked at all the same.
fn looked(paths: &Paths, is_empty: bool) -> Result<(), Failure> {
    if !is_empty || !(paths.user || Path::new("/run/systemd/system").exists()) {
        return Ok(());
    }
    let (name, Err(error)) = super::doctor::connected(paths.user) else { return Ok(()) };
    let todo = match paths.user {
        true => "log in as this user, or have root run `loginctl enable-linger`, so that your own systemd runs",
        false => "systemctl start dbus.socket",
    };
    let what = format!(
        "{name} cannot be reached, so it is not known what runs here, and nothing is written: {}",
        ansai_files::said(&error)
    );
    Err(Failure::new(Code::Failing, what, todo))
}

/// Refuses what could not be written.
fn writable(output: &Path, force: bool) -> Result<(), Failure> {
    if output.exists() && !force {
        let what = format!("{} is there already and was not touched", output.display());
        return Err(Failure::new(Code::Usage, what, "--force replaces it, and keeps it as .bak"));
    }
    // Folders that are missing are made in the nearest one that is there.
    let above = output.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let folder = above.and_then(|above| above.ancestors().find(|folder| folder.exists())).unwrap_or(Path::new("."));
    let entry = if folder.is_dir() { Ok(()) } else { Err(std::io::ErrorKind::NotADirectory.into()) };
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let may = entry.and_then(|()| rustix::fs::access(folder, access).map_err(std::io::Error::from));
    may.map_err(|error| unwritten(folder, &error))
}

/// The folder of a file, when it is to be made first.
fn missing_folder(output: &Path) -> Option<&Path> {
    output.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("{}: {}", path.display(), ansai_files::said(error));
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
        _ => Failure::new(Code::Failing, what, "name another place with --output"),
    }
}

/// Writes a configuration; one that is there is replaced only by force, and then kept as `.bak`. What cannot be written to its
/// end leaves everything as it was.
pub(super) fn write(output: &Path, text: &str, force: bool) -> Result<(), Failure> {
    writable(output, force)?;
    if let Some(parent) = missing_folder(output) {
        std::fs::create_dir_all(parent).map_err(|error| unwritten(parent, &error))?;
        show::note(&format!("the folder {} was made for it", parent.display()));
    }
    // A link goes on to lead to what is written, and a device stays one.
    let place = output.canonicalize().unwrap_or_else(|_| output.to_owned());
    let mode = match place.metadata() {
        Ok(there) if !there.is_file() => {
            return std::fs::write(&place, text).map_err(|error| unwritten(&place, &error));
        }
        Ok(there) => {
            let backup = PathBuf::from(format!("{}.bak", output.display()));
            let before = ansai_files::bytes(&place, BEFORE_BYTES_MAX);
            let before = before.map_err(|error| unwritten(&place, &error.into()))?;
            beside(&backup, &before, Some(there.permissions())).map_err(|error| unwritten(&backup, &error))?;
            Some(there.permissions())
        }
        Err(_) => None,
    };
    beside(&place, text.as_bytes(), mode).map_err(|error| unwritten(&place, &error))
}

/// Writes what would be written, and leaves nothing of it: whether there is room, and whether the filesystem takes files at
/// all, is known to nobody else.
fn try_out(output: &Path, text: &str) -> Result<(), Failure> {
    let place = output.canonicalize().unwrap_or_else(|_| output.to_owned());
    if place.exists() && !place.is_file() {
        return Ok(());
    }
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = parent.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    // What is replaced is kept beside it.
    let kept = place.metadata().map_or(0, |there| there.len().min(BEFORE_BYTES_MAX));
    let bytes = [text.as_bytes(), &vec![0; usize::try_from(kept).unwrap_or(0)]].concat();
    let name = place.file_name().map_or_else(|| "ansai.yaml".into(), std::ffi::OsStr::to_owned);
    let failing = if folder == parent { place.as_path() } else { parent };
    fresh(&folder.join(name), &bytes, None).and_then(std::fs::remove_file).map_err(|error| unwritten(failing, &error))
}

/// Writes beside a place first: what is there is whole or as it was, also on a disk that is full.
fn beside(place: &Path, bytes: &[u8], mode: Option<std::fs::Permissions>) -> std::io::Result<()> {
    let fresh = fresh(place, bytes, mode)?;
    std::fs::rename(&fresh, place).inspect_err(|_| drop(std::fs::remove_file(&fresh)))
}

/// Writes a file beside a place, to its end; what is begun and not ended is removed.
fn fresh(place: &Path, bytes: &[u8], mode: Option<std::fs::Permissions>) -> std::io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(place);
    name.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(name);
    let written = std::fs::File::create_new(&fresh).and_then(|mut file| {
        mode.map_or(Ok(()), |mode| file.set_permissions(mode))?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(fresh),
        Err(error) => {
            // It may not have been begun.
            let _ = std::fs::remove_file(&fresh);
            Err(error)
        }
    }
}

/// Whose agent it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The host's, which is root's and may do what is needed.
    Host,
    /// Somebody's own, who has their services and no more.
    Person,
}

/// The domains of which something is proposed.
fn proposed(whose: Whose) -> impl Iterator<Item = &'static dyn domain::Domain> {
    domain::all().filter(move |domain| whose == Whose::Host || domain.is_for_everybody())
}

/// How much there is to watch, in words.
fn counts(found: &Found, whose: Whose) -> String {
    proposed(whose).filter_map(|domain| domain.counted(found)).collect::<Vec<_>>().join(", ")
}

/// The whole file. The same host gives the same text.
fn proposal(found: &Found, whose: Whose) -> String {
    let head = match whose {
        Whose::Host => {
            "# ansai.yaml, written by `ansai init` from what is on this host.\n\
             # `observe` records what would be done and does nothing; `act` heals. It can\n\
             # be set for each service, filesystem and certificate as well.\n"
        }
        Whose::Person => {
            "# ansai.yaml, written by `ansai --user init` from what your own systemd runs.\n\
             # `observe` records what would be done and does nothing; `act` heals. It can\n\
             # be set for each service as well.\n"
        }
    };
    let mut text = format!(
        "{head}autonomy: observe\n\n\
         # notify:\n#   email: {{to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}\n\n",
    );
    for domain in proposed(whose) {
        domain.propose(found, &mut text);
        text.push('\n');
    }
    if whose == Whose::Person {
        of_others(&mut text);
        text.push('\n');
    }
    text
}

/// What an agent without root is not proposed to look after, and who does.
fn of_others(text: &mut String) {
    text.push_str(
        "# The filesystems, the certificates and the services of the host are not watched\n\
         # here: what mends them needs root. The agent of the host does that, once root\n\
         # has run `ansai init`.\n",
    );
}

/// Text of this host as it may stand in a comment: on one line, and not long.
pub(crate) fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect();
    if text.chars().nth(TEXT_MAX).is_some() { format!("{line}…") } else { line }
}

/// A text between quotes.
pub(crate) fn quoted(text: &str) -> String {
    // What JSON writes, YAML reads.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
