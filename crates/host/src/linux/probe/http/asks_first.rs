//! A connection from which nothing is read before something was written to it. A server that answers before it was asked
//! is lenient, not wrong, but HTTP's client takes what comes before its request for an answer to nobody. It buffers nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection, and whoever wants to read already.
pub(super) struct AsksFirst<S> {
    stream: S,
    has_asked: bool,
    waits: Option<Waker>,
}

impl<S> AsksFirst<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, has_asked: false, waits: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AsksFirst<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.has_asked {
            self.waits = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AsksFirst<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        // What cannot be asked any more may have been answered all the same.
        self.has_asked = true;
        if let Some(waits) = self.waits.take() {
            waits.wake();
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
