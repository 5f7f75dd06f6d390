//! The CA of one controller: it signs hosts and controllers, and nobody else's trust counts on it. It keeps no list of what it
//! has signed: that is the store's.

use std::time::Duration;

use ansai_model::time::WallTime;
use ansai_protocol::link::{Certificate, ControllerId, Fingerprint, HostId, Request, Roots};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber,
};

use crate::{
    Trouble,
    certificate::{Facts, Owner, Serial, written},
    chance, digest,
    key::Key,
    trouble::settings,
};

/// How long a host's or a controller's certificate lasts; at a third of it comes the next.
pub const LEAF_LASTS: Duration = Duration::from_secs(30 * 86_400);
/// How long a CA lasts.
pub const AUTHORITY_LASTS: Duration = Duration::from_secs(20 * 365 * 86_400);
/// How much earlier than now each certificate begins: clocks differ.
pub const BACKDATED: Duration = Duration::from_secs(3_600);

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    facts: Facts,
}

/// A certificate that was signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub certificate: Certificate,
    /// What it says; its serial is what is allowed from now on.
    pub facts: Facts,
}

impl Authority {
    /// A new one, whose life begins at `now`.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn create(now: WallTime) -> Result<Self, Trouble> {
        let key = Key::generate()?;
        let mut params = params(now, AUTHORITY_LASTS)?;
        // By its key two CAs of one controller are told apart, while one takes the other's place.
        params.distinguished_name.push(DnType::CommonName, format!("ansai CA {}", key.fingerprint().short()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key.0).map_err(settings)?.pem();
        Self::from_pem(&pem, &key.expose_pem())
    }

    /// One that was written down.
    ///
    /// # Errors
    /// When the two are no CA, or do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, Trouble> {
        let key = Key::from_pem(key)?;
        let facts = Facts::of_pem(certificate)?;
        if facts.key != key.fingerprint() {
            return Err(Trouble::Settings("the CA's certificate and its key do not belong together".into()));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key.0).map_err(settings)?;
        Ok(Self { issuer, pem: certificate.to_owned(), facts })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its key, to be written where only its owner reads it.
    #[must_use]
    pub fn expose_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Its key pair.
    pub(crate) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// The digest that tokens name.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.facts.whole
    }

    /// It alone as the list of CAs that a host trusts.
    ///
    /// # Errors
    /// When its certificate is longer than one of ours ever is.
    pub fn roots(&self) -> Result<Roots, Trouble> {
        Roots::new(self.pem.clone()).ok_or_else(|| Trouble::Settings("the CA's certificate is too long".into()))
    }

    /// Signs a host's request. Nothing of the request counts but its key: who the host is says the caller.
    ///
    /// # Errors
    /// When the request is none, is not signed by its key, or that is no P-256 key.
    pub fn sign_host(&self, request: &Request, host: HostId, now: WallTime) -> Result<Signed, Trouble> {
        let key = requested(request)?;
        let mut params = params(now, LEAF_LASTS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, Owner::Host(host), &key)
    }

    /// Signs a controller's key. Hosts know a controller by its id, not by a name of DNS: it may move.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign_controller(&self, key: &Key, controller: ControllerId, now: WallTime) -> Result<Signed, Trouble> {
        let mut params = params(now, LEAF_LASTS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, Owner::Controller(controller), &key.0)
    }

    /// Signs a controller's key for its API, where programs of any kind look for the name, or the address, that they dialed.
    /// What is no name of DNS and no IP address is left out.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign_api(
        &self,
        key: &Key,
        controller: ControllerId,
        names: &[String],
        now: WallTime,
    ) -> Result<Signed, Trouble> {
        let mut params = params(now, LEAF_LASTS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = names.iter().filter_map(|name| named(name)).collect();
        self.sign(params, Owner::Controller(controller), &key.0)
    }

    fn sign(&self, mut params: CertificateParams, owner: Owner, key: &impl PublicKeyData) -> Result<Signed, Trouble> {
        let uri = owner.to_string();
        params.distinguished_name.push(DnType::CommonName, uri.trim_start_matches("ansai://"));
        params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(settings)?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.issuer).map_err(settings)?;
        let facts = Facts::of_der(signed.der());
        let facts = facts.ok_or_else(|| Trouble::Settings("what was signed cannot be read".into()))?;
        Ok(Signed { certificate: written(signed.pem())?, facts })
    }
}

/// A name in a certificate.
fn named(name: &str) -> Option<SanType> {
    if let Ok(address) = name.parse() {
        return Some(SanType::IpAddress(address));
    }
    let is_name =
        !name.is_empty() && name.len() <= 253 && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    is_name.then(|| name.to_owned().try_into().ok().map(SanType::DnsName)).flatten()
}

