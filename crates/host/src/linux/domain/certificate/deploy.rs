//! Puts a certificate wherever it is used, validates, and reloads who uses it. What was there is kept, and is put back at
//! once when a validator or a reload says no.

use std::path::{Path, PathBuf};

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    domain::certificate::{Deployment, KeyMatch, KeyPlace, Place, PutBack},
    id::UnitName,
    text::Text,
};

use super::{
    kept::{self, By},
    pem,
    place::{self, Fresh, Now, Ownership, Trusted},
    read,
    store::{Mark, Store},
};
use crate::linux::{LinuxHost, command, owned_path::number, systemd};

/// A file that must have these bytes.
struct Wanted {
    path: PathBuf,
    bytes: Vec<u8>,
    ownership: Ownership,
    trusted: Trusted,
}

/// A certificate with its key, as PEM.
struct Material {
    chain: String,
    key: Option<String>,
    /// Whether it waits in the store, and is not in the declared file yet.
    is_staged: bool,
}

/// Puts a certificate in place.
pub(super) async fn deploy(host: &LinuxHost, deployment: &Deployment, run: &ActionRun) -> ActionOutcome {
    let refused = |why: String| ActionOutcome::Refused { why: Text::new(why) };
    let store = match Store::open(&host.inner.options.state_dir, &deployment.name) {
        Ok(store) => store,
        Err(why) => return refused(why),
    };
    let root = &host.inner.options.root;
    let is_renewed = store.marked(Mark::Renewed).is_some();
    // What was kept belongs to an earlier deployment, and must not be put back by whoever takes this one back.
    let forgotten =
        kept::recover(&store).and_then(|()| kept::forget(&store, By::Deployment)).and_then(|()| match is_renewed {
            true => Ok(()),
            false => kept::forget(&store, By::Renewal),
        });
    let users = host.users_of(&deployment.units).await;
    let prepared = forgotten.and_then(|()| material(root, &store, deployment, &users)).and_then(|material| {
        let wanted = wanted(root, deployment, &material, &users)?;
        Ok((material.is_staged, wanted))
    });
    let (is_staged, wanted) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return refused(why),
    };
    if wanted.is_empty() && !is_renewed {
        if is_staged {
            let _ = store.unstage();
        }
        return ActionOutcome::NotNeeded { why: "every place has this certificate already".into() };
    }
    let changed: Vec<String> = wanted.iter().map(|file| file.path.display().to_string()).collect();
    let changed = if changed.is_empty() { "where it was renewed".to_owned() } else { changed.join(", ") };
    if let Err(why) = put(&store, wanted, &users) {
        return ActionOutcome::Failed { why: Text::new(why) };
    }
    let settled = settle(host, deployment, run).await;
    let unmarked = store.unmark(Mark::Renewed).and_then(|()| if is_staged { store.unstage() } else { Ok(()) });
    // Until all is back, it is known to be halfway.
    let back = settled.is_err().then(|| put_back_all(&store));
    let is_whole = back.as_ref().is_none_or(Result::is_ok);
    let unmarked = unmarked.and_then(|()| if is_whole { store.unmark(Mark::Deploying) } else { Ok(()) });
    let left = unmarked.err().map(|why| format!("; {why}")).unwrap_or_default();
    match settled {
        Ok(reloaded) => {
            ActionOutcome::Succeeded { note: Text::new(format!("put in place: {changed}; {reloaded}{left}")) }
        }
        Err((why, reloaded)) => {
            let back = match back {
                Some(Ok(_)) | None => "the earlier certificate is back in its places".to_owned(),
                Some(Err(error)) => format!("THE EARLIER ONE COULD NOT BE PUT BACK: {error}"),
            };
            let again = reload(host, &reloaded, run).await.err().map(|(why, _)| format!("; {why}")).unwrap_or_default();
            ActionOutcome::Failed { why: Text::new(format!("{why}; {back}{again}{left}")) }
        }
    }
}

/// Keeps what is there, then puts everything in place: all is written and flushed before the first is renamed.
fn put(store: &Store, wanted: Vec<Wanted>, users: &[u32]) -> Result<(), String> {
    let paths: Vec<PathBuf> = wanted.iter().map(|file| file.path.clone()).collect();
    let written = |file: &Wanted| place::prepared(&file.path, &file.bytes, file.ownership, &file.trusted);
    let prepared: Vec<Fresh> = wanted.iter().map(written).collect::<Result<_, _>>()?;
    let owners: Vec<u32> = wanted.iter().flat_map(|file| file.trusted.users()).chain(users.iter().copied()).collect();
    kept::keep(store, By::Deployment, &paths, &owners)?;
    store.mark(Mark::Deploying, "")?;
    for file in prepared {
        if let Err(why) = file.commit() {
            return Err(match kept::put_back(store, By::Deployment) {
                Ok(_) => {
                    let _ = store.unmark(Mark::Deploying);
                    format!("{why}; nothing was changed")
                }
                Err(error) => format!("{why}; AND WHAT WAS CHANGED COULD NOT BE PUT BACK: {error}"),
            });
        }
    }
    Ok(())
}

