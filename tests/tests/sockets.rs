//! The layer behind a real server, over HTTP/1 and HTTP/2.

use hyper_util::rt::{TokioExecutor, TokioIo};
use openmail_tests::{ScriptedBody, fixture, head, raw, serve, signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn accepts_chunks_and_trailers_over_http_1() {
    let (address, seen, server) = serve().await;
    let json = fixture("message.received");
    let mut body = Vec::new();
    for chunk in json.chunks(100) {
        body.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\nx-timestamp: 0\r\n\r\n");
    let head = head(&json, "transfer-encoding: chunked\r\ntrailer: x-timestamp\r\n");
    assert_eq!(raw(address, &[&head, &body]).await, "HTTP/1.1 200 OK");
    assert_eq!(seen.last().unwrap().raw_body(), &json);
    server.abort();
}

#[tokio::test]
async fn connection_that_breaks_in_mid_body_reaches_no_handler() {
    let (address, seen, server) = serve().await;
    let json = fixture("message.received");
    let head = head(&json, &format!("content-length: {}\r\n", json.len()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&head).await.unwrap();
    stream.write_all(&json[..100]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(raw(address, &[&head, &json]).await, "HTTP/1.1 200 OK");
    assert_eq!(seen.count(), 1);
    server.abort();
}

#[tokio::test]
async fn rejected_head_is_not_asked_for_its_body() {
    let (address, seen, server) = serve().await;
    let json = fixture("message.received");
    let length = format!("content-length: {}\r\nexpect: 100-continue\r\n", json.len());
    assert_eq!(raw(address, &[&head(&json, &length), &json]).await, "HTTP/1.1 100 Continue");
    assert_eq!(seen.count(), 1);
    // A request rejected because of its head must not be asked for its body.
    let length = "content-length: 99999999\r\nexpect: 100-continue\r\n";
    assert_eq!(raw(address, &[&head(&json, length)]).await, "HTTP/1.1 413 Payload Too Large");
    server.abort();
}

#[tokio::test]
async fn serves_a_webhook_over_http_2() {
    let (address, seen, server) = serve().await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let json = fixture("message.received");
    for (timestamp, expected) in [("1711015500", 200), ("1711015501", 401)] {
        let mut request = signed(&json, ScriptedBody::frames(&json, 100));
        *request.uri_mut() = format!("http://{address}/webhooks").parse().unwrap();
        request.headers_mut().insert("x-timestamp", timestamp.parse().unwrap());
        assert_eq!(sender.send_request(request).await.unwrap().status().as_u16(), expected);
    }
    assert_eq!(seen.count(), 1);
    assert_eq!(seen.last().unwrap().raw_body(), &json);
    connection.abort();
    server.abort();
}
