//! The token by which a host joins, `ansai1.ID.SECRET.CA`, and the one by which a person asks the API from elsewhere,
//! `ansai-api1.ID.SECRET.CA`, each part in hexadecimal digits. A secret is never printed; making one of chance and knowing
//! whether it is good are the controller's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::id::{Fingerprint, bytes_of, digits_of};

/// How each token begins; another form of it would begin otherwise.
const BEGINS: &str = "ansai1";
/// How each token of the API begins: the one is never taken for the other.
const API_BEGINS: &str = "ansai-api1";

/// A token's name: it may be shown, and is what `ansai token list` lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(pub [u8; 6]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digits_of(&self.0))
    }
}
impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for TokenId {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        bytes_of(text).map(Self).ok_or(NoToken::Form)
    }
}
impl TryFrom<String> for TokenId {
    type Error = NoToken;
    fn try_from(text: String) -> Result<Self, NoToken> {
        text.parse()
    }
}
impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

/// A token's secret. It is not printed, and overwritten when it is dropped, as far as safe code can.
/// A controller keeps its digest only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenSecret([u8; 32]);

impl TokenSecret {
    /// A secret of 32 bytes of chance.
    #[must_use]
    pub fn of_chance(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, of which the digest is made.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(redacted)")
    }
}
impl Drop for TokenSecret {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}
impl TryFrom<String> for TokenSecret {
    type Error = NoToken;
    fn try_from(text: String) -> Result<Self, NoToken> {
        bytes_of(&text).map(Self).ok_or(NoToken::Form)
    }
}
impl From<TokenSecret> for String {
    fn from(secret: TokenSecret) -> Self {
        digits_of(&secret.0)
    }
}

/// A token as it is handed from a person to a host.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// What proves that whoever has it may join.
    pub secret: TokenSecret,
    /// The digest of the CA that the controller's certificate must lead to, before the secret is sent.
    pub authority: Fingerprint,
}

impl Token {
    /// All of it with the secret, to be handed to a person once.
    #[must_use]
    pub fn expose(&self) -> String {
        self.written(BEGINS)
    }

    fn written(&self, begins: &str) -> String {
        format!("{begins}.{}.{}.{}", self.id, digits_of(self.secret.expose()), self.authority)
    }

    fn read(text: &str, begins: &str) -> Result<Self, NoToken> {
        let mut parts = text.trim().split('.');
        if parts.next() != Some(begins) {
            return Err(NoToken::Beginning);
        }
        let mut part = || parts.next().ok_or(NoToken::Form);
        let (id, secret, authority) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(NoToken::Form);
        }
        let secret = TokenSecret(bytes_of(secret).ok_or(NoToken::Form)?);
        Ok(Self { id: id.parse()?, secret, authority: authority.parse().map_err(|_| NoToken::Form)? })
    }
}

/// A token by which a person, or a program, asks a controller's API from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken(pub Token);

impl ApiToken {
    /// All of it with the secret, to be handed to a person once.
    #[must_use]
    pub fn expose(&self) -> String {
        self.0.written(API_BEGINS)
    }
}

impl FromStr for ApiToken {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        Token::read(text, API_BEGINS).map(Self).map_err(|error| match error {
            NoToken::Beginning => NoToken::ApiBeginning,
            error => error,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, redacted)", self.id)
    }
}

/// Why a text is no token. It never holds a piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// It begins like none.
    Beginning,
    /// It begins like none of the API.
    ApiBeginning,
    /// It begins like one, and is not whole.
    Form,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Beginning => "this is no token: one begins with `ansai1.`, as `ansai token create` prints it",
            Self::ApiBeginning => {
                "this is no token of the API: one begins with `ansai-api1.`, as `ansai token create --api viewer` prints it"
            }
            Self::Form => "this token is not whole: copy all of the line that `ansai token create` printed",
        })
    }
}

impl std::error::Error for NoToken {}

impl FromStr for Token {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        Self::read(text, BEGINS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token { id: TokenId([1; 6]), secret: TokenSecret::of_chance([0xab; 32]), authority: Fingerprint([2; 32]) }
    }

    #[test]
    fn a_token_is_read_as_it_is_written_with_blanks_around_it() {
        let text = token().expose();
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        assert!(text.starts_with("ansai1.010101010101.abab") && text.len() == 6 + 3 + 12 + 64 + 64);
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        let text = token().expose();
        assert_eq!("".parse::<Token>(), Err(NoToken::Beginning));
        assert_eq!("K10abc::server:secret".parse::<Token>(), Err(NoToken::Beginning));
        let cut = (7..text.len()).map(|end| text[..end].to_owned());
        for wrong in
            cut.chain([format!("{text}.x"), format!("{text}0"), text.replace("ab", "xy"), text.replace("ab", "ä")])
        {
            let error = wrong.parse::<Token>().expect_err("no token");
            assert!(error == NoToken::Form && !error.to_string().contains("abab"), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_the_api_is_none_to_join_by_nor_the_other_way_round() {
        let (join, api) = (token(), ApiToken(token()));
        assert_eq!(api.expose().parse(), Ok(api.clone()));
        assert_eq!(join.expose().parse::<ApiToken>(), Err(NoToken::ApiBeginning));
        assert_eq!(api.expose().parse::<Token>(), Err(NoToken::Beginning));
        assert!(!format!("{api:?}").contains("abab"));
    }

    #[test]
    fn no_debug_form_holds_the_secret() {
        let shown = format!("{:?} {:?}", token(), token().secret);
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
        let written = serde_json::to_string(&token().secret).expect("JSON");
        assert_eq!(serde_json::from_str::<TokenSecret>(&written).expect("read"), token().secret);
    }
}
