//! The agent's own stop: the remedies that it runs end in their own time before it does, and systemd waits for that.
//!
//! It deliberately leaves an agent that cannot end to `hang.rs` and `mounts.rs`.

use std::time::Duration;

use ansai_lab::agent::{QUICK, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the unit's own `TimeoutStopSec=`, so that its end needs the time that the agent asks for.
const REMEDY: &str = "#!/bin/sh\ntouch /run/begun\nsleep 6\ntouch /run/ended\nsystemctl start app.service\n";

#[test]
fn a_remedy_that_is_under_way_at_a_stop_ends_in_its_own_time() -> Result<()> {
    let host = Host::boot(&HostOptions::new("stop"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    host.write_file("/usr/local/bin/mend", REMEDY, 0o755)?;
    let runbook = "runbooks:\n  service/app.service:\n    \
                   - {name: mend, steps: [{exec: [/usr/local/bin/mend], disruption: brief}]}\n";
    agent::install(&host, &format!("{QUICK}services: {{app.service: {{}}}}\n{runbook}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    let before = host.main_pid(agent::UNIT)?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("the remedy to begin", LIMIT, || Ok(host.exists("/run/begun")))?;
    host.run_within(LIMIT, &["systemctl", "restart", agent::UNIT])?.ok()?;
    assert!(host.exists("/run/ended"), "the stop ended the remedy\n{}", host.journal(agent::UNIT)?);
    assert_ne!(host.main_pid(agent::UNIT)?, before);
    let report = wait_report(&host, "i1", "healed")?;
    assert_eq!(agent::steps(&report, "started").len(), 1, "it was done again: {report:#}");
    Ok(())
}
