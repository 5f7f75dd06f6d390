//! The protocols that a look can speak, in one table: who speaks first, what is asked, and what counts as alive.
//!
//! Each asks no more than a stranger may, without a name and a password, and leaves as a client would, so that no server has
//! an error to log; what was tried on which server stands in `docs/reference/probes.md`. Talking is `host`'s.

use serde::{Deserialize, Serialize};

mod hears;

/// A protocol that a look can speak, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// DNS over TCP.
    Dns,
    /// FastCGI, as PHP speaks it.
    Fastcgi,
    /// FTP.
    Ftp,
    /// IMAP.
    Imap,
    /// memcached's text protocol.
    Memcached,
    /// MySQL and MariaDB.
    Mysql,
    /// NATS.
    Nats,
    /// POP3.
    Pop3,
    /// PostgreSQL and poolers before it.
    Postgresql,
    /// Redis and Valkey.
    Redis,
    /// SMTP.
    Smtp,
    /// SSH.
    Ssh,
}

/// How a protocol is spoken.
#[derive(Debug)]
pub struct Manner {
    protocol: Protocol,
    /// Its name in the configuration.
    pub name: &'static str,
    /// The usual port; `None` where it has none.
    pub port: Option<u16>,
    /// What is sent first; empty where the server speaks first.
    pub opens: &'static [u8],
    /// What an answer means as far as it has come. More bytes never change what is not [`Heard::More`].
    pub hears: fn(&[u8]) -> Heard,
    /// What is sent before the end of the connection is said; empty where that says enough.
    pub leaves: &'static [u8],
    /// Whether usual servers write a line into their log for each connection, whatever is said in it.
    pub is_logged: bool,
    /// How the short names of the processes that speak it begin; the kernel cuts them at 15 bytes.
    pub programs: &'static [&'static str],
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That cannot be told yet.
    More,
    /// The server is alive.
    Alive,
    /// The server is alive and serves nobody now; its words begin at this byte.
    Refuses(usize),
    /// This is not the protocol.
    Foreign,
}

impl Protocol {
    /// The names of all, in their order.
    pub const NAMES: &[&str] = &{
        let mut names = [""; TABLE.len()];
        let mut index = 0;
        while index < TABLE.len() {
            names[index] = TABLE[index].name;
            index += 1;
        }
        names
    };

    /// All, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|manner| manner.protocol)
    }

    /// The protocol of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|manner| manner.name == name).map(|manner| manner.protocol)
    }

    /// How it is spoken.
    #[must_use]
    pub fn manner(self) -> &'static Manner {
        &TABLE[self as usize]
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.manner().name
    }
}

/// A question for the version in the class that concerns only the server itself: nobody else is asked because of it.
const DNS_QUESTION: &[u8] = b"\0\x1ean\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
/// `FCGI_GET_VALUES`, which the process manager's worker answers itself without running anything.
const FASTCGI_QUESTION: &[u8] = b"\x01\x09\0\0\0\x10\0\0\x0e\0FCGI_MAX_CONNS";
/// `GSSENCRequest`: answered with one byte, and no server minds when nothing follows. After `SSLRequest` it would wait for a
/// handshake, and log that none came.
const POSTGRESQL_QUESTION: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];
/// An answer to the greeting of MySQL that says a name and a way of proving it that no server has: the server asks for another
/// proof, and is left. MariaDB warns of who leaves without having said a name, and of who is refused after a wrong proof.
const MYSQL_NAME: &[u8] =
    b"\x37\0\0\x01\x01\x82\x08\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ansai\0\0ansai_only_asks\0";

