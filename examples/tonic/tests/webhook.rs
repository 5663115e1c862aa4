//! Drives both services over their one socket, as OpenMail and an agent do.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use example_tonic::{
    Token,
    proto::{Event, SubscribeRequest, agents_client::AgentsClient},
    serve,
};
use openmail_tower::{Secret, Secrets, VerifyLayer, signature};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{Code, Request, Status, Streaming, transport::Endpoint};

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
            let token = Token::new("agent_token").unwrap();
            serve(listener, layer, token, async { stopped.await.unwrap() }).await.unwrap();
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client, stop, running }
    }

    async fn post(&self, path: &str, secret: &str, event: &Value) -> Response {
        let body = event.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = signature::sign(&Secret::new(secret).unwrap(), now, body.as_bytes());
        let request = self.client.post(format!("http://{}{path}", self.address)).body(body);
        let request = request.header("X-Timestamp", now).header("X-Signature", signature);
        request.send().await.unwrap()
    }

    async fn deliver(&self, event: &Value) -> Response {
        self.post("/webhooks", "whsec_test", event).await
    }

    async fn subscribe(&self, token: &str, inbox: &str) -> Result<Streaming<Event>, Status> {
        let channel = Endpoint::new(format!("http://{}", self.address)).unwrap();
        let mut agent = AgentsClient::new(channel.connect().await.unwrap());
        let mut request = Request::new(SubscribeRequest { inbox_id: inbox.to_owned() });
        let token = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        agent.subscribe(request).await.map(tonic::Response::into_inner)
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

fn mail(inbox: &str) -> Value {
    json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": inbox,
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>"},
    })
}

#[tokio::test]
async fn agents_get_the_events_of_their_inbox() {
    let server = Server::start().await;
    let mut support = server.subscribe("agent_token", "inb_support").await.unwrap();
    let mut second = server.subscribe("agent_token", "inb_support").await.unwrap();
    let mut sales = server.subscribe("agent_token", "inb_sales").await.unwrap();
    let suspended = json!({"event": "inbox.suspended", "inbox_id": "inb_support"});
    for event in [mail("inb_support"), mail("inb_sales"), suspended] {
        assert_eq!(server.deliver(&event).await.status(), 200);
    }
    for agent in [&mut support, &mut second] {
        let first = agent.message().await.unwrap().unwrap();
        assert_eq!((&*first.event, first.event_id.as_deref()), ("message.received", Some("evt_1")));
        assert_eq!(first.json, mail("inb_support").to_string());
        let then = agent.message().await.unwrap().unwrap();
        assert_eq!((&*then.event, then.event_id), ("inbox.suspended", None));
    }
    assert_eq!(sales.message().await.unwrap().unwrap().json, mail("inb_sales").to_string());
    server.stop().await;
    assert_eq!(support.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn an_event_that_nobody_listens_for_is_asked_for_again() {
    let server = Server::start().await;
    let agent = server.subscribe("agent_token", "inb_sales").await.unwrap();
    let answer = server.deliver(&mail("inb_support")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "30");
    // What is about no inbox needs nobody.
    assert_eq!(server.deliver(&json!({"event": "setup.test"})).await.status(), 200);
    drop(agent);
    server.stop().await;
}

#[tokio::test]
async fn only_who_knows_the_token_or_the_secret_is_let_in() {
    let server = Server::start().await;
    for token in ["", "agent", "agent_tokem", "agent_token2"] {
        let status = server.subscribe(token, "inb_support").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}");
    }
    let _agent = server.subscribe("agent_token", "inb_support").await.unwrap();
    let forged = server.post("/webhooks", "whsec_other", &mail("inb_support")).await;
    assert_eq!(forged.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_path_is_not_taken_for_a_success() {
    let server = Server::start().await;
    assert_eq!(server.post("/webhook", "whsec_test", &mail("inb_support")).await.status(), 404);
    server.stop().await;
}