/// The digest of the key that a request is for.
///
/// # Errors
/// When the request is none, is not signed by its key, or that is no P-256 key.
pub fn fingerprint(request: &Request) -> Result<Fingerprint, Trouble> {
    requested(request).map(|key| digest(&key.subject_public_key_info()))
}

/// The key that a request is for, and that has signed it.
fn requested(request: &Request) -> Result<rcgen::PublicKey, Trouble> {
    let refused = |why: String| Trouble::NoMessage(format!("the request for a certificate is none: {why}"));
    let der = STANDARD.decode(request.as_str()).map_err(|error| refused(error.to_string()))?;
    let read = CertificateSigningRequestParams::from_der(&der.into()).map_err(|error| refused(error.to_string()))?;
    if PublicKeyData::algorithm(&read.public_key) != &PKCS_ECDSA_P256_SHA256 {
        return Err(refused("its key is of another kind than P-256".into()));
    }
    Ok(read.public_key)
}

/// What every certificate has: a number that nobody can guess, and a life that begins an hour ago.
fn params(now: WallTime, lasts: Duration) -> Result<CertificateParams, Trouble> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let mut serial: [u8; 16] = chance()?;
    // Positive, and of the same length always.
    serial[0] = serial[0] & 0x7f | 0x40;
    debug_assert!(Serial::new(&serial).is_some());
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or(0)).min(Duration::from_secs(u64::from(u32::MAX)));
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + lasts;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::ders;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn host() -> HostId {
        HostId::of_chance([1; 16])
    }

    #[test]
    fn a_hosts_certificate_says_whose_it_is_and_how_long() {
        let authority = Authority::create(NOW).unwrap();
        let key = Key::generate().unwrap();
        let request = key.request().unwrap();
        let (one, two) = (authority.sign_host(&request, host(), NOW), authority.sign_host(&request, host(), NOW));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.facts.owner, Some(Owner::Host(host())));
        assert_eq!(one.facts.not_before.0, NOW.0 - 3_600_000);
        assert_eq!(one.facts.not_after.0, NOW.0 + 30 * 86_400_000);
        assert_eq!(one.facts.renew_from().0, NOW.0 - 3_600_000 + (30 * 86_400_000 + 3_600_000) / 3);
        assert_eq!((one.facts.key, fingerprint(&request).unwrap()), (key.fingerprint(), key.fingerprint()));
        assert_ne!(one.facts.serial, two.facts.serial);
        assert_eq!(Facts::of_pem(one.certificate.as_str()).unwrap(), one.facts);
    }

    #[test]
    fn a_ca_is_read_as_it_is_written_with_its_own_key_only() {
        let (one, two) = (Authority::create(NOW).unwrap(), Authority::create(NOW).unwrap());
        let again = Authority::from_pem(one.certificate_pem(), &one.expose_key_pem()).unwrap();
        assert_eq!(again.fingerprint(), one.fingerprint());
        assert_eq!(digest(&ders(one.certificate_pem()).unwrap()[0]), one.fingerprint());
        let mixed = Authority::from_pem(one.certificate_pem(), &two.expose_key_pem()).unwrap_err();
        assert!(mixed.to_string().contains("belong together"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let authority = Authority::create(NOW).unwrap();
        let good = Key::generate().unwrap().request().unwrap();
        let mut der = STANDARD.decode(good.as_str()).unwrap();
        let last = der.len() - 1;
        der[last] ^= 1;
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let p384 = CertificateParams::default().serialize_request(&p384).unwrap();
        for wrong in [String::new(), "%".into(), STANDARD.encode(&der), STANDARD.encode(p384.der())] {
            let wrong = Request::new(wrong).unwrap();
            assert!(authority.sign_host(&wrong, host(), NOW).is_err(), "{wrong:?}");
        }
    }

    /// Whoever asks to be a controller, or a CA, or somebody else is a host all the same.
    #[test]
    fn nothing_of_a_request_counts_but_its_key() {
        let authority = Authority::create(NOW).unwrap();
        let key = Key::generate().unwrap();
        let mut params = CertificateParams::default();
        let uri = Owner::Controller(ControllerId::of_chance([9; 16])).to_string();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = params.serialize_request(&key.0).unwrap();
        let request = Request::new(STANDARD.encode(request.der())).unwrap();
        let signed = authority.sign_host(&request, host(), NOW).unwrap();
        assert_eq!(signed.facts.owner, Some(Owner::Host(host())));
    }
}
