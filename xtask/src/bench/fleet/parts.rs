//! The two processes that are measured against each other: a real controller in a folder of its own, and the agents of
//! `crates/controller/examples/swarm`. Dropping one ends it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use ansai_lab::{fixture, poll};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cargo;

/// Longest that a controller of ten thousand hosts takes until it answers, or an answer takes to come.
const LIMIT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where a controller's things are; gone when this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    port: u16,
}

impl Folder {
    /// Makes a controller that has no hosts.
    pub(super) fn new(name: &str) -> Result<Self> {
        let path = cargo::root().join("target").join(format!("bench-{name}.{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let path = path.canonicalize()?;
        // Free a moment ago, and nobody else listens here without being asked to.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = Self { path, port };
        fs::write(folder.settings(), format!("address: 127.0.0.1\nlisten: \"127.0.0.1:{port}\"\n"))?;
        let made = folder.command(&["controller", "init", "--address", &folder.address()])?.output()?;
        ensure!(made.status.success(), "no controller was made: {}", String::from_utf8_lossy(&made.stderr));
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn settings(&self) -> PathBuf {
        self.path.join("controller.yaml")
    }

    fn log(&self) -> PathBuf {
        self.path.join("controller.log")
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(fixture::binary("ansai")?);
        command
            .args(arguments)
            .env("ANSAI_CONTROLLER_CONFIG", self.settings())
            .env("ANSAI_CONTROLLER_STATE_DIR", self.path.join("state"))
            .env("ANSAI_CONTROLLER_RUNTIME_DIR", self.path.join("run"))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the controller and waits until it answers.
    pub(super) fn start(&self) -> Result<Controller> {
        let log = File::options().create(true).append(true).open(self.log())?;
        // What a controller before it has left is no sign that this one listens.
        let socket = self.path.join("run").join("api.sock");
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let mut command = self.command(&["controller", "run"])?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("starting the controller")?;
        let mut controller = Controller { child, socket };
        let answers = poll::until("the controller to answer", LIMIT, poll::INTERVAL_FAST, || {
            if let Some(status) = controller.child.try_wait()? {
                return Err(anyhow::anyhow!("the controller has ended: {status}"));
            }
            Ok(controller.ask("GET", "/v1/tokens", "").is_ok().then_some(()))
        });
        answers.with_context(|| fs::read_to_string(self.log()).unwrap_or_default())?;
        Ok(controller)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies in the folder of built things, where a person who cleans finds it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A controller that runs.
pub(super) struct Controller {
    child: Child,
    socket: PathBuf,
}

impl Controller {
    pub(super) fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// Asks it on its own socket.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        ask(&self.socket, method, path, body)
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Kills it with SIGKILL, in whatever it is doing.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks whoever listens on a socket. A refusal is an error that says why.
pub(super) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: ansai\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "{method} {path}: {status}: {body}");
    Ok(serde_json::from_str(body)?)
}

/// The agents.
pub(super) struct Swarm {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Swarm {
    /// Makes so many members of a controller that does not run, and so many incidents; nobody dials yet. They wait at most
    /// `longest` before they dial again.
    pub(super) fn make(folder: &Folder, agents: usize, incidents: usize, longest: Duration) -> Result<Self> {
        let mut command = Command::new(fixture::binary("examples/swarm")?);
        command.arg(folder.path()).arg(folder.address());
        let figures = [agents.to_string(), incidents.to_string(), longest.as_millis().to_string()];
        let mut child = command.args(figures).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (told, says) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
        let mut swarm = Self { child, told, says: BufReader::new(says) };
        let made = swarm.answer()?;
        ensure!(made["made"] == agents, "the agents were not made: {made}");
        Ok(swarm)
    }

    pub(super) fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// Tells them something.
    pub(super) fn tell(&mut self, line: &str) -> Result<Value> {
        writeln!(self.told, "{line}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        serde_json::from_str(&line).context("the agents' process has ended")
    }

    /// A figure of how they stand.
    pub(super) fn count(&mut self, what: &str) -> Result<u64> {
        let state = self.tell("state")?;
        state[what].as_u64().with_context(|| format!("no `{what}` in {state}"))
    }

    /// A list of figures.
    pub(super) fn figures(&mut self, line: &str, what: &str) -> Result<Vec<f64>> {
        let said = self.tell(line)?;
        Ok(said[what].as_array().context("a list")?.iter().filter_map(Value::as_f64).collect())
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
