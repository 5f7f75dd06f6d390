//! What the agent stands on breaks: its disk, its ledger, the bus, the programs that it runs, the log that it reads.
//! It then does nothing that it cannot answer for, says so, and goes on by itself when the ground is firm again.
//!
//! It deliberately leaves out a wall clock that jumps: a lab host shares the machine's clock. The simulation of the shell
//! has it jump by hours.

use std::time::Duration;

use ansai_lab::agent::{QUICK, ansai, json, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const STATE: &str = "/var/lib/ansai";

const SINK: &str = "\
[Service]
Type=notify
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-sink --listen 127.0.0.1:9000 --record /run/sink.jsonl
";

const HOOK: &str = "notify: {desk: {webhook: \"http://127.0.0.1:9000/\", healed: true}}\n";

/// A host with the app and the agent, both running; its state is on a disk of 2 MB.
fn boot(name: &str, head: &str, services: &str) -> Result<Host> {
    let host = prepared(name, head, services)?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// The same before the first start of the agent.
fn prepared(name: &str, head: &str, services: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name).tmpfs(STATE, "2M"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    host.install_unit("sink.service", SINK)?;
    host.start("sink.service")?;
    agent::install(&host, &format!("{QUICK}{head}services:\n  app.service: {{}}\n{services}"))?;
    Ok(host)
}

/// What people are told arrives.
fn wait_told(host: &Host, words: &str) -> Result<()> {
    host.wait_until(&format!("people to be told: {words}"), Duration::from_secs(120), || {
        Ok(host.read_file("/run/sink.jsonl").unwrap_or_default().contains(words))
    })
}

/// The app is killed, that is seen, and nothing is done about it, for this reason.
fn nothing_is_done(host: &Host, why: &str) -> Result<()> {
    kill_app(host)?;
    agent::wait_says(host, "app.service", why)?;
    anyhow::ensure!(!host.is_active("app.service")?, "something was done");
    Ok(())
}

fn kill_app(host: &Host) -> Result<()> {
    host.signal_main("app.service", Signal::KILL)
}

/// Fills the disk under the agent's state to the last byte.
fn fill(host: &Host) -> Result<()> {
    let filled = host.run(&["dd", "if=/dev/zero", &format!("of={STATE}/fill"), "bs=4k"])?;
    anyhow::ensure!(filled.stderr.contains("No space left"), "{}", filled.stderr);
    Ok(())
}

/// A full disk on which even what was there already takes new blocks to write, as copy-on-write file systems need them:
/// nothing is done, that is said, looking goes on, and with room it heals by itself.
#[test]
fn a_ledger_that_cannot_be_saved_stops_all_action_until_it_can() -> Result<()> {
    let host = boot("ledger", "", "")?;
    for slot in ["ledger.a", "ledger.b"] {
        host.run_ok(&["fallocate", "--punch-hole", "--offset", "0", "--length", "262144", &format!("{STATE}/{slot}")])?;
    }
    fill(&host)?;
    kill_app(&host)?;
    wait_health(&host, "app.service", "failing")?;
    let says = |words: &str| {
        host.wait_until(&format!("`{words}` to be explained"), LIMIT, || {
            Ok(ansai(&host, &["explain", "app"])?.stdout.contains(words))
        })
    };
    says("the ledger cannot be saved")?;
    let status = json(&host, &["status"])?;
    assert!(status["ledger_error"].is_string(), "the status says nothing of the ledger: {status:#}");
    let held = ansai(&host, &["hold", "--all"])?;
    assert_ne!(held.code, 0, "a hold that is not durable was acknowledged: {}", held.stdout);
    assert!(!host.is_active("app.service")?, "something was done without a durable record before it");

    host.remove_file(format!("{STATE}/fill"))?;
    ansai(&host, &["release", "--all"])?;
    wait_report(&host, "i1", "healed")?;
    assert!(json(&host, &["status"])?["ledger_error"].is_null(), "the trouble is over and still told");
    Ok(())
}

/// A full disk with the slots of the ledger in place: it heals all the same, and what could not be told then is told when
/// there is room.
#[test]
fn a_full_disk_does_not_keep_it_from_healing_and_the_report_follows_when_there_is_room() -> Result<()> {
    let host = boot("full-state", HOOK, "")?;
    fill(&host)?;
    let before = host.main_pid("app.service")?;
    kill_app(&host)?;
    host.wait_until("the app to be started again", LIMIT, || {
        Ok(host.main_pid("app.service")?.is_some_and(|pid| Some(pid) != before))
    })?;
    host.wait_until("the incident to end", LIMIT, || Ok(agent::target(&host, "app.service")["incident"].is_null()))?;
    let journal = host.journal(agent::UNIT)?;
    assert!(journal.contains("cannot be kept"), "nobody reads that reports are lost: {journal}");

    host.remove_file(format!("{STATE}/fill"))?;
    let report = wait_report(&host, "i1", "healed")?;
    assert_eq!(report["target"], "service/app.service");
    host.wait_until("the report to be told", LIMIT, || {
        Ok(host.read_file("/run/sink.jsonl").unwrap_or_default().contains("app.service"))
    })
}

/// The newest state is torn: the one before it is used, that is said, and nothing that was known is lost.
#[test]
fn a_torn_ledger_is_said_and_the_state_before_it_is_used() -> Result<()> {
    let host = boot("torn", "", "")?;
    ansai(&host, &["hold", "--all", "--reason", "an old hold"])?.ok()?;
    ansai(&host, &["silence", "app", "--for", "1h"])?.ok()?;
    host.signal_main(agent::UNIT, Signal::KILL)?;
    host.wait_active(agent::UNIT, LIMIT)?;
    host.stop(agent::UNIT)?;
    let generation = |slot: &str| -> Result<u64> {
        let bytes = host.read_bytes(format!("{STATE}/{slot}"))?;
        Ok(u64::from_le_bytes(bytes.get(16..24).context("a short slot")?.try_into()?))
    };
    let newest = if generation("ledger.a")? > generation("ledger.b")? { "ledger.a" } else { "ledger.b" };
    let mut bytes = host.read_bytes(format!("{STATE}/{newest}"))?;
    bytes[40] ^= 0xff;
    host.write_file(format!("{STATE}/{newest}"), bytes, 0o600)?;

    agent::start(&host)?;
    let journal = host.journal(agent::UNIT)?;
    assert!(journal.contains(newest) && journal.contains("the state saved before it"), "nobody is told: {journal}");
    let status = json(&host, &["status"])?;
    assert!(status["holds"].to_string().contains("an old hold"), "the hold is forgotten: {status:#}");
    kill_app(&host)?;
    wait_health(&host, "app.service", "failing")?;
    ansai(&host, &["release", "--all"])?.ok()?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

/// No room at the first start of all: it looks and tells, and acts as soon as it can save.
#[test]
fn a_full_disk_at_the_first_start_keeps_it_from_acting_and_from_nothing_else() -> Result<()> {
    let host = prepared("full-first", HOOK, "")?;
    fill(&host)?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    nothing_is_done(&host, "the ledger cannot be saved")?;
    let status = json(&host, &["status"])?;
    anyhow::ensure!(status["ledger_error"].to_string().contains("No space left"), "{status:#}");
    anyhow::ensure!(status["holds"] == serde_json::json!([]), "a first start is no loss: {status:#}");
    wait_told(&host, "heals nothing on this host")?;
    host.remove_file(format!("{STATE}/fill"))?;
    wait_report(&host, "i1", "healed")?;
    anyhow::ensure!(json(&host, &["status"])?["ledger_error"].is_null(), "the trouble is over and still told");
    Ok(())
}

/// The same where nothing may be written at all.
#[test]
fn a_state_directory_that_is_read_only_at_the_first_start_is_no_reason_not_to_look() -> Result<()> {
    let host = prepared("read-only-first", "", "")?;
    // As systemd wants it, which would not start a unit whose directory it has to change and cannot.
    host.run_ok(&["chmod", "0750", STATE])?;
    host.run_ok(&["mount", "-o", "remount,ro", STATE])?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    nothing_is_done(&host, "the ledger cannot be saved")?;
    host.run_ok(&["mount", "-o", "remount,rw", STATE])?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

/// Both states are lost: everything is held until a person releases it, over starts too, and people are told.
#[test]
fn when_both_states_are_lost_nothing_is_done_until_a_person_says_so() -> Result<()> {
    const LOST: &str = "what was known of incidents, budgets and holds is lost";
    let host = boot("lost", HOOK, "")?;
    kill_app(&host)?;
    wait_report(&host, "i1", "healed")?;
    host.stop(agent::UNIT)?;
    for slot in ["ledger.a", "ledger.b"] {
        host.run_ok(&["dd", "if=/dev/zero", &format!("of={STATE}/{slot}"), "bs=64k", "count=4", "conv=notrunc"])?;
    }
    agent::start(&host)?;
    wait_told(&host, "the ledger is lost")?;
    wait_health(&host, "app.service", "healthy")?;
    nothing_is_done(&host, LOST)?;
    host.stop(agent::UNIT)?;
    agent::start(&host)?;
    agent::wait_says(&host, "app.service", LOST)?;
    for command in ["status", "doctor"] {
        let said = ansai(&host, &[command])?;
        anyhow::ensure!(said.stdout.contains(LOST), "{command}: {}{}", said.stdout, said.stderr);
    }
    anyhow::ensure!(!host.is_active("app.service")?, "something was done");
    ansai(&host, &["release", "--all", "--yes"])?.ok()?;
    host.wait_active("app.service", LIMIT)
}

/// A state of a version to come: it is not written over, nothing is done on less than it, and people are told.
#[test]
fn a_ledger_that_cannot_be_read_is_told_to_people_and_left_as_it_is() -> Result<()> {
    let host = boot("unreadable", HOOK, "")?;
    host.stop(agent::UNIT)?;
    for slot in ["ledger.a", "ledger.b"] {
        host.run_ok(&["mv", &format!("{STATE}/{slot}"), &format!("{STATE}/{slot}.kept")])?;
        host.run_ok(&["mkfifo", &format!("{STATE}/{slot}")])?;
    }
    agent::start(&host)?;
    wait_told(&host, "it is a named pipe, and only a regular file is read")?;
    wait_health(&host, "app.service", "healthy")?;
    nothing_is_done(&host, "the ledger cannot be saved")?;
    host.stop(agent::UNIT)?;
    for slot in ["ledger.a", "ledger.b"] {
        host.run_ok(&["mv", &format!("{STATE}/{slot}.kept"), &format!("{STATE}/{slot}")])?;
    }
    agent::start(&host)?;
    host.wait_active("app.service", LIMIT)
}
