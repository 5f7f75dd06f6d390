//! What is suggested to a person would be done if it were typed as it stands: in summaries, by gates, in reports and in refusals.

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    observation::Observation,
    operator::{DrillKind, Operation, OperatorCommand},
    policy::Scope,
    unit::{ActiveState, Intent, LoadState, UnitSnapshot},
};

use crate::host::{Host, PLAIN, changed, failed, judged, only, secs, succeeded, unit};

const UNIT: &str = "app.service#unit";

fn target(host: &Host) -> TargetId {
    host.engine.bundle().parts().targets.keys().next().expect("a target").clone()
}

/// All that a person may read of the only target of a host, and of what is refused there.
fn texts(host: &Host) -> Vec<String> {
    let target = target(host);
    let explanation = host.engine.explain(host.now, &target).expect("a target");
    let restraints = [&explanation.hold, &explanation.maintenance, &explanation.silence].map(Clone::clone);
    let mut texts = vec![explanation.summary.to_string()];
    texts.extend(restraints.into_iter().flatten().map(|words| words.to_string()));
    for incident in &explanation.incidents {
        let gates = incident.decision.iter().flat_map(|decision| &decision.gates);
        texts.extend(gates.map(|said| said.why.to_string()));
        let report = host.engine.report(host.now, incident.id).expect("it is open");
        texts.extend(report.commands.iter().map(|command| format!("`{command}`")));
    }
    let kinds = DrillKind::ALL.map(|kind| Operation::Drill { target: target.clone(), kind });
    let heal = Operation::Heal { target: target.clone() };
    let request = Operation::Request { target, name: "renew".into() };
    for operation in kinds.into_iter().chain([heal, request]) {
        let answer = host.engine.rehearse(host.now, OperatorCommand { by: "ann".into(), operation });
        texts.push(format!("{answer:?}"));
    }
    texts
}

/// The commands of ours that a text names.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|part| part.starts_with("ansai "))
}

