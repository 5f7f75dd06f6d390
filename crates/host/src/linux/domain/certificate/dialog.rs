//! What is said before a handshake where TLS begins by request: STARTTLS of SMTP and IMAP, and PostgreSQL's own way.
//!
//! Bounded, and nothing beyond the server's leave may have been read: what comes in clear text behind it was put there by
//! somebody in between.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most bytes that a server may say before it lets TLS begin.
const SAID_MAX: usize = 16 * 1024;

/// PostgreSQL's `SSLRequest`: its length, and the number that stands for it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Reads a server's lines, and knows what is left.
struct Lines {
    left: Vec<u8>,
    total: usize,
}

impl Lines {
    fn new() -> Self {
        Self { left: Vec::new(), total: 0 }
    }

    async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<String, String> {
        loop {
            if let Some(end) = self.left.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.left.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut buffer = [0; 512];
            let count = stream.read(&mut buffer).await.map_err(|error| error.to_string())?;
            self.total += count;
            if count == 0 {
                return Err("the server closed the connection before TLS began".into());
            }
            if self.total > SAID_MAX {
                return Err("the server talks without end and does not let TLS begin".into());
            }
            self.left.extend_from_slice(&buffer[..count]);
        }
    }

    /// An answer of SMTP: its code, and its lines without it.
    async fn reply(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(String, Vec<String>), String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next(stream).await?;
            let (Some(code), rest) = (line.get(..3), line.get(4..).unwrap_or_default()) else {
                return Err(format!("the server does not speak SMTP: {}", line.escape_debug()));
            };
            lines.push(rest.to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code.to_owned(), lines));
            }
        }
    }

    fn done(&self) -> Result<(), String> {
        match self.left.is_empty() {
            true => Ok(()),
            false => Err("the server went on in clear text after it let TLS begin".into()),
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| error.to_string())
}

/// SMTP (RFC 3207).
pub(super) async fn smtp(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    let mut lines = Lines::new();
    let (code, said) = lines.reply(stream).await?;
    if code != "220" {
        return Err(format!("the mail server greets with {code} {}", said.join(" ")));
    }
    say(stream, b"EHLO localhost\r\n").await?;
    let (code, offers) = lines.reply(stream).await?;
    if code != "250" || !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
        return Err("the mail server does not offer STARTTLS".into());
    }
    say(stream, b"STARTTLS\r\n").await?;
    let (code, said) = lines.reply(stream).await?;
    match code.as_str() {
        "220" => lines.done(),
        _ => Err(format!("the mail server refuses STARTTLS: {code} {}", said.join(" "))),
    }
}

/// IMAP (RFC 9051, section 6.2.1).
pub(super) async fn imap(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    let mut lines = Lines::new();
    let greeting = lines.next(stream).await?;
    if !greeting.starts_with("* OK") {
        return Err(format!("the IMAP server greets with {}", greeting.escape_debug()));
    }
    say(stream, b"a1 STARTTLS\r\n").await?;
    loop {
        let line = lines.next(stream).await?;
        match line.strip_prefix("a1 ") {
            Some(answer) if answer.starts_with("OK") => return lines.done(),
            Some(answer) => return Err(format!("the IMAP server refuses STARTTLS: {}", answer.escape_debug())),
            None => {}
        }
    }
}

/// PostgreSQL: a request of eight bytes, an answer of one.
pub(super) async fn postgresql(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    say(stream, &SSL_REQUEST).await?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await.map_err(|_| "the database closed the connection before TLS began")?;
    match answer {
        [b'S'] => Ok(()),
        [b'N'] => Err("the database offers no TLS (ssl = off)".into()),
        _ => Err("this is no PostgreSQL server".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dialog in which the server says each line after the client has said one; the first without.
    async fn check<F>(says: &[&str], dialog: impl FnOnce(tokio::io::DuplexStream) -> F, expect: Result<(), &str>)
    where
        F: Future<Output = Result<(), String>>,
    {
        let (client, mut server) = tokio::io::duplex(64 * 1024);
        let serve = async move {
            for line in says {
                server.write_all(line.as_bytes()).await.expect("said");
                let _ = server.read(&mut [0; 64]).await;
            }
        };
        let (ended, ()) = tokio::join!(dialog(client), serve);
        match (ended, expect) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(says)) => assert!(why.contains(says), "{why}"),
            (ended, expect) => panic!("{ended:?} instead of {expect:?}"),
        }
    }

    #[tokio::test]
    async fn a_mail_server_lets_tls_begin_or_says_why_not() {
        let check = |says: &'static [&'static str], expect| {
            check(says, |mut stream| async move { smtp(&mut stream).await }, expect)
        };
        check(&["220 mail\r\n", "250-mail\r\n250-SIZE\r\n250 STARTTLS\r\n", "220 go\r\n"], Ok(())).await;
        check(&["220-a\r\n220 b\r\n", "250 starttls\r\n", "220 go\r\n"], Ok(())).await;
        check(&["220 mail\r\n", "250 SIZE\r\n"], Err("does not offer STARTTLS")).await;
        check(&["220 mail\r\n", "250 STARTTLS\r\n", "454 no\r\n"], Err("refuses STARTTLS: 454 no")).await;
        check(&["220 mail\r\n", "250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"], Err("clear text")).await;
        check(&["554 go away\r\n"], Err("greets with 554")).await;
        check(&["x\r\n"], Err("does not speak SMTP")).await;
        check(&[], Err("closed the connection")).await;
    }

    #[tokio::test]
    async fn a_server_that_talks_without_end_is_left() {
        let endless: &'static str = "250-more\r\n".repeat(3000).leak();
        let says: &'static [&'static str] = vec!["220 mail\r\n", endless].leak();
        check(says, |mut stream| async move { smtp(&mut stream).await }, Err("without end")).await;
    }

    #[tokio::test]
    async fn an_imap_server_and_a_database_are_asked_in_their_ways() {
        let ask = |says: &'static [&'static str], expect| {
            check(says, |mut stream| async move { imap(&mut stream).await }, expect)
        };
        ask(&["* OK ready\r\n", "* CAPABILITY IMAP4rev1\r\na1 OK begin\r\n"], Ok(())).await;
        ask(&["* OK ready\r\n", "a1 BAD no\r\n"], Err("refuses STARTTLS: BAD no")).await;
        ask(&["* BYE\r\n"], Err("greets with")).await;
        let ask = |says: &'static [&'static str], expect| {
            check(says, |mut stream| async move { postgresql(&mut stream).await }, expect)
        };
        ask(&["S"], Ok(())).await;
        ask(&["N"], Err("offers no TLS")).await;
        ask(&["E"], Err("no PostgreSQL")).await;
    }
}
