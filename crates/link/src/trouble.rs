//! What can go wrong between a host and its controller, in words for whoever reads a log or a terminal, with what to do.

use std::{fmt, io, time::Duration};

use ansai_model::{
    text::Text,
    time::{Shown, WallTime},
};
use ansai_protocol::link::{Fingerprint, NoMessage};
use rustls::{AlertDescription, CertificateError, pki_types::UnixTime};
use thiserror::Error;

/// At whose certificate something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the other side.
    Theirs,
    /// Our own, as the other side sees it.
    Ours,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Theirs => "the certificate of the other side",
            Self::Ours => "our certificate",
        })
    }
}

/// Why there is no link, or none any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// What was written is no address.
    #[error("`{0}` is no address of a controller")]
    NoAddress(String),
    /// The name could not be resolved.
    #[error("the name {name} cannot be resolved: {why}")]
    NoName {
        /// The name.
        name: String,
        /// What the resolver said.
        why: String,
    },
    /// Nobody took the connection.
    #[error("{at} cannot be reached: {why}")]
    Unreachable {
        /// Where, as host and port.
        at: String,
        /// What the system said.
        why: String,
    },
    /// The proxy did not let us through.
    #[error("the proxy {proxy} does not connect us: {why}")]
    Proxy {
        /// Where it is.
        proxy: String,
        /// What it said.
        why: String,
    },
    /// What answers speaks something else, or no TLS at all.
    #[error("what answers there is no ansai controller: {0}")]
    NoController(String),
    /// The chain that was shown leads to another CA than the token names.
    #[error("the controller's certificate does not come from the CA {} that the token names", .wanted.short())]
    OtherAuthority {
        /// What the token names.
        wanted: Fingerprint,
    },
    /// A certificate comes from a CA that is not trusted.
    #[error("{0} does not come from a CA that is trusted")]
    Untrusted(Whose),
    /// A certificate is somebody else's than it should be.
    #[error("the certificate that was shown is somebody else's")]
    SomebodyElse,
    /// A certificate is not valid at this moment.
    #[error("{whose} is not valid now{}", window(*.now, *.from, *.until))]
    Time {
        /// Whose it is.
        whose: Whose,
        /// Our clock.
        now: Option<WallTime>,
        /// From when on it is valid, when it is not yet.
        from: Option<WallTime>,
        /// Until when it was, when it is no longer.
        until: Option<WallTime>,
    },
    /// The other side ended the handshake or the stream with an alert.
    #[error("the other side refuses the connection: {0}")]
    Refused(String),
    /// The other side closed the link, and said why.
    #[error("{why}")]
    Closing {
        /// Why.
        why: Text,
        /// What to do.
        suggestion: Text,
        /// How long to stay away.
        again_after: Option<Duration>,
        /// Whether we are no member any more.
        is_removed: bool,
    },
    /// No version of the link is spoken by both.
    #[error("the other side speaks versions {oldest} to {newest} of the link, and we speak none of them")]
    Version {
        /// Its oldest.
        oldest: u32,
        /// Its newest.
        newest: u32,
    },
    /// The stream ended.
    #[error("the other side closed the connection")]
    Ended,
    /// Nothing came.
    #[error("nothing was heard of the other side for {}", Shown(*.0))]
    Silent(Duration),
    /// Nothing was taken.
    #[error("the other side took nothing for {}", Shown(*.0))]
    Stalled(Duration),
    /// A frame is longer than any message.
    #[error("a message has more than {0} bytes")]
    TooLarge(usize),
    /// A frame is no message, or one that is not expected now.
    #[error("a message was not understood: {0}")]
    NoMessage(String),
    /// The system failed us.
    #[error("the connection failed: {0}")]
    Io(String),
    /// Something of our own cannot be used.
    #[error("{0}")]
    Settings(String),
}

fn window(now: Option<WallTime>, from: Option<WallTime>, until: Option<WallTime>) -> String {
    let Some(now) = now else { return String::new() };
    let off = match (from, until) {
        (Some(from), _) => format!("; it becomes valid at {from}, in {}", Shown(from.since(now))),
        (_, Some(until)) => format!("; it ended at {until}, {} ago", Shown(now.since(until))),
        (None, None) => String::new(),
    };
    format!(": this host's clock says {now}{off}")
}

