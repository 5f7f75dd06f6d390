//! The end of sessions that block others while they are idle in a transaction and have written nothing. Each is ended by one
//! statement in which the server itself finds that it is still the same session in the same transaction, and still harmless; what
//! somebody else manages, a standby, and whatever is in doubt is refused.

use std::time::{Duration, Instant};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::database::{DatabaseAction, DatabaseProbe, Session, freeing, harmless, roots},
    text::Text,
    time::Shown,
};

use super::{Connection, Looked, Row, Trouble, around, grant, look, may_look, sessions, sql, wire::ASK_TIME};
use crate::linux::{LinuxHost, act::Planned};

/// What is written of a conclusion that is not this program's to draw.
const PROOF: &str = "the server found in the statement that ended it that, at the moment it was looked at, it was the same session in \
                     the same transaction, idle since, without a transaction id and without a snapshot, with locks of plain statements \
                     on this database's own tables alone, no temporary table, and no dump, backup or replication: nothing written to \
                     this server's tables was lost; a notification that was not sent yet went with it";
/// Longest that an end takes: its connection is opened, let in, and asked.
const END_TIME: Duration = ASK_TIME.saturating_mul(3);

/// What is to be done, or why nothing is.
enum Ruling {
    /// These are ended; others are not, and why.
    End(Vec<Session>, Vec<String>, String),
    /// There is nothing to mend.
    Well(Text),
    /// It would be wrong.
    No(Text),
    /// It could not be found out.
    Unseen(Text),
}

/// What came of one end.
enum Ended {
    /// The session was told to end.
    Yes,
    /// It is not there any more.
    Itself,
    /// It is as it was, and why.
    No(String),
    /// The server was asked for it and did not say whether it did it.
    Unknown(String),
}

/// Does it.
pub(super) async fn perform(host: &LinuxHost, action: &DatabaseAction, run: &ActionRun) -> ActionOutcome {
    let until = Instant::now() + run.timeout;
    let done = tokio::time::timeout(run.timeout, end(host, action, until)).await;
    done.unwrap_or(ActionOutcome::TimedOut { after: run.timeout })
}

async fn end(host: &LinuxHost, action: &DatabaseAction, until: Instant) -> ActionOutcome {
    let DatabaseAction::EndIdle { postgresql, patience } = action;
    let (sessions, others, role) = match ruling(host, action).await {
        Ruling::End(sessions, others, role) => (sessions, others, role),
        Ruling::Well(why) => return ActionOutcome::NotNeeded { why },
        Ruling::No(why) => return ActionOutcome::Refused { why },
        Ruling::Unseen(why) => return ActionOutcome::Failed { why },
    };
    let mut told = Vec::new();
    for session in sessions {
        // The end of another one frees nobody while this one stays.
        let goes_on = matches!(told.last(), None | Some((_, Ended::Yes | Ended::Itself)));
        let ended = match until.saturating_duration_since(Instant::now()) {
            _ if !goes_on => Ended::No("whoever waits for it waits for the one before as well".to_owned()),
            left if left < END_TIME => Ended::No("there is no time left".to_owned()),
            _ => end_one(host, postgresql, &role, &session, *patience).await,
        };
        told.push((session, ended));
    }
    outcome(&told, others)
}

/// What is said of all that was done.
fn outcome(told: &[(Session, Ended)], mut left: Vec<String>) -> ActionOutcome {
    let (mut ended, mut unknown) = (Vec::new(), Vec::new());
    for (session, what) in told {
        let name = named(session);
        match what {
            Ended::Yes => ended.push(format!("ended {name}, which had been idle for {}", Shown(session.in_state))),
            Ended::Itself => left.push(format!("{name}: it had ended by itself")),
            Ended::No(why) => left.push(format!("{name}: {why}")),
            Ended::Unknown(why) => unknown.push(format!("whether {name} was ended is not known: {why}")),
        }
    }
    let left = if left.is_empty() { String::new() } else { format!("; left alone: {}", left.join(", ")) };
    let is_unknown = !unknown.is_empty();
    if !ended.is_empty() {
        unknown.push(format!("{}; {PROOF}", ended.join(", ")));
    }
    match (is_unknown, ended.is_empty()) {
        (true, _) => ActionOutcome::Failed { why: Text::new(format!("{}{left}", unknown.join("; "))) },
        (false, true) => ActionOutcome::Refused { why: Text::new(format!("no session was ended{left}")) },
        (false, false) => ActionOutcome::Succeeded { note: Text::new(format!("{}{left}", unknown.join("; "))) },
    }
}

