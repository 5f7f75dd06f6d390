//! Who may disturb what still serves: one at a time as far as enough stay well, in order, with a reason for who waits, and free
//! again on every way out.

use ansai_fleet::{FleetEngine, PermitRules, RoleRule, Share};
use ansai_model::{
    id::{IncidentId, PermitId},
    permit::{PermitGranted, PermitNews, PermitWanted, PermitsSaid},
    rule::Severity,
    units::Percent,
};
use ansai_protocol::{
    link::{FromController, FromHost, RestraintsAt, VERSION},
    operation::FleetOperation,
    record::Record,
};

use super::paper::{Paper, said, secs, target};

const WEB: [(&str, &str); 3] = [("web-01", "web"), ("web-02", "web"), ("web-03", "web")];

/// What a host says of permits.
struct Says {
    number: u64,
    through: u64,
    is_well: bool,
    wants: Vec<PermitWanted>,
    holds: Vec<u64>,
}

fn wants(incident: u64) -> PermitWanted {
    PermitWanted {
        incident: IncidentId(incident),
        target: target("app.service"),
        what: "restart app.service".into(),
        severity: Severity::Day,
        waits_ms: 0,
        lasts_ms: 60_000,
        is_approved: false,
    }
}

fn well() -> Says {
    Says { number: 1, through: 0, is_well: true, wants: Vec::new(), holds: Vec::new() }
}

fn wanting(incident: u64) -> Says {
    Says { wants: vec![wants(incident)], ..well() }
}

impl Paper {
    /// Three hosts that know permits, of which all are well.
    fn permitting(hosts: &[(&str, &str)]) -> Self {
        let mut fleet = Self::of(hosts);
        for number in 1..=u8::try_from(hosts.len()).expect("small") {
            fleet.disconnects(u64::from(number));
            fleet.comes(u64::from(number), number);
            fleet.says(u64::from(number), well());
        }
        fleet.sent.clear();
        fleet
    }

    fn comes(&mut self, session: u64, number: u8) {
        let mut hello = self.hello(number, RestraintsAt::default());
        hello.newest = VERSION;
        self.connects_with(session, number, hello);
    }

    fn says(&mut self, session: u64, says: Says) {
        let Says { number, through, is_well, wants, holds } = says;
        let holds = holds.into_iter().map(PermitId).collect();
        let said = PermitsSaid { number, through: PermitId(through), is_well, wants, holds };
        self.hears(session, FromHost::Permits(Box::new(said)));
    }

    fn second(&mut self) {
        self.passes(secs(1), &[]);
    }

    /// The permits that a session was given, since this was asked last.
    fn permits_of(&mut self, session: u64) -> Vec<PermitGranted> {
        let given = self.sent.iter().filter_map(|(to, message)| match message {
            FromController::Permit(PermitNews::Granted(granted)) if *to == session => Some(*granted),
            _ => None,
        });
        let given = given.collect();
        self.sent.retain(|(to, message)| {
            *to != session || !matches!(message, FromController::Permit(PermitNews::Granted(_)))
        });
        given
    }

    /// Why a session has none, as it was told last.
    fn reason(&self, session: u64) -> String {
        let reasons = self.sent.iter().rev().find_map(|(to, message)| match message {
            FromController::Permit(PermitNews::Denied(denied)) if *to == session => Some(denied.why.to_string()),
            _ => None,
        });
        reasons.unwrap_or_default()
    }

    fn freed(&self, session: u64) -> Vec<(PermitId, String)> {
        let freed = self.sent.iter().filter_map(|(to, message)| match message {
            FromController::Permit(PermitNews::Freed(freed)) if *to == session => {
                Some((freed.id, freed.why.to_string()))
            }
            _ => None,
        });
        freed.collect()
    }

    fn rules(&mut self, role: &str, rule: RoleRule) {
        let rules = PermitRules { roles: [(role.into(), rule)].into(), ..PermitRules::default() };
        let engine = std::mem::replace(&mut self.engine, FleetEngine::new(super::paper::empty(), self.now));
        self.engine = engine.permit_rules(rules);
    }

    fn was_done(&self) -> Vec<String> {
        let done = self.kept.iter().filter_map(|record| match record {
            Record::Audit(done) => Some(done.what.to_string()),
            _ => None,
        });
        done.collect()
    }
}

