//! What people were told in the world of a fleet, by hosts and by their controller: each message once, and in the end each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ansai_model::{message::MessageKey, text::Text};
use ansai_notify::outbox::duty::{Member, Taker};
use ansai_protocol::link::{HostId, MESSAGES_SINCE, Welcome};

use super::{Event, World};

/// What people were told.
#[derive(Debug, Default)]
pub(in crate::fleet) struct Told {
    /// By whom, of each message of each host.
    by: BTreeMap<(HostId, MessageKey), &'static str>,
    /// The groups that the controller's outbox has, which outlives the controller.
    queued: BTreeSet<u64>,
    /// What was on its way when the controller was brought back from a copy may be told twice, or never.
    is_unsure: BTreeSet<(HostId, MessageKey)>,
    /// Of two hosts with one identity and one past, both may tell of it.
    cloned: BTreeSet<HostId>,
}

/// The controller as the one to whom messages are given on this link, when it knows of them.
pub(super) fn taker(session: u64, welcome: &Welcome) -> Option<Taker> {
    let (controller, host) = (Text::new(welcome.controller.to_string()), Text::new(welcome.host.to_string()));
    let member = Member { controller, host };
    (welcome.version >= MESSAGES_SINCE).then_some(Taker { member, session, tells: welcome.tells })
}

impl World {
    /// Notes what a host has told by itself.
    pub(super) fn host_has_told(&mut self, index: usize) -> Result<(), String> {
        let id = self.hosts[index].id;
        let keys = self.hosts[index].outbox.has_told();
        self.totals.told_by_hosts += keys.len() as u64;
        keys.into_iter().try_for_each(|key| self.is_told(id, key, "its host"))
    }

    /// The controller's outbox gets the message of a group: what it has had is not sent again.
    pub(super) fn is_told_for_hosts(&mut self, number: u64) -> Result<(), String> {
        let soon = Duration::from_millis(1 + self.random.below(500));
        self.after(soon, Event::Queued(number));
        if !self.told.queued.insert(number) {
            return Ok(());
        }
        let messages = self.controller.disk.messages.values();
        let members: Vec<_> =
            messages.filter(|message| message.group == Some(number)).map(|message| message.key()).collect();
        if members.is_empty() {
            return Err(format!("told_is_durable: group {number} is told, and nothing of it is on the disk"));
        }
        self.totals.told_by_controller += members.len() as u64;
        members.into_iter().try_for_each(|(host, key)| self.is_told(host, key, "the controller"))
    }

    fn is_told(&mut self, host: HostId, key: MessageKey, by: &'static str) -> Result<(), String> {
        let before = self.told.by.insert((host, key), by);
        let is_excused = self.told.cloned.contains(&host) || self.told.is_unsure.contains(&(host, key));
        match before {
            Some(before) if !is_excused => {
                Err(format!("told_once: {key:?} of {host} is told by {by}, and was told by {before}"))
            }
            _ => Ok(()),
        }
    }

    /// The controller forgets what it had since a copy was made.
    pub(in crate::fleet) fn messages_are_unsure(&mut self) {
        let all = self.hosts.iter().flat_map(|host| host.outbox.all.iter().map(|key| (host.id, *key)));
        self.told.is_unsure.extend(all);
    }

    /// A host has a clone.
    pub(in crate::fleet) fn messages_of_a_clone(&mut self, host: HostId) {
        self.told.cloned.insert(host);
    }

    /// Everything that there was to tell has been told.
    pub(in crate::fleet) fn everything_is_told(&self) -> Result<(), String> {
        for host in &self.hosts {
            let is_open = |key: &&MessageKey| {
                let of = (host.id, **key);
                !self.told.by.contains_key(&of) && !self.told.is_unsure.contains(&of)
            };
            if let Some(key) = host.outbox.all.iter().find(is_open).filter(|_| !self.told.cloned.contains(&host.id)) {
                let kept =
                    self.controller.disk.messages.get(&(host.id, *key)).map(|message| (message.at, message.group));
                let is_taken = self.controller.disk.taken.get(&host.id).is_some_and(|taken| taken.keys.contains(key));
                let (duty, link) = (host.outbox.standing(*key), host.link);
                return Err(format!(
                    "told_at_last: nobody has told {key:?} of {}: {duty}, {link:?}, kept {kept:?}, taken {is_taken}",
                    host.name
                ));
            }
        }
        Ok(())
    }
}
