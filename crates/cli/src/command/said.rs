//! What is said once for many hosts and lasts: a hold, a silence, a window, and who sees to what is open. How many hosts are meant
//! is said before, and asked about where it matters.

use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    policy::Scope,
    text::Text,
};
use ansai_protocol::operation::FleetOperation;

use super::{
    consent,
    fleet::{change, counted, meant, rehearsed, scope},
    orders,
};
use crate::{
    ConsentArgs, Paths,
    exit::{Code, Failure},
    fleet::WideScopeArgs,
    show,
};

/// What is said for many, and for how long.
pub(super) struct Said<'a> {
    pub(super) kind: RestraintKind,
    pub(super) reason: &'a str,
    pub(super) lasts: Option<std::time::Duration>,
}

/// Holds, silences or puts in maintenance many. Of a hold nobody is asked: an emergency waits for no answer.
pub(super) fn restrain(
    paths: &Paths,
    over: FleetScope,
    args: &WideScopeArgs,
    said: &Said<'_>,
    assent: ConsentArgs,
) -> Result<Code, Failure> {
    let (scope, kind) = (scope(args), said.kind);
    let hosts = meant(paths, &over)?;
    let verb = match kind {
        RestraintKind::Hold => "hold",
        RestraintKind::Silence => "silence",
        RestraintKind::Maintenance => "open maintenance of",
    };
    let mut what = counted(verb, &over, &scope, &hosts);
    // What people look at before they say it; an emergency waits for no answer.
    let is_looked_at = assent.rehearsal.dry_run || kind != RestraintKind::Hold && !assent.yes;
    if is_looked_at
        && scope != Scope::All
        && let Some((of_hosts, of_targets)) = orders::meant(paths, &over, &scope)
    {
        let targets = show::count(of_targets, "target");
        what.push_str(&format!("; now {targets} on {}", show::count(of_hosts, "host")));
    }
    let operation = FleetOperation::Restrain { kind, over, scope, reason: Text::new(said.reason), lasts: said.lasts };
    if !assent.rehearsal.dry_run {
        if paths.context().is_none() {
            show::note(&what);
        }
        if kind != RestraintKind::Hold {
            asked(paths, &what, hosts.len(), &operation, assent)?;
        }
    }
    change(paths, &what, operation, assent)
}

/// Ends what was said for many. Where that lets ansai act again on more than a few hosts, it is asked.
pub(super) fn end(
    paths: &Paths,
    kind: RestraintKind,
    over: FleetScope,
    args: &WideScopeArgs,
    assent: ConsentArgs,
) -> Result<Code, Failure> {
    let scope = scope(args);
    // It may outlive the hosts that it was for.
    let hosts = meant(paths, &over).unwrap_or_default();
    let verb = match kind {
        RestraintKind::Hold => "release",
        RestraintKind::Silence => "end silences on",
        RestraintKind::Maintenance => "end maintenance of",
    };
    let what = counted(verb, &over, &scope, &hosts);
    let operation = FleetOperation::End { kind, over, scope };
    if !assent.rehearsal.dry_run {
        asked(paths, &what, hosts.len(), &operation, assent)?;
    }
    change(paths, &what, operation, assent)
}

/// Has a person type the number of hosts where they are several; nobody is asked about what would be refused.
fn asked(
    paths: &Paths,
    what: &str,
    hosts: usize,
    operation: &FleetOperation,
    assent: ConsentArgs,
) -> Result<(), Failure> {
    if hosts <= 1 || assent.yes {
        return Ok(());
    }
    rehearsed(paths, operation.clone())?;
    consent::ask(what, &consent::Proof::Text(hosts.to_string()), assent)
}

/// What is said of what is open.
pub(super) struct SeenTo<'a> {
    pub(super) over: FleetScope,
    /// An incident's number, or a target.
    pub(super) word: &'a str,
    pub(super) reason: &'a str,
    pub(super) is_undone: bool,
}

/// An incident of this host has nobody who keeps that.
pub(super) fn of_no_host() -> Failure {
    let what = "it is the controller that keeps who sees to what, and no host is named";
    Failure::new(Code::Usage, what, "add --host NAME, --role ROLE or --label KEY=VALUE; --fleet means every host")
}

/// Says who sees to what is open. Nobody is asked: it changes nothing on a host.
pub(super) fn see_to(paths: &Paths, said: SeenTo<'_>, consent: ConsentArgs) -> Result<Code, Failure> {
    let SeenTo { over, word, reason, is_undone } = said;
    let to = orders::subject(word);
    let what = format!("{} {to} on {over}", if is_undone { "see no more to" } else { "see to" });
    let operation = FleetOperation::SeeTo { over, to, reason: Text::new(reason), is_undone };
    change(paths, &what, operation, consent)
}
