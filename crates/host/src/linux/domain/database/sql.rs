//! What a server is asked, and how its answers are read. Nothing but numbers is ever put into a statement.
//!
//! The lock manager is asked who blocks whom only while somebody waits: that question stops it for a moment.

use std::time::Duration;

use ansai_model::{domain::database::Session, text::Text};

use super::{
    statement::without_values,
    wire::{Row, Trouble},
};

/// The oldest version that says since when somebody waits for a lock.
pub(super) const VERSION_MIN: u32 = 140_000;
/// Most who wait, of whom it is asked for whom.
const WAITING_MAX: usize = 50;
/// Most sessions that are told.
const SESSIONS_MAX: usize = 200;

/// Which locks of a session are not of plain statements: those that an application takes by request may be its mutex.
const BY_REQUEST: &str = "(l.locktype NOT IN ('relation', 'virtualxid') OR (l.locktype = 'relation' \
                          AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')))";

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// As 150004.
    pub(super) version: u32,
    /// Whether this role may see what others do, and how the server is set.
    pub(super) may_read: bool,
    /// Whether it may end others' sessions.
    pub(super) may_signal: bool,
    /// Whether it follows another server.
    pub(super) is_standby: bool,
    /// Who manages it besides, by its own settings and by who is connected.
    pub(super) owner: Option<Text>,
    /// How many may wait for a lock for longer than the patience.
    pub(super) waiting: u32,
}

/// The statement of every look.
pub(super) fn standing(patience: Duration) -> String {
    let patience = patience.as_millis();
    format!(
        "SELECT current_setting('server_version_num'), \
         pg_has_role(current_user, 'pg_read_all_stats', 'usage') AND pg_has_role(current_user, 'pg_read_all_settings', 'usage'), \
         pg_has_role(current_user, 'pg_signal_backend', 'usage'), \
         pg_is_in_recovery(), \
         CASE \
         WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name ILIKE 'patroni%') \
         OR EXISTS (SELECT FROM pg_settings WHERE sourcefile LIKE '%/postgresql.base.conf') THEN 'Patroni manages it' \
         WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name ILIKE 'repmgr%') \
         OR EXISTS (SELECT FROM pg_settings WHERE name = 'shared_preload_libraries' AND setting LIKE '%repmgr%') \
         THEN 'repmgr manages it' \
         WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name ILIKE 'pg_auto_failover%') \
         OR EXISTS (SELECT FROM pg_settings WHERE name = 'shared_preload_libraries' AND setting LIKE '%pgautofailover%') \
         THEN 'pg_auto_failover manages it' \
         WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name ILIKE 'cnpg%') THEN 'CloudNativePG manages it' \
         END, \
         (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND clock_timestamp() - query_start > {patience} * interval '1 millisecond')"
    )
}

/// Reads the answer to [`standing`].
pub(super) fn read_standing(rows: &[Row]) -> Option<Standing> {
    let [row] = rows else { return None };
    let [version, may_read, may_signal, is_standby, owner, waiting] = row.as_slice() else { return None };
    Some(Standing {
        version: version.as_deref()?.parse().ok()?,
        may_read: truth(may_read)?,
        may_signal: truth(may_signal)?,
        is_standby: truth(is_standby)?,
        owner: owner.as_deref().map(Text::new),
        waiting: waiting.as_deref()?.parse().ok()?,
    })
}

/// A moment in microseconds.
fn micros(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000000)::bigint")
}

/// The statement that tells of all who wait and of whom they wait for.
pub(super) fn sessions() -> String {
    let moments =
        ["backend_start", "xact_start", "state_change"].map(|column| micros(&format!("a.{column}"))).join(", ");
    // Of nothing it is nothing: who does not wait has no time for it.
    let since = |column: &str| format!("(extract(epoch FROM clock_timestamp() - {column}) * 1000)::bigint");
    let (in_state, open, waits) = (since("a.state_change"), since("a.xact_start"), since("e.since"));
    format!(
        "WITH waiting AS MATERIALIZED (\
         SELECT pid, min(waitstart) AS since FROM pg_locks WHERE NOT granted AND pid IS NOT NULL AND waitstart IS NOT NULL \
         GROUP BY pid ORDER BY 2 LIMIT {WAITING_MAX}), \
         edges AS MATERIALIZED (SELECT pid, since, pg_blocking_pids(pid) AS holders FROM waiting) \
         SELECT a.pid, {moments}, coalesce(a.backend_type, ''), coalesce(a.state, ''), {in_state}, {open}, \
         coalesce(a.datname, ''), coalesce(a.usename, ''), coalesce(a.application_name, ''), \
         a.backend_xid IS NOT NULL, a.backend_xmin IS NOT NULL, \
         EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND {BY_REQUEST}), \
         coalesce(a.wait_event_type = 'Lock', false), {waits}, array_to_string(e.holders, ','), left(coalesce(a.query, ''), 500), \
         coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true) \
         FROM pg_stat_activity a LEFT JOIN edges e USING (pid) \
         WHERE e.pid IS NOT NULL OR a.pid IN (SELECT unnest(holders) FROM edges) \
         ORDER BY e.since NULLS LAST LIMIT {SESSIONS_MAX}"
    )
}

