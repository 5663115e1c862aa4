//! Drives the application over a socket, as OpenMail and a browser do.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;

use example_axum::{Seen, app, serve};
use openmail_tower::{Secret, VerifyLayer, testing::TestEvent};
use reqwest::{Body, Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

struct Server {
    address: SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(secret("whsec_test"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async {
            let stopped = async { stopped.await.unwrap() };
            serve(listener, app(layer, Seen::default()), stopped).await.unwrap();
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client, stop, running }
    }

    async fn post(&self, event: &TestEvent, secret: &Secret) -> StatusCode {
        let mut request = event.sign::<Body>(secret);
        *request.uri_mut() = format!("http://{}/webhooks", self.address).parse().unwrap();
        self.client.execute(request.try_into().unwrap()).await.unwrap().status()
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    async fn status(&self) -> Value {
        serde_json::from_slice(&self.get("/status").await.bytes().await.unwrap()).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[tokio::test]
async fn signed_events_are_counted() {
    let server = Server::start().await;
    for name in ["message.received", "setup.test", "thread.archived"] {
        assert_eq!(server.post(&TestEvent::new(name), &secret("whsec_test")).await, 204, "{name}");
    }
    assert_eq!(server.status().await, json!({"mails": 1, "others": 2}));
    server.stop().await;
}

#[tokio::test]
async fn forged_events_are_not() {
    let server = Server::start().await;
    let mail = TestEvent::message_received();
    assert_eq!(server.post(&mail, &secret("whsec_other")).await, 401);
    assert_eq!(server.status().await, json!({"mails": 0, "others": 0}));
    server.stop().await;
}

#[tokio::test]
async fn the_other_routes_need_no_signature() {
    let server = Server::start().await;
    assert_eq!(server.get("/").await.status(), 200);
    assert_eq!(server.get("/nothing").await.status(), 404);
    assert_eq!(server.get("/webhooks").await.status(), 405);
    server.stop().await;
}