#[test]
fn one_of_a_role_at_a_time_and_the_next_is_told_who_holds_it() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(7));
    fleet.second();
    let given = fleet.permits_of(1);
    let [permit] = given[..] else { panic!("{given:?}") };
    assert_eq!((permit.id, permit.epoch, permit.incident, permit.number), (PermitId(1), 1, IncidentId(7), 1));
    assert!(fleet.kept.iter().any(|record| matches!(record, Record::Permit(kept) if kept.id == permit.id)));
    fleet.says(2, wanting(3));
    fleet.second();
    assert_eq!(fleet.permits_of(2), []);
    let why = fleet.reason(2);
    assert!(why.starts_with("role web: 2 of 3 must stay healthy, and 1 other would: p1 of web-01"), "{why}");
    // It is said once, however long it lasts.
    let count = fleet.sent.len();
    fleet.second();
    assert_eq!(fleet.sent.len(), count);
    // Given back: it is not among what the host holds.
    fleet.says(1, Says { number: 2, through: 1, ..well() });
    fleet.says(2, Says { number: 2, ..wanting(3) });
    fleet.second();
    assert_eq!(fleet.permits_of(2)[0].number, 2);
    assert_eq!(fleet.engine.books().permits.len(), 1);
}

/// Story 4.
#[test]
fn a_holder_that_is_deleted_holds_nothing_and_the_books_say_so() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(7));
    fleet.second();
    fleet.says(2, wanting(3));
    fleet.second();
    assert_eq!(fleet.permits_of(2), []);
    let answer = said(&fleet.operates(FleetOperation::Remove { host: "web-01".into() }));
    assert!(answer.contains("free again is what it held: p1 (restart app.service)"), "{answer}");
    assert!(fleet.was_done().iter().any(|done| done.contains("web-01 is removed") && done.contains("p1")));
    // Two members are left, of which one must stay.
    fleet.second();
    assert_eq!(fleet.permits_of(2).len(), 1);
}

/// Story 3.
#[test]
fn who_is_not_heard_is_not_well_and_a_member_all_the_same() {
    let hosts: Vec<(String, &str)> = (1..=10).map(|number| (format!("web-{number:02}"), "web")).collect();
    let hosts: Vec<(&str, &str)> = hosts.iter().map(|(name, role)| (name.as_str(), *role)).collect();
    let mut fleet = Paper::permitting(&hosts);
    fleet.rules("web", RoleRule { healthy_min: Share::Percent(Percent::of(70, 100)), ..RoleRule::default() });
    (8..=10).for_each(|session| fleet.disconnects(session));
    fleet.says(1, wanting(1));
    fleet.second();
    assert_eq!(fleet.permits_of(1), []);
    let why = fleet.reason(1);
    assert!(why.contains("7 of 10 must stay healthy, and 6 others would"), "{why}");
    assert!(why.contains("web-08, web-09 and web-10 are not known to be well"), "{why}");
    fleet.comes(18, 8);
    fleet.says(18, well());
    fleet.second();
    assert_eq!(fleet.permits_of(1).len(), 1, "seven others are well");
}

#[test]
fn the_worst_comes_first_and_then_who_has_waited_longest() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(1));
    fleet.says(2, Says { wants: vec![PermitWanted { waits_ms: 5_000, ..wants(2) }], ..well() });
    fleet.says(3, Says { wants: vec![PermitWanted { severity: Severity::Now, ..wants(3) }], ..well() });
    fleet.second();
    assert_eq!([fleet.permits_of(1).len(), fleet.permits_of(2).len(), fleet.permits_of(3).len()], [0, 0, 1]);
    let order: Vec<String> = fleet.engine.permits_waiting().map(|waiting| waiting.host.name.to_string()).collect();
    assert_eq!(order, ["web-02", "web-01"]);
    assert!(fleet.engine.permits_waiting().all(|waiting| waiting.why.is_some()));
}

#[test]
fn the_only_member_is_disturbed_when_a_person_asks() {
    let mut fleet = Paper::permitting(&[("db-01", "db")]);
    fleet.says(1, wanting(1));
    fleet.second();
    assert!(fleet.permits_of(1).is_empty() && fleet.reason(1).contains("only member of role db"));
    fleet.says(1, Says { number: 2, wants: vec![PermitWanted { is_approved: true, ..wants(1) }], ..well() });
    fleet.second();
    assert_eq!(fleet.permits_of(1).len(), 1);
}

#[test]
fn a_quorum_counts_members_that_have_not_joined() {
    let mut fleet = Paper::permitting(&[("db-01", "db"), ("db-02", "db")]);
    fleet.rules("db", RoleRule { is_quorum: true, members: 3, ..RoleRule::default() });
    fleet.says(1, wanting(1));
    fleet.second();
    assert!(fleet.reason(1).contains("2 of 3 must stay healthy, and 1 other would"), "{}", fleet.reason(1));
}

