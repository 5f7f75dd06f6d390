//! Messages on a stream: each a frame of four bytes of length and so many of JSON. What a peer sends is bounded in bytes and
//! in time; buffers that a large frame made grow are given back.
//!
//! Small buffers, and giving them back, is what makes ten thousand of these cheap (`docs/design/link.md`).

use std::{fmt, io, time::Duration};

use ansai_protocol::link::{FRAME_BYTES_MAX, JOIN_FRAME_BYTES_MAX, Message, SILENT_AFTER};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::codec::{Framed, LengthDelimitedCodec, length_delimited::LengthDelimitedCodecError};

use crate::{Trouble, trouble::of_stream};

/// What a buffer holds at first, and again after a large frame.
const BUFFER_BYTES: usize = 512;
/// Frames over this length leave grown buffers behind.
const LARGE_FRAME_BYTES: usize = 4 << 10;
/// Longest that the other side may take to take a frame.
pub const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// Longest wait for the other side to take the end, and to end as well.
const ENDED_WITHIN: Duration = Duration::from_secs(1);
/// Most pieces that are read after the end.
const UNREAD_MAX: usize = 1024;

/// A stream of messages.
pub struct Frames<S> {
    framed: Framed<S, LengthDelimitedCodec>,
    bytes_max: usize,
    /// When the last whole message came, or the stream began: whoever sends byte by byte is silent too.
    heard: Instant,
}

impl<S> fmt::Debug for Frames<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames(at most {})", self.bytes_max)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// The messages of the link on a stream.
    pub fn of_link(stream: S) -> Self {
        Self::new(stream, FRAME_BYTES_MAX)
    }

    /// The messages of joining on a stream, where anybody may speak.
    pub fn of_joining(stream: S) -> Self {
        Self::new(stream, JOIN_FRAME_BYTES_MAX)
    }

    fn new(stream: S, bytes_max: usize) -> Self {
        let codec = LengthDelimitedCodec::builder().max_frame_length(bytes_max).new_codec();
        Self { framed: Framed::with_capacity(stream, codec, BUFFER_BYTES), bytes_max, heard: Instant::now() }
    }

    /// What lies beneath.
    pub fn stream(&self) -> &S {
        self.framed.get_ref()
    }

    /// The next message; those of kinds that are not known are passed over. Nothing is lost when it is dropped before it is
    /// done, and the time goes on.
    ///
    /// # Errors
    /// When the other side has gone, was silent for [`SILENT_AFTER`], or sends what is no message.
    pub async fn receive<M: Message>(&mut self) -> Result<M, Trouble> {
        self.receive_within(SILENT_AFTER).await
    }

    /// The same, with another patience, from the last message on.
    ///
    /// # Errors
    /// As [`Frames::receive`].
    pub async fn receive_within<M: Message>(&mut self, silent_after: Duration) -> Result<M, Trouble> {
        loop {
            let next = timeout_at(self.heard + silent_after, self.framed.next()).await;
            let frame = match next.map_err(|_| Trouble::Silent(silent_after))? {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(self.trouble(&error)),
                None => return Err(Trouble::Ended),
            };
            self.heard = Instant::now();
            let read = M::read(&frame);
            let is_large = frame.len() > LARGE_FRAME_BYTES;
            drop(frame);
            if is_large && self.framed.read_buffer().is_empty() {
                *self.framed.read_buffer_mut() = BytesMut::with_capacity(BUFFER_BYTES);
            }
            if let Some(message) = read? {
                return Ok(message);
            }
        }
    }

    /// Sends a message, and waits until the system has it. The stream is of no use any more when this was dropped before it
    /// was done.
    ///
    /// # Errors
    /// When the message is too long (nothing of it was sent then), or the other side has gone or takes nothing.
    pub async fn send<M: Message>(&mut self, message: &M) -> Result<(), Trouble> {
        self.send_frame(message.write()).await
    }

    /// Sends a message that was written already.
    ///
    /// # Errors
    /// As [`Frames::send`].
    pub async fn send_frame(&mut self, frame: impl Into<Bytes>) -> Result<(), Trouble> {
        let frame = frame.into();
        if frame.len() > self.bytes_max {
            return Err(Trouble::TooLarge(self.bytes_max));
        }
        let is_large = frame.len() > LARGE_FRAME_BYTES;
        let sent = timeout(TAKEN_WITHIN, self.framed.send(frame)).await;
        sent.map_err(|_| Trouble::Stalled(TAKEN_WITHIN))?.map_err(|error| self.trouble(&error))?;
        if is_large {
            *self.framed.write_buffer_mut() = BytesMut::new();
        }
        Ok(())
    }

    /// What lies beneath, without what was read ahead.
    #[must_use]
    pub fn into_stream(self) -> S {
        self.framed.into_inner()
    }

    /// Ends the stream in an orderly way, so that what was sent last is read; it does not wait for long.
    pub async fn close(mut self) {
        // Whoever does not take it has gone.
        if let Ok(Ok(())) = timeout(ENDED_WITHIN, SinkExt::<Bytes>::close(&mut self.framed)).await {
            hear_out(self.framed.get_mut()).await;
        }
    }

    fn trouble(&self, error: &io::Error) -> Trouble {
        let is_too_large = error.get_ref().is_some_and(|inner| inner.is::<LengthDelimitedCodecError>());
        if is_too_large { Trouble::TooLarge(self.bytes_max) } else { of_stream(error) }
    }
}

