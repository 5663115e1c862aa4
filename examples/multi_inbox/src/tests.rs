//! Drives the service over a socket, as OpenMail would.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::Router;
use openmail_tower::{Secret, VerifyLayer, testing::TestEvent, webhook};
use reqwest::{Body, Client};
use tokio::net::TcpListener;

use super::{
    events,
    state::{AppState, Mails},
};

struct Server {
    address: SocketAddr,
    client: Client,
    state: AppState,
}

impl Server {
    async fn start() -> Self {
        let layer = VerifyLayer::new(secret("whsec_test"));
        let state = AppState::default();
        let events = events("inb_of_this_environment").with_state(state.clone());
        let app = Router::new().route_service("/webhooks", webhook(layer, events));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { address, client, state }
    }

    /// Delivers an event, and asserts that it is answered 200.
    async fn deliver(&self, event: TestEvent) {
        let mut request = event.sign::<Body>(&secret("whsec_test"));
        *request.uri_mut() = format!("http://{}/webhooks", self.address).parse().unwrap();
        let answer = self.client.execute(request.try_into().unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{event:?}");
    }

    fn mails(&self) -> BTreeMap<&'static str, Mails> {
        self.state.desks.mails()
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn mail(inbox: &str) -> TestEvent {
    TestEvent::message_received().inbox(inbox)
}

fn mails(agent: u64, person: u64) -> Mails {
    Mails { agent, person }
}

#[tokio::test]
async fn mail_reaches_the_desk_of_its_inbox() {
    let server = Server::start().await;
    server.deliver(mail("inb_support")).await;
    server.deliver(mail("inb_support").message_field("auto_replyable", false)).await;
    server.deliver(mail("inb_sales_eu")).await;
    server.deliver(mail("inb_sales_us").message_field("category", "spam")).await;
    server.deliver(mail("inb_of_this_environment").attachment("bill.pdf", "42")).await;
    server.deliver(mail("inb_new")).await;
    server.deliver(TestEvent::new("setup.test")).await;
    let expected = [
        ("support", mails(1, 1)),
        ("sales", mails(1, 1)),
        ("billing", mails(0, 1)),
        ("reception", mails(0, 1)),
    ];
    assert_eq!(server.mails(), BTreeMap::from(expected));
}

#[tokio::test]
async fn permanent_failure_is_not_redelivered() {
    let server = Server::start().await;
    server.deliver(mail("inb_of_this_environment")).await;
    assert_eq!(server.mails(), BTreeMap::new());
}

#[tokio::test]
async fn handlers_share_the_state() {
    let server = Server::start().await;
    server.deliver(TestEvent::new("inbox.suspended").inbox("inb_support")).await;
    server.deliver(mail("inb_support")).await;
    server.deliver(TestEvent::new("inbox.reactivated").inbox("inb_support")).await;
    server.deliver(mail("inb_support")).await;
    assert_eq!(server.mails(), BTreeMap::from([("support", mails(1, 1))]));
}
