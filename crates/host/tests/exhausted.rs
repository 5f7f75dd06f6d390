//! A host that has no descriptors left: its looks say nothing of the services, which may be as well as before. Alone in its
//! program, since the limit is the whole process's.

#![cfg(target_os = "linux")]

use std::time::Duration;

use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_model::{
    domain::disk::DiskProbe,
    observation::Health,
    probe::{CommandLine, HttpProbe, Probe},
    units::ByteSize,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::task::TaskTracker;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn without_descriptors_nothing_is_known_of_any_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let _unix = UnixListener::bind(&path).expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let tcp = |host: &str| Probe::Tcp { host: host.into(), port, speaks: None };
    let http = Probe::Http(HttpProbe::get(format!("http://127.0.0.1:{port}/")).into());
    let https = Probe::Http(HttpProbe::get(format!("https://127.0.0.1:{port}/")).into());
    let executable = std::env::current_exe().expect("known").display().to_string();
    let probes = [
        tcp("127.0.0.1"),
        tcp("localhost"),
        http,
        https,
        Probe::UnixSocket { path: path.display().to_string(), speaks: None },
        Probe::Exec(CommandLine::new(["/bin/true"]).into()),
        Probe::ProcessCount { executable, count_min: 1, count_max: 9 },
        DiskProbe::Full { mount: "/".into(), available_min: ByteSize(1) }.into(),
    ];
    let host = LinuxHost::new(Options::this_machine(folder.path().to_owned()), &TaskTracker::new());
    // Nobody answers over HTTP there; every other look is content.
    for probe in probes.iter().filter(|probe| probe.kind() != "http") {
        let seen = host.observe(probe, SECOND).await;
        assert_eq!(seen.health(), Health::Healthy, "{}", seen.summary());
    }
    let whole = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..whole }).expect("lowered");
    let mut seen = Vec::new();
    for probe in &probes {
        seen.push(host.observe(probe, SECOND).await);
    }
    setrlimit(Resource::Nofile, whole).expect("as before");
    for seen in seen {
        assert_eq!(seen.health(), Health::Unknown, "{}", seen.summary());
    }
    assert_eq!(host.observe(&probes[0], SECOND).await.health(), Health::Healthy);
}
