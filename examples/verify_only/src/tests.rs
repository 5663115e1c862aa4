//! Sends requests to the server over a socket, as OpenMail does.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use openmail_tower::{Secret, Secrets, testing::TestEvent};
use reqwest::{Body, Client, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{BODY_LIMIT, serve};

struct Running {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Running {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve(listener, Secrets::new(secret("whsec_test"))).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, handle }
    }

    async fn post(&self, event: &TestEvent, secret: &Secret) -> Response {
        self.send(event.sign::<Body>(secret)).await
    }

    async fn send(&self, mut request: http::Request<Body>) -> Response {
        *request.uri_mut() = format!("http://{}/webhooks", self.address).parse().unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        client.execute(request.try_into().unwrap()).await.unwrap()
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[actix_web::test]
async fn signed_events_are_accepted_and_forged_ones_rejected() {
    let server = Running::start();
    let mail = TestEvent::message_received();
    assert_eq!(server.post(&mail, &secret("whsec_test")).await.status(), 200);
    let test = TestEvent::new("setup.test");
    assert_eq!(server.post(&test, &secret("whsec_test")).await.status(), 200);

    let refused = server.post(&mail, &secret("whsec_other")).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["content-type"], "application/json");
    assert!(refused.text().await.unwrap().contains("signature_mismatch"));
    server.handle.stop(true).await;
}

#[actix_web::test]
async fn other_method_is_answered_405() {
    let server = Running::start();
    let mut request = TestEvent::message_received().sign::<Body>(&secret("whsec_test"));
    *request.method_mut() = http::Method::PUT;
    let refused = server.send(request).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "POST");
    assert!(refused.text().await.unwrap().contains("method_not_allowed"));
    server.handle.stop(true).await;
}

#[actix_web::test]
async fn signature_given_twice_is_rejected() {
    let server = Running::start();
    let mut request = TestEvent::message_received().sign::<Body>(&secret("whsec_test"));
    let signature = request.headers()["x-signature"].clone();
    request.headers_mut().append("x-signature", signature);
    let refused = server.send(request).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("ambiguous_header"));
    server.handle.stop(true).await;
}

#[actix_web::test]
async fn body_over_the_limit_is_rejected_before_its_end() {
    let server = Running::start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // Declares a much larger body, but sends only a little more than the limit.
    let length = 4 * BODY_LIMIT;
    let head =
        format!("POST /webhooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sent = actix_web::rt::spawn(async move {
        // The server may close the connection before it has read the whole body.
        let _ = write.write_all(&vec![b' '; BODY_LIMIT + 1]).await;
        write
    });
    let mut status = [0; 13];
    read.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413 ");
    drop(sent.await.unwrap());
    server.handle.stop(true).await;
}
