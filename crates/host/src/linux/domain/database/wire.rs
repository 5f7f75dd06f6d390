//! As much of PostgreSQL's protocol (version 3) as a question needs: a connection over a UNIX socket as the user that this process
//! runs as, and one statement after the other, whose answer is text. It knows no password, no TLS and no types.
//!
//! Whoever listens there may say anything: what is kept of an answer is bounded, and a length that is claimed takes no memory.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::linux::aside::{self, Kind, Work};

/// Longest that a connection takes to be there, or a statement to be answered.
pub(super) const ASK_TIME: Duration = Duration::from_secs(3);
/// Longest message, and longest answer.
const MESSAGE_MAX: usize = 64 * 1024;
const ANSWER_MAX: usize = 512 * 1024;
/// The server itself gives up what takes longer, waits for nothing, and lets nobody's functions be taken for its own. Nothing can
/// be written over such a connection.
const OPTIONS: &str = "-c statement_timeout=2000 -c lock_timeout=500 -c idle_in_transaction_session_timeout=5000 \
                       -c default_transaction_read_only=on -c search_path=pg_catalog -c client_min_messages=error";
/// What this program calls itself.
const APPLICATION: &str = "ansai";

/// A row: each column as text, or nothing.
pub(super) type Row = Vec<Option<String>>;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// There is no socket.
    #[error("nothing has a socket at {0}")]
    NoSocket(String),
    /// There is one, and nobody listens.
    #[error("nobody listens at {0}")]
    Refused(String),
    /// The server says no.
    #[error("{message} ({code})")]
    Said {
        /// Its five characters.
        code: String,
        /// In words.
        message: String,
    },
    /// It wants to be told who asks in another way.
    #[error("it asks for a password; only peer authentication is known here")]
    Password,
    /// It went away.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// It is none.
    #[error("what listens there does not speak as PostgreSQL does")]
    Garbled,
    /// It says more than is kept.
    #[error("it answers with more than {} KiB", ANSWER_MAX / 1024)]
    TooLong,
    /// More sessions are in it than are told.
    #[error("{0} sessions or more hold locks or wait for them; so many are not told apart")]
    TooMany(usize),
    /// It does not answer.
    #[error("it has not answered within {}", ansai_model::time::Shown(ASK_TIME))]
    Late,
    /// In words.
    #[error("{0}")]
    Aside(String),
}

impl Trouble {
    /// Whether the server has no room for another connection.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Said { code, .. } if code == "53300")
    }
}

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    /// Since when it is there.
    opened: Instant,
}

