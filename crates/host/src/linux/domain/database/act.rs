//! The end of sessions that block others while they are idle in a transaction and have written nothing. Each is ended by one
//! statement in which the server itself finds that it is still the same session in the same transaction, and still harmless; what
//! somebody else manages, a standby, and whatever is in doubt is refused.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::database::{DatabaseAction, DatabaseProbe, Session, freeing, harmless, roots},
    text::Text,
    time::Shown,
};

use super::{Connection, Looked, Trouble, around, grant, look, may_look, sessions, sql};
use crate::linux::{LinuxHost, act::Planned};

/// What is written of a conclusion that is not this program's to draw.
const PROOF: &str = "the server found in the statement that ended it that it was the same session in the same transaction, idle \
                     since, without a transaction id and without a snapshot, with locks of this database's own tables alone, no \
                     advisory lock, no temporary table, and no dump, backup or replication: nothing written was lost";

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

/// Does it.
pub(super) async fn perform(host: &LinuxHost, action: &DatabaseAction, run: &ActionRun) -> ActionOutcome {
    let done = tokio::time::timeout(run.timeout, end(host, action)).await;
    done.unwrap_or(ActionOutcome::TimedOut { after: run.timeout })
}

async fn end(host: &LinuxHost, action: &DatabaseAction) -> ActionOutcome {
    let DatabaseAction::EndIdle { postgresql, patience } = action;
    let (sessions, others, role) = match ruling(host, action).await {
        Ruling::End(sessions, others, role) => (sessions, others, role),
        Ruling::Well(why) => return ActionOutcome::NotNeeded { why },
        Ruling::No(why) => return ActionOutcome::Refused { why },
        Ruling::Unseen(why) => return ActionOutcome::Failed { why },
    };
    let (mut ended, mut left) = (Vec::new(), others);
    for session in &sessions {
        match end_one(postgresql, &role, session, *patience).await {
            Ok(()) => {
                ended.push(format!("ended {}, which had been idle for {}", named(session), Shown(session.in_state)))
            }
            Err(why) => left.push(format!("{}: {why}", named(session))),
        }
    }
    let left = if left.is_empty() { String::new() } else { format!("; left alone: {}", left.join(", ")) };
    match ended.is_empty() {
        true => ActionOutcome::Refused { why: Text::new(format!("no session was ended{left}")) },
        false => ActionOutcome::Succeeded { note: Text::new(format!("{}; {PROOF}{left}", ended.join(", "))) },
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
async fn end_one(postgresql: &str, role: &str, session: &Session, patience: Duration) -> Result<(), String> {
    let statement = sql::end(session, patience).ok_or("it is not told of in full")?;
    let socket = super::around::socket(postgresql);
    let said = |trouble: Trouble| trouble.to_string();
    let connection = Connection::open(&socket, role, &session.database).await.map_err(said)?;
    let (rows, _) = connection.ask(&statement).await;
    match sql::read_end(&rows.map_err(said)?) {
        Some(true) => Ok(()),
        Some(false) => Err("it had ended by itself".into()),
        None => Err("it is not the same, or not harmless any more".into()),
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
