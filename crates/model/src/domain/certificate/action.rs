//! What is done about a certificate: renewed, put in place, put back, revoked. Doing it is `host::linux::domain::certificate`'s.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Endpoint, Trust};
use crate::{
    action::Disruption,
    domain::{Deed, certificate::Expectation},
    id::UnitName,
    probe::CommandLine,
    text::Text,
};

/// Something that is done about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateAction {
    /// Get a new one from its issuer. Nothing that is in use is touched when the issuer is asked by ACME: the new one
    /// waits until it is deployed.
    Renew(Renewal),
    /// Put the new one, or the one in the declared file, wherever it is used, validate, and reload who uses it. What
    /// was there is kept, and is put back at once when a validator or a reload says no.
    Deploy(Deployment),
    /// Put back what the last deployment and renewal replaced, and reload who uses it.
    PutBack(PutBack),
    /// Have the issuer revoke the certificate that was replaced last.
    Revoke(Revocation),
    /// All of it at once, because an operator asks: renewed, put in place, seen on every server (and put back when it is
    /// not), and the one before revoked when that is asked for too.
    Replace(Box<Replacement>),
}

/// A certificate file with the file of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Absolute path of the certificate with its chain (PEM).
    pub certificate: String,
    /// Absolute path of the key; in the certificate's file when absent.
    pub key: Option<String>,
}

/// A renewal: of what, by whom, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The certificate's name among the declared ones.
    pub name: String,
    /// What is renewed: judged before, so that nothing is renewed that need not be.
    pub current: Pair,
    /// What the new one must be.
    pub expect: Expectation,
    /// Who renews it.
    pub by: Renewer,
    /// The occasion of the renewal.
    pub reason: RenewalReason,
}

/// Why a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RenewalReason {
    /// Because it is due; one that is not is left alone.
    #[default]
    Due,
    /// Because an operator asked.
    Asked,
}

/// Who renews a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewer {
    /// `certbot renew`, which writes the files itself.
    Certbot {
        /// Its name of the certificate (`--cert-name`).
        lineage: String,
    },
    /// A command that writes the files itself.
    Exec(CommandLine),
    /// An ACME issuer, asked by ansai itself.
    Acme(AcmeIssuer),
}

/// An issuer that speaks ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeIssuer {
    /// The address of its directory, `https://…`.
    pub directory: String,
    /// Mail addresses for the account; may be empty.
    pub contacts: Vec<String>,
    /// Whose word the issuer's own HTTPS is taken on.
    pub trust: Trust,
    /// How it is shown that the names are ours.
    pub solver: Solver,
}

/// How it is shown to an issuer that a name is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// HTTP-01: files below `.well-known/acme-challenge/` of a directory that a web server serves on port 80.
    Webroot {
        /// The directory, absolute.
        path: String,
    },
    /// HTTP-01: ansai answers itself, for as long as it takes.
    Listen {
        /// Where, as `0.0.0.0:80`.
        address: String,
    },
    /// DNS-01: a command sets the record; wildcards need it. It finds what to do in its environment:
    /// `ANSAI_ACME_RECORD`, `ANSAI_ACME_VALUE` and `ANSAI_ACME_NAME`.
    Hook {
        /// Sets the TXT record.
        set: CommandLine,
        /// Removes it.
        clear: Option<CommandLine>,
        /// How long the record takes to be seen everywhere.
        wait: Duration,
    },
}

/// A place where a certificate is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Absolute path of the certificate with its chain.
    pub certificate: String,
    /// Where its key goes.
    pub key: KeyPlace,
    /// Owning user; as it is now, or root.
    pub owner: Option<String>,
    /// Owning group; as it is now, or root.
    pub group: Option<String>,
    /// Permission bits; as they are now, or 0644 for a certificate and 0600 for a key. A key is never for all to read.
    pub mode: Option<u32>,
}

/// Where the key of a deployed certificate goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPlace {
    /// Into a file of its own.
    Apart(String),
    /// Behind the certificate in the same file, as HAProxy wants it.
    Inside,
    /// Nowhere: who uses this only verifies.
    Nowhere,
}

/// Putting a certificate wherever it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The certificate's name among the declared ones.
    pub name: String,
    /// The declared file: the first place of a new one, and the source of the copies otherwise.
    pub source: Place,
    /// Where it is put as well.
    pub copies: Vec<Place>,
    /// Asked before anything is reloaded, as `nginx -t`.
    pub validators: Vec<CommandLine>,
    /// Who uses it; reloaded when something changed.
    pub units: Vec<UnitName>,
}

