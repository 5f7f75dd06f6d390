//! The keys of routes: whom to tell, and in which way.

use std::time::Duration;

use ansai_document::{Node, written::Written};
use ansai_keys::{Key, Kind, Shape, Special, count, joined, key};
use ansai_model::{
    notify::{MailServer, SecretRef, Webhook, WebhookFormat},
    policy::Scope,
    probe::CommandLine,
    rule::Severity,
};

use super::{
    COUNT,
    shared::{COMMAND_LINE, SEVERITIES},
};
use crate::{
    fill::{At, Filled, Held, choice::ways, fills, shape, words::word},
    keys::shared::{ADDRESS, SECRET},
};

const OWN: [Key; count(Way::OWN)] = joined(Way::OWN);
const CHANNELS: &[&[Key]] = &[&OWN, RouteOptions::KEYS];

/// A route, for whoever has `notify:` in a file of their own.
pub static CHANNEL: Shape = Shape::of("A route", &joined::<{ count(CHANNELS) }>(CHANNELS))
    .beside("to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"");
static DIGEST: Shape = shape::<Digest>("A digest");

ways! {
    /// How a route tells people.
    Way { Mail: Mail::KEYS, Webhook: Webhook::KEYS, Program: Program::KEYS };
    wrong |several| match several {
        [] => "it does not say how to tell".to_owned(),
        several => format!("a route tells in one way; this one has {}", several.join(" and ")),
    };
    foreign |name, way, owners| {
        (format!("`{name}` says nothing about a route by `{way}`"), format!("it belongs to `{owners}`; delete it"))
    };
    names "smtp (with to), webhook, exec";
}

/// A way by mail.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) smtp: MailServer,
    pub(crate) to: Vec<String>,
    pub(crate) from: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretRef>,
    pub(crate) ca: Option<String>,
}

fills! {
    Mail {
        smtp: key("smtp", SERVER, "The mail server: smtp://, smtp+starttls:// or smtps://").example("smtps://mail.example.com"),
        to: key("to", Kind::Texts, "Who gets the mail").example("ops@example.com"),
        from: key("from", Kind::Text, "Its sender").otherwise("ansai@HOST"),
        user: key("user", Kind::Text, "The user of the mail server").beside("to: ops@example.com, smtp: \"smtps://mail.example.com\", user: ansai, password: file:/etc/ansai/smtp-password"),
        password: key("password", SECRET, "A reference to the user's password").example("file:/etc/ansai/smtp-password").beside("to: ops@example.com, smtp: \"smtps://mail.example.com\", user: ansai, password: file:/etc/ansai/smtp-password"),
        ca: key("ca", Kind::Path, "A certificate authority to trust besides the host's own, a PEM file").beside("to: ops@example.com, smtp: \"smtps://mail.example.com\""),
    }
}

fills! {
    Webhook {
        url: key("webhook", ADDRESS, "Where to post, or a reference to it").example("file:/etc/ansai/slack-address").beside(""),
        format: key("format", word::<WebhookFormat>(), "What the body looks like").default("generic").beside("webhook: \"https://hooks.example.com/ansai\""),
        secret: key("secret", SECRET, "A reference to the key that signs the body").example("credential:webhook").beside("webhook: \"https://hooks.example.com/ansai\""),
        headers: key("headers", Kind::Named(&Kind::Text), "Headers to send").example("{X-Team: ops}").beside("webhook: \"https://hooks.example.com/ansai\""),
    }
}

/// A way by a program.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) exec: CommandLine,
}

fills! {
    Program {
        exec: key("exec", COMMAND_LINE, "A command that reads the report from its standard input").example("[/usr/local/bin/tell]").beside(""),
    }
}

/// What a route wants, whichever way it takes.
#[derive(Clone)]
pub(crate) struct RouteOptions {
    pub(crate) scope: Scope,
    pub(crate) severity: Severity,
    pub(crate) healed: bool,
    pub(crate) fallback: Option<String>,
    pub(crate) digest: Digest,
}

fills! {
    RouteOptions {
        scope: key("scope", Kind::Texts, "Only about these targets, patterns with * and ?; all is every one")
            .otherwise("every target").example("[\"db*\"]"),
        severity: key("severity", SEVERITIES, "Only what is at least this urgent").default("week"),
        healed: key("healed", Kind::Truth, "Whether healed incidents are told as well").default("false"),
        fallback: key("fallback", Kind::Text, "The route that gets what this one could not deliver").example("hook").elsewhere("notify: {hook: {webhook: file:/etc/ansai/hook}}"),
        digest: key("digest", Kind::Shape(&DIGEST), "When messages are sent together"),
    }
}

/// When messages are sent together.
#[derive(Clone)]
pub(crate) struct Digest {
    pub(crate) after: u32,
    pub(crate) within: Duration,
}

fills! {
    Digest {
        after: key("after", COUNT, "Most single messages within the time").default("5"),
        within: key("within", Kind::Duration, "The time in which they are counted").default("1m"),
    }
}

/// Which targets a part is about: all of them when nothing is written, or `*`, or the word `all`.
impl Held for Scope {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let patterns: Vec<String> = Held::read(at, node, None)?;
        let is_all = |pattern: &String| pattern == "*" || pattern == "all";
        Some(if patterns.iter().any(is_all) { Self::All } else { Self::Matching(patterns) })
    }

    fn unwritten() -> Option<Self> {
        Some(Self::All)
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        match self {
            Self::All => key.needed.map(|_| Written::texts(["*"])),
            Self::Matching(patterns) => Some(Written::texts(patterns)),
        }
    }
}

/// How a mail server is written.
pub(crate) const SERVER: Kind = Kind::Special(&Special {
    expected: "a mail server",
    how: MailServer::HOW,
    example: "\"smtp://127.0.0.1:25\"",
    beginnings: || MailServer::beginnings().map(ToString::to_string).collect(),
    ..Special::TEXT
});

impl Held for MailServer {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        Self::of(node.text()?).map_err(|wrong| at.error(node.place, wrong.what, wrong.suggestion)).ok()
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}
