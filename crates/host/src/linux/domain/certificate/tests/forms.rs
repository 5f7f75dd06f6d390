//! The forms in which OpenSSL reads certificates and keys, and what is not known of those that nobody here reads.

use super::*;

/// A certificate whose file says that it is trusted for something, as `openssl x509 -trustout` writes it.
fn trusted(workshop: &Workshop, name: &str) -> String {
    let made = std::process::Command::new("openssl")
        .args(["x509", "-trustout", "-addtrust", "serverAuth", "-in", &workshop.path(name)])
        .output()
        .expect("openssl runs");
    let text = String::from_utf8(made.stdout).expect("text");
    assert!(text.contains("BEGIN TRUSTED CERTIFICATE"), "{text}");
    text
}

#[test]
fn w17_what_openssl_reads_is_read() {
    let workshop = Workshop::new();
    workshop.make("a", &["api.example.com"], 80);
    let read = |name: &str| fs::read_to_string(workshop.path(name)).expect("read");
    let (plain, key) = (read("a.pem"), read("a.key"));
    let der = read::parse(plain.as_bytes()).expect("a certificate").remove(0);
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("a byte-order mark", format!("\u{feff}{plain}").into()),
        ("trusted", trusted(&workshop, "a.pem").into()),
        ("trusted behind a mark", format!("\u{feff}{}", trusted(&workshop, "a.pem")).into()),
        ("the label of long ago", plain.replace("CERTIFICATE", "X509 CERTIFICATE").into()),
        ("line ends of other systems", plain.replace('\n', "\r\n").into()),
        ("spaces behind the lines", plain.replace('\n', "  \n").into()),
        ("a remark that is no UTF-8", [b"issued for K\xf6ln\n", plain.as_bytes()].concat()),
        ("DER with something behind it", [der.as_ref(), b"\0\0"].concat()),
    ];
    for (form, bytes) in forms {
        fs::write(workshop.path("a.pem"), bytes).expect("written");
        assert_eq!(read::certificates(Path::new("/"), &workshop.path("a.pem")).ok(), Some(vec![der.clone()]), "{form}");
        check(&workshop.probe("a"), Health::Healthy, "good for 79d");
    }
    fs::write(workshop.path("a.key"), format!("\u{feff}{key}")).expect("written");
    check(&workshop.probe("a"), Health::Healthy, "good for 79d");
    // So do files of authorities, where trusted certificates are commonest.
    fs::write(workshop.path("ca.pem"), format!("\u{feff}{}", trusted(&workshop, "ca.pem"))).expect("written");
    check(&workshop.probe("a"), Health::Healthy, "good for 79d");
}

#[test]
fn w17_what_is_not_read_here_is_unknown_and_due_for_nothing() {
    let workshop = Workshop::new();
    workshop.make("a", &["api.example.com"], 80);
    let plain = fs::read_to_string(workshop.path("a.pem")).expect("read");
    let broken = plain.replacen('M', "*", 1);
    let other = plain.replace("CERTIFICATE", "PKCS7");
    let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, says) in [
        (broken.as_bytes(), "its PEM is damaged"),
        (other.as_bytes(), "PEM of another kind"),
        (&wide, "neither PEM nor DER"),
    ] {
        fs::write(workshop.path("a.pem"), bytes).expect("written");
        check(&workshop.probe("a"), Health::Unknown, says);
    }
    fs::write(workshop.path("a.pem"), &plain).expect("written");
    // A key in a TPM, and one with a passphrase in the older form: its server has it, and a new one would not.
    let frame = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let locked = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA";
    for (key, says) in [
        (frame("TSS2 PRIVATE KEY", "AAAA"), "a key of another kind"),
        (frame("RSA PRIVATE KEY", locked), "it is encrypted"),
        ("no key".to_owned(), "neither PEM nor DER"),
    ] {
        fs::write(workshop.path("a.key"), key).expect("written");
        check(&workshop.probe("a"), Health::Unknown, says);
    }
    fs::write(workshop.path("a.key"), "").expect("written");
    check(&workshop.probe("a"), Health::Failing, "holds no key");
}
