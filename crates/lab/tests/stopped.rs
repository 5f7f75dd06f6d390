//! Services of which systemd says that they run while none of their processes can: seen without any probe, mended by a
//! restart, and left alone under a hold.

use std::time::Duration;

use ansai_lab::agent::{QUICK, incidents, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;

const LIMIT: Duration = Duration::from_secs(90);

/// A host with the app, of which only its unit is watched, and the agent.
fn boot(name: &str) -> Result<Host> {
    boot_with(name, "")
}

/// The same with these lines in the app's unit.
fn boot_with(name: &str, lines: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &format!("{}{lines}", fixture::unit("app", 5000)))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}services:\n  app.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// Its stop asks it to end and waits for that, as PostgreSQL's does: who is stopped does not hear it, and has to go on first.
#[test]
fn a_service_of_which_all_processes_are_stopped_is_restarted_without_any_probe() -> Result<()> {
    let stop =
        "ExecStop=/bin/sh -c 'kill -INT $MAINPID; while kill -0 $MAINPID; do sleep 0.1; done'\nTimeoutStopSec=50s\n";
    let host = boot_with("stopped", stop)?;
    let before = host.main_pid("app.service")?;
    host.run_ok(&["systemctl", "kill", "--signal=STOP", "app.service"])?;
    let report = wait_report(&host, "i1", "healed")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("it hangs: ") && symptom.contains("been stopped (state T) for"), "{symptom}");
    host.wait_active("app.service", LIMIT)?;
    assert_ne!(host.main_pid("app.service")?, before, "{report:#}");
    let went_on = "1 stopped process had to go on first, to hear the stop (SIGCONT)";
    assert!(report.to_string().contains(went_on), "{report:#}");
    let log = host.run(&["journalctl", "-u", "app.service"])?.stdout;
    assert!(!log.contains("Stopping timed out"), "{log}");
    Ok(())
}

/// As an init script is run: systemd knows the processes, and none of them as the main one.
#[test]
fn a_service_without_a_main_process_is_seen_to_hang_as_well() -> Result<()> {
    let unit = "[Service]\nType=forking\nGuessMainPID=no\nExecStart=/bin/sh -c 'sleep infinity & sleep infinity &'\n";
    let host = Host::boot(&HostOptions::new("stopped-script"))?;
    host.install_unit("app.service", unit)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}services:\n  app.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(host.main_pid("app.service")?, None);
    host.run_ok(&["systemctl", "kill", "--signal=STOP", "app.service"])?;
    let report = wait_report(&host, "i1", "healed")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("all of its 2 processes have been stopped"), "{symptom}");
    Ok(())
}

#[test]
fn what_an_operator_stopped_under_a_hold_is_shown_and_left_alone() -> Result<()> {
    let host = boot("stopped-held")?;
    let before = host.main_pid("app.service")?;
    host.run_ok(&["ansai", "hold", "app.service", "--reason", "a debugger"])?;
    host.run_ok(&["systemctl", "kill", "--signal=STOP", "app.service"])?;
    wait_health(&host, "app.service", "failing")?;
    assert_eq!(incidents(&host)?.len(), 1);
    host.run_ok(&["systemctl", "kill", "--signal=CONT", "app.service"])?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(host.main_pid("app.service")?, before);
    Ok(())
}

/// The children alone are stopped, as a drill or a debugger leaves them: the master runs, and a look that speaks sees it.
#[test]
fn a_server_whose_workers_alone_are_stopped_is_restarted_and_none_of_them_is_left() -> Result<()> {
    let host = Host::boot(&HostOptions::new("stopped-workers"))?;
    host.start("nginx.service")?;
    let service = "services:\n  nginx.service: {probe: {http: \"http://127.0.0.1/\", every: 1s}}\n";
    agent::install(&host, &format!("{QUICK}{service}"))?;
    agent::start(&host)?;
    wait_health(&host, "nginx.service", "healthy")?;
    let before = host.main_pid("nginx.service")?;
    host.run_ok(&["pkill", "-STOP", "-f", "nginx: worker"])?;
    let report = wait_report(&host, "i1", "healed")?;
    assert_ne!(host.main_pid("nginx.service")?, before, "{report:#}");
    let states = host.run(&["ps", "-o", "stat=", "-C", "nginx"])?.stdout;
    assert!(!states.contains('T'), "a stopped worker is left: {states}");
    Ok(())
}

