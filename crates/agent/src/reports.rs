//! Finished reports, a file each by the incident's number, bounded in age and in count.
//!
//! A report of the same incident made later takes the place of the earlier one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use ansai_model::{id::IncidentId, report::Report, time::WallTime};
use ansai_notify::durable::{read_bounded, write_atomically};
use thiserror::Error;

/// Most reports kept; the oldest go.
pub const REPORTS_MAX: usize = 2000;
const REPORT_BYTES_MAX: u64 = 1 << 20;

/// Why a report could not be kept or read.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The system refused.
    #[error("{}: the report cannot be kept or read", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The file does not hold a report.
    #[error("{}: it does not hold a report that this version reads", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: serde_json::Error,
    },
}

/// The reports of a host.
#[derive(Clone, Debug)]
pub struct Reports {
    dir: PathBuf,
}

impl Reports {
    /// The reports in `dir`, which is made by the first that is kept.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Keeps a report; durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written; an earlier one of the incident is then still there.
    pub fn save(&self, report: &Report) -> Result<(), ReportError> {
        let path = self.path(report.incident);
        let bytes =
            serde_json::to_vec(report).map_err(|source| ReportError::Unreadable { path: path.clone(), source })?;
        write_atomically(&path, &bytes).map_err(|source| ReportError::Io { path, source })
    }

    /// The report of an incident; none when there is none, or it was too old.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn get(&self, incident: IncidentId) -> Result<Option<Report>, ReportError> {
        let path = self.path(incident);
        match read_bounded(&path, REPORT_BYTES_MAX) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|source| ReportError::Unreadable { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReportError::Io { path, source }),
        }
    }

    /// The incidents that have a report, the newest first.
    #[must_use]
    pub fn incidents(&self) -> Vec<IncidentId> {
        let mut incidents: Vec<IncidentId> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .map(IncidentId)
            .collect();
        incidents.sort_unstable_by(|a, b| b.cmp(a));
        incidents
    }

    /// The newest reports, at most `count_max`; one that cannot be read is left out.
    #[must_use]
    pub fn newest(&self, count_max: usize) -> Vec<Report> {
        self.incidents().into_iter().filter_map(|incident| self.get(incident).ok()?).take(count_max).collect()
    }

    /// The newest reports that were written after `since`, at most `count_max`, the newest incident first; one that cannot be
    /// read is left out. It asks for the age of each file, and reads those only.
    #[must_use]
    pub fn newest_since(&self, since: WallTime, count_max: usize) -> Vec<Report> {
        let is_newer = |incident: &IncidentId| self.written(*incident).is_some_and(|written| written > since);
        let newer = self.incidents().into_iter().filter(is_newer).take(count_max);
        newer.filter_map(|incident| self.get(incident).ok()?).collect()
    }

    /// When a report was written; nothing when it is gone or that cannot be known.
    fn written(&self, incident: IncidentId) -> Option<WallTime> {
        let modified = fs::metadata(self.path(incident)).and_then(|file| file.modified()).ok()?;
        Some(WallTime::default().plus(modified.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// Removes what was written longer ago than `kept_for` or is beyond [`REPORTS_MAX`], and says how many; to be
    /// called once an hour or so. It asks for the age of each file and reads none.
    pub fn prune(&self, now: WallTime, kept_for: Duration) -> usize {
        // What is gone already, or has no age, cannot be removed either.
        let is_old = |incident: IncidentId| self.written(incident).is_some_and(|written| now.since(written) > kept_for);
        let incidents = self.incidents();
        let gone = (0..).zip(incidents).filter(|(at, incident)| *at >= REPORTS_MAX || is_old(*incident));
        gone.filter(|(_, incident)| fs::remove_file(self.path(*incident)).is_ok()).count()
    }

    fn path(&self, incident: IncidentId) -> PathBuf {
        self.dir.join(format!("{:010}.json", incident.0))
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{CheckId, TargetId},
        incident::Phase,
        text::Text,
        time::Now,
    };

    use super::*;

    fn report(incident: u64, phase: Phase) -> Report {
        let target = TargetId::new("service/web").unwrap();
        let check = CheckId::of(&target, "unit").unwrap();
        Report::bare(IncidentId(incident), target, check, Now::default(), phase)
    }

    #[test]
    fn reports_are_kept_listed_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let reports = Reports::open(&dir.path().join("reports"));
        for incident in [9, 10, 2] {
            reports.save(&report(incident, Phase::Open)).unwrap();
        }
        let healed = Report { headline: Text::new("web is running again"), ..report(7, Phase::Open) };
        reports.save(&report(7, Phase::Open)).unwrap();
        reports.save(&healed).unwrap();
        assert_eq!(reports.incidents(), [10, 9, 7, 2].map(IncidentId));
        assert_eq!(reports.get(IncidentId(7)).unwrap(), Some(healed));
        assert_eq!(reports.get(IncidentId(8)).unwrap(), None);
        assert_eq!(reports.newest(2).len(), 2);
    }

    #[test]
    fn old_ones_go_and_broken_ones_harm_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let reports = Reports::open(dir.path());
        let (old, new) = (report(1, Phase::Open), report(2, Phase::Open));
        reports.save(&old).unwrap();
        reports.save(&new).unwrap();
        fs::write(dir.path().join("0000000003.json"), b"{").unwrap();
        assert!(matches!(reports.get(IncidentId(3)), Err(ReportError::Unreadable { .. })));
        assert_eq!(reports.newest(9), [new.clone(), old]);
        let (begin, day) = (UNIX_EPOCH + Duration::from_secs(1_000_000), Duration::from_secs(86_400));
        for (incident, written) in [(1, begin), (2, begin + 2 * day), (3, begin)] {
            let file = fs::File::options().write(true).open(dir.path().join(format!("{incident:010}.json"))).unwrap();
            file.set_modified(written).unwrap();
        }
        let since = |seconds: u64| reports.newest_since(WallTime::default().plus(Duration::from_secs(seconds)), 9);
        assert_eq!((since(1_000_000), since(2_000_000), since(0).len()), (vec![new.clone()], vec![], 2));
        let now = WallTime(1_000_000_000).plus(2 * day);
        assert_eq!(reports.prune(now, day), 2);
        assert_eq!(reports.newest(9), [new]);
    }
}
