//! A configuration in force: the agent runs for months with it and needs little of it, while what was understood takes as
//! much memory as the bundle that was made of it. So its texts are kept, and understood again when the host has changed.
//! It reads no files: what they say by now is another configuration.

use std::sync::Arc;

use ansai_document::{Diagnostic, Diagnostics};
use ansai_model::{
    inventory::Inventory,
    settings::{HostSettings, Settings},
    time::WallTime,
};

use super::parse_layers;
use crate::{configuration::Configuration, layer::Input};
use ansai_document::patterns::Names;

/// A configuration that is in force, as its texts and the little that is asked of it meanwhile.
#[derive(Clone, Debug)]
pub struct Resting {
    pub(super) inputs: Arc<[Input]>,
    settings: Settings,
    host_settings: HostSettings,
    warnings: Vec<String>,
    patterns: Vec<String>,
    /// The names under which units are watched.
    names: Vec<Names>,
    holds_until: Option<WallTime>,
}

impl Resting {
    /// The configuration again, as its texts are understood now.
    ///
    /// # Errors
    /// When they are not valid any more, as a window of maintenance that a new civil time does not know.
    pub fn wake(&self) -> Result<Configuration, Diagnostics> {
        parse_layers(self.inputs.to_vec())
    }

    /// The texts that it was read from, as [`super::parse_layers`] takes them.
    #[must_use]
    pub fn texts(&self) -> &[Input] {
        &self.inputs
    }

    /// As [`Configuration::settings`].
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// As [`Configuration::host_settings`].
    #[must_use]
    pub fn host_settings(&self) -> &HostSettings {
        &self.host_settings
    }

    /// What is allowed and dangerous, or does not fit the host.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The patterns among the names of units: names of new ones that would be watched.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// As [`Configuration::concerns`].
    #[must_use]
    pub fn concerns(&self, unit: &str) -> bool {
        self.names.iter().any(|names| names.concerns(unit))
    }

    /// As [`Configuration::holds_until`].
    #[must_use]
    pub fn holds_until(&self) -> Option<WallTime> {
        self.holds_until
    }
}

impl Configuration {
    /// Keeps what an agent needs once it has its bundle for this host.
    #[must_use]
    pub fn rest(&self, inventory: &Inventory) -> Resting {
        let nameless = self.nameless(inventory).into_iter();
        let nameless = nameless.map(|what| format!("{what} is not watched: its name holds what none may"));
        let mut warnings: Vec<String> = self.warnings.iter().map(Diagnostic::said).collect();
        warnings.extend(nameless);
        let (patterns, holds_until) = (self.patterns(), self.holds_until());
        let names = self.names().cloned().collect();
        let (settings, host_settings) = (self.settings().clone(), self.host_settings().clone());
        Resting { inputs: self.inputs.clone(), settings, host_settings, warnings, patterns, names, holds_until }
    }
}

#[cfg(test)]
mod tests;
