//! Drives the server over a socket, as OpenMail does.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use example_hyper::{Received, serve};
use openmail_tower::{Secret, Secrets, VerifyLayer, signature};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

struct Server {
    address: SocketAddr,
    received: Received,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(Secrets::new(Secret::new("whsec_test").unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let running = tokio::spawn(serve(listener, layer, received.clone(), stopped));
        Self { address, received, stop, running }
    }

    async fn post(&self, secret: &str, body: &Value) -> StatusCode {
        let body = body.to_string();
        let now = now();
        let signature = signature::sign(&Secret::new(secret).unwrap(), now, body.as_bytes());
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("http://{}/", self.address)).body(body);
        let request = request.header("X-Timestamp", now).header("X-Signature", signature);
        request.send().await.unwrap().status()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn mail() -> Value {
    json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": "inb_1",
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>"},
    })
}

#[tokio::test]
async fn signed_mail_is_handled_and_nothing_else() {
    let server = Server::start().await;
    assert_eq!(server.post("whsec_test", &mail()).await, 200);
    assert_eq!(server.post("whsec_test", &json!({"event": "setup.test"})).await, 200);
    assert_eq!(server.post("whsec_other", &mail()).await, 401);
    assert_eq!(server.received.count(), 1);
    server.stop.send(()).unwrap();
    server.running.await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let server = Server::start().await;
    let body = mail().to_string();
    let now = now();
    let signature = signature::sign(&Secret::new("whsec_test").unwrap(), now, body.as_bytes());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         X-Timestamp: {now}\r\nX-Signature: {signature}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It asks for the body, so it has begun with the request.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.stop.send(()).unwrap();
    while TcpStream::connect(server.address).await.is_ok() {}
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.running.await.unwrap();
    assert_eq!(server.received.count(), 1);
}
