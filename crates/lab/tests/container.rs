//! Where no systemd runs: declared processes are started, watched and healed by the agent itself, as in a container.
//! The agent runs beside the test, with its own folders; it needs neither root nor a lab host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ansai_lab::{fixture, poll};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {cooldown: 0s, stable_for: 200ms}
processes:
  worker: {start: [sleep, \"1000\"]}
";

struct Container {
    folder: tempfile::TempDir,
    agent: Child,
}

impl Container {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ansai.yaml"), CONFIGURATION)?;
        let agent = agent(folder.path())?;
        Ok(Self { folder, agent })
    }

    fn ansai(&self, arguments: &[&str]) -> Result<Value> {
        let output = program(self.folder.path())?.args(arguments).stdin(Stdio::null()).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn wait_resolved(&self, incident: &str) -> Result<Value> {
        poll::until(&format!("{incident} to be resolved"), LIMIT, poll::INTERVAL, || {
            let report = self.ansai(&["report", incident, "--json"]).unwrap_or_default();
            Ok(report["report"]["phase"].get("resolved").is_some().then_some(report))
        })
    }

    /// The worker as the agent remembers it.
    fn worker(&self) -> Result<Pid> {
        let text = fs::read_to_string(self.file())?;
        let pid = text.split_whitespace().next().context("a pid")?.parse()?;
        Pid::from_raw(pid).context("not zero")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("state/processes/worker")
    }

    /// The next agent on the same folders, after this one was killed.
    fn kill_agent_and_start_another(&mut self) -> Result<()> {
        self.agent.kill()?;
        self.agent.wait()?;
        self.agent = agent(self.folder.path())?;
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may have ended already; so may the worker.
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        if let Ok(pid) = self.worker() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn program(folder: &Path) -> Result<Command> {
    let mut command = Command::new(fixture::binary("ansai")?);
    command.env("ANSAI_CONFIG", folder.join("ansai.yaml")).env("ANSAI_STATE_DIR", folder.join("state"));
    command.env("ANSAI_RUNTIME_DIR", folder.join("run")).env("ANSAI_HOLD_FILE", folder.join("HOLD"));
    Ok(command)
}

fn agent(folder: &Path) -> Result<Child> {
    Ok(program(folder)?.arg("agent").stdin(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

#[test]
fn a_declared_process_is_started_healed_and_kept_across_agents() -> Result<()> {
    let mut container = Container::start()?;
    // Nobody else starts it, so the first incident is that it does not run.
    container.wait_resolved("i1")?;
    let first = container.worker()?;
    kill_process(first, Signal::KILL)?;
    let report = container.wait_resolved("i2")?;
    let second = container.worker()?;
    ensure!(second != first, "the process is another one now");
    let symptom = report["report"]["symptom"].as_str().unwrap_or_default();
    ensure!(symptom.contains("SIGKILL"), "the report says how it ended: {symptom}");

    container.kill_agent_and_start_another()?;
    poll::until("the process to be found again", LIMIT, poll::INTERVAL, || {
        let status = container.ansai(&["status", "--json"]).unwrap_or_default();
        Ok((status["targets"][0]["health"] == "healthy").then_some(()))
    })?;
    ensure!(container.worker()? == second, "the next agent has left it alone");
    kill_process(second, Signal::KILL)?;
    container.wait_resolved("i3")?;
    ensure!(container.worker()? != second, "and heals it as the one before");
    Ok(())
}