/// Reads the answer to [`sessions`] where it must be a whole one: among more than are told may be any.
pub(super) fn all_sessions(rows: &[Row]) -> Result<Vec<Session>, Trouble> {
    if rows.len() >= SESSIONS_MAX {
        return Err(Trouble::TooMany(SESSIONS_MAX));
    }
    read_sessions(rows).ok_or(Trouble::Garbled)
}

/// Reads the answer to [`sessions`]; nothing when a row of it is not understood.
pub(super) fn read_sessions(rows: &[Row]) -> Option<Vec<Session>> {
    rows.iter().map(|row| read_session(row)).collect()
}

fn read_session(row: &[Option<String>]) -> Option<Session> {
    let [pid, begun, opened, changed, kind, state, in_state, open, database, role, application, rest @ ..] = row else {
        return None;
    };
    let [has_written, has_snapshot, has_other_locks, is_waiting, waits, waits_for, statement, is_keeper] = rest else {
        return None;
    };
    let number = |column: &Option<String>| column.as_deref().and_then(|text| text.parse::<i64>().ok());
    let lasts =
        |column: &Option<String>| number(column).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let text = |column: &Option<String>| Some(Text::new(column.as_deref()?));
    let holders = waits_for.as_deref().unwrap_or_default().split(',').filter(|pid| !pid.is_empty());
    Some(Session {
        pid: pid.as_deref()?.parse().ok()?,
        moments: [number(begun), number(opened), number(changed)],
        kind: text(kind)?,
        state: text(state)?,
        in_state: lasts(in_state).unwrap_or_default(),
        in_transaction: lasts(open).unwrap_or_default(),
        database: database.clone()?,
        role: text(role)?,
        application: text(application)?,
        has_written: truth(has_written)?,
        has_snapshot: truth(has_snapshot)?,
        has_other_locks: truth(has_other_locks)?,
        is_waiting: truth(is_waiting)?,
        waits: lasts(waits),
        waits_for: holders.map(|pid| pid.parse().ok()).collect::<Option<_>>()?,
        statement: Text::new(without_values(statement.as_deref()?)),
        is_keeper: truth(is_keeper)?,
    })
}

/// The statement that ends a session, if it is still the same one in the same transaction and idle since, and still harmless. It is
/// asked in the session's own database, since only there its temporary tables, foreign tables and extensions are seen. Whatever a
/// role may not see is empty, and an empty state is not idle.
///
/// The locks come first, since who blocks whom takes longest to be found; then the session as it is at that moment, which the server
/// copies once a transaction, so nothing before may read it; and its locks once more beside the signal. Each line is one of the
/// conditions: no locks but those of plain statements, and none of a foreign table (a foreign server has transactions of its own); no
/// temporary tables; nothing that writes to other servers behind this one's back; no replication; somebody waits for it for longer
/// than the patience; a session of an application, and of no superuser; idle in a transaction without a number and a snapshot.
pub(super) fn end(session: &Session, patience: Duration) -> Option<String> {
    let [Some(begun), Some(opened), Some(changed)] = session.moments else { return None };
    let (pid, patience) = (session.pid, patience.as_millis());
    let moments = [("a.backend_start", begun), ("a.xact_start", opened), ("a.state_change", changed)];
    let is_same = moments.map(|(column, moment)| format!("{} = {moment}", micros(column))).join(" AND ");
    Some(format!(
        "WITH locked AS MATERIALIZED (SELECT own.pid FROM pg_locks own \
         WHERE own.pid = {pid} AND own.locktype = 'virtualxid' AND own.granted AND NOT pg_is_in_recovery() \
         AND pg_has_role(current_user, 'pg_read_all_stats', 'usage') \
         AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = own.pid AND {BY_REQUEST}) \
         AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = own.pid AND c.relkind = 'f') \
         AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_namespace n \
         ON n.nspname = 'pg_temp_' || split_part(l.virtualtransaction, '/', 1) \
         JOIN pg_class c ON c.relnamespace = n.oid WHERE l.pid = own.pid) \
         AND NOT EXISTS (SELECT FROM pg_extension WHERE extname IN ('dblink', 'citus', 'plproxy')) \
         AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = own.pid) \
         AND EXISTS (SELECT FROM pg_locks w WHERE NOT w.granted \
         AND clock_timestamp() - w.waitstart > {patience} * interval '1 millisecond' AND own.pid = ANY (pg_blocking_pids(w.pid))) \
         LIMIT 1), \
         found AS MATERIALIZED (SELECT a.pid FROM locked CROSS JOIN LATERAL pg_stat_get_activity(locked.pid) a \
         WHERE a.pid = {pid} AND {is_same} AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) \
         AND a.backend_type = 'client backend' AND a.state = 'idle in transaction' \
         AND a.backend_xid IS NULL AND a.backend_xmin IS NULL \
         AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid AND NOT r.rolsuper AND NOT r.rolreplication) \
         AND clock_timestamp() - a.state_change > {patience} * interval '1 millisecond') \
         SELECT CASE WHEN found.pid = {pid} \
         AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = found.pid AND {BY_REQUEST}) \
         THEN pg_terminate_backend(found.pid) END FROM found"
    ))
}

