//! Malicious senders, over real sockets.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, channel::Channel, combinators::BoxBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openmail_tests::{NOW, Process, fixture, head, mail_of, raw, serve, signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
    time::{interval, timeout},
};

const SERVER: &str = env!("CARGO_BIN_EXE_server");
/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
const MIB: usize = 1 << 20;

/// Returns a complete, valid request.
fn request(json: &[u8]) -> Vec<u8> {
    [&head(json, &format!("content-length: {}\r\n", json.len())), json].concat()
}

/// Sends a complete request and returns the first line of the response.
async fn send(address: SocketAddr, request: &[u8]) -> String {
    timeout(LIMIT, raw(address, &[request])).await.expect("an answer")
}

#[tokio::test]
async fn other_sender_is_answered_beside_a_thousand_slow_senders() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let server = Process::start(SERVER);
    let json = fixture("message.received");
    let request = request(&json);
    let slow_head = b"POST /webhooks HTTP/1.1\r\nx-slow: ".to_vec();
    let slow_body = [head(&json, "content-length: 100000\r\n"), b"{".to_vec()].concat();
    let mut slow = Vec::new();
    for n in 0..1000 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(if n % 2 == 0 { &slow_head } else { &slow_body }).await.unwrap();
        slow.push(stream);
    }
    let drip = async {
        let mut second = interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            for stream in &slow {
                stream.try_write(b"x").expect("a byte");
            }
        }
    };
    let good = async {
        let mut slowest = Duration::ZERO;
        // The handler holds each one for a second, while the slow senders continue.
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(send(server.address(), &request).await, "HTTP/1.1 200 OK");
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    tokio::select! {
        () = drip => unreachable!(),
        slowest = good => println!("the slowest answer during 1,000 slow senders: {slowest:?}"),
    }
    // All of them are still connected.
    for stream in &slow {
        let answer = stream.try_read(&mut [0; 100]).map_err(|error| error.kind());
        assert_eq!(answer, Err(io::ErrorKind::WouldBlock));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn uploads_beyond_the_budget_are_rejected_and_memory_is_bounded() {
    rlimit::increase_nofile_limit(8192).unwrap();
    const UPLOADS: usize = 200;
    let server = Process::start(SERVER);
    assert_eq!(send(server.address(), &request(&mail_of(2000))).await, "HTTP/1.1 200 OK");
    let before = server.memory();
    let request = Arc::new(request(&mail_of(8 * MIB)));
    let start = Arc::new(Barrier::new(UPLOADS));
    let mut uploads = JoinSet::new();
    for _ in 0..UPLOADS {
        let (request, start, address) = (request.clone(), start.clone(), server.address());
        uploads.spawn(async move {
            start.wait().await;
            send(address, &request).await
        });
    }
    let mut answers = BTreeMap::<String, usize>::new();
    while let Some(answer) = uploads.join_next().await {
        *answers.entry(answer.unwrap()).or_default() += 1;
    }
    let after = server.memory();
    println!("{answers:?}; before {before:?}, after {after:?} KiB");
    let count = |answer: &str| answers.get(answer).copied().unwrap_or_default();
    let (taken, rejected) = (count("HTTP/1.1 200 OK"), count("HTTP/1.1 503 Service Unavailable"));
    assert!(taken >= 1 && rejected >= 1);
    assert_eq!(taken + rejected, UPLOADS, "each got an answer");
    // The budget, plus a read buffer of at most 64 KiB for each of 200 connections, plus what the
    // allocator keeps: 43 MiB beyond the budget, as measured.
    assert!(after.peak < before.peak + (64 + 64) * 1024, "{before:?}, {after:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn forged_requests_leak_no_memory() {
    const CONNECTIONS: usize = 20;
    const BATCH: usize = 100;
    let server = Process::start(SERVER);
    let address = server.address();
    let round = async |rounds: usize| {
        let mut senders = JoinSet::new();
        for sender in 0..CONNECTIONS {
            senders.spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                forge(stream, sender, rounds, BATCH).await;
            });
        }
        timeout(LIMIT, senders.join_all()).await.expect("answers");
    };
    round(5).await;
    let before = server.memory();
    let start = Instant::now();
    round(50).await;
    let after = server.memory();
    println!("100,000 forged: {:?}; before {before:?}, after {after:?} KiB", start.elapsed());
    assert!(after.now < before.now + 4096, "{before:?}, {after:?}");
    assert_eq!(send(address, &request(&fixture("message.received"))).await, "HTTP/1.1 200 OK");
}

/// Sends `rounds` batches of distinct forged requests, each batch at once.
async fn forge(mut stream: TcpStream, sender: usize, rounds: usize, batch: usize) {
    let json = String::from_utf8(fixture("message.received.minimal")).unwrap();
    let mut answers = vec![0; 64 << 10];
    for round in 0..rounds {
        let mut requests = String::new();
        for n in 0..batch {
            let signature = format!("{:064x}", (sender << 40) | (round << 20) | n);
            let length = json.len();
            requests += &format!(
                "POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\
                 x-timestamp: {NOW}\r\nx-signature: {signature}\r\nx-event-id: {n}\r\n\r\n{json}"
            );
        }
        stream.write_all(requests.as_bytes()).await.unwrap();
        let (mut got, end) = (String::new(), "does not match.\"}");
        while got.matches(end).count() < batch {
            let read = stream.read(&mut answers).await.unwrap();
            assert_ne!(read, 0, "{got}");
            got += std::str::from_utf8(&answers[..read]).unwrap();
        }
        assert_eq!(got.matches("HTTP/1.1 401 Unauthorized").count(), batch);
    }
}

#[tokio::test]
async fn connections_reset_in_mid_body_release_their_budget() {
    let (address, seen, server) = serve().await;
    let json = mail_of(8 * MIB);
    let request = request(&json);
    // Twice the budget.
    for _ in 0..32 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request[..4 * MIB]).await.unwrap();
        stream.set_zero_linger().unwrap();
    }
    let whole = async {
        // Until the server has noticed the last of them.
        while send(address, &request).await != "HTTP/1.1 200 OK" {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, whole).await.expect("room for a good one");
    assert_eq!(seen.count(), 1);
    server.abort();
}

