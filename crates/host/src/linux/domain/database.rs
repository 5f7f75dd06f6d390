//! Servers of PostgreSQL: whether one answers, who waits for whose locks, and the end of a session that blocks others and has
//! written nothing, over the UNIX socket as the user that the agent runs as. One connection a server is kept; each statement is a
//! transaction of its own, so no look holds one open.
//!
//! Nothing here ends what has written, or promotes, drops, writes or sets anything: such a connection could not.

mod act;
mod around;
mod evidence;
mod listed;
pub mod pretend;
mod sql;
mod statement;
mod wire;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{
    domain::database::{DatabaseProbe, Session, judge},
    inventory::Inventory,
    observation::Observation,
    text::Text,
};

use crate::linux::{
    LinuxHost,
    aside::{self, Kind, Work},
};
use around::Around;
use sql::Standing;
use wire::{Connection, Row, Trouble};

/// The database that every server has, to which looks connect.
const DATABASE: &str = "postgres";
/// How long what was seen of the host is gone by.
const AROUND_FOR: Duration = Duration::from_secs(10);
/// Longest that it takes.
const AROUND_TIME: Duration = Duration::from_secs(3);
/// One that is older is closed whatever its use: a server that ends gently waits for it, and whether a new one is let in is seen.
const AGE_MAX: Duration = Duration::from_secs(60);
/// A connection that nobody has used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// What is remembered between two looks: a connection for each server, and what was seen of the host.
#[derive(Debug, Default)]
pub(super) struct Seen {
    connections: Mutex<BTreeMap<PathBuf, Kept>>,
    around: tokio::sync::Mutex<Option<(Instant, Around)>>,
}

#[derive(Clone, Debug)]
struct Kept {
    used: Instant,
    connection: Arc<tokio::sync::Mutex<Option<Connection>>>,
}

impl Seen {
    fn connection(&self, socket: &Path) -> Arc<tokio::sync::Mutex<Option<Connection>>> {
        let mut connections = held(&self.connections);
        let now = Instant::now();
        connections.retain(|_, kept| now.saturating_duration_since(kept.used) < IDLE_MAX);
        let new = || Kept { used: now, connection: Arc::default() };
        let kept = connections.entry(socket.to_owned()).or_insert_with(new);
        kept.used = now;
        kept.connection.clone()
    }
}

/// Held for a moment; whoever broke off while holding it left a whole value.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a server beside its answer.
struct Looked {
    standing: Standing,
    role: String,
    owner: Option<Text>,
}

/// Observes once.
async fn observe(host: &LinuxHost, probe: &DatabaseProbe) -> Observation {
    let around = match around(host, AROUND_FOR).await {
        Ok(around) => around,
        Err(why) => return Observation::unknown(why),
    };
    let looked = match look(host, probe, around.clone()).await {
        Ok(looked) => looked,
        Err(trouble) => return troubled(probe, &trouble, &around.role),
    };
    let Some(patience) = probe.locks else { return answers(&looked) };
    if let Err(why) = may_look(&looked) {
        return Observation::unknown(why);
    }
    let sessions = match looked.standing.waiting {
        0 => Vec::new(),
        _ => match sessions(host, &probe.postgresql).await {
            Ok(sessions) => sessions,
            Err(trouble) => return troubled(probe, &trouble, &looked.role),
        },
    };
    judge(&sessions, patience, looked.owner.as_ref())
}

async fn look(host: &LinuxHost, probe: &DatabaseProbe, around: Around) -> Result<Looked, Trouble> {
    let statement = sql::standing(probe.locks.unwrap_or_default());
    let rows = ask(host, &probe.postgresql, &around.role, &statement).await?;
    let standing = sql::read_standing(&rows).ok_or(Trouble::Garbled)?;
    let owner = standing.owner.clone().or(around.owner);
    Ok(Looked { standing, role: around.role, owner })
}

/// All who wait, and of whom they wait for.
async fn sessions(host: &LinuxHost, postgresql: &str) -> Result<Vec<Session>, Trouble> {
    let role = around(host, AROUND_FOR).await.map_err(Trouble::Aside)?.role;
    let rows = ask(host, postgresql, &role, &sql::sessions()).await?;
    sql::all_sessions(&rows)
}

fn answers(looked: &Looked) -> Observation {
    let Standing { version, is_standby, .. } = &looked.standing;
    let what = if *is_standby { "a standby" } else { "a primary" };
    let owner = looked.owner.as_ref().map(|owner| format!("; {owner}: it is observed only")).unwrap_or_default();
    Observation::healthy(format!("PostgreSQL {} answers, {what}{owner}", version / 10_000))
}

/// Whether the locks can be seen.
fn may_look(looked: &Looked) -> Result<(), String> {
    let Looked { standing, role, .. } = looked;
    if !standing.may_read {
        return Err(format!(
            "what others do there may not be seen; as a superuser of it: {}",
            grant("pg_monitor", role)
        ));
    }
    if standing.version < sql::VERSION_MIN {
        return Err(format!(
            "PostgreSQL {} does not say since when somebody waits; 14 does",
            standing.version / 10_000
        ));
    }
    Ok(())
}

/// The statement by which a person gives a right.
fn grant(right: &str, role: &str) -> String {
    format!("GRANT {right} TO \"{}\";", role.replace('"', "\"\""))
}

