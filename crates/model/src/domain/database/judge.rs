//! What sessions that wait and those that they wait for mean: when that is failing, which of them may be ended, and how the chain
//! is told. In doubt a session may not be ended.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::time::Duration;

use super::{Session, WAITING};
use crate::{
    condition::Value,
    observation::Observation,
    text::{Counted, Text},
    time::Shown,
};

/// So many who wait too long, or one who waits for so long, are failing whatever holds the lock.
const WAITING_MAX: usize = 5;
const WAITS_MAX: Duration = Duration::from_secs(300);
/// Most sessions that are ended at once.
const ENDED_MAX: usize = 3;
/// Most lines of a chain that are told.
const LINES_MAX: usize = 40;
/// Whoever calls itself so, or has a role that is called so, is left alone: what dumps, backs up, replicates or manages a server.
const KEEPERS: &[&str] = &[
    "dump",
    "restore",
    "backup",
    "backrest",
    "barman",
    "basebackup",
    "wal-g",
    "wal_g",
    "receivewal",
    "recvlogical",
    "replica",
    "repmgr",
    "patroni",
    "auto_failover",
    "autoctl",
    "debezium",
    "rewind",
    "upgrade",
    "repack",
    "vacuum",
    "citus",
    "postgres_fdw",
];

/// What a look at the locks means: failing when somebody waits for longer than the patience for one who is idle in a transaction,
/// or when many do or somebody does for very long.
#[must_use]
pub fn judge(sessions: &[Session], patience: Duration, owner: Option<&Text>) -> Observation {
    let late: Vec<&Session> =
        sessions.iter().filter(|session| session.waits.is_some_and(|waits| waits > patience)).collect();
    let count = u32::try_from(late.len()).unwrap_or(u32::MAX);
    let with_count = |made: Observation| made.with_figure(WAITING, Value::Number(f64::from(count)));
    let Some(longest) = late.iter().filter_map(|session| session.waits).max() else {
        return with_count(Observation::healthy(format!(
            "nobody waits for a lock for longer than {}",
            Shown(patience)
        )));
    };
    let roots = roots(sessions);
    let told: Vec<String> = roots.iter().take(2).map(|root| holds(root, patience)).collect();
    let prepared = is_prepared(sessions).then(|| "a prepared transaction, which only a person may end".to_string());
    let told: Vec<String> = told.into_iter().chain(prepared).collect();
    let told = if told.is_empty() { "who holds it is not seen".to_string() } else { told.join("; ") };
    let owned = owner.map(|owner| format!(" ({owner}: it is observed only)")).unwrap_or_default();
    let verb = if count == 1 { "waits" } else { "wait" };
    let words = format!("{} {verb} for a lock, for up to {}: {told}{owned}", Counted(count, "session"), Shown(longest));
    let is_idle = roots.iter().any(|root| root.state.as_str().starts_with("idle"));
    with_count(match is_idle || late.len() >= WAITING_MAX || longest >= WAITS_MAX {
        true => Observation::failing(words),
        false => Observation::warning(words),
    })
}

/// Those that others wait for and that wait for nobody themselves.
#[must_use]
pub fn roots(sessions: &[Session]) -> Vec<&Session> {
    let held: BTreeSet<i32> = sessions.iter().flat_map(|session| &session.waits_for).copied().collect();
    let is_root = |session: &&Session| held.contains(&session.pid) && !session.is_waiting && session.waits.is_none();
    sessions.iter().filter(is_root).collect()
}

/// The sessions whose end lets somebody go on who has waited for longer than the patience: all whom that one waits for, also behind
/// others, are harmless, and they are few. Nobody is told whose end would free nobody. Whoever has waited for longest comes first.
#[must_use]
pub fn freeing(sessions: &[Session], patience: Duration) -> Vec<&Session> {
    let mut late: Vec<&Session> =
        sessions.iter().filter(|session| session.waits.is_some_and(|waits| waits > patience)).collect();
    late.sort_by_key(|session| core::cmp::Reverse(session.waits));
    let mut taken: Vec<&Session> = Vec::new();
    for waiter in late {
        let Some(holders) = holders(sessions, waiter, patience) else { continue };
        let new: Vec<&Session> =
            holders.into_iter().filter(|one| taken.iter().all(|other| other.pid != one.pid)).collect();
        if taken.len() + new.len() <= ENDED_MAX {
            taken.extend(new);
        }
    }
    taken
}

