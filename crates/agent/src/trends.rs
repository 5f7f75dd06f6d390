//! What the figures of checks were before: one bounded series for each check that follows a trend, and the host's load by
//! the hour. An observation passes through here on its way to the engine and carries its forecast from then on, so that
//! the journal and a replay know it too. What a series means is the engine's; here it is kept over restarts.
//!
//! It is no part of the ledger: a series that is lost costs a forecast, not a decision, and must not slow down any save.

use std::{collections::BTreeMap, path::PathBuf};

use ansai_engine::{
    HostEngine, Input,
    trend::{Quiet, Series, follow},
};
use ansai_model::{
    condition::Value,
    id::CheckId,
    policy::QuietHours,
    time::{MonoTime, Now, WallTime},
};
use ansai_notify::durable;
use serde::{Deserialize, Serialize};

/// The largest file that is read: a few kilobytes for each of the most series.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most series; checks beyond are looked at without a forecast.
pub const SERIES_MAX: usize = 2_000;
/// How long quiet hours last that are learned.
const QUIET_FOR: std::time::Duration = std::time::Duration::from_secs(3600);
const HOUR_MILLIS: i64 = 3_600_000;

/// Every series of this host.
#[derive(Debug, Default)]
pub struct Trends {
    kept: Kept,
    path: PathBuf,
    /// Whether something came since the last save.
    is_new: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The moment of the last value, from which the monotonic clock is continued.
    at: MonoTime,
    series: BTreeMap<CheckId, Series>,
    quiet: Quiet,
}

