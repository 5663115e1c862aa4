//! The receivers: one with a queue and a worker, and the floor, which has neither.

use std::future::pending;

use axum::{Router, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openmail_tests::secret;
use openmail_tower::{
    EventRouter, MessageReceived, VerifyLayer,
    api::{ApiKey, OpenMail},
    openmail_handler,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore},
    reply::Reply,
    webhook,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::THREADS;

pub(crate) const NAME: &str = "receiver";
/// The name of the receiver without a database.
pub(crate) const FLOOR: &str = "floor";

#[openmail_handler(event = "message.received")]
async fn answer(_: &MessageReceived) -> Reply {
    Reply::text("Thank you for your mail. We will look into it and write to you again soon.")
}

/// Serves until it is killed. Prints its address first.
pub(crate) async fn serve(database: &str, api: &str) {
    if database == FLOOR {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let floor = Floor { client, api: api.to_owned() };
        listen(Router::new().route("/webhooks", post(relay)).with_state(floor)).await;
    } else if database.starts_with("postgres") {
        queued(Enqueue::new(PostgresStore::connect(database).await.expect("a store")), api).await;
    } else {
        queued(Enqueue::new(SqliteStore::open(database).await.expect("a store")), api).await;
    }
}

async fn queued<St: QueueStore>(queue: Enqueue<St>, api: &str) {
    let openmail = OpenMail::at(ApiKey::new("om_bench").expect("a key"), api).expect("loopback");
    let worker = queue
        .worker(EventRouter::new().handler(answer))
        .replies(openmail)
        .concurrency(2 * THREADS)
        .per_inbox(2 * THREADS);
    tokio::spawn(worker.run(pending()));
    let webhook = webhook(VerifyLayer::new(secret()), queue);
    listen(Router::new().route_service("/webhooks", webhook)).await;
}

async fn listen(app: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("a server");
}

#[derive(Clone)]
struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    api: String,
}

impl Floor {
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Value {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.api));
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::from(body));
        let response = self.client.request(request.expect("a request")).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }
}

async fn relay(State(floor): State<Floor>, body: Bytes) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    let thread = event["thread_id"].as_str().expect("a thread");
    let read =
        floor.ask(Method::GET, &format!("/v1/threads/{thread}/messages"), Bytes::new()).await;
    let reply = json!({
        "to": read["data"][0]["fromAddr"], "threadId": thread,
        "body": "Thank you for your mail. We will look into it and write to you again soon.",
    });
    let inbox = event["inbox_id"].as_str().expect("an inbox");
    floor.ask(Method::POST, &format!("/v1/inboxes/{inbox}/send"), reply.to_string().into()).await;
    StatusCode::OK
}
