//! Whom to tell, how, and what a secret is called. Sending is the agent's.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    id::RouteId, message::Hosts, policy::Scope, probe::CommandLine, report::Report, rule::Severity, time::Now,
};

/// A reference to a secret; the secret itself is never part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// The first line of a file.
    File(String),
    /// An environment variable of the agent.
    Env(String),
    /// A systemd credential (`LoadCredential=`).
    Credential(String),
}

/// How the text of a reference begins, and what makes one of the rest.
type Written = (&'static str, fn(String) -> SecretRef);

impl SecretRef {
    /// How the text of each begins, and what it is.
    const WRITTEN: [Written; 3] = [("file:", Self::File), ("env:", Self::Env), ("credential:", Self::Credential)];

    /// How the text of one may begin.
    pub fn beginnings() -> impl Iterator<Item = &'static str> {
        Self::WRITTEN.iter().map(|(beginning, _)| *beginning)
    }

    /// The reference that a text is, as it is written with `Display`; nothing when it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::WRITTEN.iter().find_map(|(beginning, made)| Some(made(text.strip_prefix(beginning)?.into())))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{path}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

/// A way to tell people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The route, by its name.
    pub id: RouteId,
    /// The way by which the message goes.
    pub channel: Channel,
    /// Only about these targets.
    pub scope: Scope,
    /// Only what is at least this urgent (healed incidents have the severity of their rule).
    pub severity_min: Severity,
    /// Whether healed incidents are told as well; they are told anyway when there are too many.
    pub tell_healed: bool,
    /// Where messages go that this route could not deliver.
    pub fallback: Option<RouteId>,
    /// Messages within this time are sent as one when there are more than `digest_after`.
    pub digest_window: Duration,
    /// Most single messages within the digest window.
    pub digest_after: u32,
}

/// How people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// By mail.
    Email(Email),
    /// By an HTTP POST.
    Webhook(Webhook),
    /// By a command that reads the report as JSON from its standard input.
    Exec(CommandLine),
}

/// A mailbox and the server that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// Recipients; never empty.
    pub to: Vec<String>,
    /// Sender; `ansai@HOST` when absent.
    pub from: Option<String>,
    /// Server.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// User, when the server wants one.
    pub user: Option<String>,
    /// Password, when the server wants one.
    pub password: Option<SecretRef>,
    /// A certificate authority to trust besides the host's own (PEM file).
    pub ca_file: Option<String>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmtpSecurity {
    /// Not at all (`smtp://`); allowed without a password only.
    None,
    /// STARTTLS, required (`smtp+starttls://`).
    Starttls,
    /// TLS from the first byte (`smtps://`).
    Tls,
}

/// A mail server as it is written, as `smtps://mail.example.com:465`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What is wrong with the text of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMailServer {
    /// What it is.
    pub what: String,
    /// What to write.
    pub suggestion: &'static str,
}

impl MailServer {
    /// How one is written.
    pub const HOW: &'static str = "write smtp://HOST, smtp+starttls://HOST or smtps://HOST";

    /// The schemes, each with its usual port.
    const SCHEMES: [(SmtpSecurity, &'static str, u16); 3] = [
        (SmtpSecurity::None, "smtp://", 25),
        (SmtpSecurity::Starttls, "smtp+starttls://", 587),
        (SmtpSecurity::Tls, "smtps://", 465),
    ];

    /// How the text of one may begin.
    pub fn beginnings() -> impl Iterator<Item = &'static str> {
        Self::SCHEMES.iter().map(|(_, scheme, _)| *scheme)
    }

    /// The server that a text names.
    ///
    /// # Errors
    /// When it names none, or holds a user, who belongs elsewhere.
    pub fn of(text: &str) -> Result<Self, NoMailServer> {
        let wrong = |what: &str, suggestion| NoMailServer { what: what.to_string(), suggestion };
        // What is shown of it is short.
        let cut = |text: &str| text.chars().take(60).collect::<String>();
        let found = Self::SCHEMES
            .iter()
            .find_map(|(security, scheme, port)| Some((*security, *port, text.strip_prefix(scheme)?)));
        let Some((security, usual, rest)) = found else {
            return Err(wrong(&format!("`{}` is no mail server", cut(text)), Self::HOW));
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains('@') {
            let suggestion = "write user: NAME and password: file:/etc/ansai/NAME beside smtp";
            return Err(wrong("user and password must not stand in the address of the server", suggestion));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let number = port.parse::<u16>().ok().filter(|port| *port != 0);
                let no_port = || wrong(&format!("`{}` is no port", cut(port)), "write a number from 1 to 65535");
                (host, number.ok_or_else(no_port)?)
            }
            Some(_) | None => (rest, usual),
        };
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(wrong("the mail server has no name", "write smtp://HOST:PORT"));
        }
        Ok(Self { security, host: host.to_string(), port })
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::SCHEMES.iter().find(|(security, ..)| *security == self.security);
        write!(f, "{}{}:{}", found.map_or("", |(_, scheme, _)| *scheme), self.host, self.port)
    }
}

/// A web hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to post, when the address is no secret.
    pub url: WebhookUrl,
    /// What the body looks like.
    pub format: WebhookFormat,
    /// Signs the body: HMAC-SHA256 in the header `X-Ansai-Signature`.
    pub secret: Option<SecretRef>,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
}

/// The address of a web hook; many services put a secret into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookUrl {
    /// Written out.
    Plain(String),
    /// By reference.
    Secret(SecretRef),
}

/// What the body of a web hook looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFormat {
    /// The report as JSON.
    Generic,
    /// Slack's blocks.
    Slack,
    /// Discord's embeds.
    Discord,
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A person must see to it.
    Escalated,
    /// What was escalated has recovered.
    Recovered,
    /// What was escalated is no longer what it was told as, and is not well for that: it fails now, or nobody can say.
    Withdrawn,
    /// It was healed.
    Healed,
    /// It is healed too often.
    HealedTooOften,
    /// What would be done, under autonomy `suggest`.
    Suggested,
    /// It waits for `ansai approve`.
    ApprovalWanted,
    /// Nothing is broken yet, and something will be done before it is.
    Foreseen,
}

impl NoticeKind {
    /// Whether it asks a person to act.
    #[must_use]
    pub fn asks(self) -> bool {
        matches!(self, Self::Escalated | Self::ApprovalWanted | Self::Suggested)
    }

    /// Whether it is told even when nobody asked for healed incidents.
    #[must_use]
    pub fn is_loud(self) -> bool {
        !matches!(self, Self::Healed)
    }
}

/// A message to people, before routes are chosen; a route takes it when its scope, severity and wishes agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// When it was decided.
    pub at: Now,
    /// The occasion of the message.
    pub kind: NoticeKind,
    /// The routes that take it.
    pub routes: Vec<RouteId>,
    /// About what.
    pub report: Report,
    /// The hosts that it is about, when it is not the one that tells it: a controller tells for many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Hosts>,
}
