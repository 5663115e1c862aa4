//! Generates load: the same bytes repeatedly, on persistent connections, with as little work as
//! possible, so that the server's work is measured.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use openmail_tests::{mail_of, signed_at};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Returns a signed request as bytes on the wire.
pub(crate) fn request(bytes: usize) -> Vec<u8> {
    let json = mail_of(bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let (parts, ()) = signed_at(now, &json, ()).into_parts();
    let mut wire = b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    for (name, value) in &parts.headers {
        wire.extend_from_slice(name.as_ref());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(format!("content-length: {}\r\n\r\n", json.len()).as_bytes());
    wire.extend_from_slice(&json);
    wire
}

pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Sends the request and reads the head of the response, which has no body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) {
        self.0.write_all(request).await.expect("sent");
        let mut answer = [0; 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let read = self.0.read(&mut answer[length..]).await.expect("an answer");
            assert!(read > 0, "the server hung up");
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answer[..length].escape_ascii());
    }
}

pub(crate) async fn open(address: SocketAddr, count: usize) -> Vec<Connection> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        connections.push(Connection(stream));
    }
    connections
}

/// Sends requests on all connections concurrently for a duration. Returns the time of each
/// exchange.
pub(crate) async fn run(
    connections: &mut Vec<Connection>,
    request: &[u8],
    time: Duration,
) -> Vec<Duration> {
    let end = Instant::now() + time;
    let mut all = JoinSet::new();
    for mut connection in connections.drain(..) {
        let request = request.to_vec();
        all.spawn(async move {
            let mut latencies = Vec::new();
            let mut begun = Instant::now();
            while begun < end {
                connection.exchange(&request).await;
                latencies.push(begun.elapsed());
                begun = Instant::now();
            }
            (connection, latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = all.join_next().await {
        let (connection, its) = ended.expect("an exchange");
        connections.push(connection);
        latencies.extend(its);
    }
    latencies
}
