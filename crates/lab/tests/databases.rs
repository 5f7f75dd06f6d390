//! Databases end to end, on a real PostgreSQL: who blocks others while idle in a transaction is ended only when nothing written is
//! lost, with the proof in the report; whoever has written, reads from a snapshot or keeps anything else stays, and a person is
//! told with the chain of locks. What somebody else manages is observed, and a missing right is named with what gives it.

use std::time::Duration;

use ansai_lab::agent::steps;
use ansai_lab::{Host, HostOptions, agent, host::Background};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(90);
/// Seconds where there are minutes.
const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {stable_for: 2s}
  database: {cooldown: 1s, stable_for: 2s, backoff: {initial: 1s, max: 2s}}
databases: {main: {postgresql: /var/run/postgresql, patience: 3s, every: 1s}}
";
/// The applications' role, and the agent's rights.
const ROLES: &str = "CREATE ROLE daemon LOGIN; CREATE ROLE root LOGIN; GRANT pg_monitor, pg_signal_backend TO root;";

/// A host with a server, which holds a database `app` of the role `daemon` with empty tables `t1` to `t9`.
fn boot(name: &str, roles: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    agent::install(&host, CONFIGURATION)?;
    host.start("postgresql@15-main.service")?;
    as_superuser(&host, "postgres", roles)?;
    as_superuser(&host, "postgres", "CREATE DATABASE app OWNER daemon")?;
    let tables: String = (1..10).map(|number| format!("CREATE TABLE t{number} (a int);")).collect();
    host.run_ok(&["runuser", "-u", "daemon", "--", "psql", "-qc", &tables, "app"])?;
    Ok(host)
}

fn as_superuser(host: &Host, database: &str, sql: &str) -> Result<String> {
    let answer = host.run_ok(&["runuser", "-u", "postgres", "--", "psql", "-qAtc", sql, database])?;
    Ok(answer.stdout.trim().to_owned())
}

/// A session that calls itself so, says this and then nothing more; it is there when this returns.
fn holds(host: &Host, name: &str, sql: &str) -> Result<Background> {
    let script = format!("(echo \"{sql}\"; exec tail -f /dev/null) | PGAPPNAME={name} exec psql -q app");
    let session = host.spawn(&["runuser", "-u", "daemon", "--", "sh", "-c", &script])?;
    host.wait_until(&format!("{name} to be idle"), LIMIT, || Ok(is_idle(host, name)))?;
    Ok(session)
}

fn is_idle(host: &Host, name: &str) -> bool {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state = 'idle in transaction'"
    );
    as_superuser(host, "postgres", &sql).is_ok_and(|count| count == "1")
}

/// So many that write into a table, each in a session of its own.
fn write(host: &Host, table: &str, count: u32) -> Result<Background> {
    let script = format!(
        "for n in $(seq {count}); do PGAPPNAME=writer psql -qc 'INSERT INTO {table} VALUES (4711)' app & done; wait"
    );
    host.spawn(&["runuser", "-u", "daemon", "--", "sh", "-c", &script])
}

/// A change of a table, which waits for whoever reads it and has all others wait; it is there when this returns.
fn alter(host: &Host, table: &str) -> Result<Background> {
    let sql = format!("ALTER TABLE {table} ADD COLUMN new int");
    let change =
        host.spawn(&["runuser", "-u", "daemon", "--", "env", "PGAPPNAME=change", "psql", "-qc", &sql, "app"])?;
    let waiting = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    host.wait_until("the change to wait", LIMIT, || Ok(as_superuser(host, "app", &waiting)? == "1"))?;
    Ok(change)
}

/// What the agent says of the server.
fn target(host: &Host) -> Value {
    let status = agent::json(host, &["status"]).unwrap_or_default();
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == "database/main").unwrap_or_default()
}

fn wait_health(host: &Host, health: &str) -> Result<()> {
    host.wait_until(&format!("the server to be {health}"), LIMIT, || Ok(target(host)["health"] == health))
        .with_context(|| format!("the agent says: {:#}", target(host)))
}

