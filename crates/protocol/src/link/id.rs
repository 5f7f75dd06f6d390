//! Who is who on the link: numbers of 128 bits that nobody else has, and digests. They are made from bytes that the caller
//! has by chance; nothing here is random.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What is written is no such number or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoId {
    what: &'static str,
}

impl fmt::Display for NoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for NoId {}

/// The bytes that are written as hexadecimal digits, two each and nothing between.
pub(super) fn bytes_of<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The bytes as hexadecimal digits in lower case.
pub(super) fn digits_of(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

macro_rules! unique {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// One of 16 bytes of chance, marked as RFC 9562 wants it of version 4.
            #[must_use]
            pub fn of_chance(mut bytes: [u8; 16]) -> Self {
                bytes[6] = bytes[6] & 0x0f | 0x40;
                bytes[8] = bytes[8] & 0x3f | 0x80;
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub fn bytes(self) -> [u8; 16] {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = digits_of(&self.0);
                let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
                write!(f, "{a}-{b}-{c}-{d}-{e}")
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = NoId;
            fn from_str(text: &str) -> Result<Self, NoId> {
                let refused = NoId { what: "an id is written as 01234567-89ab-4def-8123-456789abcdef" };
                let is_dash = |place: usize| matches!(place, 8 | 13 | 18 | 23);
                let is_formed = text.len() == 36 && text.bytes().enumerate().all(|(place, byte)| is_dash(place) == (byte == b'-'));
                if !is_formed {
                    return Err(refused);
                }
                bytes_of(&text.replace('-', "")).map(Self).ok_or(refused)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NoId;
            fn try_from(text: String) -> Result<Self, NoId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

unique!(
    /// A host, as its controller knows it: given when it joins, and kept whatever it is called.
    HostId
);
unique!(
    /// A controller with its store.
    ControllerId
);
unique!(
    /// What one process of an agent tells: its changes are numbered from 1, and another process begins another feed.
    FeedId
);

/// A SHA-256: of a CA's certificate (DER), or of a public key (SubjectPublicKeyInfo, DER).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Its first bytes, as people compare them: `3f0c-91aa-72de`.
    #[must_use]
    pub fn short(&self) -> String {
        let digits = digits_of(&self.0[..6]);
        [&digits[..4], &digits[4..8], &digits[8..]].join("-")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits_of(&self.0))
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Fingerprint {
    type Err = NoId;
    fn from_str(text: &str) -> Result<Self, NoId> {
        bytes_of(text).map(Self).ok_or(NoId { what: "a fingerprint is written in 64 hexadecimal digits" })
    }
}
impl TryFrom<String> for Fingerprint {
    type Error = NoId;
    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}
impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_as_nothing_else() {
        let id = HostId::of_chance([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        let upper: Result<HostId, _> = id.to_string().to_uppercase().parse();
        assert_eq!(upper, Ok(id));
        for wrong in ["", "ffffffff", "ffffffffffff4fffbfffffffffffffff", "gfffffff-ffff-4fff-bfff-ffffffffffff"] {
            assert!(wrong.parse::<HostId>().is_err(), "{wrong}");
        }
        for place in 0..36 {
            let mut text = id.to_string();
            text.replace_range(place..=place, "-");
            let is_same = text == id.to_string();
            assert_eq!(text.parse::<HostId>().is_ok(), is_same, "{text}");
            text.replace_range(place..=place, "ä");
            assert!(text.parse::<HostId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fingerprint_has_64_digits_and_a_short_form() {
        let fingerprint = Fingerprint([0x3f; 32]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(fingerprint.short(), "3f3f-3f3f-3f3f");
        assert!("3f".parse::<Fingerprint>().is_err() && "+f".repeat(32).parse::<Fingerprint>().is_err());
    }
}
