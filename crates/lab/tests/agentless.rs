//! A host on which nothing is installed, kept well over SSH by a controller: added with its key in sight, healed by a carried agent
//! that is seen as any other, reached again when the connection breaks, and left as it was when it is removed.

use std::time::Duration;

use ansai_lab::controller::Controller;
use ansai_lab::lan::Lan;
use ansai_lab::{Host, HostOptions, fixture, poll};
use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const SITE: &str = "\
autonomy: act
policies:
  default: {cooldown: 1s, stable_for: 1s, verify_within: 5s}
services:
  app.service: {}
";

/// The processes of a host whose command line has this word.
fn running(host: &Host, word: &str) -> Result<usize> {
    let all = host.run_ok(&["ps", "-eo", "args"])?.stdout;
    Ok(all.lines().filter(|line| line.contains(word) && !line.starts_with("sh ")).count())
}

/// Runs the commands of the page in order, and returns all that they say; what the page shows of that must be in it.
fn does_what_it_says(controller: &Controller) -> Result<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fleet/agentless.md");
    let page = std::fs::read_to_string(path)?;
    let blocks: Vec<&str> =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n")).collect();
    let mut all = String::new();
    let mut said = String::new();
    for line in blocks.iter().flat_map(|block| block.lines()) {
        if let Some(command) = line.strip_prefix("$ ") {
            let done = controller.host.run_ok(&["sh", "-c", command])?;
            said = format!("{}{}", done.stderr, done.stdout);
            all += &said;
            continue;
        }
        let shows = |printed: &str| line.split('…').all(|part| printed.contains(part.trim()));
        assert!(said.lines().any(shows), "`{line}` is not shown by\n{said}");
    }
    Ok(all)
}

#[test]
fn a_host_over_ssh_is_healed_seen_reached_again_and_left_as_it_was() -> Result<()> {
    let lan = Lan::new()?;
    let host = Host::boot(&HostOptions::new("controller"))?;
    lan.join(&host, 1)?;
    let controller = Controller::start(host, 1)?;
    let host = Host::boot(&HostOptions::new("web-01"))?;
    lan.join(&host, 2)?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    // Its owner's ceiling counts as on every host, and leaves what is asked for here.
    host.run_ok(&["mkdir", "-m", "0750", "/etc/ansai"])?;
    host.write_file("/etc/ansai/limits.yaml", "untouched: [ssh*]\n", 0o640)?;
    let refused = controller.host.run(&["ansai", "hosts", "add", "--ssh", "root@10.77.0.2", "--yes"])?.stderr;
    assert!(refused.contains("nobody listens for SSH there") && refused.contains("help:"), "{refused}");
    controller.is_let_in(&host, 2)?;
    let said = does_what_it_says(&controller)?;
    assert!(said.contains("is carried to /var/lib/ansai/carried"), "{said}");
    assert_eq!(said.matches("nothing was changed").count(), 1, "the dry run alone: {said}");
    let seen = || controller.sees("web-01");
    controller.wait_until("what init proposes to be watched", || Ok(seen()["targets"].as_u64() > Some(0)))?;
    assert!(running(&host, "agent --over-ssh")? == 1, "nothing is lost by a ceiling");
    let list = controller.host.run_ok(&["ansai", "hosts", "list"])?.stdout;
    assert!(list.contains("up, over SSH") && list.contains("web-01"), "{list}");
    // The fleet's configuration takes the place of what init proposes.
    controller.host.write_file("/root/site.yaml", SITE, 0o644)?;
    controller.host.run_ok(&["ansai", "fleet", "apply", "/root/site.yaml", "--soak", "0s", "--yes"])?;
    controller.wait_until("the service alone to be watched", || {
        Ok(seen()["targets"] == 1 && seen()["health"] == "healthy")
    })?;
    host.signal_main("app.service", Signal::KILL)?;
    // What init has proposed looks at this machine's own disk as well, which may be full.
    let is_healed = |one: &Value| !one["phase"]["resolved"]["healed"].is_null();
    controller.wait_until("it to be healed", || Ok(controller.incidents("web-01")?.iter().any(is_healed)))?;
    host.wait_active("app.service", LIMIT)?;
    assert_eq!(running(&host, "agent --over-ssh")?, 1);
    // The connection breaks, and is begun again; what is known stays.
    let link = seen()["heard_ms"].as_u64();
    host.run_ok(&["sh", "-c", "mv /etc/ssh/ssh_host_* /root && ssh-keygen -A && systemctl restart ssh"])?;
    controller.host.run_ok(&["pkill", "-x", "ssh"])?;
    let trouble = || seen()["ssh_trouble"].as_str().unwrap_or_default().to_owned();
    controller
        .wait_until("another key to be refused", || Ok(trouble().contains("another key than when it was added")))?;
    assert_eq!((&seen()["is_connected"], &seen()["health"]), (&Value::from(false), &Value::from("unknown")));
    host.run_ok(&["sh", "-c", "mv /root/ssh_host_* /etc/ssh && systemctl restart ssh"])?;
    controller.wait_connected(&["web-01"])?;
    assert!(seen()["heard_ms"].as_u64() > link && seen()["targets"] == 1);
    assert_eq!(running(&host, "agent --over-ssh")?, 1);
    let removed = controller.host.run_ok(&["ansai", "hosts", "remove", "web-01", "--yes"])?.stdout;
    assert!(removed.contains("the agent that was carried there ends"), "{removed}");
    poll::until("the agent to end", LIMIT, poll::INTERVAL, || Ok((running(&host, "over-ssh")? == 0).then_some(())))?;
    assert!(host.is_active("app.service")?);
    let left = host.run_ok(&["find", "/var/lib/ansai", "/etc/ansai", "-type", "f"])?.stdout;
    assert!(!host.exists("/usr/bin/ansai"));
    let is_ours = |file: &str| file.starts_with("/var/lib/ansai/carried/ansai-") || file == "/etc/ansai/limits.yaml";
    assert!(left.lines().count() == 2 && left.lines().all(is_ours), "{left}");
    Ok(())
}
