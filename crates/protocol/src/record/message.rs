//! Messages to people that hosts have given to their controller, as it keeps them until they are told, and by what it knows one
//! that is given again.

use ansai_model::{
    message::{MessageGiven, MessageKey},
    time::WallTime,
};
use serde::{Deserialize, Serialize};

use crate::link::{HostId, Short};

/// A message that the controller has the duty to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Whose it is.
    pub host: HostId,
    /// What that is called.
    pub name: Short,
    /// When it was given, by the controller's clock.
    pub at: WallTime,
    /// How long it is as JSON.
    #[serde(default)]
    pub bytes: u64,
    /// The message itself.
    pub message: Box<MessageGiven>,
    /// With which others it is told; nothing while more may come.
    #[serde(default)]
    pub group: Option<u64>,
}

impl MessageRecord {
    /// How long a message is as JSON.
    #[must_use]
    pub fn bytes_of(message: &MessageGiven) -> u64 {
        // One that cannot be written has no place anywhere.
        serde_json::to_vec(message).map_or(u64::MAX, |bytes| bytes.len() as u64)
    }

    /// By what it is known among those of all hosts.
    #[must_use]
    pub fn key(&self) -> (HostId, MessageKey) {
        (self.host, self.message.key)
    }
}

/// The newest messages that a host has given: one that is given again is known by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenRecord {
    /// Whose.
    pub host: HostId,
    /// The oldest first; at most [`ansai_model::message::GIVEN_MAX`].
    pub keys: Vec<MessageKey>,
}