/// What comes of a command.
fn typed(host: &Host, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().skip(1).map(|word| word.trim_matches('\'')).collect();
    let scope = |names: &[&str]| match names {
        ["--all"] => Scope::All,
        names => Scope::Matching(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    let id = |text: &str| text.parse::<IncidentId>().expect("a number");
    let named = |text: &str| TargetId::new(text).expect("a whole name");
    let operation = match words.as_slice() {
        ["heal", name] => Operation::Heal { target: named(name) },
        ["approve", incident] => Operation::Approve { incident: id(incident) },
        ["reject", incident] => Operation::Reject { incident: id(incident) },
        ["release", names @ ..] if !names.is_empty() => Operation::Release { scope: scope(names) },
        ["unsilence", names @ ..] if !names.is_empty() => Operation::Unsilence { scope: scope(names) },
        ["maintenance", "end", names @ ..] if !names.is_empty() => Operation::EndMaintenance { scope: scope(names) },
        ["explain", name] => {
            return host.engine.explain(host.now, &named(name)).map_or("no such target", |_| "done").into();
        }
        ["report", incident] => {
            return host.engine.report(host.now, id(incident)).map_or("no such incident", |_| "done").into();
        }
        ["status"] | ["incidents"] | ["config", "show", "--expanded"] => return "done".into(),
        _ => return "nobody can type that".into(),
    };
    host.rehearsed(operation)
}

fn fails(host: &mut Host) {
    host.fails(UNIT);
    host.pass(secs(1));
}

fn missing() -> Observation {
    judged(UnitSnapshot { load: LoadState::NotFound, ..unit(ActiveState::Inactive, Intent::ByItself) })
}

/// A host with a word for how it is, and the beginning of a command that is suggested there for sure.
type Case = (&'static str, Host, &'static str);

/// A host under a configuration on which every remedy fails, after something has happened.
fn of(yaml: &str, happens: &dyn Fn(&mut Host)) -> Host {
    let mut host = Host::new(yaml).actions_end(failed());
    happens(&mut host);
    host
}

/// Hosts on which somebody wants something left alone, or asked.
fn restrained() -> Vec<Case> {
    let after = |operation: fn(Scope) -> Operation, scope: Scope| {
        of(PLAIN, &|host| {
            host.operator(operation(scope.clone()));
            fails(host);
        })
    };
    let hold = |scope| Operation::Hold { scope, reason: "moving".into(), until: None };
    let window = |scope| Operation::Maintenance { scope, reason: "disks".into(), lasts: secs(9_000) };
    let silence = |scope| Operation::Silence { scope, reason: "".into(), lasts: secs(9_000) };
    let planned =
        "maintenance: [{scope: '*', days: [mon, tue, wed, thu, fri, sat, sun], at: '00:00', lasts: 24h}]\nservices:";
    let held_by_file = of(PLAIN, &|host| {
        host.hold_file(Some("no"));
        fails(host);
    });
    let notifier = changed("app.service: {}", "app.service: {notifier: true}");
    let autonomy = |word: &str| changed("autonomy: act", &format!("autonomy: {word}"));
    vec![
        ("observed", of(&autonomy("observe"), &fails), "ansai heal"),
        ("suggesting", of(&autonomy("suggest"), &fails), "ansai heal"),
        ("asking", of(&autonomy("approve"), &fails), "ansai approve"),
        ("a notifier", of(&notifier, &fails), "ansai approve"),
        ("held", after(hold, only("app.service")), "ansai release app.service"),
        ("held by a pattern", after(hold, only("app*")), "ansai release 'app*'"),
        ("held as a whole", after(hold, Scope::All), "ansai release --all"),
        ("in maintenance", after(window, only("app.service")), "ansai maintenance end app.service"),
        ("in planned maintenance", of(&changed("services:", planned), &fails), "ansai explain"),
        ("silenced", after(silence, Scope::All), "ansai unsilence --all"),
        ("held by the file", held_by_file, "ansai explain"),
    ]
}

/// Hosts on which something is not as it should be.
fn hosts() -> Vec<Case> {
    let breaker = changed("attempts: 4", "attempts: 1").replace("failures: 3", "failures: 1");
    let again = |host: &mut Host| {
        host.fails(UNIT);
        host.pass(secs(120));
        host.is_well(UNIT);
        host.pass(secs(120));
        fails(host);
    };
    let one_shot = |host: &mut Host| {
        let job = UnitSnapshot { is_job: true, ..unit(ActiveState::Failed, Intent::ByItself) };
        host.sees(UNIT, judged(job));
        host.pass(secs(60));
    };
    let full = |host: &mut Host| {
        host.sees.insert(CheckId::new("disk//data#space").expect("a name"), Observation::failing("95.0 % used"));
        for _ in 0..3 {
            host.step(ansai_engine::input::Input::Hint(ansai_model::hint::Hint::Everything));
        }
    };
    let doubted = |host: &mut Host| {
        host.sees(UNIT, Observation::unknown("the bus does not answer"));
        host.pass(secs(1_200));
    };
    let escalated = |host: &mut Host| {
        host.fails(UNIT);
        host.pass(secs(900));
    };
    let mended = |host: &mut Host| {
        escalated(host);
        host.is_well(UNIT);
        host.pass(secs(5));
    };
    let mut healing = Host::plain().actions_end(succeeded());
    fails(&mut healing);
    let mut all = vec![
        ("well", of(PLAIN, &|_| {}), ""),
        ("escalated", of(PLAIN, &escalated), "ansai heal"),
        ("well again", of(PLAIN, &mended), "ansai explain"),
        ("a breaker that is open", of(&breaker, &again), "ansai heal"),
        ("a budget that is used up", of(&changed("actions: 6", "actions: 1"), &again), "ansai explain"),
        ("a one-shot that failed", of(PLAIN, &one_shot), "ansai explain"),
        ("missing", of(PLAIN, &|host| host.sees(UNIT, missing())), "ansai explain"),
        ("in doubt", of(PLAIN, &doubted), "ansai report"),
        ("being healed", healing, "ansai report"),
        ("a full disk that nothing cleans", of("autonomy: act\ndisks:\n  /data: {}\n", &full), "ansai explain"),
    ];
    all.extend(restrained());
    all
}

#[test]
fn no_command_that_is_suggested_would_be_refused() {
    for (what, host, sure) in hosts() {
        let texts = texts(&host);
        let mut suggested = Vec::new();
        for command in texts.iter().flat_map(|text| commands(text)) {
            let answer = typed(&host, command);
            assert!(answer.starts_with("done"), "{what}: `{command}` comes to: {answer}\n{texts:#?}");
            suggested.push(command);
        }
        assert!(sure.is_empty() || suggested.iter().any(|command| command.starts_with(sure)), "{what}: {suggested:?}");
        let heals = suggested.iter().any(|command| command.starts_with("ansai heal"));
        assert!(heals || sure != "ansai heal", "{what}: {suggested:?}");
    }
}

#[test]
fn what_nothing_would_come_of_is_not_suggested() {
    for (what, host, _) in hosts() {
        let is_idle = ["one-shot", "missing", "nothing cleans", "doubt", "held", "maintenance", "used up", "well"];
        if is_idle.iter().any(|word| what.contains(word)) {
            let texts = texts(&host);
            let mut all = texts.iter().flat_map(|text| commands(text));
            assert!(!all.any(|command| command.starts_with("ansai heal")), "{what}: {texts:#?}");
        }
    }
}