impl Trouble {
    /// What to do.
    #[must_use]
    pub fn suggestion(&self) -> Text {
        let todo = match self {
            Self::NoAddress(_) => "write it as https://controller.example.com:7443",
            Self::NoName { .. } => "look at the name and at this host's DNS, or write the controller's IP address",
            Self::Unreachable { .. } => {
                "is the controller running (`ansai controller doctor` there), and does the network let this port through?"
            }
            Self::Proxy { .. } => "the proxy must allow CONNECT to the controller's port",
            Self::NoController(_) => {
                "look at the address and the port; a controller listens on 7443 unless told otherwise"
            }
            Self::OtherAuthority { .. } => {
                "the token is of another controller, or somebody stands between; nothing secret was sent. Make a token with `ansai token create` on the controller that you mean"
            }
            Self::Untrusted(Whose::Theirs) => {
                "the controller was made anew, or somebody stands between; when you know that it was, join it again with a token"
            }
            Self::Untrusted(Whose::Ours) | Self::SomebodyElse => "join the controller again with a token",
            Self::Time { .. } => "compare the clocks of this host and of the controller, and let NTP set them",
            Self::Refused(_) => "the controller's log says why",
            Self::Closing { suggestion, .. } => return suggestion.clone(),
            Self::Version { .. } => "bring both to the same version of ansai, the controller first",
            Self::Ended => "the controller may be restarting; it is tried again. Its log says more",
            Self::Silent(_) | Self::Stalled(_) => "look at the network between the two; it is tried again",
            Self::TooLarge(_) | Self::NoMessage(_) => {
                "bring both to the same version of ansai; if they are, please report it"
            }
            Self::Io(_) => "it is tried again",
            Self::Settings(_) => "look at the files of this identity, or join the controller again with a token",
        };
        todo.into()
    }

    /// Whether the other side says that we are no member any more.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Closing { is_removed: true, .. })
    }

    /// How long the other side wants us to stay away.
    #[must_use]
    pub fn again_after(&self) -> Option<Duration> {
        if let Self::Closing { again_after, .. } = self { *again_after } else { None }
    }
}

impl From<NoMessage> for Trouble {
    fn from(why: NoMessage) -> Self {
        Self::NoMessage(why.to_string())
    }
}

/// Something of our own that the library refuses.
pub(crate) fn settings(error: impl fmt::Display) -> Trouble {
    Trouble::Settings(error.to_string())
}

/// What an error of a stream under TLS means.
pub(crate) fn of_stream(error: &io::Error) -> Trouble {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Trouble::Ended,
        _ => Trouble::Io(ansai_files::said(error)),
    }
}

fn of_tls(error: &rustls::Error) -> Trouble {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why),
        rustls::Error::NoCertificatesPresented => Trouble::Refused("it shows no certificate".into()),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
            Trouble::NoController("it does not speak TLS".into())
        }
        rustls::Error::PeerIncompatible(_) => Trouble::NoController("it does not speak TLS 1.3 as ansai does".into()),
        rustls::Error::NoApplicationProtocol => Trouble::NoController("it does not know the link".into()),
        other => Trouble::Refused(other.to_string()),
    }
}

fn of_certificate(why: &CertificateError) -> Trouble {
    let wall = |time: &UnixTime| Some(WallTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000)));
    let whose = Whose::Theirs;
    match why {
        CertificateError::ExpiredContext { time, not_after } => {
            Trouble::Time { whose, now: wall(time), from: None, until: wall(not_after) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            Trouble::Time { whose, now: wall(time), from: wall(not_before), until: None }
        }
        CertificateError::Expired | CertificateError::NotValidYet => {
            Trouble::Time { whose, now: None, from: None, until: None }
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Trouble::Untrusted(whose),
        CertificateError::ApplicationVerificationFailure => Trouble::SomebodyElse,
        other => Trouble::Refused(format!("the certificate of the other side is not good: {other}")),
    }
}

fn of_alert(alert: AlertDescription) -> Trouble {
    match alert {
        AlertDescription::CertificateExpired => {
            Trouble::Time { whose: Whose::Ours, now: None, from: None, until: None }
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError | AlertDescription::BadCertificate => {
            Trouble::Untrusted(Whose::Ours)
        }
        AlertDescription::NoApplicationProtocol => Trouble::NoController("it does not know the link".into()),
        other => Trouble::Refused(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_wrong_is_said_with_both_times() {
        let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let why = CertificateError::NotValidYetContext { time: at(1_800_000_000), not_before: at(1_800_007_200) };
        let said = of_certificate(&why).to_string();
        assert_eq!(
            said,
            "the certificate of the other side is not valid now: this host's clock says 2027-01-15T08:00:00Z; \
             it becomes valid at 2027-01-15T10:00:00Z, in 2h"
        );
        let why = CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_799_999_000) };
        assert!(of_certificate(&why).to_string().ends_with("ago"));
        assert!(of_alert(AlertDescription::CertificateExpired).suggestion().as_str().contains("clocks"));
    }
}
