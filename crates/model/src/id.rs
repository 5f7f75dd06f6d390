//! Names of things: what they may hold, how they are written, and nothing of what they name.

use alloc::{format, string::String, sync::Arc};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a piece of text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was written.
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    TooLong(usize),
    /// A character that no name may hold.
    Character(char),
    /// A target without `domain/`, or with a domain that does not exist.
    Domain(String),
    /// A check without `#`.
    Check(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name may not be empty"),
            Self::TooLong(bytes) => write!(f, "a name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}"),
            Self::Character(c) => write!(f, "a name may not hold {c:?}; letters, digits and :-_.\\@/+,=# are fine"),
            Self::Domain(text) => write!(f, "`{text}` is not of the form domain/name, as in service/nginx.service"),
            Self::Check(text) => {
                write!(f, "`{text}` is not of the form target#check, as in service/nginx.service#unit")
            }
        }
    }
}

impl core::error::Error for NameError {}

/// The most bytes of any name; systemd's own limit for a unit's name.
pub const NAME_BYTES_MAX: usize = 255;

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || ":-_.\\@/+,=#".contains(*c))) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes the name, or says why it is none.
            ///
            /// # Errors
            /// When it is empty, too long, or holds a character that names may not hold.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                check_name(text)?;
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                String::from(name.as_str())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a systemd unit with its suffix, as in `nginx.service`.
    UnitName,
    |text| if text.contains(['/', '#']) { Err(NameError::Character('/')) } else { Ok(()) }
);
name!(
    /// What is kept well, as `domain/name`: `service/nginx.service`, `disk//var`.
    TargetId,
    |text| match text.split_once('/') {
        Some((domain, name)) if crate::domain::DOMAINS.contains(&domain) && !name.is_empty() && !name.contains('#') => Ok(()),
        _ => Err(NameError::Domain(String::from(text))),
    }
);
name!(
    /// One way of looking at a target, as `target#check`: `service/nginx.service#http`.
    CheckId,
    |text| match text.split_once('#') {
        Some((target, check)) if !check.is_empty() => TargetId::new(target).map(drop),
        _ => Err(NameError::Check(String::from(text))),
    }
);
name!(
    /// The name of a rule.
    RuleId,
    |_| Ok(())
);
name!(
    /// The name of a runbook.
    RunbookId,
    |_| Ok(())
);
name!(
    /// The name of a rung within its runbook.
    RungId,
    |_| Ok(())
);
name!(
    /// The name of a policy.
    PolicyId,
    |_| Ok(())
);
name!(
    /// The name of a notification route.
    RouteId,
    |_| Ok(())
);

impl TargetId {
    /// The target of a domain with a name.
    ///
    /// # Errors
    /// As [`TargetId::new`].
    pub fn of(domain: &str, name: &str) -> Result<Self, NameError> {
        Self::new(format!("{domain}/{name}"))
    }

    /// The part before the first `/`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('/').map_or("", |(domain, _)| domain)
    }

    /// The part after the first `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl From<&TargetId> for RuleId {
    /// The rule that is named after what it heals; the two share the name.
    fn from(target: &TargetId) -> Self {
        Self(target.0.clone())
    }
}

impl From<&TargetId> for RunbookId {
    /// The runbook that is named after what it heals; the two share the name.
    fn from(target: &TargetId) -> Self {
        Self(target.0.clone())
    }
}

impl CheckId {
    /// The part before the `#`: its target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.0.split_once('#').map_or("", |(target, _)| target)
    }

    /// The check `name` of `target`.
    ///
    /// # Errors
    /// As [`CheckId::new`].
    pub fn of(target: &TargetId, name: &str) -> Result<Self, NameError> {
        Self::new(format!("{target}#{name}"))
    }

    /// The part after the `#`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('#').map_or("", |(_, name)| name)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            /// Reads the number with or without its letter.
            fn from_str(text: &str) -> Result<Self, NameError> {
                let digits = text.strip_prefix($letter).unwrap_or(text);
                digits.parse().map(Self).map_err(|_| NameError::Character(text.chars().next().unwrap_or(' ')))
            }
        }
    };
}

number!(
    /// An incident, counted from 1 on its host: `i7`.
    IncidentId,
    "i"
);
number!(
    /// One run of an action, counted from 1 on its host; with the host's boot it is the action's idempotency key: `r12`.
    RunId,
    "r"
);
number!(
    /// A restraint that somebody set at a controller, counted from 1 there: `f3`.
    RestraintId,
    "f"
);
number!(
    /// A permit that a controller gave, counted from 1 there: `p3`.
    PermitId,
    "p"
);

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn names_say_why_they_are_refused() {
        assert_eq!(TargetId::new("nginx"), Err(NameError::Domain("nginx".into())));
        assert_eq!(TargetId::new("servise/x"), Err(NameError::Domain("servise/x".into())));
        assert_eq!(UnitName::new("a b.service"), Err(NameError::Character(' ')));
        assert_eq!(UnitName::new(""), Err(NameError::Empty));
        assert!(CheckId::new("service/x").is_err());
        let check = CheckId::new("service/app@1.service#http").expect("valid");
        assert_eq!(check.name(), "http");
        assert_eq!("i7".parse::<IncidentId>(), Ok(IncidentId(7)));
        assert_eq!(IncidentId(7).to_string(), "i7");
    }
}
