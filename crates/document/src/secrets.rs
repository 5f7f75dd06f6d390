//! Which part of a line may be a secret: it is shown with stars in its place. Where secrets are kept is not known here.

use ansai_model::notify::SecretRef;

/// Keys whose values may be secrets.
const SECRET_WORDS: &[&str] =
    &["password", "secret", "token", "passwd", "api_key", "api-key", "apikey", "authorization", "cookie"];
/// Addresses of these services are secrets themselves.
pub const SECRET_ADDRESSES: &[&str] =
    &["hooks.slack.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "api.telegram.org/bot"];

/// Whether what has this name may be a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The line with stars for whatever may be a secret: the rest after a telling key, and what stands before the `@` of an
/// address. Characters keep their place in bytes.
pub fn masked(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    let lower = line.to_ascii_lowercase();
    for word in SECRET_WORDS {
        for (at, _) in lower.match_indices(word) {
            let after = lower[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
            let Some(value) = after.strip_prefix([':', '=']) else { continue };
            let value = value.trim_start_matches([' ', '"', '\'']);
            if SecretRef::of(value).is_some() {
                continue;
            }
            hidden[line.len() - value.len()..].fill(true);
        }
    }
    for known in SECRET_ADDRESSES {
        for (at, _) in line.match_indices(known) {
            let begin = at + known.len();
            let length = line[begin..].find([' ', '"', '\'', '}', ',']).unwrap_or(line.len() - begin);
            hidden[begin..begin + length].fill(true);
        }
    }
    for (at, _) in line.match_indices('@') {
        let word = line[..at].rfind([' ', '"', '\'', '{', ',', '[', '`']).map_or(0, |found| found + 1);
        let login = line[word..at].find("://").map_or(word, |found| word + found + 3);
        if let Some(colon) = line[login..at].find(':')
            && colon > 0
            && !line[login..at].contains('/')
        {
            hidden[login + colon + 1..at].fill(true);
        }
    }
    let star = |(at, c): (usize, char)| match hidden[at] && !c.is_whitespace() {
        true => "*".repeat(c.len_utf8()),
        false => c.to_string(),
    };
    line.char_indices().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out_and_references_are_not() {
        assert_eq!(masked("  password: hunter2 # so"), "  password: ******* * **");
        assert_eq!(masked("{\"token\": \"ab c\", x: 1}"), "{\"token\": \"** *** ** **");
        assert_eq!(masked("secret: file:/etc/x"), "secret: file:/etc/x");
        assert_eq!(masked("smtp: smtps://me:wörd@mail:465"), "smtp: smtps://me:*****@mail:465");
        assert_eq!(masked("probe: http://me@host/"), "probe: http://me@host/");
        assert_eq!(masked("smtp: me:word@mail, to: ops@x"), "smtp: me:****@mail, to: ops@x");
        assert_eq!(masked("probe: unix:/run/app@1.sock"), "probe: unix:/run/app@1.sock");
        assert_eq!(masked("x: https://hooks.slack.com/T0/B0"), "x: https://hooks.slack.com/*****");
    }
}
