//! Gets a new certificate: by certbot, by a command, or from an ACME issuer. What is not due is left alone, an issuer is
//! never asked too often, and what comes is judged before anybody uses it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    condition::Value,
    domain::certificate::{
        CertificateSeen, Expectation, FileProbe, KeyMatch, KeyPlace, Renewal, RenewalReason, Renewer, Revocation,
        Sameness, judge,
    },
    observation::{Details, Health, Observation},
    probe::CommandLine,
    text::Text,
    time::{Shown, WallTime},
};
use rustls::pki_types::CertificateDer;

use super::{
    acme,
    history::History,
    kept::{self, By, Replaced},
    observe_file, read, seen,
    store::{Mark, Store},
    wall_now,
};
use crate::linux::{
    LinuxHost,
    command::{self, Ended},
};

/// After a renewed certificate had to be put back, no other is asked for by ourselves for so long.
const PUT_BACK_WAIT: Duration = Duration::from_secs(86_400);

/// Gets a new certificate, when it is due or asked for.
pub(super) async fn renew(host: &LinuxHost, renewal: &Renewal, run: &ActionRun) -> ActionOutcome {
    let refused = |why: String| ActionOutcome::Refused { why: Text::new(why) };
    let root = host.inner.options.root.clone();
    if let Some(outcome) = objection(&root, renewal) {
        return outcome;
    }
    let begun = Store::open(&host.inner.options.state_dir, &renewal.name)
        .and_then(|store| History::load(&store).map(|history| (store, history)));
    let (store, mut history) = match begun {
        Ok(begun) => begun,
        Err(why) => return refused(why),
    };
    let is_asked = renewal.reason == RenewalReason::Asked;
    if let Err(why) = kept::recover(&store).and_then(|()| history.set_right(&store, wall_now())) {
        return refused(why);
    }
    // What was kept belongs to an earlier renewal, and must not be put back by whoever takes this one back.
    if let Err(why) = forget_kept(&store, is_asked) {
        return refused(why);
    }
    if let (false, Renewer::Acme(_), Some((chain, key))) = (is_asked, &renewal.by, store.staged())
        && let Ok(note) = good(&chain, &key, &renewal.expect)
    {
        return ActionOutcome::Succeeded { note: Text::new(format!("renewed before, and not in place yet: {note}")) };
    }
    if let Some(why) = history.objection(wall_now(), is_asked) {
        return refused(why);
    }
    if let Err(why) = history.begin(&store, wall_now()) {
        return refused(format!("that the issuer is asked could not be written down: {why}"));
    }
    // What had to be put back belongs to the attempt before.
    let _ = store.unmark(Mark::PutBack);
    let renewed = match &renewal.by {
        Renewer::Acme(issuer) => {
            let asked = acme::order(host, issuer, &renewal.expect.names, run.timeout).await;
            asked.and_then(|(chain, key)| {
                let note = good(chain.as_bytes(), key.as_bytes(), &renewal.expect)?;
                store.stage(&chain, &key).map(|()| note)
            })
        }
        Renewer::Certbot { lineage } => {
            by_command(host, renewal, &store, &certbot_renew(lineage, renewal.reason), run.timeout).await
        }
        Renewer::Exec(command) => by_command(host, renewal, &store, command, run.timeout).await,
    };
    let saved = match &renewed {
        Ok(_) => history.succeeded(&store, wall_now()),
        Err(_) => Ok(()),
    };
    match (renewed, saved) {
        (Ok(note), Ok(())) => ActionOutcome::Succeeded { note: Text::new(note) },
        (Ok(note), Err(why)) => {
            ActionOutcome::Succeeded { note: Text::new(format!("{note}; that could not be written down: {why}")) }
        }
        (Err(why), _) => ActionOutcome::Failed { why: Text::new(why) },
    }
}

