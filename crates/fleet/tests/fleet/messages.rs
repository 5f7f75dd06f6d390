//! Messages that hosts have given to the controller: taken only when there is somebody to tell and it can be kept, told once for one
//! cause whatever breaks, and the host's own again only when they never were the controller's.

use ansai_fleet::{
    FleetInput,
    input::{Came, SessionId},
    limits::{MESSAGES_BYTES_MAX, MESSAGES_OF_HOST_MAX},
};
use ansai_model::{
    id::{CheckId, IncidentId, RouteId, RuleId},
    incident::Phase,
    message::{GIVEN_MAX, MessageGiven, MessageKey, MessageNews, MessageOffered, MessageSaid},
    notify::{Channel, Notice, NoticeKind, Route},
    policy::Scope,
    probe::CommandLine,
    report::{Report, Storm},
    rule::Severity,
    time::WallTime,
};
use ansai_protocol::{
    link::{FromController, FromHost, RestraintsAt, VERSION},
    operation::FleetOperation,
    record::{IdentityRecord, MessageRecord, Record},
};

use super::paper::{Paper, secs, target};

const WEB: [(&str, &str); 3] = [("web-01", "web"), ("web-02", "web"), ("web-03", "web")];

fn route(name: &str, scope: Scope, severity_min: Severity) -> Route {
    Route {
        id: RouteId::new(name).expect("a name"),
        channel: Channel::Exec(CommandLine::new(["true"])),
        scope,
        severity_min,
        tell_healed: false,
        fallback: None,
        digest_window: secs(60),
        digest_after: 5,
    }
}

fn key(dispatch: u64) -> MessageKey {
    MessageKey { dispatch, incident: IncidentId(dispatch), opened: WallTime(7) }
}

/// An escalation that a person must see to now.
fn message(dispatch: u64, symptom: &str) -> MessageGiven {
    let target = target("app.service");
    let check = CheckId::of(&target, "unit").expect("a check");
    let why = "nothing helps".into();
    let at = ansai_model::time::Now::default();
    let report = Report {
        rule: RuleId::new("service/app.service").ok(),
        headline: "app.service needs a person: it is down".into(),
        symptom: symptom.into(),
        commands: vec!["systemctl status app.service".into()],
        ..Report::bare(IncidentId(dispatch), target, check, at, Phase::Escalated { why })
    };
    MessageGiven { key: key(dispatch), kind: NoticeKind::Escalated, report }
}

fn of_severity(severity: Severity, mut message: MessageGiven) -> MessageGiven {
    message.report.severity = severity;
    message
}

impl Paper {
    /// Connected hosts of a controller that has somebody to tell.
    fn telling(hosts: &[(&str, &str)]) -> Self {
        Self::telling_by(hosts, vec![route("desk", Scope::All, Severity::Day)])
    }

    fn telling_by(hosts: &[(&str, &str)], routes: Vec<Route>) -> Self {
        let mut fleet = Self::of(hosts);
        fleet.routes = routes;
        fleet.is_killed();
        (1..=u8::try_from(hosts.len()).expect("small")).for_each(|number| fleet.is_there(u64::from(number), number));
        fleet.sent.clear();
        fleet
    }

    fn is_there(&mut self, session: u64, number: u8) {
        let mut hello = self.hello(number, RestraintsAt::default());
        hello.newest = VERSION;
        self.connects_with(session, number, hello);
    }

    fn offers(&mut self, session: u64, message: &MessageGiven) -> Option<MessageNews> {
        let MessageGiven { key, kind, report } = message.clone();
        let offered = MessageOffered { key, kind, target: report.target, severity: report.severity };
        self.says_of_message(session, MessageSaid::Offered(offered))
    }

    fn gives(&mut self, session: u64, message: &MessageGiven) -> Option<MessageNews> {
        self.says_of_message(session, MessageSaid::Given(Box::new(message.clone())))
    }

    fn says_of_message(&mut self, session: u64, said: MessageSaid) -> Option<MessageNews> {
        self.sent.clear();
        self.hears(session, FromHost::Message(said));
        self.sent.iter().find_map(|(to, said)| match said {
            FromController::Message(news) if *to == session => Some(*news),
            _ => None,
        })
    }

    fn seconds(&mut self, seconds: u64) {
        self.passes(secs(seconds), &[]);
    }

    /// What was told for hosts, in order.
    fn notices(&self) -> Vec<&Notice> {
        self.told_for_hosts.iter().map(|(_, notice)| notice).collect()
    }

