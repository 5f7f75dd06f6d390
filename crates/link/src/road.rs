//! What a link runs on: a TCP connection, or a stream that somebody else has opened, as over SSH. It opens none itself.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What carries the bytes of a link.
pub enum Road {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A stream that was opened elsewhere.
    Given(Box<dyn Stream>),
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Road(TCP)",
            Self::Given(_) => "Road(given)",
        })
    }
}

impl From<TcpStream> for Road {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Road {
    /// A stream that was opened elsewhere.
    pub fn given(stream: impl Stream + 'static) -> Self {
        Self::Given(Box::new(stream))
    }

    /// Has small messages leave at once; where it cannot be said they leave a little later.
    pub(crate) fn hurry(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Given(stream) => Pin::new(&mut **stream),
        }
    }
}

impl AsyncRead for Road {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, into)
    }
}

impl AsyncWrite for Road {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
