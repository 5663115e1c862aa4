//! The deliveries: signed beforehand, and sent on persistent connections.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use openmail_tests::signed_at;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::THREADS;

/// Mails that have not been delivered yet.
#[derive(Default)]
pub(crate) struct Mails {
    next: usize,
}

impl Mails {
    /// Returns the next requests of each connection, as bytes on the wire of about 1 KiB each.
    pub(crate) fn next(&mut self, count: usize) -> Vec<Vec<Vec<u8>>> {
        let text = "lorem ipsum ".repeat(60);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let mut lots = vec![Vec::new(); THREADS];
        for number in self.next..self.next + count {
            let thread = number % THREADS;
            // The mails of a thread have the same id, since the API has one mail in each thread.
            let json = format!(
                r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_{number}",
                "thread_id":"thr_{thread}","message":{{"id":"thr_{thread}","from":"ada@example.com",
                "to":"agent@example.org","subject":"s","body_text":"{text}"}}}}"#
            );
            lots[thread].push(wire(now.as_secs(), json.as_bytes()));
        }
        self.next += count;
        lots
    }
}

fn wire(now: u64, json: &[u8]) -> Vec<u8> {
    let (parts, ()) = signed_at(now, json, ()).into_parts();
    let mut wire = b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            wire.extend_from_slice(part);
        }
    }
    wire.extend_from_slice(format!("content-length: {}\r\n\r\n", json.len()).as_bytes());
    wire.extend_from_slice(json);
    wire
}

/// Delivers the requests of each connection.
pub(crate) async fn deliver(address: SocketAddr, lots: Vec<Vec<Vec<u8>>>) {
    let mut all = JoinSet::new();
    for lot in lots {
        all.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            for request in lot {
                let answer = exchange(&mut stream, &request).await;
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            }
        });
    }
    all.join_all().await;
}

/// Sends a request and reads the response, which has no body.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "it hung up");
    }
    String::from_utf8(answer).expect("text")
}

/// Returns the number of replies that the API has accepted.
pub(crate) async fn accepted(api: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(api).await.expect("a connection");
    let request = "GET /accepted HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (_, count) = answer.rsplit_once("\r\n\r\n").expect("a body");
    count.parse().expect("a number")
}