fn wait_says(host: &Host, words: &str) -> Result<()> {
    let said = || agent::ansai(host, &["explain", "database/main"]).map(|said| said.stdout.replace("\n  ", " "));
    let is_said = || Ok(said()?.split_whitespace().collect::<Vec<_>>().join(" ").contains(words));
    host.wait_until(&format!("the server to be said to be `{words}`"), LIMIT, is_said)
        .with_context(|| format!("ansai says: {}", said().unwrap_or_default()))
}

#[test]
fn an_idle_session_that_blocks_fifty_writers_is_ended_and_its_report_proves_that_nothing_was_lost() -> Result<()> {
    let host = boot("blocked", ROLES)?;
    let proposed = agent::ansai(&host, &["init", "--output", "-"])?.stdout;
    ensure!(proposed.contains("GRANT pg_monitor, pg_signal_backend TO \"root\";"), "{proposed}");
    ensure!(proposed.contains("databases:\n  main: {postgresql: /var/run/postgresql}\n"), "{proposed}");
    agent::start(&host)?;
    wait_health(&host, "healthy")?;
    let doctor = agent::ansai(&host, &["doctor"])?.stdout;
    ensure!(doctor.contains("databases: 1"), "{doctor}");
    let one = "SELECT count(*), min(backend_start) FROM pg_stat_activity WHERE application_name = 'ansai'";
    let before = as_superuser(&host, "postgres", one)?;
    ensure!(before.starts_with("1|"), "one connection: {before}");
    let _holder = holds(&host, "holder", "BEGIN; SELECT count(*) FROM t1;")?;
    let _change = alter(&host, "t1")?;
    let _writers = write(&host, "t1", 50)?;
    let report = agent::wait_report(&host, "i1", "healed")?;
    ensure!(report["target"] == "database/main" && steps(&report, "started").len() == 1, "{report:#}");
    let ended = report["steps"].to_string();
    ensure!(
        ended.contains("ended pid ") && ended.contains("nothing written to this server's tables was lost"),
        "{report:#}"
    );
    let evidence = report["evidence"].to_string();
    ensure!(evidence.contains("(holder, role daemon, database app) holds it"), "{report:#}");
    ensure!(evidence.contains("INSERT INTO t1 VALUES (?)") && !evidence.contains("4711"), "{report:#}");
    let count = || as_superuser(&host, "app", "SELECT count(*) FROM t1");
    host.wait_until("the writers to have written", LIMIT, || Ok(count()? == "50"))?;
    ensure!(!is_idle(&host, "holder"), "it is ended");
    let count = || as_superuser(&host, "postgres", one).map(|after| after.starts_with("1|"));
    host.wait_until("one connection to be left", LIMIT, count)?;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ansai' AND (xact_start IS NOT NULL OR state <> 'idle')";
    ensure!(as_superuser(&host, "postgres", open)? == "0", "no look holds a transaction open");
    Ok(())
}

#[test]
fn one_that_has_written_is_never_ended_and_a_person_is_told_with_the_chain() -> Result<()> {
    let host = boot("written", ROLES)?;
    agent::start(&host)?;
    wait_health(&host, "healthy")?;
    let _holder = holds(&host, "holder", "BEGIN; INSERT INTO t1 VALUES (1); LOCK TABLE t1 IN SHARE MODE;")?;
    let _writers = write(&host, "t1", 3)?;
    let report = agent::wait_report(&host, "i1", "escalated")?;
    let evidence = report["evidence"].to_string();
    for words in
        ["holds it, idle in transaction", "has written or locked rows", "waits for pid ", "INSERT INTO t1 VALUES (?)"]
    {
        ensure!(evidence.contains(words), "{words}: {report:#}");
    }
    ensure!(!report["steps"].to_string().contains("ended pid"), "{report:#}");
    ensure!(is_idle(&host, "holder"), "it is as it was");
    Ok(())
}

