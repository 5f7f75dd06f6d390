//! Configuration and programs that others may change are refused, by `ansai check` as by the agent's start, and the error
//! names the command that mends it. It needs root, to be several users.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::PathBuf,
    process::Command,
};

/// A user as every Debian has it, in a group of its own.
const SOMEBODY: u32 = 1;
const NAME: &str = "daemon";

struct Bench(tempfile::TempDir);

impl Bench {
    /// A folder as /etc/ansai, with a configuration and a layer, and a program of root's.
    fn new(configuration: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this needs root, to be several users");
        let bench = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(bench.path("etc/layers")).expect("made");
        fs::create_dir(bench.path("srv")).expect("made");
        fs::write(bench.path("etc/layers/site.yaml"), "autonomy: observe\n").expect("written");
        fs::write(bench.path("etc/ansai.yaml"), configuration.replace("SRV", &bench.text("srv"))).expect("written");
        fs::write(bench.path("srv/look"), "#!/bin/sh\n").expect("written");
        for (name, mode) in
            [("", 0o755), ("etc/ansai.yaml", 0o644), ("etc/layers/site.yaml", 0o644), ("srv/look", 0o755)]
        {
            bench.mode(name, mode);
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("its mode");
    }

    fn give(&self, name: &str, uid: u32, gid: u32) {
        chown(self.path(name), Some(uid), Some(gid)).expect("given");
    }

    fn said(&self, arguments: &[&str], uid: u32) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
        for (name, value) in
            [("CONFIG", "etc/ansai.yaml"), ("STATE_DIR", "state"), ("RUNTIME_DIR", "run"), ("HOLD_FILE", "HOLD")]
        {
            command.env(format!("ANSAI_{name}"), self.path(value));
        }
        let output = command.args(arguments).uid(uid).gid(uid).output().expect("the program runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// It is refused in these words, by all who read it.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        for arguments in [&["check"][..], &["doctor"], &["agent"]] {
            let (code, said) = self.said(arguments, 0);
            assert_ne!(code, Some(0), "{arguments:?}: {said}");
            for words in words {
                assert!(said.contains(words), "`{words}` is not in what {arguments:?} said: {said}");
            }
        }
    }

    #[track_caller]
    fn takes(&self, uid: u32) {
        let (code, said) = self.said(&["check"], uid);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_configuration_that_others_may_change_is_refused() {
    let bench = Bench::new("services: {}\n");
    bench.takes(0);
    let file = bench.text("etc/ansai.yaml");
    bench.mode("etc/ansai.yaml", 0o666);
    bench.refuses(&[
        &format!("{file} (owner root, mode 0666) can be written by everybody"),
        &format!("chmod o-w {file}"),
    ]);
    bench.mode("etc/ansai.yaml", 0o664);
    bench.give("etc/ansai.yaml", 0, SOMEBODY);
    bench.refuses(&["can be written by the group daemon, which daemon belongs to", &format!("chmod g-w {file}")]);
    bench.mode("etc/ansai.yaml", 0o644);
    bench.takes(0);
    bench.give("etc/ansai.yaml", SOMEBODY, 0);
    bench.refuses(&[&format!("{file} belongs to {NAME} (mode 0644)"), &format!("chown root {file}")]);
}

#[test]
fn so_is_one_with_a_layer_or_a_folder_that_others_may_change() {
    let bench = Bench::new("services: {}\n");
    bench.mode("etc/layers/site.yaml", 0o646);
    bench.refuses(&["site.yaml (owner root, mode 0646)"]);
    bench.mode("etc/layers/site.yaml", 0o644);
    bench.mode("etc/layers", 0o777);
    bench.refuses(&["etc/layers (owner root, mode 0777) can be written by everybody"]);
    // A folder as /tmp: each only moves what is its own.
    bench.mode("etc/layers", 0o1777);
    bench.takes(0);
    bench.give("etc/layers/site.yaml", SOMEBODY, SOMEBODY);
    bench.refuses(&["site.yaml belongs to daemon"]);
    bench.give("etc/layers/site.yaml", 0, 0);
    bench.give("etc", SOMEBODY, SOMEBODY);
    bench.refuses(&[&format!("{} belongs to {NAME}", bench.text("etc"))]);
}

#[test]
fn a_link_counts_when_others_can_have_put_it_there() {
    let bench = Bench::new("services: {}\n");
    fs::rename(bench.path("etc"), bench.path("real")).expect("moved");
    symlink(bench.path("real"), bench.path("etc")).expect("linked");
    bench.takes(0);
    std::os::unix::fs::lchown(bench.path("etc"), Some(SOMEBODY), Some(SOMEBODY)).expect("given");
    bench.refuses(&["etc is a symbolic link (owner daemon)"]);
}

#[test]
fn a_program_that_runs_as_root_and_that_others_may_change_is_refused() {
    let probe = "services: {\"app@*\": {probe: {exec: [ARGV], every: 10s}}}\nnotify: {ops: {exec: [/bin/true]}}\n";
    let bench = Bench::new(&probe.replace("ARGV", "SRV/look"));
    bench.takes(0);
    let program = bench.text("srv/look");
    bench.mode("srv/look", 0o757);
    bench.refuses(&["as the agent, but others can change it", &format!("chmod o-w {program}")]);
    bench.mode("srv/look", 0o755);
    bench.give("srv/look", SOMEBODY, SOMEBODY);
    bench.refuses(&["look belongs to daemon", "or declare with `user:` that it runs as its owner"]);
    let declared = |argv: &str, user: &str| {
        let text = format!("services: {{app.service: {{probe: {{exec: {{argv: [{argv}]{user}}}, every: 10s}}}}}}\n");
        fs::write(bench.path("etc/ansai.yaml"), text.replace("SRV", &bench.text("srv"))).expect("written");
    };
    declared("SRV/look", ", user: daemon");
    bench.takes(0);
    declared("SRV/look", ", user: bin");
    bench.refuses(&["runs", "as bin, but others can change it"]);
    // The script of an interpreter, and a program among the arguments.
    declared("/bin/sh, -e, SRV/look", "");
    bench.refuses(&["look belongs to daemon"]);
    declared("/usr/bin/timeout, \"5\", SRV/look", "");
    bench.refuses(&["look belongs to daemon"]);
    declared("/bin/true", "");
    bench.takes(0);
}

#[test]
fn somebody_who_is_not_root_may_check_what_is_their_own() {
    let bench = Bench::new("services: {}\n");
    bench.takes(SOMEBODY);
    for name in ["etc", "etc/layers", "etc/ansai.yaml", "etc/layers/site.yaml"] {
        bench.give(name, SOMEBODY, SOMEBODY);
        bench.mode(name, 0o775);
    }
    bench.takes(SOMEBODY);
    bench.mode("etc", 0o777);
    let (code, said) = bench.said(&["check"], SOMEBODY);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can be written by everybody"), "{said}");
}

#[test]
fn a_state_folder_that_others_can_write_keeps_the_agent_from_starting() {
    let bench = Bench::new("services: {}\n");
    fs::create_dir(bench.path("state")).expect("made");
    bench.give("state", SOMEBODY, SOMEBODY);
    let (code, said) = bench.said(&["agent"], 0);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("state belongs to daemon"), "{said}");
    bench.give("state", 0, 0);
    bench.mode("state", 0o777);
    symlink(bench.path("etc/ansai.yaml"), bench.path("state/ledger.a")).expect("linked");
    let (code, said) = bench.said(&["agent"], 0);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("ledger.a: somebody else has put it there"), "{said}");
}
