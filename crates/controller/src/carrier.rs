//! Carries agents to the hosts that are kept well over SSH: a task for each of them, which has the system's `ssh` reach it, brings
//! the program, starts the agent there, and hands its link to the others'. Which hosts these are is the engine's; what the
//! agent says is heard by `links.rs` as of every host.
//!
//! It changes nothing on a host but a folder for the program, and keeps no password and no secret of a host.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ansai_link::{chance, pause::Pause, road::Road};
use ansai_model::text::Text;
use ansai_protocol::{
    SCHEMA,
    link::{HostId, Join, JoinAnswer, Short, VERSION, VERSION_OLDEST},
    ssh::{CarriedAsks, CarriedTold, OverSsh, SshAsked, SshLook},
};
use ansai_socket::problem;
use hyper::StatusCode;
use tokio::{
    runtime::Handle,
    sync::{Mutex as Turn, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{answer, api::Reply, links, start::now};

mod dialogue;
mod program;
mod ssh;
mod trouble;

use dialogue::{Dialogue, Wanted};
use program::Programs;
use ssh::Ssh;
use trouble::SshTrouble;

/// Connections are begun at least so far apart: ten a second, through however many machines on the way.
const APART: Duration = Duration::from_millis(100);
/// Longest look at a host before it is added; who asked waits no longer.
const LOOK_MAX: Duration = Duration::from_secs(25);
/// Longest way from the first byte to the agent's first line, but for the program's own bytes.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for the agent's first line.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);
/// A connection that lasted so long did not fail at once.
const LASTED: Duration = Duration::from_secs(60);
/// Longest wait for the agent to finish what is under way, when its link has ended.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// All of them.
pub(crate) struct Carrier {
    common: Arc<Common>,
    runs: BTreeMap<HostId, (OverSsh, CancellationToken)>,
    /// Threads of their own would be too many; the loop's own is too busy.
    runtime: Option<Handle>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What every task has.
struct Common {
    ssh: Ssh,
    links: Arc<links::Shared>,
    programs: Programs,
    /// When the next connection may begin.
    turn: Turn<Option<Instant>>,
    troubles: Mutex<BTreeMap<HostId, Text>>,
}

impl Carrier {
    /// Nothing is carried yet.
    pub(crate) fn new(
        state_dir: &Path,
        runtime_dir: &Path,
        links: Arc<links::Shared>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let common = Common {
            ssh: Ssh::new(state_dir, runtime_dir, tasks.clone()),
            links,
            programs: Programs::default(),
            turn: Turn::default(),
            troubles: Mutex::default(),
        };
        Self { common: Arc::new(common), runs: BTreeMap::new(), runtime: None, tasks, stop }
    }

    /// Why hosts are not reached, of those that are not.
    pub(crate) fn troubles(&self) -> BTreeMap<HostId, Text> {
        self.common.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are the hosts from now on: those that are new are reached, and those that are not among them are left.
    pub(crate) fn see<'a>(&mut self, hosts: impl Iterator<Item = (HostId, &'a OverSsh)>) {
        let hosts: BTreeMap<HostId, &OverSsh> = hosts.collect();
        let left = |host: &HostId, over: &OverSsh| hosts.get(host) != Some(&over);
        let common = &self.common;
        self.runs.retain(|host, (over, stop)| {
            let is_left = left(host, over);
            if is_left {
                stop.cancel();
                common.tell(*host, None);
            }
            !is_left
        });
        for (host, over) in hosts {
            if self.runs.contains_key(&host) {
                continue;
            }
            let Some(runtime) = self.runtime() else { return };
            let (over, stop, common) = (over.clone(), self.stop.child_token(), self.common.clone());
            self.runs.insert(host, (over.clone(), stop.clone()));
            self.tasks.spawn_on(async move { common.keep(host, &over, &stop).await }, &runtime);
        }
    }

    /// Looks at a host that may be added, and answers.
    pub(crate) fn look(&mut self, asked: SshAsked, reply: oneshot::Sender<Reply>) {
        let busy = || problem(StatusCode::SERVICE_UNAVAILABLE, "the controller has no thread for it", "try again");
        let Some(runtime) = self.runtime() else { return drop(reply.send(Err(busy()))) };
        let common = self.common.clone();
        let looking = async move {
            let looked = timeout(LOOK_MAX, common.look(&asked)).await;
            let looked = looked.unwrap_or_else(|_| Err(SshTrouble::slow(&asked.destination, LOOK_MAX)));
            let answer = looked.map_or_else(
                |trouble| Err(problem(StatusCode::BAD_GATEWAY, trouble.what, trouble.todo)),
                |look| answer::json(&look),
            );
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        };
        self.tasks.spawn_on(looking, &runtime);
    }

    /// The thread on which all of it runs; nothing when the system has none.
    fn runtime(&mut self) -> Option<Handle> {
        if let Some(runtime) = &self.runtime {
            return Some(runtime.clone());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let begun = runtime.and_then(|runtime| {
            let (handle, tasks) = (runtime.handle().clone(), self.tasks.clone());
            let turn = move || runtime.block_on(tasks.wait());
            std::thread::Builder::new().name("ssh".into()).spawn(turn).map(|_| handle)
        });
        match begun {
            Ok(handle) => self.runtime = Some(handle),
            Err(error) => tracing::error!("no thread for hosts over SSH: {}", ansai_files::said(&error)),
        }
        self.runtime.clone()
    }
}

impl Common {
    /// How it stands with a host, as people see it; nothing when it is well.
    fn tell(&self, host: HostId, what: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Some(what) => drop(troubles.insert(host, Text::new(what))),
            None => drop(troubles.remove(&host)),
        }
    }

    /// Waits for the next turn to begin a connection.
    async fn turn(&self) {
        let mut next = self.turn.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + APART);
    }

    /// Keeps an agent on a host until told to stop.
    async fn keep(&self, host: HostId, over: &OverSsh, stop: &CancellationToken) {
        let mut pause = Pause::default();
        let mut wait = Duration::ZERO;
        let mut last = String::new();
        loop {
            tokio::select! {
                () = sleep(wait) => self.turn().await,
                () = stop.cancelled() => return,
            }
            let begun = Instant::now();
            let ended = tokio::select! {
                ended = self.connection(host, over) => ended,
                () = stop.cancelled() => return,
            };
            if let Err(trouble) = ended {
                if last != trouble.what {
                    tracing::warn!("{}: {}; {}", over.destination, trouble.what, trouble.todo);
                    last.clone_from(&trouble.what);
                }
                self.tell(host, Some(format!("{}; {}", trouble.what, trouble.todo)));
            }
            if begun.elapsed() >= LASTED {
                pause.reset();
                last.clear();
            }
            wait = pause.next(chance().map_or(u32::MAX, u32::from_le_bytes));
        }
    }

    /// One connection, from the first byte to the end of the agent.
    async fn connection(&self, host: HostId, over: &OverSsh) -> Result<(), SshTrouble> {
        let mut ssh = self.ssh.connect(&host.to_string(), over).await?;
        let mut talk = ssh.dialogue()?;
        let finding = async {
            let machine = talk.begin(over.sudo).await?;
            let program = self.programs.of(&machine).await?;
            let found = talk.find(&Wanted::of(&program)).await?;
            Ok((program, found))
        };
        let found = timeout(FOUND_WITHIN, finding).await;
        let found = found.unwrap_or_else(|_| Err(SshTrouble::slow(&over.destination, FOUND_WITHIN)));
        let (program, found) = match found {
            Ok(found) => found,
            Err(trouble) => return Err(ssh.explained(trouble).await),
        };
        if found.is_to_be_carried() {
            self.tell(host, Some(format!("the program is being carried there ({} MB)", program.bytes >> 20)));
            if let Err(trouble) = talk.carry(&found, &program).await {
                return Err(ssh.explained(trouble).await);
            }
        }
        let begun = timeout(BEGUN_WITHIN, talk.run(&found, &program)).await;
        let begun = begun.unwrap_or_else(|_| Err(SshTrouble::slow(&over.destination, BEGUN_WITHIN)));
        let line = match begun {
            Ok(line) => line,
            Err(trouble) => return Err(ssh.explained(trouble).await),
        };
        self.linked(host, over, &line, talk).await?;
        // Its agent has lost its link, finishes what is under way, and ends.
        let said = ssh.ended(ENDED_WITHIN).await;
        Err(SshTrouble::ended(&said))
    }

    /// The agent has said its first line: it gets its certificate, and its link begins.
    async fn linked(
        &self,
        host: HostId,
        over: &OverSsh,
        line: &str,
        mut talk: Dialogue<ssh::Out, ssh::In>,
    ) -> Result<(), SshTrouble> {
        let asks: CarriedAsks = serde_json::from_str(line).map_err(|error| SshTrouble::no_agent(&error.to_string()))?;
        let address = Short::new(over.destination.as_str());
        let join = Join {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            token: None,
            request: asks.request,
            name: asks.name,
            machine_id: asks.machine_id,
            program: asks.program,
            role: None,
            labels: Vec::new(),
            now_ms: now().wall.0,
        };
        let answer = self.links.certify(host, join, address.clone()).await;
        let refused = match &answer {
            JoinAnswer::Refused { what, suggestion } => {
                Some(SshTrouble { what: what.to_string(), todo: suggestion.to_string() })
            }
            JoinAnswer::Joined(_) | JoinAnswer::Pending { .. } => None,
        };
        talk.line(&CarriedTold { answer }).await?;
        if let Some(refused) = refused {
            return Err(refused);
        }
        self.tell(host, None);
        let (out, into) = talk.into_parts();
        let road = Road::given(tokio::io::join(out, into));
        self.links.carried(road, address).await.map_err(|trouble| SshTrouble::no_agent(&trouble.to_string()))
    }

    /// What is on a host that may be added. Nothing stays of the look.
    async fn look(&self, asked: &SshAsked) -> Result<SshLook, SshTrouble> {
        let over = OverSsh { destination: asked.destination.clone(), sudo: asked.sudo, known: Vec::new() };
        self.turn().await;
        let mut ssh = self.ssh.meet(&over).await?;
        let mut talk = ssh.dialogue()?;
        let looking = async {
            let machine = talk.begin(over.sudo).await?;
            let program = self.programs.of(&machine).await?;
            let found = talk.find(&Wanted::of(&program)).await?;
            Ok((machine, program, found))
        };
        let (machine, program, found) = match looking.await {
            Ok(found) => found,
            Err(trouble) => return Err(ssh.explained(trouble).await),
        };
        let keys = ssh.keys().await?;
        Ok(SshLook {
            schema: SCHEMA,
            keys,
            machine: Text::new(&machine.kind),
            name: Text::new(&machine.name),
            sudo: machine.by_sudo,
            folder: Text::new(&found.folder),
            program: found.program,
            bytes: if found.is_to_be_carried() { program.bytes } else { 0 },
        })
    }
}