/// Forgets what was kept. The error says that the renewed one had to be put back lately, and another one like it would
/// hardly fare better.
fn forget_kept(store: &Store, is_asked: bool) -> Result<(), String> {
    kept::forget(store, By::Deployment)?;
    kept::forget(store, By::Renewal)?;
    let mut put_back = store.marked(Mark::PutBack).and_then(|text| text.parse().ok()).map(WallTime);
    // By a clock that was ahead: the wait begins now, or it would not end before that clock's time.
    if put_back.is_some_and(|at| at > wall_now()) {
        put_back = Some(wall_now());
        store.mark(Mark::PutBack, &wall_now().0.to_string())?;
    }
    match put_back.map(|at| wall_now().since(at)).filter(|ago| *ago < PUT_BACK_WAIT && !is_asked) {
        None => Ok(()),
        Some(ago) => Err(format!(
            "the certificate that was renewed {} ago did not work where it is used and was put back: mend that first, then run `ansai certificate renew NAME`",
            Shown(ago)
        )),
    }
}

/// Why nothing is renewed, when nothing is.
fn objection(root: &Path, renewal: &Renewal) -> Option<ActionOutcome> {
    if renewal.reason == RenewalReason::Asked {
        return None;
    }
    let now = look(root, renewal);
    match now.health() {
        Health::Failing if is_due(&now) => None,
        Health::Failing => Some(ActionOutcome::Refused { why: now.summary().clone() }),
        Health::Healthy => Some(ActionOutcome::NotNeeded { why: Text::new(format!("not due: {}", now.summary())) }),
        Health::Unknown => Some(ActionOutcome::Refused { why: now.summary().clone() }),
    }
}

/// What a renewal would do.
pub(super) fn plan(host: &LinuxHost, renewal: &Renewal) -> Result<Vec<String>, String> {
    match objection(&host.inner.options.root, renewal) {
        Some(ActionOutcome::Refused { why }) => return Err(why.to_string()),
        Some(outcome) => return Ok(vec![format!("nothing: {outcome}")]),
        None => {}
    }
    let history = Store::open(&host.inner.options.state_dir, &renewal.name).and_then(|store| History::load(&store));
    let is_asked = renewal.reason == RenewalReason::Asked;
    match history.map(|history| history.objection(wall_now(), is_asked)) {
        Ok(None) => Ok(vec![format!("ask {} for {}", renewal.by.shown(), renewal.expect.names.join(", "))]),
        Ok(Some(why)) | Err(why) => Err(why),
    }
}

fn look(root: &Path, renewal: &Renewal) -> Observation {
    let probe = FileProbe {
        path: renewal.current.certificate.clone(),
        key: renewal.current.key.clone().map_or(KeyPlace::Inside, KeyPlace::Apart),
        expect: renewal.expect.clone(),
        same_as: None,
    };
    observe_file(root, &probe, wall_now())
}

fn is_due(observation: &Observation) -> bool {
    match observation.details() {
        Details::Figures(figures) => figures.get("certificate.is_due") == Some(&Value::Bool(true)),
        Details::None | Details::Unit(_) => false,
    }
}

/// Whether a new certificate is what it must be; says how long it is good for, or what is wrong with it.
fn good(chain: &[u8], key: &[u8], expect: &Expectation) -> Result<String, String> {
    let chain = read::parse(chain).map_err(|error| format!("what came is no certificate: {error}"))?;
    let key = read::parse_key(key).map_err(|error| format!("its key: {error}"))?;
    let key: KeyMatch = read::belongs(key, &chain)?;
    let seen: CertificateSeen = seen::seen(&chain, expect, wall_now(), key, Sameness::NotAsked)?;
    let judged = judge("the new certificate", expect, &seen, wall_now());
    match judged.health() {
        Health::Healthy => Ok(format!("{}, signed by {}", judged.summary(), seen.issuer)),
        Health::Failing | Health::Unknown => Err(judged.summary().to_string()),
    }
}

