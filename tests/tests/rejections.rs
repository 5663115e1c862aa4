//! The client of a rejected request receives the response, even if the body is large. Other requests
//! are not affected.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openmail_tests::{NOW, Nginx, fixture, head, serve, signed, signed_at};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

type Body = Full<Bytes>;

/// Requests that are rejected, and their documented status.
fn rejected() -> Vec<(String, Request<Body>, u16)> {
    let mut all = Vec::new();
    for size in [10_000, 100_000, 3_000_000, 8_388_608, 9_000_000] {
        let json = Bytes::from(vec![b' '; size]);
        let body = || Full::new(json.clone());
        let good = || signed(&json, body());
        let without = |name| {
            let mut request = good();
            request.headers_mut().remove(name);
            request
        };
        let with = |name: &'static str, value: &'static str| {
            let mut request = good();
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        };
        let mut put = good();
        *put.method_mut() = http::Method::PUT;
        let too_large = |status| if size > 8 << 20 { 413 } else { status };
        let forged = "00000000000000000000000000000000000000000000000000000000000000ff";
        for (what, request, status) in [
            ("unsigned", without("x-signature"), 400),
            ("without a timestamp", without("x-timestamp"), 400),
            ("malformed signature", with("x-signature", "sha256=zz"), 400),
            ("malformed timestamp", with("x-timestamp", "now"), 400),
            ("stale", signed_at(NOW - 301, &json, body()), 400),
            ("another method", put, 405),
            ("forged", with("x-signature", forged), too_large(401)),
            ("no event", good(), too_large(422)),
        ] {
            all.push((format!("{what}, {size} bytes"), request, status));
        }
    }
    all
}

/// Sends one request on its own connection.
async fn send(address: SocketAddr, http2: bool, mut request: Request<Body>) -> StatusCode {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    *request.uri_mut() = format!("http://{address}/webhooks").parse().unwrap();
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let response = async {
        if http2 {
            request.headers_mut().remove("host");
            let executor = TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    };
    timeout(LIMIT, response).await.expect("a response in time").expect("a response").status()
}

fn good() -> Request<Body> {
    let json = fixture("message.received");
    signed(&json, Full::new(Bytes::from(json.clone())))
}

async fn each_sender_gets_its_status(address: SocketAddr, http2: bool) {
    assert_eq!(send(address, http2, good()).await, 200);
    for (what, request, status) in rejected() {
        assert_eq!(send(address, http2, request).await.as_u16(), status, "{what}");
        assert_eq!(send(address, http2, good()).await, 200, "after {what}");
    }
}

#[tokio::test]
async fn each_sender_gets_its_status_over_http_1() {
    let (address, _, server) = serve().await;
    each_sender_gets_its_status(address, false).await;
    server.abort();
}

#[tokio::test]
async fn each_sender_gets_its_status_over_http_2() {
    let (address, _, server) = serve().await;
    each_sender_gets_its_status(address, true).await;
    server.abort();
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NGINX"]
async fn proxy_keeps_its_backends_whatever_is_rejected() {
    let (first, _, first_server) = serve().await;
    let (second, _, second_server) = serve().await;
    let nginx = Nginx::start(&[first, second]);
    each_sender_gets_its_status(nginx.http1(), false).await;
    each_sender_gets_its_status(nginx.http2(), true).await;
    // Many at once, with good ones in between.
    for (address, http2) in [(nginx.http1(), false), (nginx.http2(), true)] {
        let mut requests = rejected().into_iter().peekable();
        while requests.peek().is_some() {
            let mut senders = JoinSet::new();
            for (what, request, status) in requests.by_ref().take(8) {
                senders.spawn(async move {
                    let rejected = send(address, http2, request).await;
                    assert_eq!(rejected.as_u16(), status, "{what}");
                    assert_eq!(send(address, http2, good()).await, 200, "during {what}");
                });
            }
            senders.join_all().await;
        }
    }
    first_server.abort();
    second_server.abort();
}

#[tokio::test]
async fn sender_that_writes_everything_before_reading_is_answered() {
    let (address, _, server) = serve().await;
    let body = vec![b' '; 9_000_000];
    for lines in ["content-length: 9000000\r\n", "content-length: 9000000\r\nx-timestamp: 1\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&head(b"", lines)).await.unwrap();
        // If the server did not read the body, it would reset the connection.
        stream.write_all(&body).await.expect("all of it is read");
        let mut response = String::new();
        timeout(LIMIT, stream.read_to_string(&mut response)).await.unwrap().unwrap();
        assert!(response.starts_with("HTTP/1.1 4"), "{response}");
    }
    server.abort();
}

#[tokio::test]
async fn body_of_unknown_length_is_read_up_to_the_limit() {
    let (address, _, server) = serve().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = head(b"", "transfer-encoding: chunked\r\nx-signature: twice\r\n");
    stream.write_all(&head).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0_usize;
    let endless = async {
        while stream.write_all(&chunk).await.is_ok() {
            sent += 0x10000;
        }
    };
    timeout(LIMIT, endless).await.expect("it is cut off");
    // The limit is 16 MiB; the buffers of both sockets take some more. Without the limit, the
    // server would read for 10 s.
    assert!((15 << 20..64 << 20).contains(&sent), "{sent}");
    server.abort();
}
