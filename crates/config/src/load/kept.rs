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
mod tests {
    use ansai_model::inventory::Inventory;

    use super::*;
    use crate::parse;

    #[test]
    fn what_was_kept_is_the_same_when_it_is_read() {
        let text = "services: {\"app.service\": {}}\nautonomy: act\n".to_owned();
        let configuration = parse(&[("a.yaml".into(), text)]).expect("valid");
        let (inputs, fingerprint) = (configuration.inputs.clone(), configuration.fingerprint());
        let resting = configuration.rest(&Inventory::default());
        let read = of_kept(&resting.kept().expect("kept")).expect("read").expect("valid");
        assert_eq!((read.inputs.clone(), read.fingerprint()), (inputs, fingerprint));
        for wrong in ["", "{}", "[{}]", "[{\"layer\":\"host\",\"role\":null,\"file\":\"a\"}]", "\u{0}"] {
            assert!(of_kept(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let older = "[{\"layer\":\"host\",\"role\":null,\"file\":\"a.yaml\",\"text\":\"servces: {}\"}]";
        assert!(of_kept(older.as_bytes()).expect("read").is_err(), "what this version does not know is wrong as well");
    }
}