/// Validates and reloads. The error says why not, and who was reloaded already.
async fn settle(host: &LinuxHost, deployment: &Deployment, run: &ActionRun) -> Result<String, (String, Vec<UnitName>)> {
    for validator in &deployment.validators {
        let finished = command::run(validator, run.timeout).await;
        if finished.ended != command::Ended::Code(0) {
            let said = host.inner.redactor.redact(&command::said(&finished));
            return Err((format!("`{}` says no: {said}", validator.shown()), Vec::new()));
        }
    }
    reload(host, &deployment.units, run).await
}

/// Reloads the units that run. The error says why one was not, and which were.
async fn reload(host: &LinuxHost, units: &[UnitName], run: &ActionRun) -> Result<String, (String, Vec<UnitName>)> {
    let mut reloaded = Vec::new();
    let mut notes = Vec::new();
    for unit in units {
        match host.is_up(unit).await {
            Some(true) => {}
            Some(false) => {
                notes.push(format!("{unit} does not run, and reads it when it starts"));
                continue;
            }
            None => return Err((format!("it is not known whether {unit} runs"), reloaded)),
        }
        let Some(bus) = &host.inner.bus else { return Err(("no systemd runs here".into(), reloaded)) };
        let reload = ActionRun { action: Action::ReloadUnit { unit: unit.clone() }, ..run.clone() };
        match systemd::perform(bus, &reload).await {
            Some(ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. }) => {
                reloaded.push(unit.clone());
                notes.push(format!("{unit} reloaded"));
            }
            Some(other) => return Err((format!("{unit} was not reloaded: {other}"), reloaded)),
            None => return Err((format!("{unit} cannot be reloaded"), reloaded)),
        }
    }
    Ok(if notes.is_empty() { "nobody to reload".into() } else { notes.join(", ") })
}

/// What is to be put in place: the renewed one that waits, or the one in the declared file.
fn material(root: &Path, store: &Store, deployment: &Deployment, users: &[u32]) -> Result<Material, String> {
    let source = &deployment.source;
    let trusted = trusted(source, users)?;
    let material = match store.staged() {
        Some((chain, key)) => Material {
            chain: String::from_utf8_lossy(&chain).into_owned(),
            key: Some(String::from_utf8_lossy(&key).into_owned()),
            is_staged: true,
        },
        None => {
            let text = |path: &str| {
                let bytes = place::source(&read::below(root, path), &trusted);
                bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            };
            let whole = text(&source.certificate)?;
            let key = match &source.key {
                KeyPlace::Apart(path) => Some(text(path)?),
                KeyPlace::Inside => Some(pem::keys(&whole)),
                KeyPlace::Nowhere => None,
            };
            Material { chain: pem::certificates(&whole), key, is_staged: false }
        }
    };
    let chain = read::parse(material.chain.as_bytes()).map_err(|error| error.to_string())?;
    if let Some(key) = &material.key {
        let key = read::parse_key(key.as_bytes()).map_err(|error| format!("the key: {error}"))?;
        if read::belongs(key, &chain)? != KeyMatch::Matches {
            return Err("the certificate does not belong to its key: nothing is put in place".into());
        }
    }
    Ok(material)
}

/// The files that are not as they should be.
fn wanted(root: &Path, deployment: &Deployment, material: &Material, users: &[u32]) -> Result<Vec<Wanted>, String> {
    let source = material.is_staged.then_some(&deployment.source);
    let mut wanted = Vec::new();
    for place in source.into_iter().chain(&deployment.copies) {
        files(root, place, material, users, &mut wanted)?;
    }
    wanted.retain(|file| {
        let is_same = place::bytes(&file.path, &file.trusted).is_ok_and(|found| found == file.bytes);
        !is_same || place::now(&file.path, &file.trusted) != Ok(Now::File(file.ownership))
    });
    Ok(wanted)
}

/// The files of a place: the key first, so that a server that starts in between finds no certificate without its key.
fn files(
    root: &Path,
    place: &Place,
    material: &Material,
    users: &[u32],
    wanted: &mut Vec<Wanted>,
) -> Result<(), String> {
    let key = || material.key.as_deref().ok_or_else(|| "the declared file has no key to be put in place".to_owned());
    let trusted = trusted(place, users)?;
    let mut certificate = material.chain.clone();
    if let KeyPlace::Apart(path) = &place.key {
        let path = read::below(root, path);
        let ownership = ownership(place, &path, true, &trusted)?;
        wanted.push(Wanted { bytes: key()?.as_bytes().to_vec(), ownership, path, trusted: trusted.clone() });
    }
    let holds_key = place.key == KeyPlace::Inside;
    if holds_key {
        certificate.push_str(key()?);
    }
    let path = read::below(root, &place.certificate);
    let ownership = ownership(place, &path, holds_key, &trusted)?;
    wanted.push(Wanted { bytes: certificate.into_bytes(), ownership, path, trusted });
    Ok(())
}

