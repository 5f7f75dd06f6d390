//! Takes secrets out of text before it is stored or sent. It works on lines and words, in linear time.
//! It is a net with holes by nature: what looks like no secret passes.

/// Words after which a value is a secret, in lower case.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "private_key",
    "authorization",
    "credential",
    "bearer",
    "cookie",
    "session_id",
    "auth",
];
const REDACTED: &str = "[redacted]";

/// Knows which words announce a secret.
#[derive(Clone, Debug)]
pub struct Redactor {
    keys: Vec<String>,
}

impl Redactor {
    /// With these words besides the shipped ones.
    #[must_use]
    pub fn new(words: &[String]) -> Self {
        let own = words.iter().map(|word| word.to_ascii_lowercase()).filter(|word| !word.is_empty());
        Self { keys: KEYS.iter().map(|key| (*key).to_owned()).chain(own).collect() }
    }

    /// The text without what looks like a secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut is_key_block = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY") {
                is_key_block = true;
                lines.push(REDACTED.to_owned());
            }
            if !is_key_block {
                lines.push(self.redact_line(line));
            }
            if line.contains("-----END ") {
                is_key_block = false;
            }
        }
        lines.join("\n")
    }

    fn redact_line(&self, line: &str) -> String {
        let mut result: Vec<String> = Vec::new();
        // How many of the next words are the value of a key: "Authorization: Bearer x" has two.
        let mut hidden = 0_u8;
        let mut words = line.split(' ').peekable();
        while let Some(word) = words.next() {
            if hidden > 0 && !word.is_empty() {
                let is_scheme = matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic" | "=" | ":");
                hidden = if is_scheme { 1 } else { hidden - 1 };
                result.push(if is_scheme { word.to_owned() } else { REDACTED.to_owned() });
                continue;
            }
            let (text, announces) = self.redact_word(word);
            let is_key = self.keys.iter().any(|key| word.to_ascii_lowercase().ends_with(key.as_str()));
            let is_assigned = is_key && words.peek().is_some_and(|next| matches!(*next, "=" | ":"));
            hidden = u8::from(announces || is_assigned);
            result.push(text);
        }
        result.join(" ")
    }

    /// The word without its secret, and whether the next word is one.
    fn redact_word(&self, word: &str) -> (String, bool) {
        if word.contains(REDACTED) {
            return (word.to_owned(), false);
        }
        if is_telling(word) {
            return (REDACTED.to_owned(), false);
        }
        if let Some((start, rest)) = word.split_once("://")
            && let Some((user, host)) = rest.split_once('@')
            && let Some((user, _)) = user.split_once(':')
        {
            return (format!("{start}://{user}:{REDACTED}@{host}"), false);
        }
        let Some(at) = word.find(['=', ':']) else {
            let is_bearer = word.eq_ignore_ascii_case("bearer");
            return (word.to_owned(), is_bearer);
        };
        let (key, value) = (word[..at].to_ascii_lowercase(), &word[at + 1..]);
        if !self
            .keys
            .iter()
            .any(|known| key.ends_with(known.as_str()) || key.trim_matches(['"', '\'']).ends_with(known.as_str()))
        {
            return (word.to_owned(), false);
        }
        match value.trim_matches(['"', '\'', ',']) {
            "" => (word.to_owned(), true),
            _ => (format!("{}{REDACTED}", &word[..=at]), false),
        }
    }
}

/// Whether a word is a secret by its own form: a JSON web token or a cloud access key.
fn is_telling(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'', ',', ';']);
    let is_token = word.starts_with("eyJ") && word.matches('.').count() == 2 && word.len() > 40;
    let is_key = word.len() == 20 && word.starts_with("AKIA") && word.bytes().all(|b| b.is_ascii_alphanumeric());
    is_token || is_key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn planted_secrets_are_gone() {
        let redactor = Redactor::new(&["pin".into()]);
        let cases = [
            "login failed for password=hunter2 user=bob",
            "DB_PASSWORD: \"hunter2\"",
            "Authorization: Bearer hunter2",
            "postgres://app:hunter2@db.example.com/app",
            "token = hunter2",
            "PIN=hunter2",
            "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        ];
        for case in cases {
            let redacted = redactor.redact(case);
            assert!(!redacted.contains("hunter2"), "{redacted}");
            assert!(redacted.contains(REDACTED), "{redacted}");
        }
        assert_eq!(redactor.redact("bind: address already in use"), "bind: address already in use");
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_redacting_twice_changes_nothing(text in "\\PC{0,200}") {
            let redactor = Redactor::new(&[]);
            let once = redactor.redact(&text);
            prop_assert_eq!(redactor.redact(&once), once);
        }
    }
}
