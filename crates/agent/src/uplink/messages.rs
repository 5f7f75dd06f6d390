//! Messages to people on the link: what the outbox has to say of them is said, and what the controller answers is handed to it.
//! Who has the duty to send one is the outbox's to know.

use ansai_model::{message::MessageNews, text::Text};
use ansai_notify::outbox::duty::Taker;
use ansai_protocol::link::{FromHost, MESSAGES_SINCE, Welcome};

use super::{Session, Trouble, Uplink, beside};

impl Uplink {
    /// Messages are offered on this link, when the controller sends any.
    pub(super) async fn hands_over(&self, session: u64, welcome: &Welcome) -> Result<(), Trouble> {
        let is_taker = welcome.tells && welcome.version >= MESSAGES_SINCE;
        let controller = Text::new(welcome.controller.to_string());
        let (outbox, taker) = (self.outbox.clone(), is_taker.then_some(Taker { controller, session }));
        // What was given to another controller is taken back, on the disk.
        beside(move || outbox.link(taker)).await
    }
}

impl Session<'_> {
    /// Says what there is to say of messages.
    pub(super) async fn say_messages(&mut self) -> Result<(), Trouble> {
        let (outbox, session) = (&self.uplink.outbox, self.number);
        if !outbox.has_says(session) {
            return Ok(());
        }
        let outbox = outbox.clone();
        for said in beside(move || outbox.says(session)).await? {
            self.link.send(&FromHost::Message(said)).await?;
        }
        Ok(())
    }

    /// What the controller says of a message.
    pub(super) async fn hear_of_message(&mut self, news: MessageNews) -> Result<(), Trouble> {
        let (outbox, session, now) = (self.uplink.outbox.clone(), self.number, self.uplink.clock.now().mono);
        beside(move || outbox.hear(session, news, now)).await
    }
}
