//! Drives the application over a socket, as OpenMail and a browser do.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use example_axum::{Seen, app, serve};
use openmail_tower::{Secret, Secrets, VerifyLayer, signature};
use reqwest::{Client, RequestBuilder, Response};
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
        let layer = VerifyLayer::new(Secrets::new(Secret::new("whsec_test").unwrap()));
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

    fn post(&self, secret: &str, body: &Value) -> RequestBuilder {
        let body = body.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = signature::sign(&Secret::new(secret).unwrap(), now, body.as_bytes());
        let url = format!("http://{}/webhooks", self.address);
        let request = self.client.post(url).body(body);
        request.header("X-Timestamp", now).header("X-Signature", signature)
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

fn mail() -> Value {
    json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": "inb_1",
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>"},
    })
}

#[tokio::test]
async fn signed_events_are_counted() {
    let server = Server::start().await;
    for event in [mail(), json!({"event": "setup.test"}), json!({"event": "thread.archived"})] {
        assert_eq!(server.post("whsec_test", &event).send().await.unwrap().status(), 204);
    }
    assert_eq!(server.status().await, json!({"mails": 1, "others": 2}));
    server.stop().await;
}

#[tokio::test]
async fn forged_events_are_not() {
    let server = Server::start().await;
    let answer = server.post("whsec_other", &mail()).send().await.unwrap();
    assert_eq!(answer.status(), 401);
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
