//! From the bytes of a certificate to what the model judges: names, times, strength. No decision is made here.

use ansai_model::{
    domain::certificate::{Aspect, CertificateSeen, ChainState, Expectation, KeyMatch, Sameness, Strength, Trust},
    inventory::{CertificateIdentity, Signer},
    text::Text,
    time::WallTime,
};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, public_key::PublicKey};

use super::chain;

/// Most names of one certificate that are looked at.
const NAMES_MAX: usize = 200;

/// Signature algorithms that no client should accept, with their names.
const BROKEN: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

/// Fewest bits of an RSA key that resist today.
const RSA_BITS_MIN: usize = 2048;

/// What can be said of a chain whose first certificate is the server's own.
pub(super) fn seen(
    chain: &[CertificateDer<'static>],
    expect: &Expectation,
    now: WallTime,
    key: KeyMatch,
    sameness: Sameness,
) -> Result<CertificateSeen, String> {
    let first = chain.first().ok_or("there is none")?;
    let own = parse(first)?;
    let followed = chain::follow(chain, &expect.trust, now);
    let chain_state = match &expect.aspect {
        Aspect::EndInSteps(_) => ChainState::NotAsked,
        Aspect::Everything => followed.state,
    };
    Ok(CertificateSeen {
        subject: Text::new(own.subject().to_string()),
        issuer: Text::new(own.issuer().to_string()),
        serial: Text::new(own.raw_serial_as_string()),
        not_before: WallTime(own.validity().not_before.timestamp().saturating_mul(1000)),
        not_after: WallTime(own.validity().not_after.timestamp().saturating_mul(1000)),
        nearer_end: followed.nearer_end,
        names: names(&own),
        strength: strength(chain),
        chain: chain_state,
        key,
        sameness,
    })
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed).map_err(|error| error.to_string())
}

fn names(own: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = own.subject_alternative_name() else { return Vec::new() };
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(shown).take(NAMES_MAX).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

fn strength(chain: &[CertificateDer<'static>]) -> Strength {
    for (index, der) in chain.iter().enumerate() {
        let Ok(certificate) = parse(der) else { continue };
        // A root is trusted because it is known; what it signed itself with says nothing.
        if index > 0 && certificate.subject() == certificate.issuer() {
            continue;
        }
        let whose = if index == 0 { String::new() } else { format!(" ({})", certificate.subject()) };
        let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
        if let Some((_, name)) = BROKEN.iter().find(|(id, _)| *id == algorithm) {
            return Strength::Weak(Text::new(format!("signed with {name}{whose}")));
        }
        if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() {
            let bits = bits(key.modulus);
            if bits < RSA_BITS_MIN {
                return Strength::Weak(Text::new(format!("an RSA key of {bits} bits{whose}")));
            }
        }
    }
    Strength::Strong
}

fn bits(modulus: &[u8]) -> usize {
    match modulus.iter().position(|byte| *byte != 0) {
        Some(zeros) => (modulus.len() - zeros) * 8 - modulus[zeros].leading_zeros() as usize,
        None => 0,
    }
}

/// A certificate in a few lines for people.
pub(super) fn described(der: &CertificateDer<'_>) -> Option<String> {
    let own = parse(der).ok()?;
    let day = |seconds: i64| {
        let at = jiff::Timestamp::from_second(seconds).ok();
        at.map_or_else(|| "an unknown time".to_owned(), |at| at.strftime("%FT%TZ").to_string())
    };
    Some(format!(
        "{}, signed by {}\nserial {}\nfrom {} to {}\nnames: {}",
        own.subject(),
        own.issuer(),
        own.raw_serial_as_string(),
        day(own.validity().not_before.timestamp()),
        day(own.validity().not_after.timestamp()),
        names(&own).join(", "),
    ))
}

/// What the inventory says of a certificate, when it can be understood.
pub(super) fn identity(chain: &[CertificateDer<'static>], now: WallTime) -> Option<CertificateIdentity> {
    let first = chain.first()?;
    let own = parse(first).ok()?;
    let signer = match chain::follow(chain, &Trust::Host, now).state {
        // It stands for itself also where it was put among the authorities, as Debian does with its example.
        _ if own.subject() == own.issuer() => Signer::Itself,
        ChainState::Trusted => Signer::Trusted,
        ChainState::NotAsked | ChainState::Unreadable(_) | ChainState::Broken(_) | ChainState::NotYet => {
            Signer::Unknown
        }
    };
    let expires = WallTime(own.validity().not_after.timestamp().saturating_mul(1000));
    Some(CertificateIdentity { names: names(&own), expires, signer, digest: digest(first) })
}

/// SHA-256, hexadecimal.
fn digest(der: &CertificateDer<'_>) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(der.as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}
