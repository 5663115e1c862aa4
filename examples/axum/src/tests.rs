//! Drives the application over a socket, as OpenMail and a browser would.

use std::net::SocketAddr;

use openmail_tower::{Secret, VerifyLayer, testing::TestEvent};
use reqwest::{Body, Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Seen, app};

struct Server {
    address: SocketAddr,
    client: Client,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(secret("whsec_test"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app(layer, Seen::default());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client }
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
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[tokio::test]
async fn counts_signed_events() {
    let server = Server::start().await;
    for name in ["message.received", "setup.test", "thread.archived"] {
        assert_eq!(server.post(&TestEvent::new(name), &secret("whsec_test")).await, 204, "{name}");
    }
    assert_eq!(server.status().await, json!({"mails": 1, "others": 2}));
}

#[tokio::test]
async fn does_not_count_forged_events() {
    let server = Server::start().await;
    let mail = TestEvent::message_received();
    assert_eq!(server.post(&mail, &secret("whsec_other")).await, 401);
    assert_eq!(server.status().await, json!({"mails": 0, "others": 0}));
}

#[tokio::test]
async fn other_routes_need_no_signature() {
    let server = Server::start().await;
    assert_eq!(server.get("/").await.status(), 200);
    assert_eq!(server.get("/nothing").await.status(), 404);
    assert_eq!(server.get("/webhooks").await.status(), 405);
}