const TABLE: &[Manner] = &[
    Manner {
        protocol: Protocol::Dns,
        name: "dns",
        port: Some(53),
        opens: DNS_QUESTION,
        hears: hears::dns,
        leaves: b"",
        is_logged: false,
        programs: &["named", "dnsmasq", "unbound", "knotd", "kresd", "pdns", "nsd"],
    },
    Manner {
        protocol: Protocol::Fastcgi,
        name: "fastcgi",
        port: None,
        opens: FASTCGI_QUESTION,
        hears: hears::fastcgi,
        leaves: b"",
        is_logged: false,
        programs: &["php-fpm"],
    },
    Manner {
        protocol: Protocol::Ftp,
        name: "ftp",
        port: Some(21),
        opens: b"",
        hears: hears::reply,
        leaves: b"QUIT\r\n",
        is_logged: true,
        programs: &["vsftpd", "proftpd", "pure-ftpd"],
    },
    Manner {
        protocol: Protocol::Imap,
        name: "imap",
        port: Some(143),
        opens: b"",
        hears: hears::imap,
        leaves: b"a LOGOUT\r\n",
        is_logged: true,
        programs: &["dovecot", "cyrmaster", "imapd"],
    },
    Manner {
        protocol: Protocol::Memcached,
        name: "memcached",
        port: Some(11_211),
        opens: b"version\r\n",
        hears: hears::memcached,
        leaves: b"quit\r\n",
        is_logged: false,
        programs: &["memcached"],
    },
    Manner {
        protocol: Protocol::Mysql,
        name: "mysql",
        port: Some(3306),
        opens: b"",
        hears: hears::mysql,
        leaves: MYSQL_NAME,
        is_logged: false,
        programs: &["mariadbd", "mysqld"],
    },
    Manner {
        protocol: Protocol::Nats,
        name: "nats",
        port: Some(4222),
        opens: b"",
        hears: hears::nats,
        leaves: b"",
        is_logged: false,
        programs: &["nats-server"],
    },
    Manner {
        protocol: Protocol::Pop3,
        name: "pop3",
        port: Some(110),
        opens: b"",
        hears: hears::pop3,
        leaves: b"QUIT\r\n",
        is_logged: true,
        programs: &["dovecot"],
    },
    Manner {
        protocol: Protocol::Postgresql,
        name: "postgresql",
        port: Some(5432),
        opens: POSTGRESQL_QUESTION,
        hears: hears::postgresql,
        leaves: b"",
        is_logged: false,
        programs: &["postgres", "pgbouncer"],
    },
    Manner {
        protocol: Protocol::Redis,
        name: "redis",
        port: Some(6379),
        opens: b"PING\r\n",
        hears: hears::redis,
        leaves: b"QUIT\r\n",
        is_logged: false,
        programs: &["redis-server", "valkey-server", "keydb-server"],
    },
    Manner {
        protocol: Protocol::Smtp,
        name: "smtp",
        port: Some(25),
        opens: b"",
        hears: hears::reply,
        leaves: b"QUIT\r\n",
        is_logged: true,
        programs: &["master", "exim", "smtpd", "sendmail"],
    },
    Manner {
        protocol: Protocol::Ssh,
        name: "ssh",
        port: Some(22),
        opens: b"SSH-2.0-ansai\r\n",
        hears: hears::ssh,
        leaves: b"",
        is_logged: true,
        programs: &["sshd", "dropbear"],
    },
];

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn each_protocol_has_its_row_and_its_name() {
        for (index, manner) in TABLE.iter().enumerate() {
            assert_eq!(manner.protocol as usize, index);
            assert_eq!(Protocol::named(manner.name), Some(manner.protocol));
            let written = serde_json::to_string(&manner.protocol).expect("written");
            assert_eq!(written, format!("\"{}\"", manner.name));
            assert!(index == 0 || TABLE[index - 1].name < manner.name, "{}", manner.name);
            assert!(manner.programs.iter().all(|name| name.len() <= 15), "{}", manner.name);
        }
        assert_eq!(Protocol::named("http"), None);
    }

    #[test]
    fn what_is_sent_says_its_own_length() {
        assert_eq!(usize::from(DNS_QUESTION[1]), DNS_QUESTION.len() - 2);
        assert_eq!(usize::from(FASTCGI_QUESTION[5]), FASTCGI_QUESTION.len() - 8);
        assert_eq!(usize::from(POSTGRESQL_QUESTION[3]), POSTGRESQL_QUESTION.len());
        assert_eq!(usize::from(MYSQL_NAME[0]), MYSQL_NAME.len() - 4);
    }
}
