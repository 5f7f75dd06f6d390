//! Secrets that the words before them announce: options of commands, statements of SQL, lines of `.netrc`, protocols.

use std::ops::Range;

use super::{
    Spans,
    name::{self, Weight},
    value,
};

/// How an option of a command carries its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `-px`
    Glued,
    /// `-p x`
    Next,
    /// `login -p x`
    Login,
    /// `-u user:x`, of which the part behind the sign is secret.
    Behind(char),
    /// `add_user name x`: the second word behind it.
    Second,
}

/// Commands whose names begin so, their options, and how these carry a secret.
const COMMANDS: &[(&[&str], &[&str], Way)] = &[
    (
        &["mysql", "mariadb", "xtrabackup", "mariabackup", "mycli", "7z", "7za", "rar", "unrar", "sshpass"],
        &["-p"],
        Way::Glued,
    ),
    (&["sshpass", "mongo", "twine", "xfreerdp", "rdesktop", "useradd", "usermod"], &["-p"], Way::Next),
    (&["docker", "podman", "helm", "buildah", "skopeo", "az", "nerdctl", "crane"], &["-p"], Way::Login),
    (&["zip", "unzip", "ipmitool", "sqlcmd", "bcp", "mosquitto_pub", "mosquitto_sub", "tsql"], &["-P"], Way::Next),
    (&["redis-cli", "valkey-cli", "keydb-cli"], &["-a"], Way::Next),
    (
        &["ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami", "ldappasswd", "vncviewer"],
        &["-w", "-s"],
        Way::Next,
    ),
    (&["ldapsearch", "ldapmodify", "ldapadd"], &["-w"], Way::Glued),
    (&["snmpget", "snmpwalk", "snmpbulkwalk", "snmpset", "check_snmp"], &["-c", "-A", "-X", "-C"], Way::Next),
    (&["curl"], &["-u", "--user", "-U", "--proxy-user"], Way::Behind(':')),
    (&["lftp", "ncftp"], &["-u"], Way::Behind(',')),
    (&["smbclient", "rpcclient", "net", "smbget"], &["-U", "--user"], Way::Behind('%')),
    (&["http", "https", "check_http", "check_nrpe", "wget"], &["-a", "--auth"], Way::Behind(':')),
    (&["openssl"], &["-k", "-K"], Way::Next),
    (&["rabbitmqctl"], &["add_user", "change_password", "authenticate_user"], Way::Second),
    (&["htpasswd"], &["-b", "-cb", "-bc", "-cbB", "-bB", "-nb", "-nbB", "-bn"], Way::Second),
    (&["vault", "kubectl"], &["login"], Way::Next),
    (&["nmcli", "wpa_cli"], &["password", "psk", "wep-key0"], Way::Next),
];
/// Words that a secret follows after a blank, when it looks made by chance.
const DIRECTIVES: &[&str] = &["requirepass", "masterauth", "masterpass", "requirepass:", "secret", "psk"];

/// Finds what is announced in a line.
pub(super) fn find(line: &str, spans: &mut Spans) {
    let words = words(line);
    if words.len() < 2 {
        return pgpass(line, spans);
    }
    let mut programs: Vec<&str> = Vec::new();
    let mut is_identified = false;
    let mut has_login = false;
    for (index, word) in words.iter().enumerate() {
        let text = bare(&line[word.clone()]);
        // What stands between quotes or brackets by itself announces nothing, but for an option in a list of them.
        let is_alone = text.len() == word.len() || text.starts_with('-');
        let next = words.get(index + 1).filter(|_| is_alone);
        spans.extend(called(line, word.clone()));
        let is_constant = text.strip_prefix("define(").is_some_and(|name| name::weigh(bare(name), &[]) >= Weight::Weak);
        spans.extend(words.get(index + 1).filter(|_| is_constant).and_then(|next| of(line, next.clone())));
        if let Some(secret) = next.and_then(|next| after(line, text, next.clone(), is_identified, has_login)) {
            spans.push(secret);
        }
        option(line, &words, index, &programs, spans);
        is_identified |= text.eq_ignore_ascii_case("identified");
        has_login |= matches!(text, "login" | "machine");
        let program = text.rsplit('/').next().unwrap_or_default();
        if COMMANDS.iter().any(|(names, ..)| names.iter().any(|name| is_program(program, name))) {
            programs.push(program);
        }
    }
}

/// The words of a line: parted by blanks, and by commas between quotes.
fn words(line: &str) -> Vec<Range<usize>> {
    let bytes = line.as_bytes();
    let (mut words, mut from) = (Vec::new(), 0);
    for (at, byte) in bytes.iter().enumerate() {
        let is_between = *byte == b',' && at > 0 && matches!(bytes[at - 1], b'"' | b'\'');
        if byte.is_ascii_whitespace() || is_between {
            if at > from {
                words.push(from..at);
            }
            from = at + 1;
        }
    }
    if from < bytes.len() {
        words.push(from..bytes.len());
    }
    words
}

/// A word without the quotes and brackets around it.
fn bare(word: &str) -> &str {
    word.trim_matches(['"', '\'', '[', ']', '(', ')', ',', '`', '\\', '{', '}'])
}

fn is_program(word: &str, name: &str) -> bool {
    let is_family = matches!(name, "mysql" | "mariadb" | "mongo" | "7z" | "snmpget" | "check_snmp");
    word == name || is_family && word.starts_with(name) && word.len() <= name.len() + 8 && !word.ends_with(':')
}

