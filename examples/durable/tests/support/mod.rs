//! Shared by the tests: the application on a socket, and mails for it.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use example_durable::{Agent, run, telemetry};
use metrics_exporter_prometheus::PrometheusHandle;
use openmail_tower::{
    Secret, VerifyLayer,
    queue::{Enqueue, QueueStore},
    webhook::signature,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};

/// There is one recorder for the whole process.
fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::metrics().unwrap()).clone()
}

pub(crate) struct Server {
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<St: QueueStore>(queue: Enqueue<St>, agent: Agent) -> Self {
        let layer = VerifyLayer::new(Secret::new("whsec_test").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async {
            let stop = async { drop(stopped.await) };
            run(listener, layer, queue, agent, metrics(), stop).await.unwrap();
        });
        Self { url, client: Client::builder().no_proxy().build().unwrap(), stop, running }
    }

    pub(crate) async fn post(&self, body: &Value) -> u16 {
        self.post_signed(body, "whsec_test").await
    }

    pub(crate) async fn post_signed(&self, body: &Value, secret: &str) -> u16 {
        deliver(&self.client, &format!("{}/webhooks", self.url), body, secret).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }
}

/// Delivers an event, and returns the status of the response.
pub(crate) async fn deliver(client: &Client, url: &str, body: &Value, secret: &str) -> u16 {
    let body = body.to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = signature::sign(&Secret::new(secret).unwrap(), now, body.as_bytes());
    let request = client.post(url).body(body);
    let request = request.header("X-Timestamp", now).header("X-Signature", signature);
    request.send().await.unwrap().status().as_u16()
}

pub(crate) fn mail(id: &str, subject: &str) -> Value {
    json!({
        "event": "message.received", "event_id": id, "inbox_id": "inb_1", "thread_id": "thr_1",
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>", "subject": subject},
    })
}

/// Polls until `what` holds. Panics if it does not within about 30 s.
pub(crate) async fn until(what: impl AsyncFn() -> bool) {
    for _ in 0..3000 {
        if what().await {
            return;
        }
        // What the program has stored or served can only be polled.
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition did not hold in time");
}
