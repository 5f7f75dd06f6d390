//! What an answer means in each protocol, by its first bytes. Any bytes are taken, and none is kept.

use super::Heard;

/// Whether an answer begins with one of these.
fn begins(said: &[u8], beginnings: &[(&[u8], Heard)]) -> Heard {
    let found = beginnings.iter().find(|(beginning, _)| said.starts_with(beginning));
    let may_become = |(beginning, _): &(&[u8], Heard)| beginning.starts_with(said);
    match found {
        Some((_, heard)) => *heard,
        None if beginnings.iter().any(may_become) => Heard::More,
        None => Heard::Foreign,
    }
}

/// A reply of SMTP and FTP: three digits, of which the first says how it went.
pub(super) fn reply(said: &[u8]) -> Heard {
    let digits = said.iter().take(3);
    if !digits.clone().all(u8::is_ascii_digit) {
        return Heard::Foreign;
    }
    match (said.first(), said.get(3)) {
        (Some(b'1' | b'2'), Some(b' ' | b'-')) => Heard::Alive,
        (Some(b'4' | b'5'), Some(b' ' | b'-')) => Heard::Refuses(0),
        (None | Some(b'1' | b'2' | b'4' | b'5'), None) => Heard::More,
        _ => Heard::Foreign,
    }
}

pub(super) fn imap(said: &[u8]) -> Heard {
    begins(said, &[(b"* OK", Heard::Alive), (b"* PREAUTH", Heard::Alive), (b"* BYE", Heard::Refuses(2))])
}

pub(super) fn pop3(said: &[u8]) -> Heard {
    begins(said, &[(b"+OK", Heard::Alive), (b"-ERR", Heard::Refuses(0))])
}

/// Who wants a password for the version is alive.
pub(super) fn memcached(said: &[u8]) -> Heard {
    let refuses = Heard::Refuses(0);
    let known: &[(&[u8], Heard)] = &[
        (b"VERSION ", Heard::Alive),
        (b"CLIENT_ERROR", Heard::Alive),
        (b"SERVER_ERROR", refuses),
        (b"ERROR", refuses),
    ];
    begins(said, known)
}

pub(super) fn nats(said: &[u8]) -> Heard {
    begins(said, &[(b"INFO {", Heard::Alive), (b"-ERR", Heard::Refuses(0))])
}

/// Who wants a password, reads its data or waits for its master is alive. Any other error is one that clients see as well.
pub(super) fn redis(said: &[u8]) -> Heard {
    const ALIVE: &[&[u8]] = &[b"NOAUTH", b"NOPERM", b"DENIED", b"LOADING", b"MASTERDOWN"];
    let Some(error) = said.strip_prefix(b"-") else {
        return begins(said, &[(b"+PONG", Heard::Alive), (b"$4\r\nPONG", Heard::Alive)]);
    };
    let letters = error.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match error.get(letters) {
        None => Heard::More,
        Some(b' ' | b'\r' | b'\n') if ALIVE.contains(&&error[..letters]) => Heard::Alive,
        Some(b' ' | b'\r' | b'\n') if letters > 0 => Heard::Refuses(0),
        Some(_) => Heard::Foreign,
    }
}

/// The one byte by which a server says whether it would encrypt, or an error of an old one that does not know the question.
pub(super) fn postgresql(said: &[u8]) -> Heard {
    const ERROR_BYTES_MAX: u32 = 16 * 1024;
    match *said {
        [] | [b'E'] | [b'E', _] | [b'E', _, _] | [b'E', _, _, _] => Heard::More,
        [b'G' | b'N' | b'S'] => Heard::Alive,
        [b'E', a, b, c, d, ..] if u32::from_be_bytes([a, b, c, d]) <= ERROR_BYTES_MAX => Heard::Alive,
        _ => Heard::Foreign,
    }
}

