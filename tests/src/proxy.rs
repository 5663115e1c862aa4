//! A proxy that can silently swallow the traffic of its connections.

use std::{future::pending, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Forwards connections to an address until it falls silent, like a network that has lost them.
/// Stopped on drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    silence: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts it.
    ///
    /// # Panics
    /// If there is no port for it.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let (to, target) = watch::channel(to);
        let silence = watch::Sender::new(());
        let silenced = silence.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let to = *target.borrow();
                connections.spawn(hand_on(stream, to, silenced.subscribe()));
            }
        });
        Self { address, to, silence, task }
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
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(mut from: TcpStream, to: SocketAddr, mut silenced: watch::Receiver<()>) {
    let Ok(mut to) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => {}
        // Both ends stay open.
        _ = silenced.changed() => pending().await,
    }
}
