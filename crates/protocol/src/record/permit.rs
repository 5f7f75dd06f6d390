//! A permit as it is kept: who may disturb what, since when and until when by the controller's clock.

use ansai_model::{
    id::{IncidentId, PermitId, TargetId},
    text::Text,
    time::WallTime,
};
use serde::{Deserialize, Serialize};

use crate::link::{HostId, Short};

/// A permit that was given and not given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitRecord {
    /// Its number, which only grows.
    pub id: PermitId,
    /// The controller's life in which it was given.
    pub epoch: u64,
    /// Who holds it.
    pub host: HostId,
    /// What the host was for then: of that role one member less is reckoned with.
    #[serde(default)]
    pub role: Option<Short>,
    /// For which of its incidents.
    pub incident: IncidentId,
    /// What is disturbed.
    pub target: TargetId,
    /// What is done to it, in words.
    pub what: Text,
    /// When it was given.
    pub at: WallTime,
    /// When it ends if it is not given back: later than by the host's own reckoning.
    pub until: WallTime,
}
