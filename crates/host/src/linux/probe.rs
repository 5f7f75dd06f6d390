//! Probes but for units: each kind has its file; this one chooses.

mod exec;
mod file;
mod http;
mod listened;
mod nagios;
mod parting;
mod reach;
mod socket;
mod spoken;

pub(super) use reach::{Why, addresses, is_of_this_host, to_any};

use std::{path::PathBuf, sync::Arc, time::Duration};

use ansai_model::{observation::Observation, probe::Probe};

use super::aside::{self, Kind, Late, Work};

/// What is begun aside ends by itself within its time, and this much is left to it for telling so.
const MARGIN: Duration = Duration::from_millis(500);

/// What probes need to know of the machine.
#[derive(Clone, Debug)]
pub struct Context {
    /// The root below which files are found; `/` for this machine.
    pub root: PathBuf,
    /// Folders of unit files, the strongest first.
    pub unit_folders: Vec<PathBuf>,
    /// Connections of earlier looks on their way out.
    partings: Arc<parting::Partings>,
    /// Ports of this host that accepted connections of late.
    listened: Arc<listened::Listened>,
}

impl Context {
    /// A context for the machine with this root.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, unit_folders: Vec::new(), partings: Arc::default(), listened: Arc::default() }
    }

    /// A path of the machine as it is found.
    #[must_use]
    pub fn below(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The same with these folders of unit files, the strongest first.
    #[must_use]
    pub fn with_unit_folders(self, unit_folders: Vec<PathBuf>) -> Self {
        Self { unit_folders, ..self }
    }
}

/// Observes once, within `timeout`.
///
/// The larger futures are boxed: a future is as large as its largest branch, and a thousand looks at a port would each
/// take the room of a TLS handshake otherwise.
pub async fn observe(context: &Context, probe: &Probe, timeout: Duration) -> Observation {
    match probe {
        Probe::Tcp { host, port, speaks: None } => {
            Box::pin(listened::look(&context.listened, &context.partings, host, *port, timeout)).await
        }
        Probe::Tcp { host, port, speaks } => {
            Box::pin(socket::tcp(&context.partings, host, *port, *speaks, timeout)).await
        }
        Probe::Http(http) => Box::pin(http::observe(http, timeout)).await,
        Probe::UnixSocket { path, speaks } => {
            let (work, path, speaks) = (Work::new(Kind::Look, path).on([path]), path.clone(), *speaks);
            let (ends, partings) = (timeout.saturating_add(MARGIN), context.partings.clone());
            let look =
                aside::run_future(
                    work,
                    ends,
                    move || async move { socket::unix(&partings, &path, speaks, timeout).await },
                );
            seen(Box::pin(look).await)
        }
        Probe::Exec(command) => Box::pin(exec::observe(command, timeout)).await,
        Probe::Nagios(plugin) => Box::pin(nagios::observe(plugin, timeout)).await,
        Probe::ProcessCount { executable, count_min, count_max } => {
            let (context, wanted, least, most) = (context.clone(), executable.clone(), *count_min, *count_max);
            let work = Work::new(Kind::Look, format!("a count of {executable}"));
            seen(Box::pin(aside::run(work, timeout, move || file::processes(&context, &wanted, least, most))).await)
        }
        Probe::File { path, age_max, size_max } => {
            let (file, age_max, size_max) = (path.clone(), *age_max, *size_max);
            let work = Work::new(Kind::Look, path).on([path]);
            seen(Box::pin(aside::run(work, timeout, move || file::observe(&file, age_max, size_max))).await)
        }
        Probe::UnitFiles { .. } => Observation::unknown("what a unit reads is asked elsewhere"),
        Probe::Domain(_) => Observation::unknown("what a domain looks at is asked elsewhere"),
        Probe::Process { name } => Observation::unknown(format!("the process {name} is asked elsewhere")),
        Probe::Unit { .. } => Observation::unknown("units are looked at over D-Bus"),
    }
}

/// What was seen, and unknown when it did not come.
pub(super) fn seen(looked: Result<Observation, Late>) -> Observation {
    looked.unwrap_or_else(|late| Observation::unknown(late.to_string()))
}

#[cfg(test)]
mod tests {

    use ansai_model::{domain::disk::DiskProbe, observation::Details, probe::HttpProbe, units::ByteSize};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_look_at_a_port_takes_little_room() {
        let context = Context::new("/".into());
        let probe = Probe::Tcp { host: "127.0.0.1".into(), port: 1, speaks: None };
        let bytes = size_of_val(&observe(&context, &probe, Duration::ZERO));
        assert!(bytes <= 1024, "{bytes} bytes, a thousand times");
    }

    async fn check(probe: Probe) {
        let seen = observe(&Context::new("/".into()), &probe, Duration::from_secs(10)).await;
        reported(&probe, &seen);
    }

    /// Every figure that was seen is one that the probe is known to report, in its type, and none is missing.
    fn reported(probe: &Probe, seen: &Observation) {
        let Details::Figures(figures) = seen.details() else { panic!("{probe:?} reported no figures: {seen:?}") };
        let mut seen: Vec<_> = figures.iter().map(|(name, value)| (name, value.value_type())).collect();
        let mut known = probe.figures().expect("no plugin").to_vec();
        seen.sort_by_key(|(name, _)| *name);
        known.sort_by_key(|(name, _)| *name);
        assert_eq!(seen, known, "{probe:?}");
    }

    #[tokio::test]
    async fn a_filesystem_reports_the_figures_that_conditions_may_name() {
        let probe = DiskProbe::Full { mount: "/".into(), available_min: ByteSize(1) };
        let seen =
            super::super::domain::disk::observe(&Context::new("/".into()), &probe, Duration::from_secs(10)).await;
        reported(&probe.into(), &seen);
    }

    #[tokio::test]
    async fn probes_report_the_figures_that_conditions_may_name() {
        let path = std::env::current_exe().expect("known").display().to_string();
        check(Probe::File { path: path.clone(), age_max: None, size_max: None }).await;
        check(Probe::File { path: path.clone(), age_max: Some(Duration::from_secs(1)), size_max: None }).await;
        check(Probe::ProcessCount { executable: path, count_min: 1, count_max: 9 }).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n").await.expect("written");
        };
        let http = HttpProbe { statuses: vec![(200, 299)], ..HttpProbe::get(url) };
        tokio::join!(serve, check(Probe::Http(http.into())));
    }
}