#[tokio::test]
async fn wrong_content_length_is_rejected() {
    let (address, seen, server) = serve().await;
    let json = fixture("message.received");
    let length = |n: usize| head(&json, &format!("content-length: {n}\r\n"));
    // Too short: the signature does not match what was read, and the rest is not a request.
    assert_eq!(raw(address, &[&length(10), &json]).await, "HTTP/1.1 401 Unauthorized");
    assert_eq!(raw(address, &[&length(0), &json]).await, "HTTP/1.1 401 Unauthorized");
    // Too long: the connection ends before the body is complete.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&length(json.len() + 1)).await.unwrap();
    stream.write_all(&json).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("an end");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    // Given twice, in one header or in two, or with a sign: ways to smuggle a request past a proxy.
    let smuggled = [length(json.len()), json.clone()].concat();
    for lines in [
        format!("content-length: {}\r\ncontent-length: 1\r\n", json.len()),
        format!("content-length: {}, 1\r\n", json.len()),
        format!("content-length: +{}\r\n", json.len()),
    ] {
        let answer = raw(address, &[&head(&json, &lines), &json, &smuggled]).await;
        assert_eq!(answer, "HTTP/1.1 400 Bad Request", "{lines}");
    }
    assert_eq!(seen.count(), 0);
    server.abort();
}

type Http2Body = BoxBody<Bytes, Infallible>;

async fn http2(address: SocketAddr) -> SendRequest<Http2Body> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn http_2_streams_reset_in_mid_body_release_their_budget() {
    let (address, seen, server) = serve().await;
    let json = Bytes::from(mail_of(8 * MIB));
    let mut good = signed(&json, ());
    *good.uri_mut() = format!("http://{address}/webhooks").parse().unwrap();
    let with = |body: Http2Body| good.clone().map(|()| body);
    let mut sender = http2(address).await;
    // Twice the budget.
    for _ in 0..32 {
        let (mut frames, body) = Channel::<Bytes, Infallible>::new(1);
        sender.ready().await.unwrap();
        let answer = sender.send_request(with(body.boxed()));
        // The flow-control window is smaller than these 4 MiB, so once they are sent, the server
        // has read most of them.
        for part in json[..4 * MIB].chunks(16 << 10) {
            if frames.send_data(json.slice_ref(part)).await.is_err() {
                break;
            }
        }
        drop(answer);
    }
    let whole = async {
        loop {
            sender.ready().await.unwrap();
            let answer = sender.send_request(with(Full::new(json.clone()).boxed()));
            if answer.await.unwrap().status() == 200 {
                break;
            }
        }
    };
    timeout(LIMIT, whole).await.expect("room for a good one");
    assert_eq!(seen.count(), 1);
    server.abort();
}
