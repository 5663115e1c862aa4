//! Drives both services over their shared socket, as OpenMail and an agent would.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{net::SocketAddr, time::Duration};

use example_tonic::{
    Token,
    proto::{Event, SubscribeRequest, agents_client::AgentsClient},
    serve,
};
use openmail_tower::{Secret, VerifyLayer, testing::TestEvent};
use reqwest::{Body, Client, Response};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};
use tonic::{Code, Request, Status, Streaming, transport::Endpoint};

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
            let token = Token::new("agent_token").unwrap();
            serve(listener, layer, token, async { stopped.await.unwrap() }).await.unwrap();
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client, stop, running }
    }

    async fn post(&self, path: &str, event: &TestEvent, secret: &Secret) -> Response {
        let mut request = event.sign::<Body>(secret);
        *request.uri_mut() = format!("http://{}{path}", self.address).parse().unwrap();
        self.client.execute(request.try_into().unwrap()).await.unwrap()
    }

    async fn deliver(&self, event: &TestEvent) -> Response {
        self.post("/webhooks", event, &secret("whsec_test")).await
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

/// Returns the agent's next event. The limit only makes a hanging test fail.
async fn next(agent: &mut Streaming<Event>) -> Result<Event, Status> {
    let message = timeout(Duration::from_secs(60), agent.message()).await.unwrap();
    message.map(|event| event.expect("a subscription ends with a status"))
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn mail(inbox: &str) -> TestEvent {
    TestEvent::message_received().inbox(inbox)
}

#[tokio::test]
async fn agents_get_the_events_of_their_inbox() {
    let server = Server::start().await;
    let mut support = server.subscribe("agent_token", "inb_support").await.unwrap();
    let mut second = server.subscribe("agent_token", "inb_support").await.unwrap();
    let mut sales = server.subscribe("agent_token", "inb_sales").await.unwrap();
    let [to_support, to_sales] = [mail("inb_support").event_id("evt_1"), mail("inb_sales")];
    let suspended = TestEvent::new("inbox.suspended").inbox("inb_support").without("event_id");
    for event in [&to_support, &to_sales, &suspended] {
        assert_eq!(server.deliver(event).await.status(), 200);
    }
    for agent in [&mut support, &mut second] {
        let first = next(agent).await.unwrap();
        assert_eq!((&*first.event, first.event_id.as_deref()), ("message.received", Some("evt_1")));
        assert_eq!(first.json, to_support.to_bytes());
        let then = next(agent).await.unwrap();
        assert_eq!((&*then.event, then.event_id), ("inbox.suspended", None));
    }
    assert_eq!(next(&mut sales).await.unwrap().json, to_sales.to_bytes());
    server.stop().await;
    assert_eq!(next(&mut support).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn event_without_a_listener_is_retried() {
    let server = Server::start().await;
    let agent = server.subscribe("agent_token", "inb_sales").await.unwrap();
    let answer = server.deliver(&mail("inb_support")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "30");
    // An event without an inbox needs no agent.
    assert_eq!(server.deliver(&TestEvent::new("setup.test")).await.status(), 200);
    drop(agent);
    server.stop().await;
}

#[tokio::test]
async fn wrong_token_and_wrong_secret_are_rejected() {
    let server = Server::start().await;
    for token in ["", "agent", "agent_tokem", "agent_token2"] {
        let status = server.subscribe(token, "inb_support").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}");
    }
    let _agent = server.subscribe("agent_token", "inb_support").await.unwrap();
    let forged = server.post("/webhooks", &mail("inb_support"), &secret("whsec_other")).await;
    assert_eq!(forged.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn wrong_path_is_not_a_success() {
    let server = Server::start().await;
    let answer = server.post("/webhook", &mail("inb_support"), &secret("whsec_test")).await;
    assert_eq!(answer.status(), 404);
    server.stop().await;
}