/// Each of these blocks a change and has no transaction id but the one with a row; the one with temporary tables is known by the
/// statement that would end it alone.
#[test]
fn what_keeps_anything_besides_its_locks_is_never_ended() -> Result<()> {
    let host = boot("kept", ROLES)?;
    agent::start(&host)?;
    wait_health(&host, "healthy")?;
    as_superuser(&host, "app", "INSERT INTO t3 VALUES (1)")?;
    let holders = [
        ("advisory", "SELECT pg_advisory_lock(1); BEGIN; SELECT count(*) FROM t1;"),
        ("snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t2;"),
        ("row", "BEGIN; SELECT a FROM t3 FOR UPDATE;"),
        ("my_pg_dump", "BEGIN; SELECT count(*) FROM t4;"),
        ("temporary", "CREATE TEMPORARY TABLE kept AS SELECT 1; BEGIN; SELECT count(*) FROM t5;"),
        ("mutex", "BEGIN; LOCK TABLE t6 IN SHARE UPDATE EXCLUSIVE MODE;"),
    ];
    let _held = holders.iter().map(|(name, sql)| holds(&host, name, sql)).collect::<Result<Vec<_>>>()?;
    let _changing = (1..=6).map(|number| alter(&host, &format!("t{number}"))).collect::<Result<Vec<_>>>()?;
    let report = agent::wait_report(&host, "i1", "escalated")?;
    let steps = report["steps"].to_string();
    for words in [
        "as LOCK TABLE and advisory ones are",
        "as a dump does",
        "has written or locked rows",
        "what keeps a database",
        "not harmless any more",
    ] {
        ensure!(steps.contains(words), "{words}: {report:#}");
    }
    for (name, _) in holders {
        ensure!(is_idle(&host, name), "{name} is as it was: {report:#}");
    }
    Ok(())
}

#[test]
fn what_patroni_manages_is_observed_and_told_and_never_touched() -> Result<()> {
    let host = boot("patroni", ROLES)?;
    // What is known of it here is its name.
    host.run_ok(&["cp", "/usr/bin/tail", "/usr/local/bin/patroni"])?;
    let patroni = || host.spawn(&["/usr/local/bin/patroni", "-f", "/dev/null"]);
    agent::start(&host)?;
    wait_health(&host, "healthy")?;
    // It comes after the agent has found out what may be done.
    let _patroni = patroni()?;
    let _holder = holds(&host, "holder", "BEGIN; SELECT count(*) FROM t1;")?;
    let _change = alter(&host, "t1")?;
    let report = agent::wait_report(&host, "i1", "escalated")?;
    ensure!(report.to_string().contains("Patroni runs here: it is observed only"), "{report:#}");
    ensure!(!report["steps"].to_string().contains("ended pid"), "{report:#}");
    ensure!(is_idle(&host, "holder"), "it is as it was");
    let proposed = agent::ansai(&host, &["init", "--output", "-"])?.stdout;
    ensure!(proposed.contains("  # Patroni runs here: observed only\n  main:"), "{proposed}");
    Ok(())
}

#[test]
fn a_missing_right_makes_it_unknown_and_is_named_with_what_gives_it_and_a_dead_server_fails() -> Result<()> {
    let host = boot("rights", "CREATE ROLE daemon LOGIN;")?;
    agent::start(&host)?;
    wait_says(&host, "CREATE ROLE \"root\" LOGIN; GRANT pg_monitor, pg_signal_backend TO \"root\";")?;
    as_superuser(&host, "postgres", "CREATE ROLE root LOGIN")?;
    wait_says(&host, "GRANT pg_monitor TO \"root\";")?;
    as_superuser(&host, "postgres", "GRANT pg_monitor TO root")?;
    wait_health(&host, "healthy")?;
    // Nothing may be ended yet, and that is said when it would be.
    let holder = holds(&host, "holder", "BEGIN; SELECT count(*) FROM t1;")?;
    let _change = alter(&host, "t1")?;
    agent::wait_report_with(&host, "i1", "steps", "GRANT pg_signal_backend TO")?;
    drop(holder);
    // A crash leaves its socket, a stop takes it away.
    host.run_ok(&["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "postgresql@15-main.service"])?;
    wait_health(&host, "failing")?;
    wait_says(&host, "nobody listens at /var/run/postgresql/.s.PGSQL.5432")?;
    host.start("postgresql@15-main.service")?;
    wait_health(&host, "healthy")?;
    host.run_ok(&["systemctl", "stop", "postgresql@15-main.service"])?;
    wait_says(&host, "nothing has a socket at /var/run/postgresql/.s.PGSQL.5432")?;
    ensure!(target(&host)["health"] != "failing", "{:#}", target(&host));
    Ok(())
}