impl Connection {
    /// Opens one, as a role, to a database.
    ///
    /// # Errors
    /// When nobody answers, or the server does not want it.
    pub(super) async fn open(socket: &Path, role: &str, database: &str) -> Result<Self, Trouble> {
        let shown = socket.display().to_string();
        let work = Work::new(Kind::Look, format!("the database at {shown}")).on([socket]);
        let path = socket.to_owned();
        // The name may lead to a server of files that is away.
        let connects = move || std::os::unix::net::UnixStream::connect(path);
        let stream = aside::run(work, ASK_TIME, connects).await.map_err(|late| Trouble::Aside(late.to_string()))?;
        let stream = stream.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::NoSocket(shown),
            io::ErrorKind::ConnectionRefused => Trouble::Refused(shown),
            _ => Trouble::Broken(error),
        })?;
        stream.set_nonblocking(true)?;
        let mut connection = Self { stream: UnixStream::from_std(stream)?, opened: Instant::now() };
        let begins = connection.begin(role, database);
        tokio::time::timeout(ASK_TIME, begins).await.map_err(|_| Trouble::Late)??;
        Ok(connection)
    }

    /// For how long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    async fn begin(&mut self, role: &str, database: &str) -> Result<(), Trouble> {
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        let said = [("user", role), ("database", database), ("application_name", APPLICATION), ("options", OPTIONS)];
        for text in said.iter().flat_map(|(name, value)| [name, value]) {
            if text.contains('\0') {
                return Err(Trouble::Garbled);
            }
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        self.send(None, &body).await?;
        let mut held = 0_usize;
        loop {
            let (kind, body) = self.receive().await?;
            held = held.saturating_add(body.len());
            if held > ANSWER_MAX {
                return Err(Trouble::TooLong);
            }
            match (kind, body) {
                (b'R', body) => match body.get(..4) {
                    Some([0, 0, 0, 0]) => {}
                    Some(_) => return Err(Trouble::Password),
                    None => return Err(Trouble::Garbled),
                },
                (b'E', body) => return Err(said_no(&body)),
                (b'Z', _) => return Ok(()),
                (b'S' | b'K' | b'N' | b'v', _) => {}
                _ => return Err(Trouble::Garbled),
            }
        }
    }

    /// Has one statement answered. The connection comes back only when it may be used again.
    ///
    /// # Errors
    /// As of [`Connection::open`]; and when the statement is refused, with the connection.
    pub(super) async fn ask(mut self, statement: &str) -> (Result<Vec<Row>, Trouble>, Option<Self>) {
        match tokio::time::timeout(ASK_TIME, self.answer(statement)).await {
            Err(_) => (Err(Trouble::Late), None),
            Ok(Ok(rows)) => (Ok(rows), Some(self)),
            Ok(Err((trouble, is_whole))) => (Err(trouble), is_whole.then_some(self)),
        }
    }

    /// The rows; or why there are none, and whether the next statement may be sent.
    async fn answer(&mut self, statement: &str) -> Result<Vec<Row>, (Trouble, bool)> {
        let broken = |trouble: Trouble| (trouble, false);
        let mut body = statement.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body).await.map_err(broken)?;
        let (mut rows, mut held, mut refused) = (Vec::new(), 0_usize, None);
        loop {
            let (kind, body) = match self.receive().await {
                Ok(message) => message,
                // A server that ends says why first.
                Err(trouble) => return Err(broken(refused.unwrap_or(trouble))),
            };
            held = held.saturating_add(body.len());
            if held > ANSWER_MAX {
                return Err(broken(Trouble::TooLong));
            }
            match kind {
                b'D' => {
                    let row = row(&body).ok_or((Trouble::Garbled, false))?;
                    held = held.saturating_add(size_of::<Row>() + row.len() * size_of::<Option<String>>());
                    if held > ANSWER_MAX {
                        return Err(broken(Trouble::TooLong));
                    }
                    rows.push(row);
                }
                b'E' => refused = Some(said_no(&body)),
                b'Z' => return refused.map_or(Ok(rows), |refused| Err((refused, true))),
                b'T' | b'C' | b'I' | b'N' | b'S' => {}
                _ => return Err(broken(Trouble::Garbled)),
            }
        }
    }

    async fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<(), Trouble> {
        let length = i32::try_from(body.len().saturating_add(4)).map_err(|_| Trouble::TooLong)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        Ok(self.stream.write_all(&message).await?)
    }

    async fn receive(&mut self) -> Result<(u8, Vec<u8>), Trouble> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let length = length.checked_sub(4).ok_or(Trouble::Garbled)?;
        if length > MESSAGE_MAX {
            return Err(Trouble::TooLong);
        }
        // It grows as it comes.
        let mut body = Vec::new();
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        (&mut self.stream).take(limit).read_to_end(&mut body).await?;
        if body.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok((kind, body))
    }
}

/// A row, when it is one.
fn row(mut body: &[u8]) -> Option<Row> {
    let (count, rest) = body.split_first_chunk::<2>()?;
    body = rest;
    let mut row = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, rest) = body.split_first_chunk::<4>()?;
        body = rest;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            continue;
        };
        let (column, rest) = body.split_at_checked(length)?;
        body = rest;
        row.push(Some(String::from_utf8_lossy(column).into_owned()));
    }
    Some(row)
}

