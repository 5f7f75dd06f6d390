//! What is told a controller of the orders of its operators: what the engine says came of them, with what was asked for, as soon
//! as the ledger holds that they were heard. Nothing is decided here.

use ansai_host::port::Host;
use ansai_model::{
    fleet::Acknowledged,
    id::TargetId,
    order::{DOCUMENT_BYTES_MAX, OrderOutcome, Ordered, Told},
    text::Text,
};

use super::Shell;
use crate::ledger::Store;

impl<H: Host, S: Store> Shell<H, S> {
    /// What the controller is to be told of its restraints, once: they are obeyed, and in the ledger.
    pub fn take_restrained(&mut self) -> Option<Acknowledged> {
        self.restrained.take()
    }

    /// What the controller is to be told of its orders, once.
    pub fn take_ordered(&mut self) -> Vec<Ordered> {
        std::mem::take(&mut self.ordered)
    }

    pub(super) fn answer_order(&mut self, mut said: Ordered) {
        for told in &mut said.told {
            if told.document.take().is_some() {
                self.write_document(told);
            } else if let (Some(why), OrderOutcome::Done) = (self.ledger_error(), told.outcome) {
                told.outcome = OrderOutcome::Refused;
                told.text = Text::new(format!("{}; but that could not be saved: {why}", told.text));
                told.suggestion = "free space on the ledger's filesystem".into();
            }
            tracing::info!("ordered at the controller: {}: {}: {}", told.of, told.outcome.as_str(), told.text);
        }
        self.ordered.push(said);
    }

    fn write_document(&self, told: &mut Told) {
        let target = TargetId::new(told.of.as_str());
        let explained = target.ok().and_then(|target| self.explain(&target).ok());
        let text = explained.and_then(|document| serde_json::to_string(&document).ok());
        match text.filter(|text| text.len() <= DOCUMENT_BYTES_MAX) {
            Some(text) => told.document = Some(text),
            None => {
                told.outcome = OrderOutcome::Refused;
                told.text = "there is more to say of it than an answer holds".into();
                told.suggestion = Text::new(format!("`ansai explain {}` on the host says it", told.of));
            }
        }
    }
}