/// The first packet is a greeting of protocol 9 or 10, or an error.
pub(super) fn mysql(said: &[u8]) -> Heard {
    const WORDS_OF_AN_ERROR: usize = 7;
    match *said {
        [] | [_] | [_, _] | [_, _, _] | [_, _, _, 0] => Heard::More,
        [_, _, _, 0, 9 | 10, ..] => Heard::Alive,
        [_, _, _, 0, 255, ..] => Heard::Refuses(WORDS_OF_AN_ERROR.min(said.len())),
        _ => Heard::Foreign,
    }
}

/// Words may come before the version, each on a line of its own.
pub(super) fn ssh(said: &[u8]) -> Heard {
    const REFUSALS: &[&[u8]] = &[b"Exceeded MaxStartups", b"Not allowed at this time"];
    let mut begun = 0;
    loop {
        let line = &said[begun..];
        if line.starts_with(b"SSH-") {
            return Heard::Alive;
        }
        if REFUSALS.iter().any(|refusal| line.starts_with(refusal)) {
            return Heard::Refuses(begun);
        }
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => begun += end + 1,
            None => return Heard::More,
        }
    }
}

/// An answer to the question that was asked, whatever it says.
pub(super) fn dns(said: &[u8]) -> Heard {
    match *said {
        [a, b, b'a', b'n', flags, ..] if u16::from_be_bytes([a, b]) >= 12 && flags & 0x80 != 0 => Heard::Alive,
        [_, _, b'a', b'n'] | [_, _, b'a'] | [_, _] | [_] | [] => Heard::More,
        _ => Heard::Foreign,
    }
}