#[test]
fn hosts_without_a_role_share_the_limit_of_the_fleet() {
    let mut fleet = Paper::permitting(&[("one", ""), ("two", ""), ("web-01", "web"), ("web-02", "web")]);
    fleet.says(1, wanting(1));
    fleet.says(2, wanting(2));
    fleet.says(3, wanting(3));
    fleet.second();
    assert_eq!([fleet.permits_of(1).len(), fleet.permits_of(2).len(), fleet.permits_of(3).len()], [1, 0, 1]);
    assert!(fleet.reason(2).contains("hosts without a role: 1 of 2"), "{}", fleet.reason(2));
}

/// Story 6.
#[test]
fn a_controller_that_has_begun_waits_until_it_knows_how_the_fleet_stands() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(7));
    fleet.second();
    fleet.sent.clear();
    fleet.is_killed();
    assert_eq!(fleet.engine.books().permits.len(), 1, "what was given is kept");
    for session in [21, 22] {
        fleet.comes(session, u8::try_from(session - 20).expect("small"));
    }
    fleet.says(21, Says { number: 5, through: 1, holds: vec![1], ..well() });
    fleet.says(22, wanting(3));
    fleet.second();
    assert!(fleet.reason(22).contains("permits nothing before 3 of 3 hosts have reported"), "{}", fleet.reason(22));
    assert_eq!(fleet.engine.books().permits.len(), 1, "it is held still");
    fleet.comes(23, 3);
    fleet.says(23, well());
    fleet.second();
    assert!(fleet.reason(22).contains("p1 of web-01"), "{}", fleet.reason(22));
    // One that does not come holds nobody up for ever.
    fleet.is_killed();
    fleet.comes(32, 2);
    for _ in 0..31 {
        fleet.passes(secs(10), &[32]);
        fleet.says(32, Says { number: 9, ..wanting(3) });
    }
    fleet.second();
    assert!(!fleet.reason(32).contains("have reported"), "{}", fleet.reason(32));
}

#[test]
fn what_was_given_on_a_connection_that_broke_is_free_when_the_host_does_not_have_it() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(7));
    fleet.second();
    // It had not heard of it when it said this.
    fleet.says(1, Says { number: 2, ..wanting(7) });
    fleet.second();
    assert_eq!((fleet.engine.books().permits.len(), fleet.permits_of(1).len()), (1, 1));
    fleet.disconnects(1);
    fleet.comes(11, 1);
    fleet.second();
    assert_eq!(fleet.engine.books().permits.len(), 1, "it may act under it, so it counts until it has said");
    fleet.says(11, Says { number: 3, ..well() });
    assert_eq!(fleet.engine.books().permits.len(), 0);
}

#[test]
fn it_ends_by_itself_and_a_person_frees_it() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.says(1, wanting(7));
    fleet.second();
    fleet.passes(secs(70), &[1, 2, 3]);
    assert_eq!(fleet.engine.books().permits.len(), 1, "later than for its holder");
    fleet.passes(secs(10), &[1, 2, 3]);
    assert!(fleet.engine.books().permits.is_empty());
    assert!(fleet.was_done().iter().any(|done| done.contains("p1 of web-01") && done.contains("was not given back")));
    assert_eq!(fleet.freed(1)[0].0, PermitId(1));
    [2, 3].into_iter().for_each(|session| fleet.says(session, Says { number: 8, ..well() }));
    fleet.says(1, Says { number: 9, through: 1, ..wanting(8) });
    fleet.second();
    assert_eq!(fleet.permits_of(1).last().map(|granted| granted.id), Some(PermitId(2)), "a number is given once");
    let free = FleetOperation::FreePermit { id: PermitId(2) };
    assert_eq!(fleet.engine.rehearse(&free), Ok(1));
    assert!(said(&fleet.operates(free.clone())).starts_with("done"));
    assert!(fleet.freed(1)[1].1.contains("ann has freed it"));
    assert!(said(&fleet.operates(free)).starts_with("not found"));
}

#[test]
fn what_could_not_be_kept_was_not_given() {
    let mut fleet = Paper::permitting(&WEB);
    fleet.disk_is_full = true;
    fleet.says(1, wanting(7));
    fleet.second();
    assert!(fleet.permits_of(1).is_empty() && fleet.engine.books().permits.is_empty());
}

#[test]
fn hosts_that_know_no_permits_are_well_as_far_as_their_incidents_tell() {
    let mut fleet = Paper::of(&WEB);
    fleet.disconnects(1);
    fleet.comes(11, 1);
    fleet.says(11, wanting(1));
    fleet.second();
    assert_eq!(fleet.permits_of(11).len(), 1);
}
