//! The event stream: what happens, told to whoever listens, as it happens.
//!
//! The loop never waits for a reader: each has a queue of its own that is bounded, and one whose queue is full is
//! dropped, with a closing line that says so. A line is made once for all readers, and not at all when there are none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ansai_model::{text::Text, time::WallTime};
use ansai_protocol::{Event, EventKind, SCHEMA};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::TimeSource;

/// Most readers at once.
pub const READERS_MAX: usize = 8;
/// Of these, how many nobody but root and the agent's own user may take.
pub const READERS_KEPT: usize = 2;
/// Most lines that wait for one reader.
pub const LINES_MAX: usize = 256;
/// Longest text in a line, so that what waits is bounded in bytes as well; a report has all of it.
const TEXT_BYTES_MAX: usize = 512;

/// Which places a reader may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Those that are for everybody.
    Any,
    /// Those that are kept as well.
    Kept,
}

/// Where events are told. A clone is another handle.
#[derive(Clone, Debug, Default)]
pub struct Events {
    readers: Arc<Mutex<Vec<Reader>>>,
    /// For the first and the last line of a stream, which nobody tells.
    time: TimeSource,
}

#[derive(Debug)]
struct Reader {
    lines: mpsc::Sender<Bytes>,
    dropped: CancellationToken,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether anybody listens: an event that is dear to make need not be made otherwise.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Tells everybody. Never waits.
    pub fn tell(&self, at: WallTime, event: EventKind) {
        let mut readers = self.lock();
        if readers.is_empty() {
            return;
        }
        let line = line(at, event);
        readers.retain(|reader| match reader.lines.try_send(line.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                reader.dropped.cancel();
                false
            }
            // Whoever read has gone.
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// A new reader's lines, which begin with [`EventKind::Alive`]; none when there are [`READERS_MAX`] already, or but
    /// [`READERS_KEPT`] for one who may not take those.
    /// `dropped` is cancelled when the reader is too slow: what is left is to be read within [`ansai_socket::CLOSING_MAX`].
    #[must_use]
    pub fn listen(&self, dropped: CancellationToken, seat: Seat) -> Option<impl Stream<Item = Bytes> + Send + use<>> {
        let mut readers = self.lock();
        readers.retain(|reader| !reader.lines.is_closed());
        let most = if seat == Seat::Kept { READERS_MAX } else { READERS_MAX - READERS_KEPT };
        if readers.len() >= most {
            return None;
        }
        let (lines, waiting) = mpsc::channel(LINES_MAX);
        // The queue is empty, so there is room.
        let time = self.time.clone();
        let _ = lines.try_send(line(time.wall_time(), EventKind::Alive));
        readers.push(Reader { lines, dropped: dropped.clone() });
        Some(futures_util::stream::unfold(Some((waiting, dropped, time)), |state| async {
            let (mut waiting, dropped, time) = state?;
            if let Some(line) = waiting.recv().await {
                return Some((line, Some((waiting, dropped, time))));
            }
            let why = match dropped.is_cancelled() {
                true => format!("too slow: {LINES_MAX} lines waited; what came after them is left out"),
                false => "the agent is stopping".to_owned(),
            };
            Some((line(time.wall_time(), EventKind::Closed { why: why.into() }), None))
        }))
    }

    /// Ends every stream, with a closing line.
    pub fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        // No code panics while it holds the lock half-changed.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text short enough for a line.
#[must_use]
pub fn short(text: &Text) -> Text {
    let text_str = text.as_str();
    if text_str.len() <= TEXT_BYTES_MAX {
        return text.clone();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text_str.is_char_boundary(*end)).unwrap_or(0);
    Text::new(format!("{} …", &text_str[..end]))
}

fn line(at: WallTime, event: EventKind) -> Bytes {
    let event = Event { schema: SCHEMA, at_ms: at.0, event };
    // Every part of it can be written as JSON; an empty line would be passed over.
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn warning(text: &str) -> EventKind {
        EventKind::Warning { text: text.into() }
    }

    async fn read(stream: impl Stream<Item = Bytes>) -> Vec<EventKind> {
        let event = |line: Bytes| serde_json::from_slice::<Event>(&line).expect("an event").event;
        stream.map(event).collect().await
    }

    #[tokio::test]
    async fn a_reader_hears_what_happens_from_then_on_and_how_it_ends() {
        let events = Events::new();
        events.tell(WallTime(1), warning("before"));
        assert!(!events.is_heard());
        let stream = events.listen(CancellationToken::new(), Seat::Kept).expect("room");
        events.tell(WallTime(3), warning("one"));
        events.close();
        let closed = EventKind::Closed { why: "the agent is stopping".into() };
        assert_eq!(read(stream).await, [EventKind::Alive, warning("one"), closed]);
    }

    #[tokio::test]
    async fn a_slow_reader_is_dropped_with_a_closing_line_and_the_others_go_on() {
        let events = Events::new();
        let dropped = CancellationToken::new();
        let slow = events.listen(dropped.clone(), Seat::Kept).expect("room");
        for number in 0..10 * LINES_MAX {
            events.tell(WallTime(0), warning(&number.to_string()));
        }
        assert!(dropped.is_cancelled() && !events.is_heard());
        let lines = read(slow).await;
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(matches!(lines.last(), Some(EventKind::Closed { why }) if why.as_str().contains("too slow")));
        let next = events.listen(CancellationToken::new(), Seat::Kept).expect("its place is free");
        events.close();
        assert_eq!(read(next).await.len(), 2);
    }

    #[test]
    fn readers_are_counted_and_those_that_have_gone_give_their_place() {
        let events = Events::new();
        let mut streams: Vec<_> =
            (0..READERS_MAX).map(|_| events.listen(CancellationToken::new(), Seat::Kept).expect("room")).collect();
        assert!(events.listen(CancellationToken::new(), Seat::Kept).is_none());
        streams.pop();
        assert!(events.listen(CancellationToken::new(), Seat::Kept).is_some());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short(&"well".into()).as_str(), "well");
        let cut = short(&Text::new("ä".repeat(2000)));
        assert!(cut.as_str().len() <= TEXT_BYTES_MAX + 8 && cut.as_str().ends_with(" …"));
    }
}
