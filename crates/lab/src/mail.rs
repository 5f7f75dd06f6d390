//! A real mail server on a lab host: postfix delivering to a local mailbox that tests read, plainly on port 25, and with TLS and
//! a password on 465 (TLS from the first byte) and 587 (STARTTLS).
//!
//! It deliberately relays nothing and knows one recipient, `ops`.

use std::time::Duration;

use anyhow::Result;

use crate::Host;

/// The unit that runs it.
pub const UNIT: &str = "postfix@-.service";

/// The recipient whose mail is kept.
pub const RECIPIENT: &str = "ops@lab.test";

/// The server's name in its certificate; it leads to 127.0.0.1 on every lab host.
pub const NAME: &str = "lab.test";

/// The only user who may send on 465 and 587.
pub const USER: &str = "sender";

/// The password of [`USER`].
pub const PASSWORD: &str = "open sesame";

/// The file, on the host, of the authority that signed the server's certificate.
pub const AUTHORITY: &str = "/etc/ssl/lab/authority.pem";

const MAILBOX: &str = "/var/mail/ops";
const LIMIT: Duration = Duration::from_secs(20);
const ADDRESSES: &[&str] = &["127.0.0.1:25", "127.0.0.1:465", "127.0.0.1:587"];

const MAIN: &str = "\
compatibility_level = 3.6
myhostname = lab.test
mydestination = lab.test, localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
mailbox_size_limit = 0
smtpd_tls_cert_file = /etc/ssl/lab/server.pem
smtpd_tls_key_file = /etc/ssl/lab/server.key
smtpd_tls_received_header = yes
smtpd_sasl_local_domain = lab.test
";

/// Only what delivers to the mailbox, and nothing in a chroot, which the image does not fill.
const MASTER: &str = "\
smtp inet n - n - - smtpd
465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject
587 inet n - n - - smtpd -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// Makes an authority, a server certificate signed by it, the user with its password (`$2`), and the recipient.
const PREPARE: &str = "\
mkdir -p /etc/ssl/lab; cd /etc/ssl/lab
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req -x509 $key -days 2 -subj '/CN=lab authority' -keyout authority.key -out authority.pem
openssl req $key -subj /CN=lab.test -keyout server.key -out server.csr
printf 'subjectAltName=DNS:lab.test\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
chmod 600 authority.key server.key
printf %s \"$2\" | saslpasswd2 -p -c -u lab.test \"$1\"
chgrp postfix /etc/sasldb2
id ops 2>/dev/null || useradd --create-home ops
";

const SASL: &str = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n";

/// Configures and starts the server.
pub fn start(host: &Host) -> Result<()> {
    host.run_ok(&["sh", "-e", "-c", PREPARE, "prepare", USER, PASSWORD])?;
    host.write_file("/etc/postfix/main.cf", MAIN, 0o644)?;
    host.write_file("/etc/postfix/master.cf", MASTER, 0o644)?;
    host.write_file("/etc/postfix/sasl/smtpd.conf", SASL, 0o644)?;
    host.start(UNIT)?;
    let listens = || Ok(ADDRESSES.iter().all(|address| host.connect(address).is_ok()));
    host.wait_until("postfix to listen", LIMIT, listens)
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
