//! The texts of a configuration as they are kept beside an agent's state, so that what was in force can be in force again
//! when the files say nothing valid any more. Where they are kept, and when they hold, is the agent's to say.

use std::io;

use super::{read, resting::Resting, wall_now};
use ansai_document::Diagnostics;

use crate::{configuration::Configuration, layer::Input};

impl Resting {
    /// The texts that it was read from, to be kept.
    ///
    /// # Errors
    /// When the name of a file is no text.
    pub fn kept(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec(&self.inputs[..]).map_err(io::Error::other)
    }
}

/// Reads what was kept, at the time of now: an emergency layer may have ended meanwhile.
///
/// # Errors
/// When the bytes are not what [`Resting::kept`] made.
pub fn of_kept(bytes: &[u8]) -> io::Result<Result<Configuration, Diagnostics>> {
    let inputs: Vec<Input> = serde_json::from_slice(bytes)?;
    Ok(read(inputs, Diagnostics(Vec::new()), wall_now()))
}

#[cfg(test)]
mod tests;
