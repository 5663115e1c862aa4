//! The built gateway, scripted agents, and a sender.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "test helpers; not every test file uses all of them"
)]

mod agent;
mod gateway;

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openmail_tower::{Secret, webhook::signature};
use reqwest::Client;

pub(crate) use agent::{Agent, Answer, Received};
pub(crate) use gateway::Gateway;

/// The account's secret.
pub(crate) const ACCOUNT: &str = "whsec_account";

/// Waits with a time limit that only a hang reaches, even on a slow machine.
pub(crate) async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// A configuration with the account's secret and one inbox.
pub(crate) fn one(agent: &Agent, more: &str) -> String {
    format!(
        "[account]\nsecrets = [\"env:GATEWAY_TEST_ACCOUNT\"]\n\
         [[inbox]]\nid = \"A\"\nurl = \"{}\"\n{more}\n",
        agent.url()
    )
}

/// The body of a `message.received` request.
pub(crate) fn mail(inbox: &str, event: &str) -> String {
    serde_json::json!({
        "event": "message.received", "event_id": event, "inbox_id": inbox,
        "message": {"id": event, "from": "Ada <ada@example.com>"},
    })
    .to_string()
}

/// Posts a body as OpenMail does, and returns the status of the response.
pub(crate) async fn post(client: &Client, url: &str, secret: &str, body: &str) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = signature::sign(&Secret::new(secret).unwrap(), now, body.as_bytes());
    let request = client.post(url).body(body.to_owned()).header("X-Timestamp", now);
    let request = request.header("X-Signature", signature).header("X-Event-Id", "unsigned");
    request.send().await.unwrap().status().as_u16()
}