    fn waits(&self) -> usize {
        self.engine.messages_waiting()
    }
}

fn wanted(dispatch: u64) -> Option<MessageNews> {
    Some(MessageNews::Wanted(key(dispatch)))
}

fn taken(dispatch: u64) -> Option<MessageNews> {
    Some(MessageNews::Taken(key(dispatch)))
}

fn declined(dispatch: u64) -> Option<MessageNews> {
    Some(MessageNews::Declined(key(dispatch)))
}

#[test]
fn a_controller_without_anybody_to_tell_takes_nothing_and_says_so() {
    let mut fleet = Paper::of(&WEB);
    assert_eq!(fleet.offers(1, &message(1, "down")), declined(1));
    assert_eq!(fleet.gives(1, &message(1, "down")), declined(1));
    let welcome = |fleet: &Paper| {
        let mut said = fleet.sent.iter();
        said.find_map(|(_, said)| if let FromController::Welcome(welcome) = said { Some(welcome.tells) } else { None })
    };
    fleet.is_there(7, 1);
    assert_eq!(welcome(&fleet), Some(false));
    fleet.routes = vec![route("desk", Scope::All, Severity::Day)];
    fleet.is_killed();
    fleet.sent.clear();
    fleet.is_there(8, 1);
    assert_eq!(welcome(&fleet), Some(true));
    fleet.seconds(60);
    assert!(fleet.told_for_hosts.is_empty());
}

#[test]
fn what_no_route_wants_stays_the_hosts_own() {
    let routes = vec![route("databases", Scope::Matching(vec!["postgresql*".into()]), Severity::Now)];
    let mut fleet = Paper::telling_by(&WEB, routes);
    assert_eq!(fleet.offers(1, &message(1, "down")), declined(1));
    let mut fleet = Paper::telling(&WEB);
    assert_eq!(fleet.offers(1, &of_severity(Severity::Week, message(1, "down"))), declined(1));
    let healed = MessageGiven { kind: NoticeKind::Healed, ..message(1, "down") };
    assert_eq!(fleet.offers(1, &healed), declined(1), "nobody has asked for what is healed");
    assert_eq!(fleet.offers(1, &message(1, "down")), wanted(1));
}

#[test]
fn what_is_given_is_told_once_within_three_seconds() {
    let mut fleet = Paper::telling(&WEB);
    assert_eq!(fleet.offers(1, &message(1, "down")), wanted(1));
    fleet.seconds(60);
    assert!(fleet.told_for_hosts.is_empty(), "an offer is no duty");
    assert_eq!(fleet.gives(1, &message(1, "down")), taken(1));
    fleet.seconds(3);
    let told = fleet.notices();
    assert_eq!((told.len(), told[0].hosts.as_ref().map(|hosts| hosts.in_words(9))), (1, Some("web-01".into())));
    assert_eq!(told[0].report.commands[0], "ansai report --host web-01 i1");
    assert_eq!(
        told[0].report.commands[1], "# on web-01: systemctl status app.service",
        "it is no command for this host"
    );
    assert_eq!(told[0].routes, [RouteId::new("desk").expect("a name")]);
    fleet.seconds(3_600);
    assert_eq!((fleet.notices().len(), fleet.waits()), (1, 0));
    let audit = |record: &Record| matches!(record, Record::Audit(done) if done.what.as_str().starts_with("told people for web-01"));
    assert_eq!(fleet.kept.iter().filter(|record| audit(record)).count(), 1);
}

#[test]
fn one_cause_on_forty_hosts_is_one_message_that_names_them() {
    let names: Vec<String> = (1..=40).map(|number| format!("web-{number:02}")).collect();
    let hosts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "web")).collect();
    let mut fleet = Paper::telling(&hosts);
    for session in 1..=40 {
        assert_eq!(fleet.gives(session, &message(session, &format!("/var is {session}.5 % full"))), taken(session));
    }
    assert_eq!(fleet.gives(1, &message(99, "killed")), taken(99), "another cause is another message");
    fleet.seconds(3);
    let told = fleet.notices();
    assert_eq!(told.len(), 2);
    let many =
        told.iter().find(|notice| notice.hosts.as_ref().is_some_and(|hosts| hosts.count() == 40)).expect("one for all");
    let words = many.hosts.as_ref().expect("hosts").in_words(12);
    assert!(words.starts_with("web-01, web-02") && words.ends_with("web-12 and 28 more"), "{words}");
    assert!(many.report.headline.as_str().ends_with("(40 messages from 40 hosts)"), "{}", many.report.headline);
    // Who follows when people know of it does so together.
    for session in 1..=5 {
        assert_eq!(fleet.gives(session, &message(100 + session, "/var is 7 % full")), taken(100 + session));
        fleet.seconds(3);
    }
    assert_eq!(fleet.notices().len(), 2);
    fleet.seconds(30);
    assert_eq!(fleet.notices().len(), 3);
}

