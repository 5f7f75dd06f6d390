//! Jobs of systemd that are waited for: as long as was declared, or as long as systemd works on them. A job whose end was
//! not told is asked after, so that nobody waits for what is no more. What became of its unit is not judged here.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ansai_model::{action::AS_DECLARED, id::UnitName};
use tokio::sync::oneshot;
use zbus::{Variant, zvariant::DynamicType};

use super::{Bus, CallError, MANAGER, MANAGER_PATH, PROPERTIES, Waiter};

/// Longest wait for systemd's word that it has queued a job whose time the unit declares.
pub(in crate::linux::systemd) const QUEUED_MAX: Duration = Duration::from_secs(100);

/// How often systemd is asked whether it still has a job that nothing was heard of.
const ASKED_AFTER: Duration = Duration::from_secs(30);
const JOB: &str = "org.freedesktop.systemd1.Job";
/// How systemd says that there is no such job.
const NO_JOB: &[&str] = &["org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.systemd1.NoSuchJob"];

/// Brings the result of a job.
type JobEnd = oneshot::Receiver<Result<String, CallError>>;
/// The object path of a job, once systemd has queued it.
pub(super) type JobPath = Arc<OnceLock<String>>;

/// A job that was asked for.
struct Awaited {
    serial: u32,
    path: JobPath,
    end: JobEnd,
}

/// A unit with a job that is waited for, for as long as it is.
pub(super) struct Awaiting<'a> {
    bus: &'a Bus,
    unit: UnitName,
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.bus.state().awaited.remove(&self.unit);
    }
}

impl Bus {
    /// From now on a job of this unit is awaited, until what this returns is dropped.
    pub(super) fn awaits(&self, unit: &UnitName) -> Awaiting<'_> {
        let unit = self.own_name(unit);
        self.state().awaited.insert(unit.clone());
        Awaiting { bus: self, unit }
    }

    /// Calls a method that answers with a job, and waits for the job's result (`done`, `failed`, …).
    pub async fn run_job(&self, unit: &UnitName, method: &str, within: Duration) -> Result<String, CallError> {
        let _awaited = self.awaits(unit);
        let job = self.ask_for_job(unit, method, &(unit.as_str(), "replace")).await?;
        if within == AS_DECLARED {
            return self.until_its_end(job).await;
        }
        let result = self.answered(job.serial, job.end, within).await;
        if matches!(result, Err(CallError::Timeout)) {
            self.cancel(unit).await;
        }
        result
    }

    /// Starts a unit that exists for this call only, and waits for its job's result. Descriptors among its properties are
    /// closed as soon as systemd has been sent them, so that whoever reads from them sees the end.
    pub(in crate::linux::systemd) async fn run_transient(
        &self,
        unit: &UnitName,
        properties: Vec<(&'static str, Variant<'_>)>,
        within: Duration,
    ) -> Result<String, CallError> {
        let others: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let body = (unit.as_str(), "fail", properties, others);
        let job = self.ask_for_job(unit, "StartTransientUnit", &body).await?;
        drop(body);
        self.answered(job.serial, job.end, within).await
    }

    async fn ask_for_job<B>(&self, unit: &UnitName, method: &str, body: &B) -> Result<Awaited, CallError>
    where
        B: serde::ser::Serialize + DynamicType + Sync,
    {
        let (done, end) = oneshot::channel();
        let path = JobPath::default();
        let waiter = Waiter::Job { unit: unit.clone(), path: path.clone(), done };
        let serial = self.send(MANAGER_PATH, MANAGER, method, body, Some(waiter)).await?;
        Ok(Awaited { serial, path, end })
    }

    /// Waits for a job as long as systemd works on it: the unit's own limits bound that. Only systemd's word that it has
    /// queued the job has a limit of ours.
    async fn until_its_end(&self, mut job: Awaited) -> Result<String, CallError> {
        match tokio::time::timeout(QUEUED_MAX, &mut job.end).await {
            Ok(answered) => return answered.unwrap_or_else(|_| Err(closed())),
            Err(_) if self.state().waiters.remove(&job.serial).is_some() => return Err(CallError::Timeout),
            Err(_) => {}
        }
        let path = job.path.get().cloned().unwrap_or_default();
        let asks = || {
            let (bus, path) = (self.clone(), path.clone());
            async move { bus.has_job(&path).await }
        };
        let ended = until_told_or_gone(job.end, asks).await;
        self.state().jobs.remove(&path);
        ended
    }

    /// Whether systemd may still have a job: only its word that there is none counts.
    async fn has_job(&self, path: &str) -> bool {
        match self.call(path, PROPERTIES, "Get", &(JOB, "State")).await {
            Ok(_) | Err(CallError::Gone(_) | CallError::Timeout) => true,
            Err(CallError::Refused { name, .. }) => !NO_JOB.contains(&name.as_str()),
        }
    }

    /// Cancels the unit's job when it is ours; another one is somebody else's wish.
    async fn cancel(&self, unit: &UnitName) {
        let own = self.own_name(unit);
        let Some(job) = self.with_tracker(|tracker| tracker.our_job(&own)) else { return };
        // It may have ended in between, which is what is wanted.
        if let Err(error) = self.call(&job, JOB, "Cancel", &()).await {
            tracing::debug!("the job {job} of {unit} was not canceled: {error}");
        }
    }
}

fn closed() -> CallError {
    CallError::Gone("the connection was closed".into())
}

/// Waits for the word of a job's end, or until there is no such job any more and nobody has told of its end.
async fn until_told_or_gone<F>(mut end: JobEnd, has_job: impl Fn() -> F) -> Result<String, CallError>
where
    F: Future<Output = bool>,
{
    loop {
        if let Ok(answered) = tokio::time::timeout(ASKED_AFTER, &mut end).await {
            return answered.unwrap_or_else(|_| Err(closed()));
        }
        if has_job().await {
            continue;
        }
        // What systemd told before it answered has been taken in by now.
        let unheard = "systemd has no such job any more, and nobody has heard how it ended";
        return end.try_recv().unwrap_or_else(|_| Err(CallError::Gone(unheard.into())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_whose_end_nobody_told_is_waited_for_until_systemd_has_it_no_more() {
        let (_done, end) = oneshot::channel();
        let (begun, asked) = (tokio::time::Instant::now(), AtomicU32::new(0));
        let ended = until_told_or_gone(end, || async { asked.fetch_add(1, Ordering::Relaxed) < 99 }).await;
        assert!(matches!(&ended, Err(CallError::Gone(why)) if why.contains("no such job any more")), "{ended:?}");
        assert_eq!((begun.elapsed(), asked.into_inner()), (ASKED_AFTER * 100, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_told_while_it_is_asked_for_is_the_end() {
        let (done, end) = oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        let tells = || async {
            let done = done.lock().expect("nobody panicked").take().expect("asked once");
            done.send(Ok("failed".to_owned())).expect("awaited");
            false
        };
        let ended = until_told_or_gone(end, tells).await;
        assert!(matches!(&ended, Ok(result) if result == "failed"), "{ended:?}");
    }
}