/// Whose the way to a place may be: its declared owner's, and who reads the certificate.
fn trusted(place: &Place, users: &[u32]) -> Result<Trusted, String> {
    let owner = place.owner.as_deref().map(user).transpose()?;
    Ok(Trusted::own().and(owner).and(users.iter().copied()))
}

fn user(name: &str) -> Result<u32, String> {
    number("/etc/passwd", name).ok_or_else(|| format!("`{name}` is not in /etc/passwd"))
}

/// As declared, or as it is, or root's; a key is never for all to read.
fn ownership(place: &Place, path: &Path, holds_key: bool, trusted: &Trusted) -> Result<Ownership, String> {
    let now = match place::now(path, trusted)? {
        Now::File(now) => Some(now),
        Now::Nothing | Now::Link(_) | Now::Other => None,
    };
    let group = |name: &String| number("/etc/group", name).ok_or_else(|| format!("`{name}` is not in /etc/group"));
    let (own, own_group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let usual = if holds_key { 0o600 } else { 0o644 };
    let mode = place.mode.or(now.map(|now| now.mode)).unwrap_or(usual);
    Ok(Ownership {
        uid: place.owner.as_deref().map(user).transpose()?.or(now.map(|now| now.uid)).unwrap_or(own),
        gid: place.group.as_ref().map(group).transpose()?.or(now.map(|now| now.gid)).unwrap_or(own_group),
        mode: if holds_key { mode & 0o770 } else { mode },
    })
}

/// Puts back what our deployment replaced, then what the renewer did; says which places changed.
fn put_back_all(store: &Store) -> Result<Vec<String>, String> {
    let mut changed = Vec::new();
    for by in [By::Deployment, By::Renewal] {
        changed.extend(kept::put_back(store, by)?);
    }
    if !changed.is_empty() {
        store.mark(Mark::PutBack, &super::wall_now().0.to_string())?;
    }
    Ok(changed)
}

/// Notes that nothing is halfway any more.
fn finish(store: &Store) -> Result<(), String> {
    store.unmark(Mark::Deploying).and_then(|()| store.unmark(Mark::Renewing))
}

/// Puts back what was replaced.
pub(super) async fn put_back(host: &LinuxHost, what: &PutBack, run: &ActionRun) -> ActionOutcome {
    let failed = |why: String| ActionOutcome::Failed { why: Text::new(why) };
    let store = match Store::open(&host.inner.options.state_dir, &what.name) {
        Ok(store) => store,
        Err(why) => return failed(why),
    };
    // A first certificate cannot be worse than none: whoever could not start without it must find it.
    if kept::is_of_nothing(&store) {
        let forgotten = kept::forget(&store, By::Deployment).and_then(|()| kept::forget(&store, By::Renewal));
        return match forgotten.and_then(|()| finish(&store)) {
            Ok(()) => ActionOutcome::NotNeeded { why: "no certificate was there before, so the new one stays".into() },
            Err(why) => failed(why),
        };
    }
    let back = put_back_all(&store).and_then(|changed| finish(&store).map(|()| changed));
    let changed = match back {
        Ok(changed) => changed,
        Err(why) => return failed(format!("THE EARLIER CERTIFICATE COULD NOT BE PUT BACK: {why}")),
    };
    if changed.is_empty() {
        return ActionOutcome::NotNeeded { why: "nothing was replaced".into() };
    }
    match reload(host, &what.units, run).await {
        Ok(reloaded) => {
            ActionOutcome::Succeeded { note: Text::new(format!("put back: {}; {reloaded}", changed.join(", "))) }
        }
        Err((why, _)) => failed(format!("put back: {}; {why}", changed.join(", "))),
    }
}

/// What a deployment would do.
pub(super) fn plan(host: &LinuxHost, deployment: &Deployment, users: &[u32]) -> Result<Vec<String>, String> {
    let root = &host.inner.options.root;
    let files = Store::open(&host.inner.options.state_dir, &deployment.name)
        .and_then(|store| material(root, &store, deployment, users))
        .and_then(|material| wanted(root, deployment, &material, users))?;
    if files.is_empty() {
        return Ok(vec!["nothing: every place has this certificate already".into()]);
    }
    let written = files.iter().map(|file| {
        let Ownership { uid, gid, mode } = file.ownership;
        format!("write {} (owner {uid}:{gid}, mode 0{mode:o}), keeping what is there", file.path.display())
    });
    let validated = deployment.validators.iter().map(|line| format!("run `{}`", line.shown()));
    let reloaded = deployment.units.iter().map(|unit| format!("reload {unit}, when it runs"));
    Ok(written.chain(validated).chain(reloaded).collect())
}

/// What putting back would do.
pub(super) fn plan_put_back(host: &LinuxHost, what: &PutBack) -> Result<Vec<String>, String> {
    let paths = Store::open(&host.inner.options.state_dir, &what.name).and_then(|store| kept::paths(&store))?;
    if paths.is_empty() {
        return Ok(vec!["nothing: nothing was replaced".into()]);
    }
    let reloaded = what.units.iter().map(|unit| format!("reload {unit}, when it runs"));
    Ok(paths.iter().map(|path| format!("put {} back", path.display())).chain(reloaded).collect())
}