/// What it means that there is no answer.
fn troubled(probe: &DatabaseProbe, trouble: &Trouble, role: &str) -> Observation {
    let is_down = match trouble {
        Trouble::Said { code, .. } if code.starts_with("28") => {
            let quoted = role.replace('"', "\"\"");
            return Observation::unknown(format!(
                "it lets nobody in as {role}: {trouble}; as a superuser of it: CREATE ROLE \"{quoted}\" LOGIN; \
                 GRANT pg_monitor, pg_signal_backend TO \"{quoted}\";"
            ));
        }
        // It runs, and nobody else comes in either.
        Trouble::Said { .. } => trouble.is_full(),
        // Who stops it takes its socket away, and it stays where it breaks off.
        Trouble::Refused(_) | Trouble::Late => true,
        Trouble::Broken(error) => error.kind() != io::ErrorKind::PermissionDenied,
        Trouble::NoSocket(_) | Trouble::Password | Trouble::Garbled | Trouble::TooLong => false,
        Trouble::TooMany(_) | Trouble::Aside(_) => false,
    };
    // Whether it answers is one check's matter.
    match is_down && probe.locks.is_none() {
        true => Observation::failing(trouble.to_string()),
        false => Observation::unknown(trouble.to_string()),
    }
}

/// Asks a server over the connection that is kept, or over a new one.
async fn ask(host: &LinuxHost, postgresql: &str, role: &str, statement: &str) -> Result<Vec<Row>, Trouble> {
    let socket = around::socket(postgresql);
    let kept = host.inner.kept.database.connection(&socket);
    let mut kept = kept.lock().await;
    // Whoever gives this up in between leaves no connection on which an answer comes that nobody waits for.
    if let Some(connection) = kept.take().filter(|connection| connection.age() < AGE_MAX) {
        match connection.ask(statement).await {
            (Err(Trouble::Broken(_) | Trouble::Said { .. }), None) => {}
            (answer, again) => {
                *kept = again;
                return answer;
            }
        }
    }
    let (answer, again) = Connection::open(&socket, role, DATABASE).await?.ask(statement).await;
    *kept = again;
    answer
}

/// What there is on the host, seen at most so long ago.
async fn around(host: &LinuxHost, ago: Duration) -> Result<Around, String> {
    let mut known = host.inner.kept.database.around.lock().await;
    if let Some((_, around)) = known.as_ref().filter(|(at, _)| at.elapsed() < ago) {
        return Ok(around.clone());
    }
    let seen = look_around(host.inner.options.root.clone()).await?;
    *known = Some((Instant::now(), seen.clone()));
    Ok(seen)
}

async fn look_around(root: PathBuf) -> Result<Around, String> {
    let work = Work::new(Kind::Look, "who manages databases");
    aside::run(work, AROUND_TIME, move || around::around(&root)).await.map_err(|late| late.to_string())
}

/// The servers that have a socket in the usual place.
pub(super) async fn found(host: &LinuxHost, inventory: &mut Inventory) {
    inventory.databases = around(host, AROUND_FOR).await.map(|around| around.found).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    fn probe(locks: Option<Duration>) -> DatabaseProbe {
        DatabaseProbe { postgresql: "/run/postgresql".into(), locks }
    }

    fn said(code: &str) -> Trouble {
        Trouble::Said { code: code.into(), message: "no".into() }
    }

    #[test]
    fn what_is_down_fails_once_and_what_is_not_known_is_unknown() {
        let health = |trouble: &Trouble, locks| troubled(&probe(locks), trouble, "root").health();
        let patience = Some(Duration::from_secs(30));
        for down in [
            said("53300"),
            Trouble::Refused("x".into()),
            Trouble::Late,
            Trouble::Broken(io::ErrorKind::BrokenPipe.into()),
        ] {
            assert_eq!((health(&down, None), health(&down, patience)), (Health::Failing, Health::Unknown), "{down}");
        }
        let denied = Trouble::Broken(io::ErrorKind::PermissionDenied.into());
        for unknown in
            [said("28000"), said("57P03"), Trouble::NoSocket("x".into()), Trouble::Password, Trouble::Garbled, denied]
        {
            assert_eq!(health(&unknown, None), Health::Unknown, "{unknown}");
        }
        let seen = troubled(&probe(None), &said("28000"), "my\"role");
        let words = "as a superuser of it: CREATE ROLE \"my\"\"role\" LOGIN; GRANT pg_monitor, pg_signal_backend TO \"my\"\"role\";";
        assert!(seen.summary().as_str().ends_with(words), "{seen:?}");
    }

    #[test]
    fn a_missing_right_is_named_with_what_gives_it() {
        let standing = |may_read, version| Standing {
            version,
            may_read,
            may_signal: true,
            is_standby: false,
            owner: None,
            waiting: 0,
        };
        let may = |may_read, version| {
            may_look(&Looked { standing: standing(may_read, version), role: "root".into(), owner: None })
        };
        assert_eq!(may(true, 150_004), Ok(()));
        assert!(may(false, 150_004).is_err_and(|why| why.ends_with("GRANT pg_monitor TO \"root\";")));
        assert!(may(true, 130_010).is_err_and(|why| why.contains("PostgreSQL 13 does not say")));
        let looked =
            Looked { standing: standing(true, 150_004), role: "root".into(), owner: Some("Patroni runs here".into()) };
        let seen = answers(&looked);
        assert_eq!(seen.summary().as_str(), "PostgreSQL 15 answers, a primary; Patroni runs here: it is observed only");
    }
}
