//! A tree with a victim and an attacker in it, and the agent as root or as somebody else.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun, EnvironmentEntry, EnvironmentKind},
    id::{RunId, TargetId},
};
use tokio_util::task::TaskTracker;

/// The users of the cases, as every Debian has them: whom things are done for, and a stranger.
pub(crate) const APP: u32 = 1;
pub(crate) const APP_NAME: &str = "daemon";
pub(crate) const STRANGER: u32 = 2;
pub(crate) const STRANGER_NAME: &str = "bin";

pub(crate) const ASKED: &str = "ANSAI_ATTACKER_ACTION";
pub(crate) const STATE: &str = "ANSAI_ATTACKER_STATE";
pub(crate) const ANSWER: &str = "the agent says: ";

/// What a file is: its bytes, or where it leads, whose it is, and who may do what.
type Seen = (Vec<u8>, u32, u32, u32);

/// `victim/`, root's or the agent's user's; `app/`, the app's own; `shared/`, for all, as /tmp.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    agent: u32,
}

impl Bench {
    /// For an agent of root's, with an `app` that it does things for.
    pub(crate) fn of_root() -> Self {
        Self::new(0)
    }

    /// For an agent of somebody who is not root; `app` is that somebody, and the stranger attacks.
    pub(crate) fn of_user() -> Self {
        Self::new(APP)
    }

    fn new(agent: u32) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these cases need root, to be several users");
        let bench = Self { folder: tempfile::tempdir().expect("a folder"), agent };
        fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        bench.make_folder("victim", agent, 0o755);
        bench.make_folder("victim/log", agent, 0o755);
        bench.make("victim/hosts", "127.0.0.1 localhost\n", agent, 0o644);
        bench.make("victim/secret", "of nobody's business\n", agent, 0o600);
        bench.make_folder("app", APP, 0o755);
        bench.make_folder("stranger", STRANGER, 0o755);
        bench.make_folder("shared", 0, 0o1777);
        bench.make_folder("state", agent, 0o700);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    pub(crate) fn make_folder(&self, name: &str, owner: u32, mode: u32) {
        fs::create_dir(self.path(name)).expect("made");
        self.give(name, owner, mode);
    }

    pub(crate) fn make(&self, name: &str, text: &str, owner: u32, mode: u32) {
        fs::write(self.path(name), text).expect("written");
        self.give(name, owner, mode);
    }

    pub(crate) fn give(&self, name: &str, owner: u32, mode: u32) {
        std::os::unix::fs::chown(self.path(name), Some(owner), Some(owner)).expect("given");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("its mode");
    }

    pub(crate) fn link(&self, name: &str, to: &str, owner: u32) {
        symlink(self.path(to), self.path(name)).expect("linked");
        std::os::unix::fs::lchown(self.path(name), Some(owner), Some(owner)).expect("given");
    }

    pub(crate) fn hard_link(&self, name: &str, to: &str) {
        fs::hard_link(self.path(to), self.path(name)).expect("linked");
    }

    /// All that is the victim's.
    pub(crate) fn victim(&self) -> BTreeMap<PathBuf, Seen> {
        let mut seen = BTreeMap::new();
        let mut todo = vec![self.path("victim")];
        while let Some(path) = todo.pop() {
            let meta = fs::symlink_metadata(&path).expect("there");
            let bytes = if meta.is_file() { fs::read(&path).expect("read") } else { Vec::new() };
            if meta.is_dir() {
                todo.extend(fs::read_dir(&path).expect("read").flatten().map(|entry| entry.path()));
            }
            seen.insert(path, (bytes, meta.uid(), meta.gid(), meta.mode()));
        }
        seen
    }

    /// Has the agent do something, and says how it ended.
    pub(crate) fn perform(&self, action: Action) -> ActionOutcome {
        let run = ActionRun {
            id: RunId(1),
            incident: None,
            target: TargetId::new("service/app.service").expect("valid"),
            action,
            timeout: Duration::from_secs(20),
        };
        let state = self.path("state");
        if self.agent == 0 {
            let runtime = runtime();
            return runtime.block_on(performed(&run, &state));
        }
        let program = std::env::current_exe().expect("known");
        let output = Command::new(program)
            .args(["--exact", "the_agent_as_somebody_else", "--nocapture"])
            .env(ASKED, serde_json::to_string(&run).expect("JSON"))
            .env(STATE, state)
            .uid(self.agent)
            .gid(self.agent)
            .output()
            .expect("begun");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = said.lines().find_map(|line| line.split_once(ANSWER)).map(|(_, answer)| answer);
        serde_json::from_str(answer.unwrap_or_else(|| panic!("no answer: {said}"))).expect("an outcome")
    }

    /// What the agent says that it would do.
    pub(crate) fn plan(&self, action: &Action) -> String {
        let runtime = runtime();
        let plan = runtime.block_on(async { host(&self.path("state")).plan(action).await });
        plan.steps.iter().map(|step| step.as_str().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// The agent refuses, in these words, and nothing of the victim's changes; what it would do says so before.
    #[track_caller]
    pub(crate) fn refuses(&self, action: Action, words: &str) {
        let before = self.victim();
        if self.agent == 0 {
            let plan = self.plan(&action);
            assert_eq!(self.victim(), before, "a rehearsal changed the victim's");
            let is_planned = !matches!(action, Action::StartProcess { .. });
            assert!(!is_planned || plan.contains(words), "`{words}` is not in the plan: {plan}");
        }
        let outcome = self.perform(action);
        assert_eq!(self.victim(), before, "{outcome}");
        let (ActionOutcome::Refused { why } | ActionOutcome::Failed { why }) = &outcome else {
            panic!("nothing was refused: {outcome}")
        };
        assert!(why.as_str().contains(words), "`{words}` is not in: {why}");
    }

    /// The agent may do it, and nothing of the victim's changes.
    #[track_caller]
    pub(crate) fn does(&self, action: Action) {
        let before = self.victim();
        let outcome = self.perform(action);
        assert_eq!(self.victim(), before, "{outcome}");
        assert!(matches!(outcome, ActionOutcome::Succeeded { .. }), "{outcome}");
    }

    pub(crate) fn owner(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).expect("there").uid()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("there")
    }

    /// An entry of the environment.
    pub(crate) fn entry(&self, name: &str, kind: EnvironmentKind, owner: Option<&str>, mode: Option<u32>) -> Action {
        let owner = owner.map(str::to_owned);
        let entry = EnvironmentEntry { path: self.text(name), kind, mode, owner, group: None };
        Action::EnsureEnvironment { entries: vec![entry] }
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn host(state: &Path) -> LinuxHost {
    let options = Options {
        buses: Vec::new(),
        root: "/".into(),
        unit_folders: Vec::new(),
        state_dir: state.to_owned(),
        redact: Vec::new(),
    };
    LinuxHost::new(options, &TaskTracker::new())
}

pub(crate) fn state() -> PathBuf {
    std::env::var_os(STATE).map(PathBuf::from).expect("told where")
}

pub(crate) async fn performed(run: &ActionRun, state: &Path) -> ActionOutcome {
    host(state).perform(run).await
}

pub(crate) fn written(outcome: &ActionOutcome) -> String {
    serde_json::to_string(outcome).expect("JSON")
}