/// The value of the word at `next`, without its quotes.
fn of(line: &str, next: Range<usize>) -> Option<Range<usize>> {
    let lead = line[next.clone()].len() - line[next.clone()].trim_start_matches(['[', '(', '{']).len();
    let is_marked = value::is_redacted(&line[next.clone()]);
    let secret = value::extent(line, if is_marked { next.start } else { next.start + lead }, None);
    let text = &line[secret.clone()];
    (!text.is_empty() && !value::is_placeholder(text)).then_some(secret)
}

/// The secret at `next`, when the word before it announces one.
fn after(line: &str, word: &str, next: Range<usize>, is_identified: bool, has_login: bool) -> Option<Range<usize>> {
    let secret = of(line, next.clone())?;
    let text = &line[secret.clone()];
    let is_quoted = secret.start > next.start && line[next.clone()].starts_with(['\'', '"', '\\']);
    let is_last = line[secret.end..].trim_matches(['"', '\'', ' ', ';', ')', '.']).is_empty();
    let is_chance = value::is_random(text) && !value::is_path(text) && !text.contains([':', '/']);
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    let is_secret = if flag(word) {
        !word.contains(['=', ':']) && !text.starts_with('-') && (is_quoted || !value::is_word(text))
    } else if is_identified && (is("by") || is("as") || is("using")) {
        is_quoted || !value::is_word(text)
    } else if is("password") || is("passwd") || is("passphrase") {
        // SQL and `.netrc`; in a sentence only what looks like one.
        (is_quoted && line[next].starts_with('\'') || has_login || is_chance) && !value::is_word(text)
    } else if is("bearer") || is("bearer:") {
        value::is_random(text) || text.len() >= 20
    } else if is("basic") || is("negotiate") || is("ntlm") {
        is_base64(text)
    } else if matches!(word, "PLAIN" | "LOGIN" | "XOAUTH2" | "CRAM-MD5") {
        line[..secret.start].to_ascii_uppercase().contains("AUTH") && is_base64(text)
    } else if matches!(word, "PASS" | "AUTH") {
        is_last
            && !text.contains(['/', '.'])
            && (is_chance || line[..secret.start].contains(['>', ':']))
            && !value::is_word(text)
    } else {
        let is_directive = DIRECTIVES.contains(&word) || word.contains('_') && name::weigh(word, &[]) == Weight::Strong;
        is_directive && (is_quoted && word.contains('_') || is_chance) && !value::is_word(text)
    };
    is_secret.then_some(secret)
}

/// The secret in `PASSWORD('…')` of SQL.
fn called(line: &str, word: Range<usize>) -> Option<Range<usize>> {
    let at = line[word.clone()].find("('").or_else(|| line[word.clone()].find("(\""))?;
    let name = &line[word.start..word.start + at];
    let is_password = name.eq_ignore_ascii_case("password") || name.eq_ignore_ascii_case("old_password");
    is_password.then(|| value::extent(line, word.start + at + 1, None))
}

/// Whether an option is followed by a secret.
pub(super) fn flag(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    let is_flag = word.starts_with("--") || word.starts_with('-') && word.len() > 3;
    is_flag && name.len() > 1 && matches!(name::weigh(name, &[]), Weight::Strong | Weight::Weak)
}

fn is_base64(text: &str) -> bool {
    let text = text.trim_end_matches([',', ';', '.']);
    let is_known =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'));
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    text.len() >= 8 && is_known && (text.ends_with('=') || is_mixed)
}

/// What an option of one of the programs before it carries.
fn option(line: &str, words: &[Range<usize>], index: usize, programs: &[&str], spans: &mut Spans) {
    let word = words[index].clone();
    let text = bare(&line[word.clone()]);
    let known = COMMANDS
        .iter()
        .filter(|(names, ..)| programs.iter().any(|program| names.iter().any(|name| is_program(program, name))));
    for (_, options, way) in known {
        for option in options.iter().filter(|option| text.starts_with(**option)) {
            let next = words.get(index + 1).filter(|_| text == *option).and_then(|next| of(line, next.clone()));
            let glued = of(line, word.start + line[word.clone()].find(option).unwrap_or(0) + option.len()..word.end);
            let is_flag = |span: &Range<usize>| line[span.clone()].starts_with('-');
            let behind = |span: Range<usize>, sign: char| {
                let at = line[span.clone()].find(sign)? + 1;
                let is_given = span.start + at < span.end && !value::is_placeholder(&line[span.start + at..span.end]);
                is_given.then(|| span.start + at..span.end)
            };
            let secret = match way {
                Way::Glued if text.len() > option.len() => {
                    glued.filter(|span| !is_flag(span) && !line[span.clone()].starts_with('='))
                }
                Way::Glued => None,
                Way::Next => next.filter(|span| !is_flag(span)),
                Way::Login => next.filter(|span| !is_flag(span) && line[..word.start].contains(" login")),
                Way::Behind(sign) if text == *option => next.and_then(|span| behind(span, *sign)),
                Way::Behind(sign) => glued.and_then(|span| behind(span, *sign)),
                Way::Second if text == *option => {
                    let at = if text.starts_with('-') { index + 3 } else { index + 2 };
                    words.get(at).and_then(|word| of(line, word.clone()))
                }
                Way::Second => None,
            };
            spans.extend(secret);
        }
    }
}

/// A line of `.pgpass`: host, port, database, user and password.
fn pgpass(line: &str, spans: &mut Spans) {
    let fields: Vec<&str> = line.splitn(6, ':').collect();
    let [host, port, _, user, password] = fields.as_slice() else { return };
    let is_host = host.contains('.') || matches!(*host, "localhost" | "*");
    let is_port = *port == "*" || !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_host && is_port && !user.is_empty() && !password.is_empty() {
        spans.push(line.len() - password.len()..line.len());
    }
}
