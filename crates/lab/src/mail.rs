//! A real mail server on a lab host: opensmtpd delivering to a local mailbox that tests read.
//!
//! It deliberately relays nothing and knows one recipient, `ops`.

use std::time::Duration;

use anyhow::Result;

use crate::Host;

/// The recipient whose mail is kept.
pub const RECIPIENT: &str = "ops@lab.test";

const MAILBOX: &str = "/var/mail/ops";
const LIMIT: Duration = Duration::from_secs(20);

const CONFIGURATION: &str = "\
table aliases file:/etc/aliases
listen on 127.0.0.1 port 25
action \"deliver\" mbox alias <aliases>
match from any for any action \"deliver\"
";

/// Configures and starts opensmtpd on 127.0.0.1:25; whatever the recipient's domain, mail to `ops` lands in one mailbox.
pub fn start(host: &Host) -> Result<()> {
    host.write_file("/etc/smtpd.conf", CONFIGURATION, 0o644)?;
    if !host.run(&["id", "ops"])?.is_success() {
        host.run_ok(&["useradd", "--create-home", "ops"])?;
    }
    host.start("opensmtpd.service")?;
    host.wait_until("opensmtpd to listen", LIMIT, || Ok(host.connect("127.0.0.1:25").is_ok()))
}

/// The messages in the mailbox, oldest first, headers and body as delivered.
pub fn messages(host: &Host) -> Result<Vec<String>> {
    if !host.exists(MAILBOX) {
        return Ok(Vec::new());
    }
    Ok(split(&host.read_file(MAILBOX)?))
}

/// Waits until at least `count` messages are in the mailbox, and returns all.
pub fn wait_for(host: &Host, count: usize, limit: Duration) -> Result<Vec<String>> {
    host.wait_for(&format!("{count} messages in the mailbox"), limit, || {
        let messages = messages(host)?;
        Ok((messages.len() >= count).then_some(messages))
    })
}

/// An mbox is messages that each begin with a `From ` line after an empty one.
fn split(mbox: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut is_after_empty = true;
    for line in mbox.lines() {
        if is_after_empty && line.starts_with("From ") {
            messages.push(String::new());
        }
        is_after_empty = line.is_empty();
        if let Some(message) = messages.last_mut() {
            message.push_str(line);
            message.push('\n');
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mbox_is_split_into_messages() {
        let mbox =
            "From a Sat\nSubject: one\n\ntext\nFrom here on\n\n>From quoted\n\nFrom b Sat\nSubject: two\n\nbody\n";
        let subjects: Vec<&str> = split(mbox).iter().map(|m| if m.contains("two") { "two" } else { "one" }).collect();
        assert_eq!(subjects, ["one", "two"]);
    }
}
