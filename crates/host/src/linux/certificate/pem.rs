//! Parts a PEM text into its certificates and its keys, as text: what is written elsewhere is what was there.

/// The certificates of a text, each with its frame.
pub(super) fn certificates(text: &str) -> String {
    blocks(text, |label| label == "CERTIFICATE")
}

/// The private keys of a text, each with its frame.
pub(super) fn keys(text: &str) -> String {
    blocks(text, |label| label.ends_with("PRIVATE KEY"))
}

fn blocks(text: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut end: Option<String> = None;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            end = is_wanted(label).then(|| format!("-----END {label}-----"));
        }
        if let Some(closing) = &end {
            out.push_str(line);
            out.push('\n');
            if line == closing {
                end = None;
            }
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
        let key = format!("-----BEGIN {key}-----\nBB\n-----END {key}-----\n");
        let whole = format!("subject=x\n{first}{key}trailing\n{first}");
        assert_eq!(certificates(&whole), format!("{first}{first}"));
        assert_eq!(keys(&whole), key);
        assert_eq!(keys("nothing"), "");
    }
}