/// What the server says that it does not do.
fn said_no(body: &[u8]) -> Trouble {
    let fields = body.split(|byte| *byte == 0).filter_map(|field| {
        let (kind, text) = field.split_first()?;
        Some((*kind, String::from_utf8_lossy(text).chars().take(300).collect::<String>()))
    });
    let mut fields: BTreeMap<u8, String> = fields.collect();
    match (fields.remove(&b'C'), fields.remove(&b'M')) {
        (Some(code), Some(message)) => Trouble::Said { code, message },
        _ => Trouble::Garbled,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    fn ready() -> Vec<u8> {
        [message(b'R', &[0; 4]), message(b'S', b"a\0b\0"), message(b'K', &[0; 8]), message(b'Z', b"I")].concat()
    }

    /// A server that says this after a beginning, and ends; what it was told is the second.
    async fn served(says: Vec<u8>) -> (tempfile::TempDir, std::path::PathBuf, std::thread::JoinHandle<Vec<u8>>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".s.PGSQL.5432");
        let listener = UnixListener::bind(&path).expect("bound");
        let serves = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().expect("somebody");
            stream.write_all(&says).expect("told");
            stream.shutdown(std::net::Shutdown::Write).expect("ended");
            let mut told = Vec::new();
            stream.read_to_end(&mut told).expect("heard");
            told
        });
        (folder, path, serves)
    }

    async fn asked(says: Vec<u8>) -> (Result<Vec<Row>, String>, bool, String) {
        let (_folder, path, serves) = served(says).await;
        let (answer, is_whole) = match Connection::open(&path, "root", "postgres").await {
            Err(trouble) => (Err(trouble.to_string()), false),
            Ok(connection) => {
                let (answer, again) = connection.ask("SELECT 1").await;
                (answer.map_err(|trouble| trouble.to_string()), again.is_some())
            }
        };
        (answer, is_whole, String::from_utf8_lossy(&serves.join().expect("served")).into_owned())
    }

    #[tokio::test]
    async fn a_statement_is_answered_with_its_rows() {
        let row = [&[0, 2, 0, 0, 0, 1][..], b"1", &[255; 4]].concat();
        let says = [ready(), message(b'T', &[0, 0]), message(b'D', &row), message(b'C', b"x\0"), message(b'Z', b"I")];
        let (answer, is_whole, told) = asked(says.concat()).await;
        assert_eq!((answer, is_whole), (Ok(vec![vec![Some("1".into()), None]]), true));
        assert!(told.contains("user\0root\0database\0postgres\0") && told.contains("search_path=pg_catalog"), "{told}");
        assert!(told.contains("default_transaction_read_only=on") && told.ends_with("SELECT 1\0"), "{told}");
    }

    #[tokio::test]
    async fn what_a_server_refuses_is_told_with_its_code() {
        let no = message(b'E', b"SFATAL\0C28000\0Mrole \"root\" does not exist\0\0");
        let (answer, ..) = asked(no.clone()).await;
        assert_eq!(answer, Err("role \"root\" does not exist (28000)".into()));
        let (answer, is_whole, _) = asked([ready(), no.clone(), message(b'Z', b"I")].concat()).await;
        assert_eq!((answer, is_whole), (Err("role \"root\" does not exist (28000)".into()), true));
        let (answer, is_whole, _) = asked([ready(), no].concat()).await;
        assert_eq!((answer, is_whole), (Err("role \"root\" does not exist (28000)".into()), false));
        let (answer, ..) = asked(message(b'R', &[0, 0, 0, 10])).await;
        assert!(answer.is_err_and(|why| why.starts_with("it asks for a password")));
    }

    #[tokio::test]
    async fn whatever_listens_there_takes_no_memory_and_breaks_nothing() {
        let huge = [b'D', 255, 255, 255, 255];
        let garbled = "what listens there does not speak as PostgreSQL does";
        for (says, why) in [
            ([ready(), huge.to_vec()].concat(), "it answers with more than 512 KiB"),
            ([ready(), message(b'D', &[0, 9, 0, 0])].concat(), garbled),
            ([ready(), message(b'D', &[0, 1, 127, 255, 255, 255])].concat(), garbled),
            ([ready(), vec![b'D', 0, 0, 0, 3]].concat(), garbled),
            ([ready(), message(b'?', b"")].concat(), garbled),
            ([ready(), message(b'E', b"")].concat(), garbled),
            (message(b'R', b""), garbled),
            // Rows of nothing take memory as well, and what is not kept takes time.
            (
                [ready(), message(b'D', &[0, 0]).repeat(ANSWER_MAX / (2 + size_of::<Row>()) + 1)].concat(),
                "it answers with more than 512 KiB",
            ),
            (
                [ready(), message(b'N', &vec![0; MESSAGE_MAX - 1]).repeat(9)].concat(),
                "it answers with more than 512 KiB",
            ),
            (message(b'S', &vec![0; MESSAGE_MAX - 1]).repeat(9), "it answers with more than 512 KiB"),
            ([ready(), message(b'D', &vec![0; MESSAGE_MAX]).repeat(8)].concat(), "it answers with more than 512 KiB"),
        ] {
            let (answer, is_whole, _) = asked(says).await;
            assert!(!is_whole && answer.as_ref().is_err_and(|said| said.contains(why)), "{why}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn no_socket_and_nobody_there_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let why = |opened: Result<Connection, Trouble>| opened.expect_err("nobody").to_string();
        assert!(why(Connection::open(&path, "a", "b").await).starts_with("nothing has a socket"));
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(why(Connection::open(&path, "a", "b").await).starts_with("nobody listens"));
    }
}
