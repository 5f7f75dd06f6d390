//! Which sockets listen for which services. It judges nothing.

use ansai_model::{
    id::UnitName,
    inventory::{Inventory, SocketFacts},
    text::Text,
};
use futures_util::{StreamExt, stream};

use super::{
    bus::{Bus, CallError, UNIT, crowd::Listed},
    unit::property,
};

/// Most sockets that are asked about at once.
const SOCKETS_AT_ONCE: usize = 32;

/// Every socket that listens, or did until it failed, sorted by name.
///
/// # Errors
/// When systemd does not answer.
pub async fn sockets(bus: &Bus) -> Result<Vec<SocketFacts>, CallError> {
    let mut found: Vec<(UnitName, Text)> = {
        let reply = bus.list().await?;
        let body = reply.body();
        let listed: Vec<Listed<'_>> = body.deserialize().map_err(|error| CallError::Gone(error.to_string()))?;
        let is_used = |unit: &&Listed<'_>| unit.0.ends_with(".socket") && matches!(unit.3, "active" | "failed");
        let sockets = listed.iter().filter(is_used);
        sockets.filter_map(|unit| Some((UnitName::new(unit.0).ok()?, Text::new(unit.1)))).collect()
    };
    found.sort();
    found.truncate(Inventory::SOCKETS_MAX);
    let asked = stream::iter(found).map(|(name, description)| async move {
        let accept = property(bus, &name, "org.freedesktop.systemd1.Socket", "Accept");
        let (accept, triggers) = tokio::join!(accept, property(bus, &name, UNIT, "Triggers"));
        // Without an answer no service is named for it, and the socket stands for itself.
        let is_shared = accept.is_ok_and(|accept| accept.downcast_ref::<bool>().is_ok_and(|accepts| !accepts));
        let triggers: Vec<String> = triggers.ok().and_then(|value| value.try_into().ok()).unwrap_or_default();
        let starts = triggers.iter().find(|unit| is_shared && unit.ends_with(".service"));
        let starts = starts.and_then(|unit| UnitName::new(unit).ok());
        SocketFacts { name, description, starts }
    });
    Ok(asked.buffered(SOCKETS_AT_ONCE).collect().await)
}