/// Whether the session was told to end: nothing when it was not harmless any more.
pub(super) fn read_end(rows: &[Row]) -> Option<bool> {
    let [row] = rows else { return None };
    let [ended] = row.as_slice() else { return None };
    truth(ended)
}

fn truth(column: &Option<String>) -> Option<bool> {
    match column.as_deref()? {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> Row {
        columns.iter().map(|text| (*text != "-").then(|| (*text).to_owned())).collect()
    }

    fn idle() -> Row {
        let columns = "7|1|2|3|client backend|idle in transaction|60000|61000|app|web|psql|f|f|f|f|-|-|SELECT 'x'|f";
        row(&columns.split('|').collect::<Vec<_>>())
    }

    #[test]
    fn a_standing_is_read_and_what_is_none_is_not() {
        let of = |columns: &[&str]| read_standing(&[row(columns)]);
        let seen = of(&["150004", "t", "f", "f", "-", "2"]).expect("a standing");
        assert_eq!((seen.version, seen.may_read, seen.may_signal, seen.waiting), (150_004, true, false, 2));
        assert_eq!(
            of(&["150004", "t", "t", "t", "Patroni manages it", "0"]).expect("one").owner,
            Some("Patroni manages it".into())
        );
        assert_eq!(of(&["150004", "-", "t", "f", "-", "0"]), None, "an unknown right is no right");
        assert_eq!((of(&["150004"]), of(&["x", "t", "t", "f", "-", "0"]), read_standing(&[])), (None, None, None));
    }

    #[test]
    fn a_session_is_read_and_nothing_is_taken_for_well_that_is_not_understood() {
        let seen = read_sessions(&[idle()]).expect("sessions");
        assert_eq!(
            (seen[0].pid, seen[0].moments, seen[0].statement.as_str()),
            (7, [Some(1), Some(2), Some(3)], "SELECT ?")
        );
        assert_eq!((seen[0].in_state, seen[0].waits, &seen[0].waits_for[..]), (Duration::from_secs(60), None, &[][..]));
        let with = |at: usize, text: &str| {
            let mut row = idle();
            row[at] = (text != "-").then(|| text.to_owned());
            read_sessions(&[row]).map(|mut sessions| sessions.remove(0))
        };
        assert_eq!(with(16, "3,0").expect("one").waits_for, [3, 0]);
        assert_eq!(with(1, "-").expect("one").moments, [None, Some(2), Some(3)]);
        for (at, text) in [(0, "x"), (0, "-"), (11, "-"), (12, "true"), (13, ""), (16, "3,x"), (18, "-")] {
            assert_eq!(with(at, text), None, "{at} {text}");
        }
        assert_eq!(read_sessions(&[row(&["7"])]), None);
        let many = |count| all_sessions(&vec![idle(); count]);
        assert_eq!(many(SESSIONS_MAX - 1).expect("all").len(), SESSIONS_MAX - 1);
        assert!(matches!(many(SESSIONS_MAX), Err(Trouble::TooMany(200))), "others may be left out");
    }

    #[test]
    fn nobody_is_ended_who_is_not_known_by_all_three_moments() {
        let session = |row: Row| read_sessions(&[row]).expect("sessions").remove(0);
        let patience = Duration::from_secs(30);
        let text = end(&session(idle()), patience).expect("a statement");
        for part in [
            "AccessShareLock', 'RowShareLock', 'RowExclusiveLock')",
            "a.pid = 7 AND",
            "backend_start) * 1000000)::bigint = 1 ",
            "xact_start) * 1000000)::bigint = 2 ",
            "30000 *",
            "'dblink', 'citus', 'plproxy'",
            "NOT r.rolsuper AND NOT r.rolreplication",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let at = |part: &str| text.find(part).expect("a part");
        assert!(at("pg_blocking_pids") < at("pg_stat_get_activity"), "the session is read last: {text}");
        assert!(
            !text.contains("pg_stat_activity") && !text.contains("pg_stat_replication"),
            "nothing copies it before"
        );
        assert!(text.rfind("FROM pg_locks l") > Some(at("SELECT CASE")), "its locks are read once more: {text}");
        for at in 1..=3 {
            let mut row = idle();
            row[at] = None;
            assert_eq!(end(&session(row), patience), None);
        }
        assert_eq!((read_end(&[row(&["t"])]), read_end(&[row(&["f"])])), (Some(true), Some(false)));
        assert_eq!((read_end(&[row(&["-"])]), read_end(&[])), (None, None));
    }
}
