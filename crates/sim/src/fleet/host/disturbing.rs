//! Whether a simulated host takes away what serves, and whether an operator wanted that. It changes nothing.

use super::SimHost;

impl SimHost {
    /// Whether something is under way that takes away what serves, for which its controller gives permits.
    pub(in crate::fleet) fn is_disturbing(&self) -> bool {
        self.disturbs.is_some_and(|id| self.running.iter().any(|(_, run)| run.id == id))
    }

    /// Whether what takes away what serves was wanted by an operator.
    pub(in crate::fleet) fn was_ordered_to_disturb(&self) -> bool {
        let run = self.running.iter().find(|(_, run)| Some(run.id) == self.disturbs);
        let incident = run.and_then(|(_, run)| run.incident);
        incident.is_some_and(|incident| self.engine.state().answers.contains_key(&incident))
    }
}