/// What it would do.
pub(super) async fn plan(host: &LinuxHost, action: &DatabaseAction) -> Planned {
    match ruling(host, action).await {
        Ruling::End(sessions, ..) => {
            let steps: Vec<Text> =
                sessions.iter().map(|session| Text::new(format!("{} is ended", named(session)))).collect();
            Ok(steps.into())
        }
        Ruling::Unseen(why) => Ok(vec![why].into()),
        Ruling::Well(why) | Ruling::No(why) => Err(why),
    }
}

fn named(session: &Session) -> String {
    format!("pid {} (role {}, database {})", session.pid, session.role, session.database)
}

async fn ruling(host: &LinuxHost, action: &DatabaseAction) -> Ruling {
    let DatabaseAction::EndIdle { postgresql, patience } = action;
    // Who manages it is looked for anew.
    let around = match around(host, Duration::ZERO).await {
        Ok(around) => around,
        Err(why) => return Ruling::No(Text::new(why)),
    };
    let probe = DatabaseProbe { postgresql: postgresql.clone(), locks: Some(*patience) };
    let looked = match look(host, &probe, around).await {
        Ok(looked) => looked,
        Err(trouble) => return Ruling::Unseen(Text::new(trouble.to_string())),
    };
    if let Err(why) = may_act(&looked) {
        return Ruling::No(why);
    }
    match sessions(host, postgresql).await {
        Ok(sessions) => ruled(&sessions, *patience, looked.role),
        Err(trouble @ Trouble::TooMany(_)) => Ruling::No(Text::new(trouble.to_string())),
        Err(trouble) => Ruling::Unseen(Text::new(trouble.to_string())),
    }
}

/// Whether anything may be done to this server.
fn may_act(looked: &Looked) -> Result<(), Text> {
    if let Some(owner) = &looked.owner {
        return Err(Text::new(format!("{owner}: it is observed only")));
    }
    if looked.standing.is_standby {
        return Err("it follows another server, and no session of a standby is ended".into());
    }
    may_look(looked).map_err(Text::new)?;
    if !looked.standing.may_signal {
        let sql = grant("pg_signal_backend", &looked.role);
        return Err(Text::new(format!("it lets {} end no session; as a superuser of it: {sql}", looked.role)));
    }
    Ok(())
}

/// Which sessions may be ended, of all that were seen.
fn ruled(seen: &[Session], patience: Duration, role: String) -> Ruling {
    if !seen.iter().any(|session| session.waits.is_some_and(|waits| waits > patience)) {
        return Ruling::Well("nobody waits for a lock for too long any more".into());
    }
    let why = |root: &&Session| Some(format!("{}: it {}", named(root), harmless(root, patience).err()?));
    let mut others: Vec<String> = roots(seen).iter().filter_map(why).collect();
    if seen.iter().any(|session| session.waits_for.contains(&0)) {
        others.push("a prepared transaction, which only a person may end".to_owned());
    }
    let taken: Vec<Session> = freeing(seen, patience).into_iter().cloned().collect();
    match (taken.is_empty(), others.is_empty()) {
        (false, _) => Ruling::End(taken, others, role),
        (true, false) => Ruling::No(Text::new(format!("nobody may be ended: {}", others.join(", ")))),
        (true, true) => Ruling::No("too many hold the lock, or who holds it is not seen".into()),
    }
}

/// Over a connection to its own database, of which only that can be seen what it has.
async fn end_one(host: &LinuxHost, postgresql: &str, role: &str, session: &Session, patience: Duration) -> Ended {
    let Some(statement) = sql::end(session, patience) else {
        return Ended::No("it is not told of in full".to_owned());
    };
    let socket = super::around::socket(postgresql);
    let mut opened = Connection::open(&socket, role, &session.database).await;
    // There is room for another one when that of the looks is gone.
    if opened.as_ref().is_err_and(Trouble::is_full) {
        host.inner.kept.database.connection(&socket).lock().await.take();
        opened = Connection::open(&socket, role, &session.database).await;
    }
    match opened {
        Err(trouble) => Ended::No(trouble.to_string()),
        Ok(connection) => said(connection.ask(&statement).await.0),
    }
}

