//! A trial of every route, because somebody asked: whether messages arrive is better learned before they matter. A test is
//! a message; whether a server can be reached is found out without one.
//!
//! It goes past the outbox: each route is tried once, by itself, and what came of it is the answer.

use std::{future::Future, sync::Arc, time::Duration};

use ansai_model::{
    notify::{Channel, Route, WebhookFormat},
    text::Text,
    time::{Shown, WallTime},
};
use ansai_notify::channel::Reach;
use ansai_notify::outbox::{Deliver, DeliverError, Message, Receipt, TestNotice};
use ansai_protocol::{Problem, RouteTrial, RouteTrials, SCHEMA};
use futures_util::future::join_all;
use hyper::StatusCode;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{answer, api::Reply};

/// Longest that a route may take; the one who asked waits for the answer.
const TRIAL_MAX: Duration = Duration::from_secs(25);

/// Longest that a server may take to be reached; `ansai doctor` tells what is amiss without keeping people waiting.
const REACH_MAX: Duration = Duration::from_secs(8);

/// Tries routes beside the agent's loop, one trial at a time.
pub(crate) struct Trials<D> {
    deliver: Arc<D>,
    place: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl<D: Deliver + Reach + 'static> Trials<D> {
    pub(crate) fn new(deliver: Arc<D>, tasks: TaskTracker) -> Self {
        Self { deliver, place: Arc::new(Semaphore::new(1)), tasks }
    }

    /// Sends a test on each route and answers when all have ended.
    pub(crate) fn begin(&self, routes: Vec<Route>, by: Text, at: WallTime, reply: oneshot::Sender<Reply>) {
        let deliver = self.deliver.clone();
        self.all(routes, TRIAL_MAX, reply, move |route| {
            let (deliver, by) = (deliver.clone(), by.clone());
            async move { tested(&*deliver, &route, by, at).await }
        });
    }

    /// Goes to the server of each route without a message, and answers when all have ended. Whether a program can be run is
    /// among the agent's abilities, which are tried as such.
    pub(crate) fn reach(&self, mut routes: Vec<Route>, reply: oneshot::Sender<Reply>) {
        routes.retain(|route| !matches!(route.channel, Channel::Exec(_)));
        let deliver = self.deliver.clone();
        self.all(routes, REACH_MAX, reply, move |route| {
            let deliver = deliver.clone();
            async move { deliver.reach(&route).await.err() }
        });
    }

    /// Tries all routes at once, and answers why each failed.
    fn all<F>(
        &self,
        routes: Vec<Route>,
        longest: Duration,
        reply: oneshot::Sender<Reply>,
        trial: impl Fn(Route) -> F + Send + 'static,
    ) where
        F: Future<Output = Option<String>> + Send,
    {
        let Ok(place) = self.place.clone().try_acquire_owned() else {
            let problem = Problem::new("the routes are being tried already", "try again in half a minute");
            // Whoever asked may have gone.
            let _ = reply.send(Err((StatusCode::CONFLICT, problem)));
            return;
        };
        self.tasks.spawn(async move {
            let trials = routes.into_iter().map(|route| in_time(route.clone(), longest, trial(route)));
            let routes = join_all(trials).await;
            let _ = reply.send(answer::json(&RouteTrials { schema: SCHEMA, routes }));
            drop(place);
        });
    }
}

async fn tested<D: Deliver>(deliver: &D, route: &Route, by: Text, at: WallTime) -> Option<String> {
    let message = Message::Test(TestNotice { at, by, route: route.id.clone() });
    match deliver.deliver(route, &message, &[]).await {
        Ok(receipt) => refusals(&receipt),
        Err(DeliverError::Later(why) | DeliverError::Never(why)) => Some(why),
    }
}

