//! Telling people: what is said, and by which channel it leaves the host. When it is said is the outbox's.

use std::{future::Future, sync::Arc, time::Duration};

use ansai_files::unnumbered;
use ansai_host::linux::{
    aside::{self, Kind, Work},
    redact::Redactor,
};
use ansai_model::notify::{Channel, Route};
use jiff::tz::TimeZone;

use crate::{
    outbox::{Deliver, DeliverError, Message, Receipt},
    secrets::{Resolver, SecretError},
};

pub mod email;
pub mod exec;
pub mod http;
pub mod payload;
pub mod render;
pub mod webhook;

use http::{HttpClient, HyperClient};
use render::RenderOptions;

/// Finds out whether messages could leave the host, without one.
pub trait Reach: Send + Sync {
    /// Goes as far as one can without a message; an error says in words how far that was.
    fn reach(&self, route: &Route) -> impl Future<Output = Result<(), String>> + Send;
}

/// Longest wait for the file of the host's time zone.
const ZONE_MAX: Duration = Duration::from_secs(1);

/// Says which time zone the host has at this moment; it may read a file.
pub type Zones = Arc<dyn Fn() -> TimeZone + Send + Sync>;

/// Sends messages by mail, web hook and command.
#[derive(Clone)]
pub struct Notifier<H> {
    render: RenderOptions,
    zones: Zones,
    secrets: Resolver,
    http: Arc<H>,
    redactor: Redactor,
}

impl<H: HttpClient> Notifier<H> {
    /// A notifier that speaks for `host`, with times in the zone that it has when a message leaves.
    #[must_use]
    pub fn new(host: impl Into<String>, zones: Zones, secrets: Resolver, http: Arc<H>) -> Self {
        let render = RenderOptions::new(host, zones());
        Self { render, zones, secrets, http, redactor: Redactor::new(&[]) }
    }

    /// How a message is rendered that leaves now. Where the zone cannot be read in time, it is the one of the beginning.
    async fn rendering(&self) -> RenderOptions {
        let (work, zones) = (Work::new(Kind::Own, "the time zone"), Arc::clone(&self.zones));
        let zone = aside::run(work, ZONE_MAX, move || zones()).await;
        let time_zone = zone.unwrap_or_else(|_| self.render.time_zone.clone());
        RenderOptions { time_zone, ..self.render.clone() }
    }

    /// Takes what looks like a secret, by these words of the configuration as well, out of what others answer: a server, a
    /// hook and a command say in their errors what they were given.
    #[must_use]
    pub fn redacting(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Speaks for the host and not for its user, though it does not run as root: commands in messages are the system's then.
    #[must_use]
    pub fn for_system(mut self) -> Self {
        self.render.is_of_user = false;
        self
    }

    async fn send(&self, route: &Route, message: &Message, done: &[String]) -> Result<Receipt, DeliverError> {
        let render = self.rendering().await;
        let render = if let Message::One(notice) = message { render.about(notice) } else { render };
        let delivered = match &route.channel {
            Channel::Email(email) => return email::send(email, message, &render, &self.secrets, done).await,
            Channel::Webhook(webhook) => webhook::send(webhook, message, &render, &self.secrets, &*self.http).await,
            Channel::Exec(command) => exec::send(command, message, &render, &self.redactor).await,
        };
        delivered.map(|()| Receipt::default())
    }
}

impl<H: HttpClient> Deliver for Notifier<H> {
    async fn deliver(&self, route: &Route, message: &Message, done: &[String]) -> Result<Receipt, DeliverError> {
        let clean = |text: String| self.redactor.redact(&text);
        let all = |who: Vec<(String, String)>| who.into_iter().map(|(who, why)| (who, clean(why))).collect();
        match self.send(route, message, done).await {
            Ok(Receipt { served, refused, waiting }) => {
                Ok(Receipt { served, refused: all(refused), waiting: all(waiting) })
            }
            Err(DeliverError::Later(why)) => Err(DeliverError::Later(clean(why))),
            Err(DeliverError::Never(why)) => Err(DeliverError::Never(clean(why))),
        }
    }
}

impl Reach for Notifier<HyperClient> {
    async fn reach(&self, route: &Route) -> Result<(), String> {
        let reached = match &route.channel {
            Channel::Email(email) => email::reach(email, &self.render, &self.secrets).await,
            Channel::Webhook(webhook) => webhook::reach(webhook, &self.secrets, &self.http).await,
            Channel::Exec(_) => Ok(()),
        };
        reached.map_err(|error| match error {
            DeliverError::Later(why) | DeliverError::Never(why) => self.redactor.redact(&why),
        })
    }
}

impl From<SecretError> for DeliverError {
    /// A secret that is not there now may be put there.
    fn from(error: SecretError) -> Self {
        Self::Later(chain(&error))
    }
}

/// An error with all its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = unnumbered(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = unnumbered(&cause.to_string());
        // Some libraries repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    render::one_line(&text, 1000)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI8, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_message_has_the_time_zone_that_the_host_has_when_it_leaves() {
        let hours = Arc::new(AtomicI8::new(0));
        let now = Arc::clone(&hours);
        let zones: Zones = Arc::new(move || TimeZone::fixed(jiff::tz::offset(now.load(Ordering::Relaxed))));
        let notifier = Notifier::new("web1", zones, Resolver::default(), Arc::new(HyperClient::new()));
        for moved in [0, 2, -5] {
            hours.store(moved, Ordering::Relaxed);
            assert_eq!(notifier.rendering().await.time_zone, TimeZone::fixed(jiff::tz::offset(moved)));
        }
    }

    #[test]
    fn why_something_was_not_told_is_in_words_without_numbers_of_the_system() {
        assert_eq!(chain(&std::io::Error::from_raw_os_error(111)), "Connection refused");
    }
}