/// Reads what the other side says still, until it ends: a socket that is closed with something unread takes back what was
/// sent last.
pub(crate) async fn hear_out(stream: &mut (impl AsyncRead + Unpin)) {
    let hearing = async {
        let mut unread = [0; BUFFER_BYTES];
        for _ in 0..UNREAD_MAX {
            if !matches!(stream.read(&mut unread).await, Ok(1..)) {
                return;
            }
        }
    };
    // Whoever goes on talking has had time to read.
    let _ = timeout(ENDED_WITHIN, hearing).await;
}

#[cfg(test)]
mod tests {
    use ansai_protocol::link::{FromController, FromHost};
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn pair() -> (Frames<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        (Frames::of_link(ours), theirs)
    }

    #[tokio::test]
    async fn messages_arrive_in_order_and_unknown_ones_are_passed_over() {
        let (mut ours, theirs) = pair();
        let mut theirs = Frames::of_link(theirs);
        theirs.send(&FromController::Kept { through: 1 }).await.unwrap();
        theirs.send_frame(&br#"{"wish":{}}"#[..]).await.unwrap();
        theirs.send(&FromController::Kept { through: 2 }).await.unwrap();
        theirs.close().await;
        for through in [1, 2] {
            assert_eq!(ours.receive().await, Ok(FromController::Kept { through }));
        }
        assert_eq!(ours.receive::<FromController>().await, Err(Trouble::Ended));
    }

    #[tokio::test]
    async fn what_is_no_message_or_too_long_is_refused() {
        let refused = |error| matches!(error, Err(Trouble::NoMessage(_)));
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"\0\0\0\x04\xff\xff\xff\xff").await.unwrap();
        assert!(refused(ours.receive::<FromHost>().await));
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(ours.receive::<FromHost>().await, Err(Trouble::TooLarge(FRAME_BYTES_MAX)));
        let (mut ours, theirs) = pair();
        assert_eq!(ours.send_frame(vec![b' '; FRAME_BYTES_MAX + 1]).await, Err(Trouble::TooLarge(FRAME_BYTES_MAX)));
        ours.send(&FromHost::Beat { now_ms: 1 }).await.unwrap();
        let mut theirs = Frames::of_link(theirs);
        assert_eq!(theirs.receive().await, Ok(FromHost::Beat { now_ms: 1 }), "nothing of the long one was sent");
    }

    /// Byte by byte is no sign of life, and whoever asks again and again waits no longer for it.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stalls_is_given_up() {
        let (mut ours, mut theirs) = pair();
        let begun = Instant::now();
        theirs.write_all(&[0, 0, 0, 200]).await.unwrap();
        let stalled = loop {
            theirs.write_all(b" ").await.unwrap();
            if let Ok(result) = timeout(Duration::from_secs(1), ours.receive::<FromHost>()).await {
                break result;
            }
        };
        assert_eq!(stalled, Err(Trouble::Silent(SILENT_AFTER)));
        assert!(begun.elapsed() < SILENT_AFTER + Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut ours = Frames::of_link(ours);
        assert_eq!(ours.send_frame(vec![b' '; 1000]).await, Err(Trouble::Stalled(TAKEN_WITHIN)));
    }

    #[tokio::test]
    async fn a_large_frame_leaves_no_large_buffer() {
        let (mut ours, theirs) = pair();
        let mut theirs = Frames::of_link(theirs);
        let padded = [br#"{"beat":{"now_ms":1,"pad":""#.to_vec(), vec![b'x'; 400_000], br#""}}"#.to_vec()].concat();
        for _ in 0..3 {
            theirs.send_frame(padded.clone()).await.unwrap();
            assert_eq!(ours.receive().await, Ok(FromHost::Beat { now_ms: 1 }));
        }
        assert!(ours.framed.read_buffer().capacity() <= LARGE_FRAME_BYTES);
        assert!(theirs.framed.write_buffer().capacity() <= LARGE_FRAME_BYTES);
    }
}
