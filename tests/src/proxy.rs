//! What stands between two ends of a connection and may swallow all they say.

use std::{future::pending, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Hands connections on to an address, until it falls silent, as a network does that has lost them.
/// It ends when it is dropped.
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
    /// When there is no port for it.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands new connections on to another address. Those that are open stay as they are.
    pub fn redirect(&self, to: SocketAddr) {
        self.to.send_replace(to);
    }

    /// From now on nothing comes through the connections there are, and neither end is told. New
    /// ones are handed on.
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
        // Both stay open.
        _ = silenced.changed() => pending().await,
    }
}