impl Trends {
    /// What was saved there; nothing when nothing was, or when it cannot be read, which is said in the log.
    #[must_use]
    pub fn open(path: PathBuf, now: MonoTime) -> Self {
        let read = durable::read_bounded(&path, FILE_BYTES_MAX);
        let kept = match read.map(|bytes| serde_json::from_slice::<Kept>(&bytes)) {
            // Values from after now would be of a clock that was not continued: their order could not be trusted.
            Ok(Ok(kept)) if kept.at <= now => kept,
            Ok(Ok(_)) => {
                tracing::warn!("{}: trends begin anew, since the clock was not continued", path.display());
                Kept::default()
            }
            Ok(Err(error)) => {
                tracing::warn!("{}: trends begin anew, since the old ones cannot be read: {error}", path.display());
                Kept::default()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => {
                tracing::warn!("{}: trends begin anew: {error}", path.display());
                Kept::default()
            }
        };
        Self { kept, path, is_new: false }
    }

    /// The input, with its forecast when it is an observation of a check that follows a trend.
    #[must_use]
    pub fn follow(&mut self, now: Now, input: Input, engine: &HostEngine) -> Input {
        let Input::Observed { check, observation } = input else { return input };
        let trend = engine.bundle().parts().checks.get(&check).and_then(|check| check.trend.as_deref());
        let Some(trend) = trend else { return Input::Observed { check, observation } };
        let is_known = self.kept.series.contains_key(&check);
        if !is_known && self.kept.series.len() >= SERIES_MAX {
            return Input::Observed { check, observation };
        }
        let series = self.kept.series.entry(check.clone()).or_default();
        let observation = follow(trend, series, now, observation);
        self.kept.at = now.mono;
        self.is_new = true;
        Input::Observed { check, observation }
    }

    /// Takes the host's load in.
    pub fn load(&mut self, at: WallTime, load: f64) {
        self.kept.quiet.push(at, load);
        self.is_new = true;
    }

    /// The hour of the day, in UTC, in which the host is least busy, once that is known: the fact `host.quiet_hour`.
    #[must_use]
    pub fn quiet_hour(&self, now: WallTime) -> Option<Value> {
        let begins = self.kept.quiet.next(now, QUIET_FOR)?;
        let hour = i32::try_from(begins.0.div_euclid(HOUR_MILLIS).rem_euclid(24)).ok()?;
        Some(Value::Number(f64::from(hour)))
    }

    /// Whether anybody waits for quiet hours that are learned.
    #[must_use]
    pub fn is_learning(engine: &HostEngine) -> bool {
        engine.bundle().parts().policies.values().any(|policy| policy.quiet == Some(QuietHours::Learned))
    }

    /// Forgets the series of checks that are not there any more or follow nothing, and saves the others when something
    /// came.
    ///
    /// # Errors
    /// When the file cannot be written; the one before is still whole then.
    pub fn save(&mut self, engine: &HostEngine) -> std::io::Result<()> {
        if !std::mem::take(&mut self.is_new) {
            return Ok(());
        }
        let checks = &engine.bundle().parts().checks;
        self.kept.series.retain(|id, _| checks.get(id).is_some_and(|check| check.trend.is_some()));
        let bytes = serde_json::to_vec(&self.kept).map_err(std::io::Error::other)?;
        durable::write_atomically(&self.path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::{
        bundle::{Bundle, BundleParts},
        check::{Trend, TrendKind},
        inventory::Inventory,
        observation::{Health, Observation},
        units::ByteSize,
    };

    use super::*;

    const MEBI: u64 = 1 << 20;

    fn bundle(trend: Option<Trend>) -> Bundle {
        let trend = trend.map(Box::new);
        let text = "services: {app.service: {probe: {exec: [/bin/size], every: 1m}}}";
        let configuration = ansai_config::parse(&[("a.yaml".into(), text.to_owned())]).expect("valid");
        let mut parts: BundleParts = configuration.bundle(&Inventory::default(), 1).expect("a bundle").parts().clone();
        parts.checks.values_mut().for_each(|check| std::sync::Arc::make_mut(check).trend.clone_from(&trend));
        Bundle::new(parts).expect("a bundle")
    }

    fn engine(trend: Option<Trend>) -> HostEngine {
        HostEngine::new(bundle(trend), ansai_engine::State::default(), Now::default())
    }

    fn grows() -> Trend {
        let horizon = Duration::from_secs(86_400);
        Trend { figure: "size".into(), limit: "limit".into(), life: None, kind: TrendKind::Fill, horizon }
    }

    fn seen(trends: &mut Trends, engine: &HostEngine, minute: u64) -> Observation {
        let now = Now::default().plus(Duration::from_secs(minute * 60));
        let size = Value::Bytes(ByteSize(100 * MEBI + minute * MEBI));
        let observation = Observation::healthy("well")
            .with_figure("size", size)
            .with_figure("limit", Value::Bytes(ByteSize(1000 * MEBI)));
        let check = CheckId::new("service/app.service#exec").expect("a check");
        match trends.follow(now, Input::Observed { check, observation }, engine) {
            Input::Observed { observation, .. } => observation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_observation_carries_its_forecast_and_the_series_outlives_the_agent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trends.json");
        let engine = engine(Some(grows()));
        let mut trends = Trends::open(path.clone(), MonoTime(0));
        let last = (0..240).map(|minute| seen(&mut trends, &engine, minute)).last().expect("some");
        assert_eq!(last.health(), Health::Failing, "{last:?}");
        trends.save(&engine).expect("room");
        let now = Now::default().plus(Duration::from_secs(240 * 60));
        let mut again = Trends::open(path.clone(), now.mono);
        assert_eq!(seen(&mut again, &engine, 240).health(), Health::Failing, "it is known at once");
        // A clock that was not continued: nothing is concluded from values of the future.
        let mut other = Trends::open(path.clone(), MonoTime(5));
        assert_eq!(seen(&mut other, &engine, 1).health(), Health::Healthy);
        std::fs::write(&path, b"{\"at\": 1, \"series\": [").expect("room");
        let mut torn = Trends::open(path, now.mono);
        assert_eq!(seen(&mut torn, &engine, 1).health(), Health::Healthy);
    }

    #[test]
    fn what_follows_nothing_passes_as_it_is_and_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (followed, plain) = (engine(Some(grows())), engine(None));
        let mut trends = Trends::open(folder.path().join("trends.json"), MonoTime(0));
        let before = seen(&mut trends, &plain, 0);
        assert_eq!((before.health(), trends.kept.series.len()), (Health::Healthy, 0));
        drop(seen(&mut trends, &followed, 1));
        assert_eq!(trends.kept.series.len(), 1);
        trends.save(&plain).expect("room");
        assert_eq!(trends.kept.series.len(), 0);
    }
}
