//! Drives the service over a socket, as OpenMail does.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::Router;
use example_multi_inbox::{AppState, Mails, events, serve};
use openmail_tower::{Secret, Secrets, VerifyLayer, signature, webhook};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

struct Server {
    address: SocketAddr,
    client: Client,
    state: AppState,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(Secrets::new(Secret::new("whsec_test").unwrap()));
        let state = AppState::default();
        let events = events("inb_of_this_environment").with_state(state.clone());
        let app = Router::new().route_service("/webhooks", webhook(layer, events));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async {
            serve(listener, app, async { stopped.await.unwrap() }).await.unwrap();
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client, state, stop, running }
    }

    /// Delivers an event; each of them is answered 200.
    async fn deliver(&self, event: Value) {
        let body = event.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = signature::sign(&Secret::new("whsec_test").unwrap(), now, body.as_bytes());
        let request = self.client.post(format!("http://{}/webhooks", self.address)).body(body);
        let request = request.header("X-Timestamp", now).header("X-Signature", signature);
        assert_eq!(request.send().await.unwrap().status(), 200, "{event}");
    }

    async fn stop(self) -> BTreeMap<&'static str, Mails> {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
        self.state.desks.mails()
    }
}

fn mail(inbox: &str, more: &Value) -> Value {
    let mut message = json!({"id": "msg_1", "from": "ada@example.com"});
    message.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": inbox, "message": message,
    })
}

fn mails(agent: u64, person: u64) -> Mails {
    Mails { agent, person }
}

#[tokio::test]
async fn each_inbox_has_its_desk() {
    let server = Server::start().await;
    server.deliver(mail("inb_support", &json!({}))).await;
    server.deliver(mail("inb_support", &json!({"auto_replyable": false}))).await;
    server.deliver(mail("inb_sales_eu", &json!({}))).await;
    server.deliver(mail("inb_sales_us", &json!({"category": "spam"}))).await;
    server.deliver(mail("inb_of_this_environment", &json!({"attachments": [{}]}))).await;
    server.deliver(mail("inb_new", &json!({}))).await;
    server.deliver(json!({"event": "setup.test"})).await;
    let expected = [
        ("support", mails(1, 1)),
        ("sales", mails(1, 1)),
        ("billing", mails(0, 1)),
        ("reception", mails(0, 1)),
    ];
    assert_eq!(server.stop().await, BTreeMap::from(expected));
}

#[tokio::test]
async fn what_fails_for_good_is_not_asked_for_again() {
    let server = Server::start().await;
    server.deliver(mail("inb_of_this_environment", &json!({}))).await;
    assert_eq!(server.stop().await, BTreeMap::new());
}

#[tokio::test]
async fn one_handler_sees_what_another_has_left_in_the_state() {
    let server = Server::start().await;
    let lifecycle = |event| json!({"event": event, "event_id": "evt_2", "inbox_id": "inb_support"});
    server.deliver(lifecycle("inbox.suspended")).await;
    server.deliver(mail("inb_support", &json!({}))).await;
    server.deliver(lifecycle("inbox.reactivated")).await;
    server.deliver(mail("inb_support", &json!({}))).await;
    assert_eq!(server.stop().await, BTreeMap::from([("support", mails(1, 1))]));
}
