//! A thread that takes the connections of a port and nothing else, so that who shakes hands keeps nobody from the loop. What is
//! done with a connection is whoever's who began it.

use std::io;

use tokio::net::TcpListener;

/// Begins one thread, and waits until it can take connections.
///
/// # Errors
/// When the system has no thread or no file to give.
pub(crate) fn begin<T, F>(name: &str, listener: std::net::TcpListener, take: T) -> io::Result<()>
where
    T: FnOnce(TcpListener) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let (to, begun) = std::sync::mpsc::sync_channel(1);
    // A runtime that was made out here would have to be dropped here where no thread is to be had, which no task may do.
    let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match TcpListener::from_std(listener) {
                // Whoever began it waits for this.
                Ok(listener) => {
                    let _ = to.send(Ok(()));
                    take(listener).await;
                }
                Err(error) => drop(to.send(Err(error))),
            }
        }),
        Err(error) => drop(to.send(Err(error))),
    };
    std::thread::Builder::new().name(name.into()).spawn(run)?;
    begun.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_can_take_no_connections_is_told_of() {
        // Nobody can wait for a file on a disk.
        let file = tempfile::tempfile().expect("a file");
        rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::NONBLOCK).expect("set");
        assert!(begin("test", OwnedFd::from(file).into(), |_| async {}).is_err());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        assert!(begin("test", listener, |_| async {}).is_ok());
    }
}
