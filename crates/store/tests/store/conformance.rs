//! What every store owes. Each test runs against both.

use std::collections::BTreeSet;

use ansai_model::{
    id::{IncidentId, RestraintId, TargetId},
    observation::Health,
    time::WallTime,
};
use ansai_protocol::{
    link::{Fingerprint, TokenId},
    record::{HostIncident, Record},
};
use ansai_store::{
    Store,
    page::{Cursor, IncidentsOf, PAGE_MAX, Which},
    sqlite::SqliteStore,
    volatile::VolatileStore,
};

use crate::records::{
    Stands, audited, controller, host, host_record, identity, incident, kept, pending, report, restraint, target, token,
};

/// Runs a test against both stores.
fn each(test: impl Fn(&dyn Store)) {
    test(&VolatileStore::new(controller(), 1));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.sqlite");
    SqliteStore::create(&path, controller()).expect("made");
    test(&SqliteStore::open(&path).expect("opened"));
}

fn save(store: &dyn Store, records: impl IntoIterator<Item = Record>) {
    store.save(records.into_iter().collect()).expect("saved");
}

#[test]
fn a_new_store_knows_its_controller_and_nothing_else() {
    each(|store| {
        let state = store.state().expect("read");
        assert_eq!((state.controller, state.epoch), (controller(), 1));
        assert!(state.hosts.is_empty() && state.open.is_empty() && state.targets.is_empty());
        assert_eq!(store.plight(), None);
    });
}

#[test]
fn what_is_saved_again_replaces_what_was_there() {
    each(|store| {
        let (mut first, second) = (host_record(1), host_record(2));
        save(store, [Record::Host(second.clone()), Record::Host(first.clone()), token(1, 5), kept_at(1, 3)]);
        first.heard = Some(WallTime(99));
        save(store, [Record::Host(first.clone()), token(1, 4), kept_at(1, 9), pending(1), restraint(2), restraint(10)]);
        let state = store.state().expect("read");
        assert_eq!(state.hosts, [first, second], "in the order of their ids");
        assert_eq!(state.kept, [kept(1, 9)]);
        assert_eq!(state.tokens.iter().map(|token| token.uses_left).collect::<Vec<_>>(), [4]);
        assert_eq!(state.pending.len(), 1);
        let restraints: Vec<u64> = state.restraints.iter().map(|restraint| restraint.id.0).collect();
        assert_eq!(restraints, [2, 10], "in the order of their numbers");
        save(store, [Record::Generation(7), Record::Generation(5)]);
        save(store, [Record::PendingGone(Fingerprint([1; 32])), Record::RestraintGone(RestraintId(10))]);
        let state = store.state().expect("read");
        assert!(state.pending.is_empty());
        assert_eq!(state.restraints.len(), 1);
        save(store, [token(2, 1), identity(1, "0a"), identity(1, "0b")]);
        save(store, [Record::TokenGone(TokenId([1; 6])), Record::IdentityGone("0a".into())]);
        let state = store.state().expect("read");
        assert_eq!(state.tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [TokenId([2; 6])]);
        assert_eq!(state.identities.iter().map(|one| one.serial.as_str()).collect::<Vec<_>>(), ["0b"]);
        assert_eq!(state.last_restraint, RestraintId(10), "a number is given once");
        assert_eq!(state.generation, 7, "it only grows");
    });
}

fn kept_at(number: u8, through: u64) -> Record {
    Record::Kept(kept(number, through))
}

#[test]
fn a_host_that_goes_takes_what_is_its_own_and_leaves_what_happened() {
    each(|store| {
        let of = |number| {
            [
                Record::Host(host_record(number)),
                identity(number, &format!("{number:02x}")),
                identity(number, &format!("ff{number:02x}")),
                Record::Target(target(number, "nginx", Health::Healthy)),
                Record::Target(target(number, "sshd", Health::Failing)),
                kept_at(number, 4),
                Record::Incident(incident(Some(host(number)), 1, 100, Stands::Open)),
                report(number, 1, 100, "it failed"),
            ]
        };
        save(store, of(1).into_iter().chain(of(2)));
        save(
            store,
            [Record::TargetGone { host: host(2), target: TargetId::new("service/sshd.service").expect("valid") }],
        );
        save(store, [Record::HostGone(host(1))]);
        let state = store.state().expect("read");
        assert_eq!(state.hosts, [host_record(2)]);
        assert!(state.identities.iter().all(|identity| identity.host == host(2)) && state.identities.len() == 2);
        assert_eq!(state.targets, [target(2, "nginx", Health::Healthy)]);
        assert_eq!(state.kept, [kept(2, 4)]);
        assert_eq!(state.open.len(), 2);
        assert!(store.report(&host(1), IncidentId(1)).expect("read").is_some());
    });
}

#[test]
fn an_incident_stands_as_it_was_told_last_and_its_report_too() {
    each(|store| {
        let open = incident(Some(host(1)), 7, 100, Stands::Open);
        save(store, [Record::Incident(open.clone()), report(1, 7, 100, "it fails")]);
        assert_eq!(store.state().expect("read").open, [open]);
        let ended = incident(Some(host(1)), 7, 100, Stands::Ended);
        save(store, [Record::Incident(ended.clone()), report(1, 7, 100, "it was healed")]);
        assert!(store.state().expect("read").open.is_empty());
        let of = IncidentsOf { most: 9, ..IncidentsOf::default() };
        assert_eq!(store.incidents(&of).expect("read").incidents, [ended]);
        // A host that lost its ledger counts anew: another incident of the same number.
        save(store, [Record::Incident(incident(Some(host(1)), 7, 900, Stands::Open)), report(1, 7, 900, "another")]);
        assert_eq!(store.incidents(&of).expect("read").incidents.len(), 2);
        let headline = |id| store.report(&host(1), IncidentId(id)).expect("read").map(|report| report.headline);
        assert_eq!((headline(7), headline(8)), (Some("another".into()), None));
    });
}