#[test]
fn what_is_not_urgent_waits_for_others_and_a_storm_is_one_message() {
    let mut fleet = Paper::telling(&WEB);
    for session in 1..=3 {
        fleet.gives(session, &of_severity(Severity::Day, message(session, "slow")));
        fleet.seconds(8);
    }
    assert!(fleet.told_for_hosts.is_empty());
    fleet.seconds(8);
    assert_eq!(fleet.notices().len(), 1);
    for (session, symptom) in [(1, "killed"), (1, "no answer"), (2, "full")] {
        let dispatch = 20 + session * 10 + symptom.len() as u64;
        let mut message = message(dispatch, symptom);
        message.report.storm = Some(Storm { first: IncidentId(4), incidents: 2, undecided: 0, well: 0, cause: None });
        assert_eq!(fleet.gives(session, &message), taken(dispatch));
    }
    fleet.seconds(4);
    assert_eq!(fleet.notices().len(), 2);
    assert_eq!(fleet.notices()[1].report.storm, None, "it is none of the controller's own host");
}

#[test]
fn a_link_that_breaks_at_any_point_loses_and_doubles_nothing() {
    // Between offer and answer: nothing is the controller's.
    let mut fleet = Paper::telling(&WEB);
    fleet.offers(1, &message(1, "down"));
    fleet.disconnects(1);
    fleet.is_there(11, 1);
    fleet.seconds(60);
    assert_eq!((fleet.notices().len(), fleet.waits()), (0, 0));
    // Between giving and the answer: it is given again, before and after it was told, and told once.
    assert_eq!(fleet.gives(11, &message(2, "down")), taken(2));
    fleet.disconnects(11);
    fleet.is_there(12, 1);
    assert_eq!(fleet.gives(12, &message(2, "down")), taken(2));
    fleet.seconds(10);
    fleet.disconnects(12);
    fleet.is_there(13, 1);
    assert_eq!(fleet.gives(13, &message(2, "down")), taken(2));
    fleet.seconds(60);
    assert_eq!((fleet.notices().len(), fleet.waits()), (1, 0));
}

#[test]
fn as_much_is_remembered_as_a_host_may_give_again() {
    let mut fleet = Paper::telling(&WEB);
    let most = GIVEN_MAX as u64;
    let mut symptom = String::new();
    for dispatch in 1..=3 * most {
        symptom.push('x');
        assert_eq!(fleet.gives(1, &message(dispatch, &symptom)), taken(dispatch));
        fleet.seconds(3);
    }
    let told = fleet.notices().len();
    fleet.is_killed();
    fleet.is_there(9, 1);
    (2 * most + 1..=3 * most).for_each(|dispatch| assert_eq!(fleet.gives(9, &message(dispatch, "x")), taken(dispatch)));
    fleet.seconds(60);
    assert_eq!(fleet.notices().len(), told);
}

#[test]
fn a_controller_that_is_killed_at_any_point_tells_once() {
    // Before it has kept anything, as far as the host knows: nothing was answered.
    let mut fleet = Paper::telling(&WEB);
    fleet.outbox_answers = false;
    assert_eq!(fleet.gives(1, &message(1, "down")), taken(1));
    fleet.is_killed();
    fleet.is_there(9, 1);
    assert_eq!(fleet.gives(9, &message(1, "down")), taken(1), "it is known after the restart");
    fleet.seconds(3);
    let number = fleet.told_for_hosts[0].0;
    // Killed after it was handed to the outbox, which has not answered: the same is asked for, by the same number.
    fleet.is_killed();
    fleet.seconds(3);
    fleet.seconds(90);
    assert!(fleet.told_for_hosts.len() >= 3 && fleet.told_for_hosts.iter().all(|(of, _)| *of == number));
    assert!(fleet.told_for_hosts.iter().all(|(_, notice)| notice.report == fleet.told_for_hosts[0].1.report));
    fleet.step(FleetInput::Told { number });
    assert_eq!(fleet.waits(), 0);
    let asked = fleet.told_for_hosts.len();
    fleet.is_killed();
    fleet.is_there(10, 1);
    assert_eq!(fleet.gives(10, &message(1, "down")), taken(1));
    fleet.seconds(300);
    assert_eq!(fleet.told_for_hosts.len(), asked);
    // The next group has another number.
    fleet.gives(10, &message(2, "other"));
    fleet.seconds(40);
    assert!(fleet.told_for_hosts.last().expect("told").0 > number);
}

