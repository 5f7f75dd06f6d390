//! Telling people end to end, by a real mail server: down and back, guarded by TLS and a password, replaced by a fallback.
//!
//! It deliberately tests no wording: what a report says is `predecessor.rs`'s and the renderer's own tests'.

use std::time::Duration;

use ansai_lab::agent::{QUICK, json, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture, mail};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

/// Longer than the outbox's first three waits (10, 20 and 40 s).
const LIMIT: Duration = Duration::from_secs(100);

const SINK: &str = "[Service]\nType=notify\nExecStart=/usr/local/lib/ansai-lab/ansai-lab-sink --listen 127.0.0.1:9000 --record /run/sink.jsonl\n";

/// A host with a healthy app, the agent, and these routes.
fn boot(name: &str, routes: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (name, port) in [("app", 5000), ("other", 5001)] {
        let unit = format!("{name}.service");
        host.install_unit(&unit, &fixture::unit(name, port))?;
        host.start(&unit)?;
    }
    agent::install(&host, &format!("{QUICK}notify:\n{routes}services: {{app.service: {{}}, other.service: {{}}}}\n"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// What is broken so that no remedy helps, and a person must be told.
fn break_for_good(host: &Host) -> Result<()> {
    let before = host.main_pid("app.service")?;
    host.write_file("/var/lib/app/commands", "die-after 100\n", 0o644)?;
    // On a busy machine it may read that while it starts, and be dead of it already.
    if let Err(error) = host.signal_main("app.service", Signal::KILL) {
        host.wait_until("the first run to end", LIMIT, || Ok(host.main_pid("app.service")? != before))
            .with_context(|| format!("{error:#}"))?;
    }
    wait_report(host, "i1", "escalated")?;
    Ok(())
}

fn waiting(host: &Host) -> Result<i64> {
    Ok(json(host, &["status"])?["messages_waiting"].as_i64().unwrap_or(-1))
}

/// E10: all fails and the mail server is down. The report is kept, over a kill of the agent too; one route has a fallback,
/// which is told; the other delivers when the server is back, once.
#[test]
fn e10_no_report_is_lost_while_the_mail_server_is_down() -> Result<()> {
    let routes = "  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\"}
  second: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:2525\", fallback: desk}
  desk: {webhook: \"http://127.0.0.1:9000/desk\", scope: [no-target-of-its-own]}
";
    let host = boot("e10", routes)?;
    mail::start(&host)?;
    host.stop(mail::UNIT)?;
    host.install_unit("sink.service", SINK)?;
    host.start("sink.service")?;
    break_for_good(&host)?;
    host.wait_until("the report to wait on both routes", LIMIT, || Ok(waiting(&host)? == 2))?;
    host.signal_main(agent::UNIT, Signal::KILL)?;
    host.wait_until("the agent to be back with both messages", LIMIT, || Ok(waiting(&host).unwrap_or(0) == 2))?;

    host.start(mail::UNIT)?;
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert!(messages[0].contains("needs a person"), "{}", messages[0]);
    let record = || host.read_file("/run/sink.jsonl").unwrap_or_default();
    host.wait_until("the fallback to be told", LIMIT, || Ok(record().contains("/desk")))?;
    host.wait_until("nothing to wait", LIMIT, || Ok(waiting(&host)? == 0))?;
    assert_eq!(mail::messages(&host)?.len(), 1, "the same report arrived more than once by mail");
    let told: Vec<String> = record().lines().map(str::to_owned).collect();
    assert_eq!(told.len(), 1, "the fallback was told more than once: {told:?}");
    assert!(told[0].contains("app.service"), "{told:?}");
    let journal = host.journal(agent::UNIT)?;
    assert!(journal.contains("email could not be told"), "the operator is not told that mail fails: {journal}");
    Ok(())
}

/// Mail by STARTTLS and by TLS, each with a password from a file and an authority of one's own.
#[test]
fn a_guarded_mail_server_is_used_by_starttls_and_by_tls() -> Result<()> {
    let guarded = |scheme: &str| {
        let (name, user, ca) = (mail::NAME, mail::USER, mail::AUTHORITY);
        format!(
            "{{to: ops@lab.test, smtp: \"{scheme}://{name}\", user: {user}, password: \"file:/etc/ansai/smtp\", ca: {ca}}}"
        )
    };
    let routes = format!("  starttls: {}\n  tls: {}\n", guarded("smtp+starttls"), guarded("smtps"));
    let host = boot("guarded", &routes)?;
    mail::start(&host)?;
    host.write_file("/etc/ansai/smtp", mail::PASSWORD, 0o600)?;
    break_for_good(&host)?;
    let messages = mail::wait_for(&host, 2, LIMIT)?;
    assert!(messages.iter().all(|message| message.contains("needs a person")), "{messages:?}");
    // ESMTPSA is the server's own word for TLS and a password.
    assert!(messages.iter().all(|message| message.contains("with ESMTPSA")), "{messages:?}");
    assert!(!host.journal(agent::UNIT)?.contains(mail::PASSWORD), "the password stands in the log");
    Ok(())
}

/// A refused password, and a certificate of an authority that nobody trusts: nothing is sent, the reason is said, and
/// when it is mended the report arrives.
#[test]
fn a_refused_password_and_an_untrusted_certificate_are_told_and_lose_nothing() -> Result<()> {
    let (name, user, ca) = (mail::NAME, mail::USER, mail::AUTHORITY);
    let routes = format!(
        "  email: {{to: ops@lab.test, smtp: \"smtps://{name}\", user: {user}, password: \"file:/etc/ansai/smtp\", ca: {ca}}}
  stranger: {{to: ops@lab.test, smtp: \"smtps://{name}\"}}\n"
    );
    let host = boot("refused", &routes)?;
    mail::start(&host)?;
    host.write_file("/etc/ansai/smtp", "open barley\n", 0o600)?;
    break_for_good(&host)?;
    let said = |words: &str| {
        host.wait_until(&format!("the agent to say `{words}`"), LIMIT, || {
            Ok(host
                .journal(agent::UNIT)?
                .lines()
                .any(|line| line.contains("could not be told") && line.contains(words)))
        })
    };
    said("535")?;
    said("certificate")?;
    assert!(mail::messages(&host)?.is_empty());
    host.write_file("/etc/ansai/smtp", mail::PASSWORD, 0o600)?;
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert_eq!(messages.len(), 1, "{messages:?}");
    Ok(())
}

/// W10: a recipient whom the server refuses or puts off keeps the mail from nobody else, and is named.
#[test]
fn w10_one_bad_recipient_silences_nobody_else() -> Result<()> {
    let route = "  email: {to: [ops@lab.test, gone@lab.test], smtp: \"smtp://127.0.0.1:25\", healed: true}\n";
    let host = boot("w10", route)?;
    mail::start(&host)?;
    break_for_good(&host)?;
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert!(messages[0].contains("needs a person"), "{}", messages[0]);
    let warns_of = |words: &str| Ok(agent::ansai(&host, &["status"])?.stdout.contains(words));
    host.wait_until("the refused one to be named", LIMIT, || warns_of("no mail reaches gone@lab.test"))?;
    assert!(agent::ansai(&host, &["doctor"])?.stdout.contains("gone@lab.test"));
    assert_eq!(waiting(&host)?, 0, "what is refused for good is not tried again");

    // Put off instead of refused: the same mail goes to nobody twice, and reaches the other one when it may.
    host.run_ok(&["sh", "-c", "echo unknown_local_recipient_reject_code=450 >> /etc/postfix/main.cf"])?;
    host.run_ok(&["systemctl", "reload", mail::UNIT])?;
    host.signal_main("other.service", Signal::KILL)?;
    wait_report(&host, "i2", "healed")?;
    let before = mail::wait_for(&host, 2, LIMIT)?.len();
    host.run_ok(&["useradd", "--create-home", "gone"])?;
    host.wait_until("the other one to have it", LIMIT, || Ok(host.exists("/var/mail/gone")))?;
    host.wait_until("nothing to wait", LIMIT, || Ok(waiting(&host)? == 0))?;
    host.wait_until("nobody to be named", LIMIT, || Ok(!warns_of("no mail reaches")?))?;
    assert_eq!(mail::messages(&host)?.len(), before, "who had it has it once");
    Ok(())
}