/// All whom somebody waits for at last; nothing when one of them is not harmless, or not seen.
fn holders<'a>(sessions: &'a [Session], waiter: &'a Session, patience: Duration) -> Option<Vec<&'a Session>> {
    let (mut known, mut next, mut holders) = (BTreeSet::from([waiter.pid]), Vec::from([waiter]), Vec::new());
    while let Some(one) = next.pop() {
        if one.is_waiting || one.waits.is_some() {
            // Whom it waits for is not told of everybody.
            if one.waits_for.is_empty() {
                return None;
            }
            for pid in one.waits_for.iter().filter(|pid| known.insert(**pid)) {
                // A prepared transaction is no session.
                next.push(sessions.iter().find(|session| session.pid == *pid)?);
            }
        } else {
            harmless(one, patience).ok()?;
            holders.push(one);
        }
    }
    Some(holders)
}

fn is_prepared(sessions: &[Session]) -> bool {
    sessions.iter().any(|session| session.waits_for.contains(&0))
}

/// Whether ending a session loses nothing that was written.
///
/// # Errors
/// When it might, or nobody can say; why, in words that follow its name.
pub fn harmless(session: &Session, patience: Duration) -> Result<(), &'static str> {
    let called = [&session.application, &session.role].map(|name| name.as_str().to_ascii_lowercase());
    if session.kind.as_str() != "client backend" {
        return Err("is no session of an application");
    }
    if session.has_written {
        return Err("has written or locked rows, which would be lost");
    }
    if session.state.as_str() != "idle in transaction" {
        return Err("is not idle in a transaction");
    }
    if session.moments.iter().any(Option::is_none) {
        return Err("is not told of in full");
    }
    if session.in_state <= patience {
        return Err("has been idle for less than the patience");
    }
    if session.has_snapshot {
        return Err("reads from one snapshot, as a dump does");
    }
    if session.has_other_locks {
        return Err("holds locks that are taken by request, as LOCK TABLE and advisory ones are");
    }
    if session.is_keeper {
        return Err("is of a superuser or a role for replication, as a backup is");
    }
    if KEEPERS.iter().any(|word| called.iter().any(|name| name.contains(word))) {
        return Err("calls itself what keeps a database");
    }
    Ok(())
}

/// Who it is.
fn who(session: &Session) -> String {
    let application = match session.application.as_str() {
        "" => String::new(),
        application => format!("{application}, "),
    };
    format!("pid {} ({application}role {}, database {})", session.pid, session.role, session.database)
}

/// How one that holds a lock stands.
fn holds(root: &Session, patience: Duration) -> String {
    let written = match harmless(root, patience) {
        Ok(()) => "has written nothing",
        Err(why) => why,
    };
    format!("{} holds it, {} for {}, and {written}", who(root), root.state, Shown(root.in_state))
}