/// Putting back what was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// The certificate's name among the declared ones.
    pub name: String,
    /// Who uses it; reloaded afterwards.
    pub units: Vec<UnitName>,
}

/// Replacing a certificate everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Who renews it.
    pub renewal: Renewal,
    /// Where it goes.
    pub deployment: Deployment,
    /// Who must show it afterwards.
    pub endpoints: Vec<Endpoint>,
    /// Whether the one before is revoked once the new one is shown.
    pub revokes: bool,
}

/// Having a certificate revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The certificate's name among the declared ones.
    pub name: String,
    /// Who issued it.
    pub by: Renewer,
}

impl Renewer {
    /// Who it is, in words.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Certbot { lineage } => format!("certbot ({lineage})"),
            Self::Exec(command) => format!("`{}`", command.shown()),
            Self::Acme(issuer) => format!("ACME at {}", issuer.directory),
        }
    }
}

impl Deed for CertificateAction {
    /// What it disrupts.
    fn disruption(&self) -> Disruption {
        match self {
            Self::Renew(_) | Self::Revoke(_) => Disruption::None,
            Self::Deploy(_) | Self::PutBack(_) | Self::Replace(_) => Disruption::Brief,
        }
    }

    /// Whether doing it twice is the same as doing it once: a renewed certificate that waits for its deployment is not
    /// renewed again, and what is in place is not put there again.
    fn is_idempotent(&self) -> bool {
        match self {
            Self::Renew(renewal) => renewal.reason == RenewalReason::Due,
            Self::Deploy(_) | Self::PutBack(_) | Self::Revoke(_) => true,
            // Each time the issuer would be asked for another one.
            Self::Replace(_) => false,
        }
    }

    /// What it does, in words that continue "ansai will …".
    fn describe(&self) -> Text {
        let reloaded = |units: &[UnitName]| match units {
            [] => String::new(),
            units => {
                let names: Vec<&str> = units.iter().map(UnitName::as_str).collect();
                format!(" and reload {}", names.join(", "))
            }
        };
        Text::new(match self {
            Self::Renew(renewal) => format!("renew the certificate {} by {}", renewal.name, renewal.by.shown()),
            Self::Deploy(deployment) => {
                let places = match deployment.copies.len() {
                    0 => String::from("in place"),
                    copies => format!("in {} places", copies + 1),
                };
                format!("put the certificate {} {places}{}", deployment.name, reloaded(&deployment.units))
            }
            Self::PutBack(put_back) => {
                format!("put the earlier certificate {} back{}", put_back.name, reloaded(&put_back.units))
            }
            Self::Revoke(revocation) => {
                format!("have the replaced certificate {} revoked by {}", revocation.name, revocation.by.shown())
            }
            Self::Replace(replacement) => {
                let revoked = if replacement.revokes { ", and have the one before revoked" } else { "" };
                let (name, places) = (&replacement.renewal.name, replacement.deployment.copies.len() + 1);
                let by = replacement.renewal.by.shown();
                let units = reloaded(&replacement.deployment.units);
                format!("replace the certificate {name} in every place ({places}) by {by}{units}{revoked}")
            }
        })
    }

    fn commands(&self) -> Vec<&CommandLine> {
        match self {
            Self::Renew(renewal) => renewal.by.commands(),
            Self::Revoke(revocation) => revocation.by.commands(),
            Self::Deploy(deployment) => deployment.validators.iter().collect(),
            Self::PutBack(_) => Vec::new(),
            Self::Replace(replacement) => {
                let renewer = replacement.renewal.by.commands().into_iter();
                renewer.chain(&replacement.deployment.validators).collect()
            }
        }
    }
}

impl CertificateAction {
    /// The certificate's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Renew(renewal) => &renewal.name,
            Self::Deploy(deployment) => &deployment.name,
            Self::PutBack(put_back) => &put_back.name,
            Self::Revoke(revocation) => &revocation.name,
            Self::Replace(replacement) => &replacement.renewal.name,
        }
    }
}

impl Renewer {
    fn commands(&self) -> Vec<&CommandLine> {
        match self {
            Self::Exec(command) => Vec::from([command]),
            Self::Certbot { .. } => Vec::new(),
            Self::Acme(issuer) => match &issuer.solver {
                Solver::Hook { set, clear, .. } => core::iter::once(set).chain(clear).collect(),
                Solver::Webroot { .. } | Solver::Listen { .. } => Vec::new(),
            },
        }
    }
}