fn certbot_renew(lineage: &str, reason: RenewalReason) -> CommandLine {
    let mut argv = vec!["certbot", "renew", "--cert-name", lineage, "--non-interactive", "--no-random-sleep-on-renew"];
    if reason == RenewalReason::Asked {
        argv.push("--force-renewal");
    }
    CommandLine::new(argv)
}

/// Lets a command write the files; what was there is kept, and the new one must be good and another one.
async fn by_command(
    host: &LinuxHost,
    renewal: &Renewal,
    store: &Store,
    line: &CommandLine,
    timeout: Duration,
) -> Result<String, String> {
    let root = &host.inner.options.root;
    let was_usable = is_usable(&look(root, renewal));
    kept::keep(store, By::Renewal, &written_by_renewer(root, renewal), &[])?;
    store.mark(Mark::Renewing, "")?;
    let renewed = commanded(host, renewal, store, line, timeout).await;
    let renewed = match renewed {
        Err(why) if was_usable => {
            // What the renewer left may not be what works.
            let _ = store.unmark(Mark::Renewed);
            Err(match kept::put_back(store, By::Renewal) {
                Ok(changed) if changed.is_empty() => why,
                Ok(_) => format!("{why}; the earlier one is back in its place"),
                Err(error) => return Err(format!("{why}; THE EARLIER ONE COULD NOT BE PUT BACK: {error}")),
            })
        }
        renewed => renewed,
    };
    store.unmark(Mark::Renewing)?;
    renewed
}

/// Whether a certificate that is due still serves: it has not ended.
fn is_usable(seen: &Observation) -> bool {
    let Details::Figures(figures) = seen.details() else { return false };
    matches!(figures.get("certificate.expires_in"), Some(Value::Duration(left)) if !left.is_zero())
}

async fn commanded(
    host: &LinuxHost,
    renewal: &Renewal,
    store: &Store,
    line: &CommandLine,
    timeout: Duration,
) -> Result<String, String> {
    let root = &host.inner.options.root;
    let path = &renewal.current.certificate;
    let before = read::certificates(root, path).ok();
    let finished = command::run(line, timeout).await;
    let said = host.inner.redactor.redact(&command::said(&finished));
    let failed = |what: String| if said.is_empty() { what } else { format!("{what}: {said}") };
    let shown = line.shown();
    match finished.ended {
        Ended::Code(0) => {}
        Ended::Code(code) => return Err(failed(format!("`{shown}` ended with code {code}"))),
        Ended::Signal(signal) => return Err(failed(format!("`{shown}` was ended by signal {signal}"))),
        Ended::TimedOut => return Err(failed(format!("`{shown}` did not end in time"))),
        Ended::Missing => return Err(format!("there is no program for `{shown}` here")),
        Ended::Failed(why) => return Err(why),
    }
    let after = read::certificates(root, path).map_err(|error| format!("after `{shown}`, {path}: {error}"))?;
    if before.as_ref().and_then(|chain| chain.first()) == after.first() {
        return Err(failed(format!("`{shown}` ended well, but {path} is still the same")));
    }
    store.mark(Mark::Renewed, path)?;
    let now = look(root, renewal);
    match now.health() {
        Health::Healthy => Ok(format!("`{shown}`: {}", now.summary())),
        Health::Failing | Health::Unknown => Err(format!("what `{shown}` wrote is not good: {}", now.summary())),
    }
}

