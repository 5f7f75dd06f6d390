//! A watch on the agent itself: how much memory and processor it takes, and what to drop when it is too much.
//!
//! It only looks and says; dropping is the loop's.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    time::MonoTime,
    units::{ByteSize, Percent},
};
use ansai_notify::durable::read_bounded;

/// The unit of processor time in `/proc`: 100 a second on every Linux that ansai runs on, whatever the kernel's own.
const TICKS_PER_SECOND: u64 = 100;
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Nothing.
    None,
    /// Above the limit for the first time: caches and buffers.
    Shrink,
    /// Above it although they were dropped: say so to the operator, and take nothing new that can wait.
    Degrade,
}

/// A look at the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its resident memory.
    pub rss: ByteSize,
    /// Its processor time since it started.
    pub cpu: Duration,
    /// Its share of one processor since the last look; more than one processor shows as 100 %. None at the first look.
    pub load: Option<Percent>,
    /// What to drop.
    pub pressure: Pressure,
}

/// The watch.
#[derive(Clone, Debug)]
pub struct SelfWatch {
    dir: PathBuf,
    last: Option<(MonoTime, Duration)>,
    pressure: Pressure,
}

impl Default for SelfWatch {
    /// On this process.
    fn default() -> Self {
        Self::new(Path::new("/proc"))
    }
}

impl SelfWatch {
    /// With another `/proc`.
    #[must_use]
    pub fn new(proc: &Path) -> Self {
        Self { dir: proc.join("self"), last: None, pressure: Pressure::None }
    }

    /// ProbeQueue once; to be called each ten seconds or so.
    ///
    /// # Errors
    /// When `/proc` is not what it should be; nothing is concluded then.
    pub fn look(&mut self, now: MonoTime, memory_max: ByteSize) -> io::Result<Reading> {
        let rss = rss(&self.read("status")?).ok_or_else(|| strange("status"))?;
        let cpu = cpu(&self.read("stat")?).ok_or_else(|| strange("stat"))?;
        let load = self.last.map(|(at, before)| {
            let (used, passed) = (cpu.saturating_sub(before), now.since(at));
            Percent::of(millis(used), millis(passed))
        });
        self.last = Some((now, cpu));
        self.pressure = match (rss > memory_max, self.pressure) {
            (false, _) => Pressure::None,
            (true, Pressure::None) => Pressure::Shrink,
            (true, Pressure::Shrink | Pressure::Degrade) => Pressure::Degrade,
        };
        Ok(Reading { rss, cpu, load, pressure: self.pressure })
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let bytes = read_bounded(&self.dir.join(name), FILE_BYTES_MAX)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn strange(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/self/{name} is not as expected"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn rss(status: &str) -> Option<ByteSize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ByteSize(kib.checked_mul(1024)?))
}

/// User and system time: the 14th and 15th field, counted after the name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = user.checked_add(system)?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn proc(rss_kib: u64, ticks: u64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("self")).unwrap();
        write(dir.path(), rss_kib, ticks);
        dir
    }

    fn write(proc: &Path, rss_kib: u64, ticks: u64) {
        fs::write(proc.join("self/status"), format!("Name:\tansai\nVmRSS:\t {rss_kib} kB\nThreads:\t1\n")).unwrap();
        let stat = format!("12 (a) b) S 1 12 12 0 -1 4194560 100 0 0 0 {ticks} 5 0 0 20 0 1 0 100 1 1");
        fs::write(proc.join("self/stat"), stat).unwrap();
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default().plus(Duration::from_secs(seconds))
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_and_processor_are_read_as_proc_tells_them() {
        let dir = proc(2048, 95);
        let mut watch = SelfWatch::new(dir.path());
        let first = watch.look(at(0), ByteSize(10 * MIB)).unwrap();
        assert_eq!((first.rss, first.cpu, first.load), (ByteSize(2 * MIB), Duration::from_secs(1), None));
        write(dir.path(), 2048, 195);
        let second = watch.look(at(10), ByteSize(10 * MIB)).unwrap();
        assert_eq!(second.load, Percent::new(10));
    }

    #[test]
    fn too_much_memory_is_dropped_first_and_told_second() {
        let dir = proc(1024, 0);
        let mut watch = SelfWatch::new(dir.path());
        let mut pressures = Vec::new();
        for (second, rss_kib) in [(0, 1024), (1, 20480), (2, 20480), (3, 20480), (4, 1024), (5, 20480)] {
            write(dir.path(), rss_kib, 0);
            pressures.push(watch.look(at(second), ByteSize(10 * MIB)).unwrap().pressure);
        }
        let (none, shrink, degrade) = (Pressure::None, Pressure::Shrink, Pressure::Degrade);
        assert_eq!(pressures, [none, shrink, degrade, degrade, none, shrink]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_this_process_can() {
        for (status, stat) in [("", "1 (a) S"), ("VmRSS: many kB", ""), ("VmRSS: 1 kB", "1 (a S 1 2")] {
            let dir = proc(1, 1);
            fs::write(dir.path().join("self/status"), status).unwrap();
            fs::write(dir.path().join("self/stat"), stat).unwrap();
            assert!(SelfWatch::new(dir.path()).look(at(0), ByteSize(1)).is_err());
        }
        let own = SelfWatch::default().look(at(0), ByteSize(u64::MAX)).unwrap();
        assert!(own.rss > ByteSize(MIB) && own.pressure == Pressure::None);
    }
}
