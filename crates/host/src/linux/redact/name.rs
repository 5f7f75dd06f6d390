//! What names say of their values: `DB_PASSWORD` and `secretKey` hold secrets, `sortkey` and `password_file` do not.

/// Longest name that is looked at.
pub(super) const NAME_MAX: usize = 64;

/// How sure a name is that its value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Not at all.
    None,
    /// Only when the value looks made by chance.
    Faint,
    /// Unless the value is a number, a path or a word of its own meaning.
    Weak,
    /// Unless the value says that there is none.
    Strong,
    /// It is a cookie, or the header of one.
    Cookie,
    /// It is a header with a scheme and what proves who asks.
    Authorization,
}

/// Names that end so hold secrets, whatever is glued before.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "authkey",
    "accountkey",
    "sharedkey",
    "masterkey",
    "signingkey",
    "encryptionkey",
    "sharedaccesskey",
];
/// What a key is for, when its value is a secret.
const KEYS: &[&str] = &[
    "api",
    "secret",
    "access",
    "private",
    "auth",
    "account",
    "shared",
    "preshared",
    "master",
    "signing",
    "sign",
    "encryption",
    "decryption",
    "session",
    "license",
    "deploy",
    "client",
    "service",
    "storage",
    "subscription",
    "app",
    "application",
    "admin",
    "webhook",
    "hmac",
    "crypto",
    "stripe",
    "sendgrid",
    "mailgun",
    "datadog",
    "twilio",
    "vault",
];
const STRONG: &[&str] = &["psk", "jwt", "requirepass", "masterauth", "masterpass", "passwordhash", "secretaccesskey"];
const WEAK: &[&str] =
    &["pass", "pwd", "pw", "passw", "passwrd", "sid", "phpsessid", "jsessionid", "sessionid", "sessid"];
const FAINT: &[&str] = &[
    "auth",
    "sig",
    "signature",
    "credential",
    "credentials",
    "creds",
    "bearer",
    "csrf",
    "xsrf",
    "otp",
    "totp",
    "mfa",
    "assertion",
    "samlresponse",
    "samlrequest",
    "community",
    "seed",
    "nsec",
    "pat",
    "session",
    "code",
];
/// What is glued before `pass` and `pwd` to make a name of them.
const BEFORE_PASS: &[&str] = &[
    "db", "my", "mysql", "pg", "redis", "user", "admin", "root", "smtp", "mail", "ldap", "ftp", "proxy", "http",
    "login", "key", "store", "bind", "ssh", "vnc", "wifi", "sudo", "mongo", "rabbitmq", "mqtt", "ssl", "imap", "pop",
    "ca",
];
/// What may follow a name without changing what it names.
const TAILS: &[&str] = &[
    "prod",
    "production",
    "staging",
    "stage",
    "dev",
    "test",
    "old",
    "new",
    "current",
    "confirm",
    "confirmation",
    "again",
    "main",
    "backup",
    "primary",
    "secondary",
    "base64",
    "b64",
    "enc",
    "encrypted",
    "hash",
    "plain",
    "plaintext",
    "value",
    "string",
    "text",
    "1",
    "2",
];

/// What the name says; `own` are words of the configuration, in lower case.
pub(super) fn weigh(name: &str, own: &[String]) -> Weight {
    if name.len() > NAME_MAX || !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Weight::None;
    }
    let lower = name.to_ascii_lowercase();
    if own.iter().any(|word| lower.ends_with(word.as_str())) {
        return Weight::Strong;
    }
    let parts = split(name);
    let mut parts: Vec<&str> = parts.split('_').filter(|part| !part.is_empty()).collect();
    while parts.len() > 1 && parts.last().is_some_and(|last| TAILS.contains(last)) {
        parts.pop();
    }
    let Some(last) = parts.last().map(|last| last.trim_end_matches(|c: char| c.is_ascii_digit())) else {
        return Weight::None;
    };
    let before = parts.len().checked_sub(2).map_or("", |at| parts[at]);
    match (before, last) {
        (_, "cookie" | "cookies") => return Weight::Cookie,
        (_, "authorization") => return Weight::Authorization,
        ("session", "id") => return Weight::Weak,
        (_, "key") if KEYS.contains(&before) => return Weight::Strong,
        _ => {}
    }
    let is_glued = |ending: &str| last.strip_suffix(ending).is_some_and(|before| BEFORE_PASS.contains(&before));
    if STRONG.contains(&last) || ENDINGS.iter().any(|ending| last.ends_with(ending)) {
        Weight::Strong
    } else if WEAK.contains(&last) || ["pass", "pwd"].iter().any(|ending| is_glued(ending)) {
        Weight::Weak
    } else if FAINT.contains(&last) {
        Weight::Faint
    } else {
        Weight::None
    }
}

/// The name in lower case with `_` between its words: `secretKey`, `Secret-Key` and `secret.key` are `secret_key`.
fn split(name: &str) -> String {
    let mut parts = String::with_capacity(name.len() + 8);
    let mut was_lower = false;
    for byte in name.bytes() {
        if byte.is_ascii_uppercase() && was_lower {
            parts.push('_');
        }
        was_lower = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        parts.push(if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '_' });
    }
    parts
}
