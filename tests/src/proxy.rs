//! A proxy that can silently drop the traffic of its connections, or lose the answer to a commit.

use std::{future::pending, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Forwards connections to an address. They can be silenced, as if the network had lost them.
/// Stopped on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    silence: watch::Sender<()>,
    loss: Loss,
    task: JoinHandle<()>,
}

/// The text that precedes a commit whose answer is to be lost.
type Loss = watch::Sender<Option<&'static str>>;

impl Proxy {
    /// Starts it.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let (to, target) = watch::channel(to);
        let silence = watch::Sender::new(());
        let (silenced, loss) = (silence.clone(), Loss::default());
        let lost = loss.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let to = *target.borrow();
                connections.spawn(hand_on(stream, to, silenced.subscribe(), lost.clone()));
            }
        });
        Self { address, to, silence, loss, task }
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to another address. Open ones are unaffected.
    pub fn redirect(&self, to: SocketAddr) {
        self.to.send_replace(to);
    }

    /// From now on, nothing passes through the open connections, and neither end is notified. New
    /// ones are forwarded.
    pub fn silence(&self) {
        self.silence.send_replace(());
    }

    /// Cuts the next connection on which this text is sent, between the `COMMIT` that follows and
    /// its answer.
    pub fn lose_commit(&self, after: &'static str) {
        self.loss.send_replace(Some(after));
    }

    /// Returns whether the text of the last [`lose_commit`](Self::lose_commit) has been sent; also
    /// `true` if there was none.
    pub fn has_lost_commit(&self) -> bool {
        self.loss.borrow().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(
    mut from: TcpStream,
    to: SocketAddr,
    mut silenced: watch::Receiver<()>,
    loss: Loss,
) {
    let Ok(mut to) = TcpStream::connect(to).await else { return };
    let ((from_client, mut to_client), (mut from_server, to_server)) = (from.split(), to.split());
    tokio::select! {
        _ = copy(&mut from_server, &mut to_client) => {}
        forwarded = forward(from_client, to_server, loss) => if forwarded.is_ok() {
            // The server has committed once it answers.
            let _ = from_server.read(&mut [0]).await;
        },
        // Both sockets stay open.
        _ = silenced.changed() => pending().await,
    }
}

/// Forwards requests until the commit whose answer is to be lost.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    loss: Loss,
) -> io::Result<()> {
    let (mut buffer, mut is_chosen) = (vec![0; 64 << 10], false);
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let request = String::from_utf8_lossy(&buffer[..length]);
        is_chosen |= loss
            .send_if_modified(|after| after.take_if(|after| request.contains(*after)).is_some());
        let commits = is_chosen && request.contains("COMMIT");
        to.write_all(&buffer[..length]).await?;
        if commits {
            return Ok(());
        }
    }
}
