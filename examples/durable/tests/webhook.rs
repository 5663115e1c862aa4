//! Drives the application over a socket, stops it, and starts it again.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use example_durable::{Agent, run};
use openmail_tower::{
    Secret, VerifyLayer,
    queue::{Enqueue, QueueStore, SqliteStore},
    webhook::signature,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};

struct Server {
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start<St: QueueStore>(queue: Enqueue<St>, agent: Agent) -> Self {
        let layer = VerifyLayer::new(Secret::new("whsec_test").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async {
            run(listener, layer, queue, agent, async { drop(stopped.await) }).await.unwrap();
        });
        Self { url, client: Client::builder().no_proxy().build().unwrap(), stop, running }
    }

    async fn post(&self, body: &Value) -> u16 {
        let body = body.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = signature::sign(&Secret::new("whsec_test").unwrap(), now, body.as_bytes());
        let request = self.client.post(format!("{}/webhooks", self.url)).body(body);
        let request = request.header("X-Timestamp", now).header("X-Signature", signature);
        request.send().await.unwrap().status().as_u16()
    }

    async fn is_ready(&self) -> bool {
        self.client.get(format!("{}/ready", self.url)).send().await.unwrap().status() == 200
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }
}

fn mail(id: &str, subject: &str) -> Value {
    json!({
        "event": "message.received", "event_id": id, "inbox_id": "inb_1", "thread_id": "thr_1",
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>", "subject": subject},
    })
}

async fn until(what: impl AsyncFn() -> bool) {
    for _ in 0..3000 {
        if what().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come");
}

/// Opens the same queue each time it is called.
async fn drive<St: QueueStore>(open: impl AsyncFn() -> St) {
    let agent = Agent::default();
    let store = open().await;
    let server = Server::start(Enqueue::new(store.clone()), agent.clone()).await;
    assert!(server.is_ready().await);
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    assert_eq!(server.post(&mail("evt_2", "")).await, 200);
    until(async || agent.answer_to("evt_1").await.is_some()).await;
    assert_eq!(agent.answer_to("evt_1").await.as_deref(), Some("Re: Hello"));
    until(async || store.counts().await.unwrap().dead == 1).await;
    server.stop().await;
    // What is known to it outlives it.
    let agent = Agent::default();
    let store = open().await;
    let server = Server::start(Enqueue::new(store.clone()), agent.clone()).await;
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    let mut bounce = mail("evt_4", "Undeliverable");
    bounce["message"]["category"] = "bounce".into();
    assert_eq!(server.post(&bounce).await, 200);
    assert_eq!(server.post(&mail("evt_3", "Again")).await, 200);
    until(async || agent.answer_to("evt_3").await.is_some()).await;
    server.stop().await;
    assert_eq!(agent.answer_to("evt_1").await, None, "it was answered before");
    assert_eq!(
        agent.answer_to("evt_4").await,
        None,
        "two agents that answer each other never stop"
    );
    let letters = store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].error, "there is nothing to answer");
}

#[tokio::test]
async fn nothing_is_lost_or_answered_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    drive(async || SqliteStore::open(Path::new(&path)).await.unwrap()).await;
}
