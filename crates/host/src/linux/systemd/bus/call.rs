//! Calls of systemd over the connection, and the wait for their replies. Who reads the replies is the connection's own task.

use std::time::Duration;

use ansai_model::id::UnitName;
use tokio::sync::oneshot;
use zbus::{
    message::{Flags, Message},
    zvariant::DynamicType,
};

use super::{Bus, CALL_TIMEOUT, CallError, MANAGER, MANAGER_PATH, SYSTEMD, Waiter};

impl Bus {
    /// Calls a method of systemd and waits for its reply.
    pub async fn call<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> Result<Message, CallError>
    where
        B: serde::ser::Serialize + DynamicType + Sync,
    {
        // The semaphore is never closed.
        let _turn = self.shared.calls.acquire().await;
        let (reply, answer) = oneshot::channel();
        let serial = self.send(path, interface, method, body, Some(Waiter::Reply(reply))).await?;
        self.answered(serial, answer, CALL_TIMEOUT).await
    }

    /// Calls a method of the manager on a unit, and does not ask what came of it.
    pub(in crate::linux::systemd) async fn tell(&self, method: &str, unit: &UnitName) -> Result<(), CallError> {
        self.send(MANAGER_PATH, MANAGER, method, &(unit.as_str(),), None).await.map(drop)
    }

    pub(super) async fn answered<T>(
        &self,
        serial: u32,
        answer: oneshot::Receiver<Result<T, CallError>>,
        within: Duration,
    ) -> Result<T, CallError> {
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Gone("the connection was closed".into())),
            Err(_) => {
                self.state().waiters.remove(&serial);
                Err(CallError::Timeout)
            }
        }
    }

    pub(super) async fn send<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
        waiter: Option<Waiter>,
    ) -> Result<u32, CallError>
    where
        B: serde::ser::Serialize + DynamicType + Sync,
    {
        let gone = |error: zbus::Error| CallError::Gone(error.to_string());
        let mut builder = Message::method_call(path, method).interface(interface).destination(SYSTEMD);
        if waiter.is_none() {
            builder = builder.with_flags(Flags::NO_REPLY_EXPECTED);
        }
        let message = builder.build(body).map_err(gone)?;
        let serial = message.primary_header().serial_num().get();
        let connection = {
            let mut state = self.state();
            let Some(connection) = state.connection.clone() else { return Err(CallError::Gone(state.trouble.clone())) };
            state.waiters.extend(waiter.map(|waiter| (serial, waiter)));
            connection
        };
        if let Err(error) = connection.send(&message).await {
            self.state().waiters.remove(&serial);
            return Err(gone(error));
        }
        Ok(serial)
    }
}

/// What systemd said instead of an answer.
pub(super) fn refusal(message: &Message) -> CallError {
    let name = message.header().error_name().map(|name| name.as_str().to_owned()).unwrap_or_default();
    let text = message.body().deserialize::<&str>().map(str::to_owned).unwrap_or_else(|_| name.clone());
    CallError::Refused { name, text }
}