/// What an answer says of a session.
fn said(answer: Result<Vec<Row>, Trouble>) -> Ended {
    match answer.map(|rows| sql::read_end(&rows)) {
        Ok(Some(true)) => Ended::Yes,
        Ok(Some(false)) => Ended::Itself,
        Ok(None) => Ended::No("it is not the same, or not harmless any more".to_owned()),
        Err(trouble) => Ended::Unknown(trouble.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::domain::database::pretend::{idle, waiter};

    const PATIENCE: Duration = Duration::from_secs(30);
    const LONG: Duration = Duration::from_secs(60);

    fn told(ruling: Ruling) -> String {
        match ruling {
            Ruling::End(sessions, others, _) => {
                let pids: Vec<i32> = sessions.iter().map(|session| session.pid).collect();
                format!("ends {pids:?}, not {others:?}")
            }
            Ruling::Well(why) => format!("well: {why}"),
            Ruling::No(why) => format!("no: {why}"),
            Ruling::Unseen(why) => format!("unseen: {why}"),
        }
    }

    #[track_caller]
    fn check(seen: &[Session], expected: &str) {
        assert_eq!(told(ruled(seen, PATIENCE, "root".into())), expected);
    }

    #[test]
    fn only_roots_that_are_harmless_are_ended() {
        check(&[], "well: nobody waits for a lock for too long any more");
        check(&[idle(1), waiter(2, LONG, &[1]), waiter(3, LONG, &[2])], "ends [1], not []");
        let wrote = Session { has_written: true, ..idle(1) };
        let why = "pid 1 (role web, database app): it has written or locked rows, which would be lost";
        check(&[wrote.clone(), waiter(2, LONG, &[1])], &format!("no: nobody may be ended: {why}"));
        check(&[wrote, idle(4), waiter(2, LONG, &[1, 4])], &format!("no: nobody may be ended: {why}"));
        check(&[waiter(2, LONG, &[0])], "no: nobody may be ended: a prepared transaction, which only a person may end");
        check(&[waiter(2, LONG, &[9])], "no: too many hold the lock, or who holds it is not seen");
        let many: Vec<Session> = (10..30).map(idle).collect();
        let all: Vec<i32> = (10..30).collect();
        let seen: Vec<Session> = many.into_iter().chain([waiter(2, LONG, &all)]).collect();
        check(&seen, "no: too many hold the lock, or who holds it is not seen");
    }

    #[test]
    fn an_end_that_was_asked_for_and_is_not_answered_is_never_told_as_left_alone() {
        let of = |answers: Vec<Result<Vec<Row>, Trouble>>| {
            let told: Vec<(Session, Ended)> = (1..).map(idle).zip(answers.into_iter().map(said)).collect();
            outcome(&told, vec!["pid 9: it waits".into()])
        };
        let row = |text: &str| Ok(vec![vec![Some(text.to_owned())]]);
        let one = "(role web, database app)";
        let ActionOutcome::Failed { why } = of(vec![row("t"), Err(Trouble::Late)]) else { panic!("it failed") };
        let start =
            format!("whether pid 2 {one} was ended is not known: it has not answered within 3s; ended pid 1 {one}");
        assert!(why.as_str().starts_with(&start) && why.as_str().ends_with("; left alone: pid 9: it waits"), "{why}");
        assert!(matches!(
            of(vec![Err(Trouble::Broken(std::io::ErrorKind::BrokenPipe.into()))]),
            ActionOutcome::Failed { .. }
        ));
        let ActionOutcome::Refused { why } = of(vec![row("f"), Ok(Vec::new())]) else { panic!("nothing was done") };
        let end = "pid 1 (role web, database app): it had ended by itself, pid 2 (role web, database app): it is not the same, or not \
                   harmless any more";
        assert!(why.as_str().ends_with(end), "{why}");
        let ActionOutcome::Succeeded { note } = of(vec![row("t"), row("f")]) else { panic!("it is done") };
        assert!(note.as_str().contains("nothing written to this server's tables was lost"), "{note}");
    }

    #[test]
    fn a_server_of_somebody_else_and_a_standby_are_never_touched() {
        let standing = sql::Standing {
            version: 150_004,
            may_read: true,
            may_signal: true,
            is_standby: false,
            owner: None,
            waiting: 1,
        };
        let looked = |standing: sql::Standing, owner: Option<Text>| Looked { standing, role: "root".into(), owner };
        assert_eq!(may_act(&looked(standing.clone(), None)), Ok(()));
        let why = |looked: Looked| may_act(&looked).expect_err("refused").to_string();
        assert_eq!(
            why(looked(standing.clone(), Some("Patroni runs here".into()))),
            "Patroni runs here: it is observed only"
        );
        let standby = sql::Standing { is_standby: true, ..standing.clone() };
        assert!(why(looked(standby, None)).contains("no session of a standby is ended"));
        let blind = sql::Standing { may_read: false, ..standing.clone() };
        assert!(why(looked(blind, None)).contains("GRANT pg_monitor TO"));
        let weak = sql::Standing { may_signal: false, ..standing };
        assert!(why(looked(weak, None)).ends_with("GRANT pg_signal_backend TO \"root\";"));
    }
}
