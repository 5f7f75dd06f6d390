//! Jobs of systemd that are waited for: as long as was declared, or as long as systemd works on them.

use std::time::Duration;

use ansai_model::{action::AS_DECLARED, id::UnitName};
use tokio::sync::oneshot;
use zbus::{Variant, zvariant::DynamicType};

use super::{Bus, CallError, MANAGER, MANAGER_PATH, Waiter};

/// Longest wait for systemd's word that it has queued a job whose time the unit declares.
pub(in crate::linux::systemd) const QUEUED_MAX: Duration = Duration::from_secs(100);

/// Brings the result of a job.
type JobEnd = oneshot::Receiver<Result<String, CallError>>;

impl Bus {
    /// Calls a method that answers with a job, and waits for the job's result (`done`, `failed`, …).
    pub async fn run_job(&self, unit: &UnitName, method: &str, within: Duration) -> Result<String, CallError> {
        let (serial, answer) = self.ask_for_job(unit, method, &(unit.as_str(), "replace")).await?;
        if within == AS_DECLARED {
            return self.until_its_end(serial, answer).await;
        }
        let result = self.answered(serial, answer, within).await;
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
        let (serial, answer) = self.ask_for_job(unit, "StartTransientUnit", &body).await?;
        drop(body);
        self.answered(serial, answer, within).await
    }

    async fn ask_for_job<B>(&self, unit: &UnitName, method: &str, body: &B) -> Result<(u32, JobEnd), CallError>
    where
        B: serde::ser::Serialize + DynamicType + Sync,
    {
        let (done, answer) = oneshot::channel();
        let waiter = Waiter::Job { unit: unit.clone(), done };
        Ok((self.send(MANAGER_PATH, MANAGER, method, body, Some(waiter)).await?, answer))
    }

    /// Waits for a job as long as systemd works on it: the unit's own limits bound that. Only systemd's word that it has
    /// queued the job has a limit of ours.
    async fn until_its_end(&self, serial: u32, mut answer: JobEnd) -> Result<String, CallError> {
        let gone = || CallError::Gone("the connection was closed".into());
        match tokio::time::timeout(QUEUED_MAX, &mut answer).await {
            Ok(answered) => answered.unwrap_or_else(|_| Err(gone())),
            Err(_) if self.state().waiters.remove(&serial).is_some() => Err(CallError::Timeout),
            Err(_) => answer.await.unwrap_or_else(|_| Err(gone())),
        }
    }

    /// Cancels the unit's job when it is ours; another one is somebody else's wish.
    async fn cancel(&self, unit: &UnitName) {
        let Some(job) = self.with_tracker(|tracker| tracker.our_job(unit)) else { return };
        // It may have ended in between, which is what is wanted.
        if let Err(error) = self.call(&job, "org.freedesktop.systemd1.Job", "Cancel", &()).await {
            tracing::debug!("the job {job} of {unit} was not canceled: {error}");
        }
    }
}
