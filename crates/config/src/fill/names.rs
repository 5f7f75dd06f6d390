//! Fields that hold a name, a condition, a reference to a secret or an address: what can be wrong in itself is said here.

use ansai_document::patterns::with_ending;
use ansai_document::{Node, text::cut, written::Written};
use ansai_model::{
    action::ProcessDeclaration,
    condition::Condition,
    id::{CheckId, PolicyId, RouteId, RunbookId, RungId, TargetId, UnitName},
    notify::{SecretRef, WebhookUrl},
    probe::CommandLine,
};

use super::{At, Held};
use ansai_keys::{Key, Kind};

macro_rules! name {
    ($($type:ty),*) => {$(
        impl Held for $type {
            fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
                let path = at.path();
                Self::new(node.text()?).map_err(|error| at.findings.name(node.place, &path, &error)).ok()
            }

            fn write(&self, _: &'static Key) -> Option<Written> {
                Some(Written::text(self))
            }
        }
    )*};
}
name!(CheckId, PolicyId, RouteId, RunbookId, RungId, TargetId);

/// Among several names of units a service needs no ending.
impl Held for UnitName {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        let made = match at.key.kind {
            Kind::Texts => Self::new(with_ending(text)),
            _ => Self::new(text),
        };
        let path = at.path();
        made.map_err(|error| at.findings.name(node.place, &path, &error)).ok()
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}

/// A declared process by its name alone; whoever knows what is declared puts the declaration in its place.
#[derive(Clone)]
pub(crate) struct Named(pub(crate) Box<ProcessDeclaration>);

impl Held for Named {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let start = CommandLine::new([""; 0]);
        Some(Self(Box::new(ProcessDeclaration { name: node.text()?.to_owned(), start, stop: None, pid_file: None })))
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(&self.0.name))
    }
}

impl Held for Condition {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        match ansai_condition::parse(text) {
            Ok(condition) => Some(condition),
            Err(wrong) => {
                let place = at.findings.within(node.place, text, wrong.offset, wrong.length);
                let path = at.path();
                at.findings.error(place, &path, wrong.message, wrong.suggestion);
                None
            }
        }
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(&self.source))
    }
}

const SECRET_HELP: &str = "put it into a file that only root can read, and write here file:/etc/ansai/NAME; env:NAME and credential:NAME are read as well";

/// How web addresses begin.
pub(crate) const WEB: [&str; 2] = ["http://", "https://"];

impl Held for SecretRef {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let found = Self::of(node.text()?);
        match &found {
            // The text itself is not repeated: it may be the secret.
            None => at.error(node.place, "a secret must not stand in the configuration", SECRET_HELP),
            Some(Self::File(path)) if !path.starts_with('/') => {
                let help = format!("write file:/…/{}", cut(path));
                at.error(node.place, "the file of a secret needs an absolute path", help);
            }
            Some(Self::Env(rest) | Self::Credential(rest)) if rest.is_empty() => {
                at.error(node.place, "this reference names no secret", "write env:NAME");
            }
            Some(_) => {}
        }
        found
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}

/// A web address, or a reference to one that is secret.
impl Held for WebhookUrl {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        if SecretRef::of(text).is_some() {
            return SecretRef::read(at, node, None).map(Self::Secret);
        }
        let rest = WEB.iter().find_map(|beginning| text.strip_prefix(beginning));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            at.error(node.place, "this is no web address", "write https://…, or a reference as file:/etc/ansai/NAME");
            return None;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            at.error(node.place, "a password must not stand in the configuration", SECRET_HELP);
            return None;
        }
        Some(Self::Plain(text.to_owned()))
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(match self {
            Self::Plain(url) => Written::text(url),
            Self::Secret(secret) => Written::text(secret),
        })
    }
}
