//! Connects to the message bus and asks it for everything that is listened to, before anybody looks. What is heard then is
//! taken in by the connection's owner.

use std::path::Path;

use zbus::{Connection, MessageStream, OwnedVariant};

use super::{MANAGER, MANAGER_PATH, PROPERTIES, SYSTEMD};

/// Most messages that wait to be taken in.
const MESSAGES_MAX: std::num::NonZeroUsize = std::num::NonZeroUsize::new(1024).expect("not zero");

/// What a message bus must pass on to us.
const MATCHES: &[&str] = &[
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager'",
];

/// Connects and listens; says as well whether the host is going down already.
pub(super) async fn subscribe(socket: &Path) -> zbus::Result<(Connection, MessageStream, bool)> {
    let builder = zbus::connection::Builder::address(format!("unix:path={}", socket.display()).as_str());
    let connection = builder.max_queued(MESSAGES_MAX).build().await?;
    let stream = MessageStream::from(&connection);
    for rule in MATCHES {
        let bus = "org.freedesktop.DBus";
        connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &(*rule,)).await?;
    }
    connection.call_method(Some(SYSTEMD), MANAGER_PATH, Some(MANAGER), "Subscribe", &()).await?;
    let get = (MANAGER, "SystemState");
    let reply = connection.call_method(Some(SYSTEMD), MANAGER_PATH, Some(PROPERTIES), "Get", &get).await?;
    let state = reply.body().deserialize::<OwnedVariant>()?;
    let is_shutting_down = state.downcast_ref::<&str>().is_ok_and(|word| word == "stopping");
    Ok((connection, stream, is_shutting_down))
}
