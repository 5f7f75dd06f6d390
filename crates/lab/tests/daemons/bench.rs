//! A host with its daemons and an agent that the package installed, and the rounds that they go through.
//!
//! Each round begins with an agent that has no memory: what the daemons suffer in minutes, the shipped budgets and circuit
//! breakers expect in days, and one deed's outcome is not to hang on the others'.

use std::thread;
use std::time::Duration;

use ansai_lab::image::Kind;
use ansai_lab::{Host, HostOptions, agent, package, poll};
use anyhow::{Context as _, Result};

use crate::course::{Course, Look};
use crate::deed::{Deed, squatter};
use crate::list::{Daemon, Placement};
use crate::table::Cell;

/// For whatever takes its time while eight hosts start their daemons.
const LIMIT: Duration = Duration::from_secs(240);
/// All that a course may take, one wait after the other.
const ROUND_LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Bench {
    host: Host,
    daemons: &'static [Daemon],
    configuration: String,
}

impl Bench {
    /// Boots the host, starts its daemons, and installs the package, which writes the configuration.
    pub(crate) fn boot(options: &HostOptions, placement: &Placement, daemons: &'static [Daemon]) -> Result<Self> {
        let host = Host::boot(&options.clone().of_image(Kind::Daemons, placement.name))?;
        host.run_ok(&["sh", "-e", "-c", placement.setup])?;
        host.run_ok(&["systemctl", "daemon-reload"])?;
        let units = daemons.iter().map(|daemon| daemon.unit);
        let units: Vec<&str> = placement.beside.iter().copied().chain(units).collect();
        // Enabled as an administrator has them: a package starts again what is enabled. An init script cannot be both at once.
        for verb in ["enable", "start"] {
            let command: Vec<&str> = ["systemctl", verb].into_iter().chain(units.iter().copied()).collect();
            host.run_within(LIMIT, &command)?.ok().with_context(|| host.evidence())?;
        }
        // What listens is what `ansai init` finds, and tomcat takes its time to.
        for port in daemons.iter().filter_map(|daemon| daemon.port.number()) {
            let look = ["sh", "-c", &format!("ss -Htuln 'sport = :{port}' | grep -q .")];
            host.wait_until(&format!("port {port} to be listened on"), LIMIT, || Ok(host.run(&look)?.is_success()))?;
        }
        package::install(&host)?;
        host.wait_active(agent::UNIT, LIMIT)?;
        let written = host.read_file(agent::CONFIGURATION)?;
        let configuration = written.replace("\nautonomy: observe\n", "\nautonomy: act\n");
        host.write_file(agent::CONFIGURATION, &configuration, 0o640)?;
        Ok(Self { host, daemons, configuration })
    }

    /// How `ansai init` proposes to look at each daemon.
    pub(crate) fn looks(&self) -> Vec<Cell> {
        let look = |daemon: &'static Daemon| {
            let entry = format!("  \"{}\": ", daemon.unit);
            let line = self.configuration.lines().find_map(|line| line.strip_prefix(&entry));
            let text = line.map(|line| line.split("  #").next().unwrap_or_default().to_owned());
            let wrong = text.is_none().then(|| format!("`ansai init` does not find it:\n{}", self.configuration));
            let text = text.unwrap_or_else(|| "WRONG: not found".to_owned());
            Cell { unit: daemon.unit, deed: None, text, reason: None, wrong }
        };
        self.daemons.iter().map(look).collect()
    }

    /// One round: each daemon suffers one of the deeds, its neighbor the next one.
    pub(crate) fn round(&self, deeds: &[Deed], round: usize) -> Result<Vec<Cell>> {
        self.begin_anew()?;
        let before = self.look()?;
        let daemons = self.daemons.iter().enumerate();
        let suffering: Vec<_> = daemons.map(|(place, daemon)| (daemon, deeds[(place + round) % deeds.len()])).collect();
        let upgraded = suffering.iter().filter(|(_, deed)| *deed == Deed::Upgraded).map(|(daemon, _)| daemon.package);
        let upgraded: Vec<&str> = upgraded.collect();
        let mut courses = Vec::new();
        for (daemon, deed) in suffering {
            courses.push(Course::begin(&self.host, daemon, deed, &before)?);
        }
        let last = thread::scope(|scope| -> Result<Look> {
            let upgrade = scope.spawn(|| self.upgrade(&upgraded));
            let last = poll::until("all courses to end", ROUND_LIMIT, LOOK_EVERY, || {
                let look = self.look()?;
                for course in &mut courses {
                    course.go_on(&self.host, &look)?;
                }
                let is_over = upgrade.is_finished() && courses.iter().all(Course::is_over);
                Ok(is_over.then_some(look))
            });
            upgrade.join().map_err(|_| anyhow::anyhow!("the upgrade panicked"))??;
            last
        })
        .with_context(|| self.host.evidence())?;
        let done: Vec<_> = courses.iter().map(|course| (course.daemon, course.deed)).collect();
        let cells = courses.into_iter().map(|course| course.end(&self.host, &last)).collect();
        self.set_right(&done)?;
        Ok(cells)
    }

    fn look(&self) -> Result<Look> {
        let squatters: Vec<String> = self.daemons.iter().map(squatter).collect();
        let units = self.daemons.iter().map(|daemon| daemon.unit);
        Look::take(&self.host, units.chain(squatters.iter().map(String::as_str)))
    }

    /// An agent without a memory, which holds every daemon for well.
    fn begin_anew(&self) -> Result<()> {
        self.host.stop(agent::UNIT)?;
        self.host.run_ok(&["sh", "-c", "rm -rf /var/lib/ansai/*"])?;
        agent::start(&self.host)?;
        for daemon in self.daemons {
            agent::wait_health(&self.host, daemon.unit, "healthy")?;
        }
        Ok(())
    }

    /// Installs packages once more, as an upgrade does: with their own scripts, and without any network.
    fn upgrade(&self, packages: &[&str]) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        let files: Vec<String> = packages.iter().map(|name| format!("/opt/daemons/{name}_*.deb")).collect();
        let script = format!("DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install {}", files.join(" "));
        self.host.run_within(LIMIT, &["sh", "-c", &script])?.ok().map(drop)
    }

    /// Every daemon runs again as before, without the agent, whatever has become of it.
    fn set_right(&self, done: &[(&'static Daemon, Deed)]) -> Result<()> {
        self.host.stop(agent::UNIT)?;
        for (daemon, deed) in done {
            deed.undo(&self.host, daemon)?;
            self.host.run(&["systemctl", "reset-failed", daemon.unit])?;
            let verb = if *deed == Deed::Hung { "restart" } else { "start" };
            self.host.run_within(LIMIT, &["systemctl", verb, daemon.unit])?.ok()?;
        }
        Ok(())
    }
}