/// The chain of locks, a line for each session: who holds, who waits for whom and for how long, with which statements.
#[must_use]
pub fn chain(sessions: &[Session], patience: Duration) -> String {
    let roots = roots(sessions);
    let held = roots.iter().map(|root| {
        let open = Shown(root.in_transaction);
        format!("{}; its transaction has been open for {open}: {}", holds(root, patience), root.statement)
    });
    let prepared = is_prepared(sessions).then(|| "a prepared transaction holds it: see pg_prepared_xacts".to_string());
    let others = sessions.iter().filter_map(|session| {
        let waits = session.waits?;
        let name = |pid: &i32| if *pid == 0 { "a prepared transaction".into() } else { format!("pid {pid}") };
        let holders: Vec<String> = session.waits_for.iter().take(4).map(name).collect();
        let more = session.waits_for.len().saturating_sub(holders.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (who, holders) = (who(session), holders.join(", "));
        Some(format!("{who} waits for {holders}{more} for {}: {}", Shown(waits), session.statement))
    });
    let mut lines: Vec<String> = held.chain(prepared).chain(others).collect();
    if let Some(more) = lines.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Health;

    const PATIENCE: Duration = Duration::from_secs(30);
    const LONG: Duration = Duration::from_secs(60);

    fn idle(pid: i32) -> Session {
        Session {
            pid,
            moments: [Some(1), Some(2), Some(3)],
            kind: "client backend".into(),
            state: "idle in transaction".into(),
            in_state: LONG,
            in_transaction: LONG,
            database: "app".into(),
            role: "web".into(),
            application: "psql".into(),
            has_written: false,
            has_snapshot: false,
            has_other_locks: false,
            is_waiting: false,
            waits: None,
            waits_for: Vec::new(),
            statement: "SELECT ? FROM t".into(),
            is_keeper: false,
        }
    }

    fn waiter(pid: i32, waits: Duration, waits_for: &[i32]) -> Session {
        let waits_for = waits_for.to_vec();
        Session { state: "active".into(), is_waiting: true, waits: Some(waits), waits_for, ..idle(pid) }
    }

    #[track_caller]
    fn check(sessions: &[Session], health: Health, words: &str) {
        let seen = judge(sessions, PATIENCE, None);
        assert_eq!((seen.health(), seen.summary().as_str()), (health, words));
    }

    #[test]
    fn one_who_waits_too_long_for_an_idle_one_is_failing_and_the_root_is_named() {
        check(&[], Health::Healthy, "nobody waits for a lock for longer than 30s");
        let short = Duration::from_secs(29);
        check(&[idle(1), waiter(2, short, &[1])], Health::Healthy, "nobody waits for a lock for longer than 30s");
        // The second one waits behind the first.
        let sessions = [idle(1), waiter(2, LONG, &[1]), waiter(3, LONG, &[2])];
        let words = "2 sessions wait for a lock, for up to 1m: pid 1 (psql, role web, database app) holds it, idle in transaction \
                     for 1m, and has written nothing";
        check(&sessions, Health::Failing, words);
        assert_eq!(roots(&sessions).iter().map(|root| root.pid).collect::<Vec<_>>(), [1]);
        let owner = Text::from("Patroni runs it");
        let seen = judge(&sessions, PATIENCE, Some(&owner));
        assert!(seen.summary().as_str().ends_with("(Patroni runs it: it is observed only)"), "{seen:?}");
        assert_eq!(seen.figure(WAITING), Some(&Value::Number(2.0)));
    }

    #[test]
    fn one_at_work_is_failing_only_for_many_or_for_long() {
        let active = Session { state: "active".into(), ..idle(1) };
        let of = |waiters: i32, waits| {
            let waiting = (2..2 + waiters).map(|pid| waiter(pid, waits, &[1]));
            judge(&core::iter::once(active.clone()).chain(waiting).collect::<Vec<_>>(), PATIENCE, None)
        };
        let one = of(1, LONG);
        assert!(one.health() == Health::Healthy && one.is_warning(), "{one:?}");
        assert_eq!(of(5, LONG).health(), Health::Failing);
        assert_eq!(of(1, WAITS_MAX).health(), Health::Failing);
        let prepared = judge(&[waiter(2, WAITS_MAX, &[0])], PATIENCE, None);
        assert!(prepared.summary().as_str().contains("a prepared transaction, which only a person"), "{prepared:?}");
    }

    /// Each condition alone keeps a session from being ended.
    #[test]
    fn only_who_is_provably_harmless_may_be_ended() {
        type Change = fn(&mut Session);
        assert_eq!(harmless(&idle(1), PATIENCE), Ok(()));
        let changes: &[(Change, &str)] = &[
            (|one| one.has_written = true, "has written or locked rows, which would be lost"),
            (|one| one.has_snapshot = true, "reads from one snapshot, as a dump does"),
            (
                |one| one.has_other_locks = true,
                "holds locks that are taken by request, as LOCK TABLE and advisory ones are",
            ),
            (|one| one.state = "active".into(), "is not idle in a transaction"),
            (|one| one.state = "idle in transaction (aborted)".into(), "is not idle in a transaction"),
            (|one| one.state = "".into(), "is not idle in a transaction"),
            (|one| one.in_state = PATIENCE, "has been idle for less than the patience"),
            (|one| one.moments[1] = None, "is not told of in full"),
            (|one| one.kind = "walsender".into(), "is no session of an application"),
            (|one| one.kind = "autovacuum worker".into(), "is no session of an application"),
            (|one| one.kind = "".into(), "is no session of an application"),
            (|one| one.is_keeper = true, "is of a superuser or a role for replication, as a backup is"),
            (|one| one.role = "my_backup".into(), "calls itself what keeps a database"),
            (|one| one.application = "citus_internal gpid=1".into(), "calls itself what keeps a database"),
            (|one| one.application = "pg_dump".into(), "calls itself what keeps a database"),
            (|one| one.application = "pgBackRest [check]".into(), "calls itself what keeps a database"),
            (|one| one.application = "Patroni heartbeat".into(), "calls itself what keeps a database"),
        ];
        for (change, why) in changes {
            let mut session = idle(1);
            change(&mut session);
            assert_eq!(harmless(&session, PATIENCE), Err(*why), "{session:?}");
        }
    }

    #[test]
    fn nobody_is_ended_whose_end_frees_nobody() {
        let check = |sessions: &[Session], expected: &[i32]| {
            let mut pids: Vec<i32> = freeing(sessions, PATIENCE).iter().map(|one| one.pid).collect();
            pids.sort_unstable();
            assert_eq!(pids, expected, "{sessions:?}");
        };
        let wrote = Session { has_written: true, ..idle(1) };
        check(&[idle(1), waiter(2, LONG, &[1]), waiter(3, LONG, &[2])], &[1]);
        check(&[wrote.clone(), idle(4), waiter(2, LONG, &[1, 4])], &[]);
        // It is behind one that waits for a writer.
        check(&[wrote.clone(), idle(4), waiter(2, LONG, &[1]), waiter(3, LONG, &[2, 4])], &[]);
        // Another one is freed.
        check(&[wrote, idle(4), waiter(2, LONG, &[1]), waiter(3, LONG, &[4])], &[4]);
        check(&[idle(1), waiter(2, LONG, &[1, 0])], &[]);
        check(&[idle(1), waiter(2, LONG, &[1, 9])], &[]);
        check(&[idle(1), waiter(2, PATIENCE, &[1])], &[]);
        let unasked = Session { waits: None, waits_for: Vec::new(), ..waiter(3, LONG, &[]) };
        check(&[idle(1), unasked, waiter(2, LONG, &[1, 3])], &[]);
        // Each waits for the other.
        check(&[waiter(2, LONG, &[3]), waiter(3, LONG, &[2])], &[]);
        let few = [idle(1), idle(4), idle(5), idle(6)];
        check(&[&few[..], &[waiter(2, LONG, &[1, 4, 5])]].concat(), &[1, 4, 5]);
        check(&[&few[..], &[waiter(2, LONG, &[1, 4, 5, 6])]].concat(), &[]);
        let longer = Duration::from_secs(90);
        check(&[&few[..], &[waiter(2, LONG, &[1, 4]), waiter(3, longer, &[5, 6])]].concat(), &[5, 6]);
    }

    #[test]
    fn a_chain_says_who_holds_and_who_waits_for_whom_and_is_bounded() {
        let wrote = Session { has_written: true, ..idle(1) };
        let told = chain(&[wrote, waiter(2, LONG, &[1]), waiter(3, LONG, &[0])], PATIENCE);
        assert_eq!(
            told,
            "pid 1 (psql, role web, database app) holds it, idle in transaction for 1m, and has written or locked rows, which \
             would be lost; its transaction has been open for 1m: SELECT ? FROM t\n\
             a prepared transaction holds it: see pg_prepared_xacts\n\
             pid 2 (psql, role web, database app) waits for pid 1 for 1m: SELECT ? FROM t\n\
             pid 3 (psql, role web, database app) waits for a prepared transaction for 1m: SELECT ? FROM t"
        );
        let many: Vec<Session> = (2..200).map(|pid| waiter(pid, LONG, &[1, 2, 3, 4, 5])).collect();
        let told = chain(&many, PATIENCE);
        assert_eq!(told.lines().count(), LINES_MAX + 1);
        assert!(told.contains("pid 4 and 1 more for 1m") && told.ends_with("and 158 more"), "{told}");
    }
}
