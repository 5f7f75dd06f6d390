//! The keys of routes: whom to tell, and in which way.

use std::time::Duration;

use ansai_document::{Node, text::cut, written::Written};
use ansai_keys::{Key, Kind, Shape, Special, count, joined, key};
use ansai_model::{
    notify::{SecretRef, SmtpSecurity, Webhook, WebhookFormat},
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

pub(super) static CHANNEL: Shape = Shape::of("A route", &joined::<{ count(CHANNELS) }>(CHANNELS))
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
    pub(crate) smtp: Server,
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

/// A mail server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) security: SmtpSecurity,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// How a mail server is written.
pub(crate) const SERVER: Kind = Kind::Special(&Special {
    expected: "a mail server",
    how: "write smtp://HOST, smtp+starttls://HOST or smtps://HOST",
    example: "\"smtp://127.0.0.1:25\"",
    beginnings: || SCHEMES.iter().map(|(_, scheme, _)| (*scheme).to_owned()).collect(),
    ..Special::TEXT
});

/// The schemes of mail servers, each with its usual port.
const SCHEMES: [(SmtpSecurity, &str, u16); 3] = [
    (SmtpSecurity::None, "smtp://", 25),
    (SmtpSecurity::Starttls, "smtp+starttls://", 587),
    (SmtpSecurity::Tls, "smtps://", 465),
];

impl Held for Server {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        let found =
            SCHEMES.iter().find_map(|(security, scheme, port)| Some((*security, *port, text.strip_prefix(scheme)?)));
        let Some((security, usual, rest)) = found else {
            let help = "write smtp://HOST, smtp+starttls://HOST or smtps://HOST";
            at.error(node.place, format!("`{}` is no mail server", cut(text)), help);
            return None;
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains('@') {
            let help = "write user: NAME and password: file:/etc/ansai/NAME beside smtp";
            at.error(node.place, "user and password must not stand in the address of the server", help);
            return None;
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => match port.parse() {
                Ok(port) if port != 0 => (host, port),
                _ => {
                    at.error(node.place, format!("`{}` is no port", cut(port)), "write a number from 1 to 65535");
                    return None;
                }
            },
            Some(_) | None => (rest, usual),
        };
        if host.is_empty() || host.contains(['/', ' ']) {
            at.error(node.place, "the mail server has no name", "write smtp://HOST:PORT");
            return None;
        }
        Some(Self { security, host: host.to_owned(), port })
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        let found = SCHEMES.iter().find(|(security, ..)| *security == self.security);
        found.map(|(_, scheme, _)| Written::Text(format!("{scheme}{}:{}", self.host, self.port)))
    }
}
