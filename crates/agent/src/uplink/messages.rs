//! Messages to people on the link: what the outbox has to say of them is said, and what the controller answers is handed to it.
//! Who has the duty to send one is the outbox's to know.

use ansai_model::{message::MessageNews, text::Text};
use ansai_notify::outbox::duty::{Member, Taker};
use ansai_protocol::link::{ControllerId, FromHost, HostId, MESSAGES_SINCE, Welcome};

use super::{Session, Trouble, Uplink, beside};

/// As whom a host hands messages to a controller.
pub(crate) fn member(controller: ControllerId, host: HostId) -> Member {
    Member { controller: Text::new(controller.to_string()), host: Text::new(host.to_string()) }
}

impl Uplink {
    /// Messages are offered on this link, when the controller sends any; one that sends none any more says of each that it was given
    /// whether it has it. What another was given is taken back, and everything where the controller is too old to know of it.
    pub(super) async fn hands_over(&self, session: u64, welcome: &Welcome) -> Result<(), Trouble> {
        let (outbox, tells) = (self.outbox.clone(), welcome.tells);
        let member = member(welcome.controller, welcome.host);
        // It writes to the disk.
        match welcome.version >= MESSAGES_SINCE {
            true => beside(move || outbox.link(Some(Taker { member, session, tells }))).await,
            false => self.takes_back(member).await,
        }
    }

    /// What this member gave is the host's own again: nobody says any more what became of it.
    pub(super) async fn takes_back(&self, member: Member) -> Result<(), Trouble> {
        let outbox = self.outbox.clone();
        beside(move || outbox.take_back(&member)).await
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