/// All that a question finds, page by page, each with so many at most.
fn paged(store: &dyn Store, of: &IncidentsOf) -> Vec<HostIncident> {
    let mut of = of.clone();
    let mut found = Vec::new();
    for _ in 0..1_000 {
        let page = store.incidents(&of).expect("read");
        assert!(page.incidents.len() <= of.most.clamp(1, PAGE_MAX));
        found.extend(page.incidents);
        match page.next {
            Some(next) => of.after = Some(next),
            None => return found,
        }
    }
    panic!("it never ends");
}

#[test]
fn pages_hold_each_incident_once_newest_first_whatever_comes_meanwhile() {
    each(|store| {
        // Many at one moment, of several hosts and of the controller's own.
        let all: Vec<HostIncident> = (0..120_u64)
            .map(|n| {
                let of = (n % 5 != 4).then(|| host(u8::try_from(n % 4).expect("small")));
                let stands = if n % 2 == 0 { Stands::Open } else { Stands::Ended };
                incident(of, n, i64::try_from(n / 7).expect("small"), stands)
            })
            .collect();
        save(store, all.iter().cloned().map(Record::Incident));
        let places = |found: &[HostIncident]| found.iter().map(Cursor::of).collect::<Vec<_>>();
        let mut newest_first = places(&all);
        newest_first.sort();
        newest_first.reverse();
        for most in [1, 7, 100, 5_000] {
            let of = IncidentsOf { most, ..IncidentsOf::default() };
            assert_eq!(places(&paged(store, &of)), newest_first);
        }
        let wanted = |of: &IncidentsOf, wanted: &dyn Fn(&HostIncident) -> bool| {
            let expected: BTreeSet<Cursor> = all.iter().filter(|incident| wanted(incident)).map(Cursor::of).collect();
            let found = places(&paged(store, of));
            assert!(found.is_sorted_by(|a, b| a > b), "newest first: {of:?}");
            assert!(!expected.is_empty());
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{of:?}");
        };
        let of = || IncidentsOf { most: 7, ..IncidentsOf::default() };
        wanted(&IncidentsOf { which: Which::Open, ..of() }, &|one| one.incident.is_open());
        wanted(&IncidentsOf { hosts: Some(vec![host(2)]), ..of() }, &|one| one.host == Some(host(2)));
        let two = IncidentsOf { hosts: Some(vec![host(0), host(3)]), which: Which::Open, ..of() };
        wanted(&two, &|one| [Some(host(0)), Some(host(3))].contains(&one.host) && one.incident.is_open());
        let named = IncidentsOf { targets: vec!["app-1".into(), "app-2".into()], ..of() };
        wanted(&named, &|one| one.incident.id.0 % 3 != 0);
        let nobody = IncidentsOf { hosts: Some(Vec::new()), ..of() };
        assert!(paged(store, &nobody).is_empty());
        // What comes meanwhile stands before the place, and is not met.
        let first = store.incidents(&of()).expect("read");
        save(store, [Record::Incident(incident(None, 999, 1_000, Stands::Open))]);
        let rest = paged(store, &IncidentsOf { after: first.next, ..of() });
        assert_eq!([places(&first.incidents), places(&rest)].concat(), newest_first);
        assert_eq!(store.state().expect("read").last_incident, IncidentId(999));
    });
}

#[test]
fn old_incidents_go_with_their_reports_and_open_ones_stay() {
    each(|store| {
        for n in 0..10_u64 {
            let opened = i64::try_from(n).expect("small");
            let stands = if n == 2 { Stands::Open } else { Stands::Ended };
            save(store, [Record::Incident(incident(Some(host(1)), n, opened, stands)), report(1, n, opened, "r")]);
        }
        assert_eq!(store.forget(WallTime(5), 3).expect("kept"), 3);
        let left = || paged(store, &IncidentsOf { most: 100, ..IncidentsOf::default() });
        let ids = |found: &[HostIncident]| found.iter().map(|one| one.incident.id.0).collect::<Vec<_>>();
        assert_eq!(ids(&left()), [9, 8, 7, 6, 5, 4, 2]);
        assert_eq!(store.forget(WallTime(5), 100).expect("kept"), 1);
        assert_eq!(store.forget(WallTime(5), 100).expect("kept"), 0);
        assert_eq!(ids(&left()), [9, 8, 7, 6, 5, 2]);
        let is_told = |n| store.report(&host(1), IncidentId(n)).expect("read").is_some();
        assert_eq!([is_told(0), is_told(2), is_told(4), is_told(5)], [false, true, false, true]);
    });
}

#[test]
fn what_was_done_is_told_newest_first_and_each_entry_binds_the_one_before() {
    each(|store| {
        save(store, ["one", "two"].map(audited));
        save(store, [audited("three")]);
        let all = store.audit(None, 100).expect("read");
        let words: Vec<&str> = all.iter().map(|entry| entry.done.what.as_str()).collect();
        assert_eq!(words, ["three", "two", "one"]);
        assert!(all[0].follows(Some(&all[1])) && all[1].follows(Some(&all[2])) && all[2].follows(None));
        let page = store.audit(Some(all[0].number), 1).expect("read");
        assert_eq!(page, [all[1].clone()]);
    });
}