/// The master alone is stopped, as a drill or a debugger leaves it, and the workers answer: a person is told, and nothing is
/// done to what serves.
#[test]
fn a_server_whose_master_alone_is_stopped_is_told_and_left_alone() -> Result<()> {
    let host = Host::boot(&HostOptions::new("stopped-master"))?;
    host.start("nginx.service")?;
    let service = "services:\n  nginx.service: {probe: {http: \"http://127.0.0.1/\", every: 1s}}\n";
    agent::install(&host, &format!("{QUICK}agent: {{full_pass_every: 2s}}\n{service}"))?;
    agent::start(&host)?;
    wait_health(&host, "nginx.service", "healthy")?;
    let before = host.main_pid("nginx.service")?;
    let warning = || agent::target(&host, "nginx.service")["warning"].as_str().unwrap_or_default().to_owned();
    assert_eq!(warning(), "");
    host.signal_main("nginx.service", rustix::process::Signal::STOP)?;
    host.wait_until("the stopped master to be told", LIMIT, || Ok(warning().contains("is stopped (state T)")))?;
    for command in [&["status"][..], &["explain", "nginx"], &["doctor"]] {
        let said = agent::ansai(&host, command)?.stdout;
        assert!(said.contains("is stopped (state T), though others of it run"), "{command:?}: {said}");
    }
    assert!(incidents(&host)?.is_empty(), "{:#?}", incidents(&host)?);
    host.signal_main("nginx.service", rustix::process::Signal::CONT)?;
    host.wait_until("the warning to end", LIMIT, || Ok(warning().is_empty()))?;
    assert_eq!(host.main_pid("nginx.service")?, before);
    Ok(())
}

/// A server that listens and never accepts: what it does instead, and four clients of whom it has room for two.
fn listen(host: &Host, name: &str, socket: &str, instead: &str, client: &str) -> Result<()> {
    let script =
        format!("use strict; use IO::Socket::INET; use IO::Socket::UNIX;\nmy $s = {socket} or die $!;\n{instead}\n");
    host.write_file(format!("/usr/local/lib/{name}.pl"), script, 0o644)?;
    host.write_file(
        format!("/usr/local/lib/{name}-client.pl"),
        format!(
            "use IO::Socket::INET; use IO::Socket::UNIX;\nwhile (1) {{ my $c = {client}; sleep($c ? 1000 : 1) }}\n"
        ),
        0o644,
    )?;
    let unit = format!("[Service]\nExecStart=/usr/bin/perl /usr/local/lib/{name}.pl\n");
    host.install_unit(&format!("{name}.service"), &unit)?;
    // They outlive a restart of the server, and ask again.
    let clients = format!(
        "[Service]\nExecStart=/bin/sh -c 'for n in 1 2 3 4; do perl /usr/local/lib/{name}-client.pl & done; wait'\n"
    );
    host.install_unit(&format!("{name}-clients.service"), &clients)?;
    host.start(&format!("{name}.service"))
}

/// Clients wait at a port or at a unix socket of a process that sleeps: it is restarted after the half minute of one whose
/// queue is full, since none of its threads has run. One that computes meanwhile is busy, and is left alone.
#[test]
fn a_server_that_is_deaf_is_restarted_and_one_that_is_busy_is_not() -> Result<()> {
    let host = Host::boot(&HostOptions::new("deaf"))?;
    let tcp = |port: u16| {
        (
            format!(
                "IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => {port}, Listen => 1, ReuseAddr => 1)"
            ),
            format!("IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => {port}, Timeout => 1)"),
        )
    };
    let unix = (
        "do { unlink '/run/deaf.sock'; IO::Socket::UNIX->new(Local => '/run/deaf.sock', Listen => 1) }".to_owned(),
        "IO::Socket::UNIX->new(Peer => '/run/deaf.sock')".to_owned(),
    );
    // It is deaf until it is restarted.
    let once = |name: &str| {
        format!(
            "if (!-e '/run/{name}.seen') {{ open(my $f, '>', '/run/{name}.seen'); sleep 1000000 }} 1 while $s->accept;"
        )
    };
    let cases = [
        ("port", tcp(7001), once("port")),
        ("unix", unix, once("unix")),
        ("busy", tcp(7002), "my $n = 0; $n++ while 1;".to_owned()),
    ];
    let mut services = String::new();
    for (name, (socket, client), instead) in &cases {
        listen(&host, name, socket, instead, client)?;
        services += &format!("  {name}.service: {{}}\n");
    }
    // What nothing tells is first seen by the full pass, which is each half minute by default.
    agent::install(&host, &format!("{QUICK}agent: {{full_pass_every: 2s}}\nservices:\n{services}"))?;
    agent::start(&host)?;
    for (name, ..) in &cases {
        wait_health(&host, &format!("{name}.service"), "healthy")?;
    }
    let pid = |name: &str| host.main_pid(&format!("{name}.service"));
    let before = (pid("port")?, pid("unix")?, pid("busy")?);
    for (name, ..) in &cases {
        host.start(&format!("{name}-clients.service"))?;
    }
    for incident in ["i1", "i2"] {
        let report = wait_report(&host, incident, "healed")?;
        let symptom = report["symptom"].as_str().unwrap_or_default();
        assert!(symptom.contains("it hangs: "), "{report:#}");
    }
    let after = (pid("port")?, pid("unix")?, pid("busy")?);
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    assert_eq!(before.2, after.2, "what is busy was restarted");
    assert_eq!(incidents(&host)?.len(), 2, "{:#?}", incidents(&host)?);
    Ok(())
}
