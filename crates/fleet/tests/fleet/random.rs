//! Whatever comes in whatever order: nothing panics, every invariant holds, and what is in force is what was kept.

use ansai_fleet::{Books, FleetInput};
use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    observation::Health,
    policy::Scope,
};
use ansai_protocol::{
    link::{Change, FromHost},
    operation::FleetOperation,
};
use proptest::prelude::*;

use crate::paper::{Paper, hold, key, secs, short, tells};

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Joins(u8, bool),
    Accepts(u8),
    Rejects(u8),
    Connects(u64, u8),
    Disconnects(u64),
    Tells(u64, u64),
    Acknowledges(u64, u64, u64),
    Holds(u8),
    Releases(u8),
    Renames(u8, u8),
    Removes(u8),
    Passes(u64),
    DiskTurns,
}

fn event() -> impl Strategy<Value = Event> {
    let (host, session) = (1_u8..6, 1_u64..12);
    prop_oneof![
        3 => (host.clone(), any::<bool>()).prop_map(|(host, token)| Event::Joins(host, token)),
        1 => host.clone().prop_map(Event::Accepts),
        1 => host.clone().prop_map(Event::Rejects),
        4 => (session.clone(), host.clone()).prop_map(|(session, host)| Event::Connects(session, host)),
        2 => session.clone().prop_map(Event::Disconnects),
        4 => (session.clone(), 0_u64..20).prop_map(|(session, first)| Event::Tells(session, first)),
        3 => (session, 0_u64..3, 0_u64..9).prop_map(|(session, epoch, generation)| Event::Acknowledges(session, epoch, generation)),
        2 => host.clone().prop_map(Event::Holds),
        2 => host.clone().prop_map(Event::Releases),
        1 => (host.clone(), host.clone()).prop_map(|(host, name)| Event::Renames(host, name)),
        1 => host.prop_map(Event::Removes),
        3 => (1_u64..90).prop_map(Event::Passes),
        1 => Just(Event::DiskTurns),
    ]
}

fn over(number: u8) -> FleetScope {
    match number {
        1 => FleetScope::Fleet,
        2 => FleetScope::Role("web".into()),
        number => FleetScope::Host(format!("h{number}").into()),
    }
}

fn happens(fleet: &mut Paper, event: &Event) {
    let digits = |number: u8| key(number).to_string().as_str().into();
    match event.clone() {
        Event::Joins(number, token) => drop(fleet.joins(number, &format!("h{number}"), "web", token)),
        Event::Accepts(number) => {
            let fresh = Some(ansai_protocol::link::HostId::of_chance([number + 100; 16]));
            fleet.asks(FleetOperation::Accept { fingerprint: digits(number), fresh });
        }
        Event::Rejects(number) => drop(fleet.asks(FleetOperation::Reject { fingerprint: digits(number) })),
        Event::Connects(session, number) => {
            if fleet.engine.books().identities.values().any(|one| one.fingerprint == key(number)) {
                fleet.disconnects(session);
                fleet.connects(session, number);
            }
        }
        Event::Disconnects(session) => fleet.disconnects(session),
        Event::Tells(session, first) => {
            let changes = vec![
                Change::Anew,
                tells("a.service", Health::Healthy),
                Change::Told,
                tells("b.service", Health::Failing),
            ];
            fleet.hears(session, FromHost::Changes { first, changes });
        }
        Event::Acknowledges(session, epoch, generation) => fleet.acknowledges_with(session, (epoch, generation), None),
        Event::Holds(number) => drop(fleet.asks(hold(over(number)))),
        Event::Releases(number) => {
            let end = FleetOperation::End { kind: RestraintKind::Hold, over: over(number), scope: Scope::All };
            fleet.asks(end);
        }
        Event::Renames(number, name) => {
            let host = format!("h{number}").into();
            fleet.asks(FleetOperation::Rename { host, name: short(&format!("h{name}")) });
        }
        Event::Removes(number) => drop(fleet.asks(FleetOperation::Remove { host: format!("h{number}").into() })),
        Event::Passes(seconds) => {
            fleet.now = fleet.now.plus(secs(seconds));
            fleet.step(FleetInput::Tick);
        }
        Event::DiskTurns => fleet.disk_is_full = !fleet.disk_is_full,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_what_is_in_force_is_what_was_kept(events in proptest::collection::vec(event(), 1..60)) {
        let mut fleet = Paper::empty();
        fleet.token(4);
        for event in &events {
            happens(&mut fleet, event);
        }
        let books = fleet.replayed();
        let engine = fleet.engine.books();
        prop_assert_eq!(&books.hosts, &engine.hosts);
        prop_assert_eq!(&books.restraints, &engine.restraints);
        prop_assert_eq!(&books.pending, &engine.pending);
        prop_assert_eq!(books.generation, engine.generation);
        prop_assert_eq!(&books.identities, &engine.identities);
        prop_assert_eq!(&books.tokens, &engine.tokens);
        for host in engine.hosts.keys() {
            let targets = |books: &Books| books.targets.get(host).cloned().unwrap_or_default();
            prop_assert_eq!(targets(&books), targets(engine));
            let open = |books: &Books| books.open_of(Some(*host)).cloned().collect::<Vec<_>>();
            prop_assert_eq!(open(&books), open(engine));
        }
        let uses: u32 = engine.tokens.values().map(|token| token.uses_left).sum();
        prop_assert!(uses as usize + engine.hosts.len() >= 4 || !events.iter().any(|event| matches!(event, Event::Joins(..))) || uses <= 4);
    }
}