#[test]
fn while_nothing_can_be_kept_nothing_is_wanted_and_what_is_given_waits() {
    let mut fleet = Paper::telling(&WEB);
    fleet.disk_is_full = true;
    assert_eq!(fleet.gives(1, &message(1, "down")), None, "it is not kept");
    assert_eq!(fleet.closed.len(), 1, "the host comes again");
    assert_eq!(fleet.offers(2, &message(5, "down")), None, "the host tells it, or offers it again");
    assert_eq!(fleet.gives(2, &message(6, "down")), None);
    fleet.seconds(30);
    assert!(fleet.told_for_hosts.is_empty() && fleet.waits() == 0);
    fleet.disk_is_full = false;
    fleet.seconds(10);
    for (session, number, dispatch) in [(11, 1, 1), (12, 2, 6)] {
        fleet.is_there(session, number);
        assert_eq!(fleet.gives(session, &message(dispatch, "down")), taken(dispatch));
    }
    fleet.seconds(5);
    assert_eq!(fleet.notices().len(), 1);
    // It fills up when a group is made or told: it is told when there is room, by one number.
    fleet.gives(11, &message(3, "another"));
    fleet.disk_is_full = true;
    fleet.seconds(20);
    assert_eq!(fleet.notices().len(), 1);
    fleet.disk_is_full = false;
    fleet.seconds(60);
    assert_eq!((fleet.notices().len(), fleet.waits()), (2, 0));
}

#[test]
fn there_is_a_bound_and_what_is_beyond_it_is_the_hosts_own() {
    let mut fleet = Paper::telling(&WEB);
    let most = MESSAGES_OF_HOST_MAX as u64;
    (1..=most).for_each(|dispatch| assert_eq!(fleet.gives(1, &message(dispatch, "down")), taken(dispatch)));
    assert_eq!(fleet.offers(1, &message(most + 1, "down")), None);
    assert_eq!(fleet.gives(1, &message(most + 1, "down")), declined(most + 1));
    assert_eq!(fleet.gives(1, &message(most, "down")), taken(most), "it is kept");
    assert_eq!(fleet.offers(2, &message(1, "down")), wanted(1));
}

/// A message with so many kilobytes of advice.
fn long(dispatch: u64, kilobytes: usize) -> MessageGiven {
    let mut message = message(dispatch, "down");
    message.report.advice = vec!["x".repeat(1_024).into(); kilobytes];
    message
}

#[test]
fn the_bytes_of_what_waits_are_bounded_for_a_host_and_for_all() {
    let mut fleet = Paper::telling(&WEB);
    for dispatch in 1..=4 {
        assert_eq!(fleet.gives(1, &long(dispatch, 240)), taken(dispatch));
    }
    assert_eq!(fleet.gives(1, &long(5, 240)), declined(5));
    assert_eq!(fleet.gives(1, &long(6, 1)), taken(6));
    assert_eq!(fleet.gives(2, &long(5, 240)), taken(5));
    let waiting: u64 = fleet.replayed().messages.values().map(|message| message.bytes).sum();
    assert!((5 * 240 * 1_024..6 * 240 * 1_024).contains(&waiting), "{waiting}");

    let names: Vec<String> = (0..40).map(|number| format!("web-{number:02}")).collect();
    let hosts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "web")).collect();
    let mut fleet = Paper::telling(&hosts);
    let taken =
        (1..=40).filter(|host| fleet.gives(*host, &long(1, 1_000)).is_some_and(|news| news == taken(1).unwrap()));
    assert_eq!(taken.count() as u64, MESSAGES_BYTES_MAX / MessageRecord::bytes_of(&long(1, 1_000)));
}

