//! Drives the server over a socket, as OpenMail would.

use std::{net::SocketAddr, sync::atomic::Ordering};

use openmail_tower::{Secret, VerifyLayer, testing::TestEvent};
use reqwest::{Body, Client, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::{Received, serve};

struct Server {
    address: SocketAddr,
    received: Received,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(secret("whsec_test"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let running = tokio::spawn(serve(listener, layer, received.clone(), stopped));
        Self { address, received, stop, running }
    }

    async fn post(&self, event: &TestEvent, secret: &Secret) -> StatusCode {
        let mut request = event.sign::<Body>(secret);
        *request.uri_mut() = format!("http://{}/", self.address).parse().unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        client.execute(request.try_into().unwrap()).await.unwrap().status()
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[tokio::test]
async fn handles_only_signed_mail() {
    let server = Server::start().await;
    let mail = TestEvent::message_received();
    assert_eq!(server.post(&mail, &secret("whsec_test")).await, 200);
    assert_eq!(server.post(&TestEvent::new("setup.test"), &secret("whsec_test")).await, 200);
    assert_eq!(server.post(&mail, &secret("whsec_other")).await, 401);
    assert_eq!(server.received.0.load(Ordering::Relaxed), 1);
    server.stop.send(()).unwrap();
    server.running.await.unwrap();
}

#[tokio::test]
async fn request_in_progress_is_answered_before_exit() {
    let server = Server::start().await;
    let mail = TestEvent::message_received();
    let signed = mail.sign::<Body>(&secret("whsec_test"));
    let header = |name| signed.headers()[name].to_str().unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         X-Timestamp: {}\r\nX-Signature: {}\r\n\r\n",
        mail.to_bytes().len(),
        header("x-timestamp"),
        header("x-signature"),
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so it has begun to handle the request.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.stop.send(()).unwrap();
    while TcpStream::connect(server.address).await.is_ok() {}
    stream.write_all(&mail.to_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.running.await.unwrap();
    assert_eq!(server.received.0.load(Ordering::Relaxed), 1);
}