async fn in_time(route: Route, longest: Duration, trial: impl Future<Output = Option<String>>) -> RouteTrial {
    let begun = Instant::now();
    let error = match tokio::time::timeout(longest, trial).await {
        Ok(error) => error,
        Err(_) => Some(format!("no end after {}", Shown(longest))),
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    RouteTrial { route: route.id.clone(), way: way(&route.channel), took_ms, error }
}

/// Who did not get the test, and why.
fn refusals(receipt: &Receipt) -> Option<String> {
    let all = receipt.refused.iter().chain(&receipt.waiting);
    let said: Vec<String> = all.map(|(who, why)| format!("{who} did not get it: {why}")).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// How a route tells, in words; the address of a web hook is left out, for it may be a secret.
fn way(channel: &Channel) -> String {
    match channel {
        Channel::Email(email) => format!("mail to {} through {}:{}", email.to.join(", "), email.host, email.port),
        Channel::Webhook(webhook) => match webhook.format {
            WebhookFormat::Generic => "web hook".to_owned(),
            WebhookFormat::Slack => "web hook of Slack".to_owned(),
            WebhookFormat::Discord => "web hook of Discord".to_owned(),
        },
        Channel::Exec(command) => format!("command {}", command.argv.first().map_or("", String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use ansai_model::{
        id::RouteId,
        notify::{Webhook, WebhookUrl},
        policy::Scope,
        probe::CommandLine,
        rule::Severity,
    };

    use super::*;

    /// Delivers to `good`, refuses `bad`, and never ends on any other route.
    #[derive(Default)]
    struct Scripted(Mutex<Vec<Message>>);

    impl Deliver for Scripted {
        async fn deliver(&self, route: &Route, message: &Message, _: &[String]) -> Result<Receipt, DeliverError> {
            self.0.lock().unwrap().push(message.clone());
            match route.id.as_str() {
                "good" => Ok(Receipt::default()),
                "bad" => Err(DeliverError::Never("HTTP 403: no".into())),
                _ => std::future::pending().await,
            }
        }
    }

    impl Reach for Scripted {
        async fn reach(&self, route: &Route) -> Result<(), String> {
            match route.id.as_str() {
                "good" => Ok(()),
                "bad" => Err("connection refused".into()),
                _ => std::future::pending().await,
            }
        }
    }

    fn hook(name: &str) -> Route {
        let url = WebhookUrl::Plain("https://hooks.example.com/secret".into());
        let hook = Webhook { url, format: WebhookFormat::Generic, secret: None, headers: BTreeMap::new() };
        Route { channel: Channel::Webhook(hook), ..route(name) }
    }

    fn route(name: &str) -> Route {
        Route {
            id: RouteId::new(name).unwrap(),
            channel: Channel::Exec(CommandLine::new(["/usr/bin/tell", "secret"])),
            scope: Scope::All,
            severity_min: Severity::Week,
            tell_healed: false,
            fallback: None,
            digest_window: Duration::ZERO,
            digest_after: 5,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_route_is_tried_once_and_a_second_trial_waits_for_the_first() {
        let trials = Trials::new(Arc::new(Scripted::default()), TaskTracker::new());
        let (first, answer) = oneshot::channel();
        let routes = ["good", "bad", "mute"].map(route);
        trials.begin(routes.to_vec(), "root".into(), WallTime(7), first);
        let (second, refused) = oneshot::channel();
        trials.begin(routes.to_vec(), "root".into(), WallTime(7), second);
        assert_eq!(refused.await.unwrap().unwrap_err().0, StatusCode::CONFLICT);
        let sent: RouteTrials = serde_json::from_value(answer.await.unwrap().unwrap()).unwrap();
        let seen: Vec<_> = sent.routes.iter().map(|trial| (trial.route.as_str(), trial.error.as_deref())).collect();
        assert_eq!(seen, [("good", None), ("bad", Some("HTTP 403: no")), ("mute", Some("no end after 25s"))]);
        assert_eq!(sent.routes[0].way, "command /usr/bin/tell");
        assert_eq!(trials.deliver.0.lock().unwrap().len(), 3);
        let (third, answer) = oneshot::channel();
        trials.begin(vec![route("good")], "root".into(), WallTime(9), third);
        assert!(answer.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn servers_are_reached_without_a_message_and_a_program_has_none() {
        let trials = Trials::new(Arc::new(Scripted::default()), TaskTracker::new());
        let (reply, answer) = oneshot::channel();
        let routes = vec![hook("good"), hook("bad"), hook("mute"), route("program")];
        trials.reach(routes, reply);
        let tried: RouteTrials = serde_json::from_value(answer.await.unwrap().unwrap()).unwrap();
        let seen: Vec<_> = tried.routes.iter().map(|trial| (trial.route.as_str(), trial.error.as_deref())).collect();
        assert_eq!(seen, [("good", None), ("bad", Some("connection refused")), ("mute", Some("no end after 8s"))]);
        assert!(trials.deliver.0.lock().unwrap().is_empty(), "nothing is sent");
    }
}
