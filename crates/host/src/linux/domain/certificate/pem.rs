//! Parts a PEM text into its certificates and its keys, in all the forms that OpenSSL reads: a byte-order mark first, any
//! line ends, text around, the older labels. As text for what is copied, as DER for what is judged.

use std::borrow::Cow;

use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

/// The labels under which OpenSSL takes a certificate. Behind a trusted one stands what it is trusted for.
const CERTIFICATES: &[&str] = &["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// The certificates of a text, each with its frame.
pub(super) fn certificates(text: &str) -> String {
    blocks(text, is_certificate, |label| label)
}

/// The private keys of a text, each with its frame.
pub(super) fn keys(text: &str) -> String {
    blocks(text, is_key, |label| label)
}

/// The certificates in the bytes of a PEM file, at most so many; none when there is none.
pub(in crate::linux) fn ders(bytes: &[u8], at_most: usize) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let plain = blocks(&text(bytes), is_certificate, |_| "CERTIFICATE");
    let read = CertificateDer::pem_slice_iter(plain.as_bytes()).take(at_most);
    read.map(|der| der.map(|der| first(&der).unwrap_or(der))).collect()
}

/// The certificate at the beginning of these bytes, without what follows it.
pub(super) fn first(der: &[u8]) -> Option<CertificateDer<'static>> {
    let (rest, _) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(CertificateDer::from(der[..der.len() - rest.len()].to_vec()))
}

/// Whether there is any frame.
pub(super) fn is_framed(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// The text of a file: what is no UTF-8 in it is a remark.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn is_certificate(label: &str) -> bool {
    CERTIFICATES.contains(&label)
}

fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

fn blocks<'a>(text: &'a str, is_wanted: impl Fn(&str) -> bool, labelled: impl Fn(&'a str) -> &'a str) -> String {
    let mut out = String::new();
    let mut end: Option<(String, &str)> = None;
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let line = line.trim_end();
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            end = is_wanted(label).then(|| (format!("-----END {label}-----"), labelled(label)));
            if let Some((_, label)) = end {
                out.push_str(&format!("-----BEGIN {label}-----\n"));
            }
            continue;
        }
        match end.take_if(|(closing, _)| line == *closing) {
            Some((_, label)) => out.push_str(&format!("-----END {label}-----\n")),
            None if end.is_some() => {
                out.push_str(line);
                out.push('\n');
            }
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_parted() {
        let (first, key) = ("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "EC PRIVATE KEY");
        let trusted = first.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let key = format!("-----BEGIN {key}-----\nBB\n-----END {key}-----\n");
        let whole = format!("subject=x\n{first}{key}trailing\n{trusted}");
        assert_eq!(certificates(&whole), format!("{first}{trusted}"), "what is copied keeps its form");
        assert_eq!(keys(&whole), key);
        assert_eq!(keys(&format!("\u{feff}{key}")), key);
        assert_eq!(keys("nothing"), "");
    }
}
