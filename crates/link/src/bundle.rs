//! A configuration for a host, signed by the controller's CA and checked against the CAs that the host trusts. What it says is
//! not read here.

use ansai_protocol::link::{HostBundle, Roots, SignedBundle, Whole};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::SigningKey;
use rustls::SignatureScheme;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{Trouble, authority::Authority, certificate::ders, provider, trouble::settings};

/// What stands before each text when it is signed, so that no signature of a bundle is one of anything else.
const PURPOSE: &[u8] = b"ansai bundle 1\n";

fn signed(text: &str) -> Vec<u8> {
    [PURPOSE, text.as_bytes()].concat()
}

impl Authority {
    /// Signs a host's configuration.
    ///
    /// # Errors
    /// When it is too long to be sent, or cannot be signed.
    pub fn sign_bundle(&self, bundle: &HostBundle) -> Result<SignedBundle, Trouble> {
        let text = bundle.text();
        let signature = STANDARD.encode(self.key().sign(&signed(&text)).map_err(settings)?);
        let too_long = || Trouble::Settings("a configuration is too long to be sent".into());
        let (text, signature) = (Whole::new(text).ok_or_else(too_long)?, Whole::new(signature).ok_or_else(too_long)?);
        Ok(SignedBundle { text, signature })
    }
}

/// The configuration, when one of these CAs has signed it.
///
/// # Errors
/// When none has, or it is none.
pub fn verified(bundle: &SignedBundle, roots: &Roots) -> Result<HostBundle, Trouble> {
    let refused = |why: &str| Trouble::NoMessage(format!("the configuration is not taken: {why}"));
    let signature = STANDARD.decode(bundle.signature.as_str()).map_err(|_| refused("its signature cannot be read"))?;
    let text = signed(bundle.text.as_str());
    let is_by = |der: &rustls::pki_types::CertificateDer<'_>| {
        let Ok((_, root)) = X509Certificate::from_der(der) else { return false };
        let key = &root.public_key().subject_public_key.data;
        let algorithms = provider().signature_verification_algorithms;
        let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256);
        let mut algorithms = known.into_iter().flat_map(|(_, algorithms)| algorithms.iter());
        algorithms.any(|algorithm| algorithm.verify_signature(key, &text, &signature).is_ok())
    };
    if !ders(roots.as_str())?.iter().any(is_by) {
        return Err(refused("no CA that this host trusts has signed it"));
    }
    HostBundle::read(bundle.text.as_str()).map_err(|error| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use ansai_model::time::WallTime;
    use ansai_protocol::link::{ControllerId, FleetFile, FleetLayer, Held, HostId};

    use super::*;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn bundle() -> HostBundle {
        let file = FleetFile { layer: FleetLayer::Site, name: "site.yaml".into(), text: "autonomy: act\n".into() };
        HostBundle {
            controller: ControllerId::of_chance([1; 16]),
            host: HostId::of_chance([2; 16]),
            held: Held { epoch: 1, generation: 3, ..Held::default() },
            files: vec![file],
        }
    }

    #[test]
    fn what_the_ca_has_signed_is_taken_and_nothing_else() {
        let (own, other) = (Authority::create(NOW).unwrap(), Authority::create(NOW).unwrap());
        let signed = own.sign_bundle(&bundle()).unwrap();
        assert_eq!(verified(&signed, &own.roots().unwrap()).unwrap(), bundle());
        let both = Roots::new([other.certificate_pem(), own.certificate_pem()].concat()).unwrap();
        assert_eq!(verified(&signed, &both).unwrap(), bundle(), "while one CA takes the other's place");
        let why = verified(&signed, &other.roots().unwrap()).unwrap_err().to_string();
        assert!(why.contains("no CA that this host trusts"), "{why}");
        let forged = bundle().text().replace("act", "off");
        let forged = SignedBundle { text: Whole::new(forged).unwrap(), ..signed.clone() };
        assert!(verified(&forged, &own.roots().unwrap()).is_err());
        let mut der = STANDARD.decode(signed.signature.as_str()).unwrap();
        for at in 0..der.len() {
            der[at] ^= 1;
            let wrong = SignedBundle { signature: Whole::new(STANDARD.encode(&der)).unwrap(), ..signed.clone() };
            assert!(verified(&wrong, &own.roots().unwrap()).is_err(), "byte {at}");
            der[at] ^= 1;
        }
        for wrong in ["", "%", "AAAA"] {
            let wrong = SignedBundle { signature: Whole::new(wrong).unwrap(), ..signed.clone() };
            assert!(verified(&wrong, &own.roots().unwrap()).is_err());
        }
    }

    /// The CA signs certificates as well: none of them is a bundle's signature.
    #[test]
    fn a_signature_of_anything_else_is_none() {
        let own = Authority::create(NOW).unwrap();
        let text = bundle().text();
        let bare = STANDARD.encode(own.key().sign(text.as_bytes()).unwrap());
        let bare = SignedBundle { text: Whole::new(text).unwrap(), signature: Whole::new(bare).unwrap() };
        assert!(verified(&bare, &own.roots().unwrap()).is_err());
    }
}
