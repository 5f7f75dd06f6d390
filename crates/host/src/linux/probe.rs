//! Probes but for units: each kind has its file; this one chooses.

mod exec;
mod file;
mod http;
mod nagios;
mod socket;

use std::{path::PathBuf, time::Duration};

use ansai_model::{observation::Observation, probe::Probe};

/// What probes need to know of the machine.
#[derive(Clone, Debug)]
pub struct Context {
    /// The root below which files are found; `/` for this machine.
    pub root: PathBuf,
    /// Folders of unit files, the strongest first.
    pub unit_folders: Vec<PathBuf>,
}

impl Context {
    /// A context for the machine with this root.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, unit_folders: Vec::new() }
    }
}

/// Looks once, within `timeout`.
///
/// The larger futures are boxed: a future is as large as its largest branch, and a thousand looks at a port would each
/// take the room of a TLS handshake otherwise.
pub async fn observe(context: &Context, probe: &Probe, timeout: Duration) -> Observation {
    match probe {
        Probe::Tcp { host, port } => socket::tcp(host, *port, timeout).await,
        Probe::Http(http) => Box::pin(http::observe(http, timeout)).await,
        Probe::UnixSocket { path } => socket::unix(path, timeout).await,
        Probe::Exec(command) => Box::pin(exec::observe(command, timeout)).await,
        Probe::Nagios(command) => Box::pin(nagios::observe(command, timeout)).await,
        Probe::ProcessCount { executable, count_min, count_max } => {
            file::processes(context, executable, *count_min, *count_max)
        }
        Probe::File { path, age_max, size_max } => file::observe(path, *age_max, *size_max),
        Probe::Process { name } => Observation::unknown(format!("the process {name} is asked elsewhere")),
        Probe::Unit { .. } => Observation::unknown("units are looked at over D-Bus"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_port_takes_little_room() {
        let context = Context::new("/".into());
        let probe = Probe::Tcp { host: "127.0.0.1".into(), port: 1 };
        let bytes = size_of_val(&observe(&context, &probe, Duration::ZERO));
        assert!(bytes <= 1024, "{bytes} bytes, a thousand times");
    }
}