/// The values that were asked for, or a word that they are not known.
pub(super) fn fastcgi(said: &[u8]) -> Heard {
    match *said {
        [] | [1] => Heard::More,
        [1, 10 | 11, ..] => Heard::Alive,
        _ => Heard::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::{Heard, Protocol};

    #[track_caller]
    fn check(name: &str, said: &[u8], expect: Heard) {
        let hears = Protocol::named(name).expect("a protocol").manner().hears;
        assert_eq!(hears(said), expect, "{name}: {}", said.escape_ascii());
        for cut in 0..said.len() {
            let heard = hears(&said[..cut]);
            assert!(heard == Heard::More || heard == expect, "{name}, cut at {cut}: {heard:?}");
        }
    }

    #[test]
    fn servers_that_are_well_are_alive() {
        check("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Heard::Alive);
        check("ssh", b"welcome\r\nto this host\r\nSSH-2.0-x\r\n", Heard::Alive);
        check("smtp", b"220 mail.example.com ESMTP Postfix\r\n", Heard::Alive);
        check("smtp", b"220-mail\r\n220 ready\r\n", Heard::Alive);
        check("ftp", b"220 (vsFTPd 3.0.3)\r\n", Heard::Alive);
        check("ftp", b"120 ready in a minute\r\n", Heard::Alive);
        check("imap", b"* OK [CAPABILITY IMAP4rev1] ready.\r\n", Heard::Alive);
        check("imap", b"* PREAUTH ready\r\n", Heard::Alive);
        check("pop3", b"+OK ready\r\n", Heard::Alive);
        check("memcached", b"VERSION 1.6.18\r\n", Heard::Alive);
        check("memcached", b"CLIENT_ERROR unauthenticated\r\n", Heard::Alive);
        check("nats", b"INFO {\"server_id\":\"N\"}\r\n", Heard::Alive);
        check("redis", b"+PONG\r\n", Heard::Alive);
        check("redis", b"-NOAUTH Authentication required.\r\n", Heard::Alive);
        check("redis", b"-LOADING Redis is loading the dataset in memory\r\n", Heard::Alive);
        check("redis", b"-MASTERDOWN Link with MASTER is down\r\n", Heard::Alive);
        check("redis", b"-DENIED Redis is running in protected mode\r\n", Heard::Alive);
        for answer in [b"N", b"S", b"G"] {
            check("postgresql", answer, Heard::Alive);
        }
        check("postgresql", b"E\0\0\0\x40SFATAL\0C0A000\0", Heard::Alive);
        check("mysql", b"\x64\0\0\0\x0a5.5.5-10.11.19-MariaDB\0", Heard::Alive);
        check("dns", b"\0\x2aan\x84\0\0\x01\0\x01", Heard::Alive);
        check("dns", b"\0\x1ean\x80\x05\0\x01\0\0", Heard::Alive);
        check("fastcgi", b"\x01\x0a\0\0\0\0\0\0", Heard::Alive);
        check("fastcgi", b"\x01\x0b\0\0\0\x08\0\0", Heard::Alive);
    }

    #[test]
    fn who_serves_nobody_now_says_so() {
        check("smtp", b"421 4.7.0 too many connections\r\n", Heard::Refuses(0));
        check("ftp", b"530 no\r\n", Heard::Refuses(0));
        check("imap", b"* BYE too many\r\n", Heard::Refuses(2));
        check("pop3", b"-ERR busy\r\n", Heard::Refuses(0));
        check("memcached", b"ERROR Too many open connections\r\n", Heard::Refuses(0));
        check("redis", b"-ERR max number of clients reached\r\n", Heard::Refuses(0));
        check("redis", b"-MISCONF Redis is configured to save RDB snapshots\r\n", Heard::Refuses(0));
        check("ssh", b"Exceeded MaxStartups\r\n", Heard::Refuses(0));
        check("nats", b"-ERR 'maximum connections exceeded'\r\n", Heard::Refuses(0));
        let too_many = b"\x17\0\0\0\xff\x10\x04Too many connections";
        assert_eq!((Protocol::Mysql.manner().hears)(too_many), Heard::Refuses(7));
    }

    #[test]
    fn who_speaks_something_else_is_foreign() {
        let others: &[&[u8]] = &[
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x01\0\x02\x02\x46\x15\x03\x01\0\x02\x02\x46",
            b"\0\0\0\0\0\0\0\0\0\0",
            b"hello world\r\n",
            b"\xff\xff\xff\xff\xff\xff",
        ];
        for protocol in Protocol::all() {
            for said in others {
                // Words may come before the version of an SSH server: whoever waits for it knows when to end.
                let expect = if protocol == Protocol::Ssh { Heard::More } else { Heard::Foreign };
                assert_eq!((protocol.manner().hears)(said), expect, "{}: {}", protocol.name(), said.escape_ascii());
            }
        }
        let greets: Vec<&[u8]> =
            alloc::vec![b"220 mail\r\n", b"+OK pop\r\n", b"* OK imap\r\n", b"SSH-2.0-x\r\n", b"INFO {}"];
        for said in greets {
            for name in ["redis", "postgresql", "mysql", "memcached", "dns", "fastcgi"] {
                assert_eq!((Protocol::named(name).expect("known").manner().hears)(said), Heard::Foreign, "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_more_of_them_change_no_answer(
            said in prop::collection::vec(any::<u8>(), 0..200), head in "(220|-ERR|\\* OK|SSH-|N|E|\\+PONG|VERSION |INFO )?",
        ) {
            let mut whole = head.into_bytes();
            whole.extend(said);
            for protocol in Protocol::all().filter(|protocol| *protocol != Protocol::Postgresql) {
                let hears = protocol.manner().hears;
                let last = hears(&whole);
                if let Heard::Refuses(from) = last {
                    prop_assert!(from <= whole.len());
                }
                for cut in 0..whole.len() {
                    let heard = hears(&whole[..cut]);
                    let is_same = core::mem::discriminant(&heard) == core::mem::discriminant(&last);
                    prop_assert!(heard == Heard::More || is_same, "{}: {heard:?}, then {last:?}", protocol.name());
                }
            }
            let _ = (Protocol::Postgresql.manner().hears)(&whole);
        }
    }
}
