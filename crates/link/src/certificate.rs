//! What a certificate of the link says: whose it is, its number, from when until when. The name of its owner is a URI among
//! its alternative names; the subject is for people. Whether it is good is the TLS handshake's.

use std::{fmt, str::FromStr};

use ansai_model::time::WallTime;
use ansai_protocol::link::{Certificate, ControllerId, Fingerprint, HostId, Roots};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{Trouble, digest};

/// Most certificates that a list of CAs holds: those that go, those that come, and the ones between.
pub const ROOTS_MAX: usize = 8;

/// Whose a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A host's.
    Host(HostId),
    /// A controller's.
    Controller(ControllerId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(id) => write!(f, "ansai://host/{id}"),
            Self::Controller(id) => write!(f, "ansai://controller/{id}"),
        }
    }
}

impl FromStr for Owner {
    type Err = ();
    fn from_str(uri: &str) -> Result<Self, ()> {
        let (kind, id) = uri.strip_prefix("ansai://").and_then(|path| path.split_once('/')).ok_or(())?;
        match kind {
            "host" => id.parse().map(Self::Host).map_err(|_| ()),
            "controller" => id.parse().map(Self::Controller).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

/// The number that a CA gave a certificate, and by which it is allowed or not: at most 20 bytes, as RFC 5280 has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    bytes: [u8; 20],
    length: u8,
}

impl Serial {
    /// The bytes of a number, most significant first, without leading zeros; nothing when there are more than 20.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..)?;
        let mut held = [0; 20];
        held.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: held, length: u8::try_from(bytes.len()).ok()? })
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is; nothing when it is a CA's, or not of the link.
    pub owner: Option<Owner>,
    /// Its number.
    pub serial: Serial,
    /// From when on.
    pub not_before: WallTime,
    /// Until when.
    pub not_after: WallTime,
    /// The digest of its public key.
    pub key: Fingerprint,
    /// The digest of all of it: of a CA's what a token names.
    pub whole: Fingerprint,
}

impl Facts {
    /// What the first certificate of a PEM says.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_pem(pem: &str) -> Result<Self, Trouble> {
        let first = ders(pem)?.into_iter().next();
        first.and_then(|der| Self::of_der(&der)).ok_or_else(|| Trouble::Settings("this holds no certificate".into()))
    }

    /// What a certificate says; nothing when it is none.
    pub(crate) fn of_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let time = |seconds: i64| WallTime(seconds.saturating_mul(1000));
        Some(Self {
            owner: owner(&certificate),
            serial: Serial::new(certificate.raw_serial())?,
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
            key: digest(certificate.public_key().raw),
            whole: digest(der),
        })
    }

    /// When it is to be renewed: after a third of its life.
    #[must_use]
    pub fn renew_from(&self) -> WallTime {
        let life = self.not_after.0.saturating_sub(self.not_before.0).max(0);
        WallTime(self.not_before.0.saturating_add(life / 3))
    }
}

/// The one owner that a certificate names; one that names several names none.
fn owner(certificate: &X509Certificate<'_>) -> Option<Owner> {
    let names = certificate.subject_alternative_name().ok()??;
    let uri = |name: &GeneralName<'_>| if let GeneralName::URI(uri) = name { uri.parse().ok() } else { None };
    let mut owners = names.value.general_names.iter().filter_map(uri);
    owners.next().filter(|_| owners.next().is_none())
}

/// The certificates of a PEM; at most [`ROOTS_MAX`].
pub(crate) fn ders(pem: &str) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let mut ders = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|error| Trouble::Settings(format!("this is no list of certificates: {error}")))?;
        if ders.len() == ROOTS_MAX {
            return Err(Trouble::Settings(format!("this holds more than {ROOTS_MAX} certificates")));
        }
        ders.push(der);
    }
    Ok(ders)
}

/// The CAs of a list, as TLS wants them.
pub(crate) fn store(roots: &Roots) -> Result<RootCertStore, Trouble> {
    let mut store = RootCertStore::empty();
    for der in ders(roots.as_str())? {
        store.add(der).map_err(|error| Trouble::Settings(format!("this is no CA: {error}")))?;
    }
    if store.is_empty() {
        return Err(Trouble::Settings("this holds no CA".into()));
    }
    Ok(store)
}

/// Whether a list of CAs can be used.
///
/// # Errors
/// When it holds none, or something else.
pub fn check_roots(roots: &Roots) -> Result<(), Trouble> {
    store(roots).map(drop)
}

/// A certificate as it is written down and sent.
pub(crate) fn written(pem: String) -> Result<Certificate, Trouble> {
    Certificate::new(pem).ok_or_else(|| Trouble::Settings("the certificate is too long".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_is_written_and_as_nothing_else() {
        for owner in [Owner::Host(HostId::of_chance([1; 16])), Owner::Controller(ControllerId::of_chance([2; 16]))] {
            assert_eq!(owner.to_string().parse(), Ok(owner));
        }
        let id = HostId::of_chance([1; 16]);
        for wrong in [
            "".to_owned(),
            "ansai://".into(),
            format!("ansai://guest/{id}"),
            format!("https://host/{id}"),
            format!("ansai://host/{id}/x"),
        ] {
            assert_eq!(wrong.parse::<Owner>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_serial_has_at_most_20_bytes_and_no_leading_zeros() {
        assert_eq!(Serial::new(&[0, 1, 0xab]).map(|serial| serial.to_string()), Some("01ab".into()));
        assert_eq!(Serial::new(&[0, 7]), Serial::new(&[7]));
        assert!(Serial::new(&[1; 21]).is_none() && Serial::new(&[1; 20]).is_some());
    }
}