#[test]
fn a_host_that_is_removed_hears_that_it_is_none_any_more() {
    let mut fleet = Paper::telling(&WEB);
    let (identity, hello) = (fleet.identity(1), Box::new(fleet.hello(1, RestraintsAt::default())));
    fleet.operates(FleetOperation::Remove { host: "web-01".into() });
    let before = fleet.removals.len();
    let IdentityRecord { host, serial, .. } = identity;
    let came = Came { host, serial, address: "10.0.0.1".into(), is_expired: false, is_beside: false };
    fleet.step(FleetInput::Connected { session: SessionId(9), came, hello });
    assert_eq!(fleet.removals[before..], [true]);
    // Whoever comes too often is still a member.
    (20..40).for_each(|session| fleet.is_there(session, 2));
    assert!(fleet.removals[before + 1..].contains(&false) && !fleet.removals[before + 1..].contains(&true));
}

#[test]
fn what_a_host_that_is_removed_has_given_is_told() {
    let mut fleet = Paper::telling(&WEB);
    fleet.gives(1, &message(1, "down"));
    fleet.operates(FleetOperation::Remove { host: "web-01".into() });
    fleet.seconds(5);
    assert_eq!(fleet.notices()[0].hosts.as_ref().map(|hosts| hosts.in_words(9)), Some("web-01".into()));
    assert_eq!(fleet.replayed().messages.len(), 0);
}

#[test]
fn a_controller_that_has_nobody_to_tell_any_more_keeps_what_it_has_until_it_has() {
    let mut fleet = Paper::telling(&WEB);
    fleet.gives(1, &message(1, "down"));
    let routes = std::mem::take(&mut fleet.routes);
    fleet.is_killed();
    fleet.is_there(9, 1);
    assert_eq!(fleet.gives(9, &message(1, "down")), taken(1), "it has it");
    assert_eq!(fleet.gives(9, &message(2, "down")), declined(2));
    fleet.seconds(60);
    assert!(fleet.told_for_hosts.is_empty());
    assert_eq!(fleet.engine.messages_for_nobody(), 1, "it is shown");
    // None that wants just this is better than nobody.
    fleet.routes = vec![Route { scope: Scope::Matching(vec!["postgresql*".into()]), ..routes[0].clone() }];
    fleet.is_killed();
    fleet.seconds(60);
    assert_eq!((fleet.notices().len(), fleet.waits()), (1, 0));
}

#[test]
fn a_controller_that_takes_no_more_tells_what_it_has() {
    let mut fleet = Paper::telling(&WEB);
    fleet.gives(1, &message(1, "down"));
    fleet.is_killed();
    fleet.engine = fleet.engine.clone().taking(false);
    fleet.is_there(9, 1);
    let is_told = |said: &FromController| matches!(said, FromController::Welcome(welcome) if welcome.tells);
    assert!(!fleet.sent.iter().any(|(_, said)| is_told(said)));
    assert_eq!(fleet.offers(9, &message(2, "down")), declined(2));
    assert_eq!((fleet.gives(9, &message(2, "down")), fleet.gives(9, &message(1, "down"))), (declined(2), taken(1)));
    fleet.seconds(5);
    assert_eq!((fleet.notices().len(), fleet.waits(), fleet.engine.messages_for_nobody()), (1, 0, 0));
}

#[test]
fn nobody_knows_of_a_cause_of_which_it_could_not_be_kept_that_people_are_told() {
    let mut fleet = Paper::telling(&WEB);
    fleet.gives(1, &message(1, "down"));
    // The disk fills up just before they are gathered.
    fleet.seconds(1);
    fleet.disk_is_full = true;
    fleet.seconds(4);
    assert!(fleet.told_for_hosts.is_empty());
    fleet.disk_is_full = false;
    // As soon as it can be kept again, and not half a minute later, as what people know of.
    fleet.seconds(10);
    assert_eq!(fleet.notices().len(), 1);
}

#[test]
fn a_number_is_never_given_twice_though_the_clock_is_set_back_and_all_are_told() {
    let mut fleet = Paper::telling(&WEB);
    fleet.outbox_answers = false;
    fleet.gives(1, &message(1, "down"));
    fleet.gives(1, &message(2, "slow"));
    fleet.seconds(3);
    fleet.now.wall = WallTime(fleet.now.wall.0 - 3_600_000);
    let numbers: Vec<u64> = fleet.told_for_hosts.iter().map(|(number, _)| *number).collect();
    numbers.iter().for_each(|number| fleet.step(FleetInput::Told { number: *number }));
    fleet.is_killed();
    fleet.is_there(9, 1);
    fleet.gives(9, &message(3, "full"));
    fleet.seconds(3);
    assert!(fleet.told_for_hosts.last().expect("told").0 > numbers[1], "{numbers:?}");
}