/// The files that a renewer replaces: the pair, and in certbot's folder all the links that move together.
fn written_by_renewer(root: &Path, renewal: &Renewal) -> Vec<PathBuf> {
    let certificate = read::below(root, &renewal.current.certificate);
    let key = renewal.current.key.as_ref().map(|key| read::below(root, key));
    let mut paths: Vec<PathBuf> = std::iter::once(certificate.clone()).chain(key).collect();
    if let (Renewer::Certbot { .. }, Some(folder)) = (&renewal.by, certificate.parent()) {
        paths.extend(["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"].map(|name| folder.join(name)));
        paths.retain(|path| path.exists());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Has the certificate that was replaced last revoked by its issuer.
pub(super) async fn revoke(host: &LinuxHost, revocation: &Revocation, run: &ActionRun) -> ActionOutcome {
    let refused = |why: &str| ActionOutcome::Refused { why: why.into() };
    let store = match Store::open(&host.inner.options.state_dir, &revocation.name) {
        Ok(store) => store,
        Err(why) => return refused(&why),
    };
    let Some((path, old)) = kept::replaced_certificate(&store) else {
        return refused("no certificate was replaced, so none is left to be revoked: renew and deploy it first");
    };
    let chain = match &old {
        Replaced::Bytes(bytes) => read::parse(bytes),
        Replaced::Link(to) => read::bytes(to).and_then(|bytes| read::parse(&bytes)),
    };
    let chain: Vec<CertificateDer<'static>> = match chain {
        Ok(chain) => chain,
        Err(error) => return refused(&format!("the replaced certificate of {}: {error}", path.display())),
    };
    if read::bytes(&path).and_then(|bytes| read::parse(&bytes)).is_ok_and(|now| now.first() == chain.first()) {
        return refused("the certificate that would be revoked is still the one in use");
    }
    let revoked = match (&revocation.by, &old) {
        (Renewer::Acme(issuer), _) => acme::revoke(host, issuer, &chain, run.timeout).await,
        (Renewer::Certbot { lineage }, Replaced::Link(to)) => {
            certbot_revoke(host, to, issuer_of(&path, lineage), run.timeout).await
        }
        (Renewer::Certbot { .. }, Replaced::Bytes(_)) => Err("it is no certificate of certbot's".into()),
        (Renewer::Exec(_), _) => Err("a command renews it, and only its issuer can revoke it: ask there".into()),
    };
    match revoked {
        Ok(()) => {
            // It must never be put back.
            let forgotten = kept::forget(&store, By::Deployment).and_then(|()| kept::forget(&store, By::Renewal));
            let note = match forgotten {
                Ok(()) => "the replaced certificate is revoked".to_owned(),
                Err(why) => format!("the replaced certificate is revoked, and its copy is still kept: {why}"),
            };
            ActionOutcome::Succeeded { note: Text::new(note) }
        }
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
    }
}

/// The issuer that certbot notes for a certificate, beside the folder of its links: asked by a path it would ask the
/// usual one.
pub(super) fn issuer_of(link: &Path, lineage: &str) -> Option<String> {
    let folder = link.parent()?.parent()?.parent()?;
    let noted = read::bytes(&folder.join("renewal").join(format!("{lineage}.conf"))).ok()?;
    let noted = String::from_utf8_lossy(&noted).into_owned();
    let server = noted.lines().find_map(|line| line.strip_prefix("server")?.trim_start().strip_prefix('='))?.trim();
    server.starts_with("https://").then(|| server.to_owned())
}

async fn certbot_revoke(
    host: &LinuxHost,
    path: &Path,
    issuer: Option<String>,
    timeout: Duration,
) -> Result<(), String> {
    let path = path.display().to_string();
    let argv = ["certbot", "revoke", "--cert-path", &path, "--reason", "keycompromise", "--non-interactive"];
    let argv = argv.into_iter().chain(["--no-delete-after-revoke"]);
    let argv = argv.chain(issuer.as_deref().into_iter().flat_map(|issuer| ["--server", issuer]));
    let line = CommandLine::new(argv);
    let finished = command::run(&line, timeout).await;
    match finished.ended {
        Ended::Code(0) => Ok(()),
        ref ended => {
            let said = host.inner.redactor.redact(&command::said(&finished));
            Err(format!("`{}` did not work ({ended:?}): {said}", line.shown()))
        }
    }
}
