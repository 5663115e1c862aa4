//! Drives the application over a socket, stops it, and starts it again.

#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

use std::path::Path;

use example_durable::Agent;
use openmail_tower::queue::{Enqueue, QueueStore, SqliteStore};

use support::{Server, mail, until};

/// Drives the application, restarts it on the same queue, and drives it again.
async fn drive<St: QueueStore>(open: impl AsyncFn() -> St) {
    let agent = Agent::default();
    let store = open().await;
    let server = Server::start(Enqueue::new(store.clone()), agent.clone()).await;
    assert_eq!(server.get("/ready").await.0, 200);
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    assert_eq!(server.post(&mail("evt_2", "")).await, 200);
    until(async || agent.answer_to("evt_1").await.is_some()).await;
    assert_eq!(agent.answer_to("evt_1").await.as_deref(), Some("Re: Hello"));
    until(async || store.counts().await.unwrap().dead == 1).await;
    server.stop().await;
    // The queue still knows what was answered before the restart.
    let agent = Agent::default();
    let store = open().await;
    let server = Server::start(Enqueue::new(store.clone()), agent.clone()).await;
    assert_eq!(server.post(&mail("evt_1", "Hello")).await, 200);
    let mut bounce = mail("evt_4", "Undeliverable");
    bounce["message"]["category"] = "bounce".into();
    assert_eq!(server.post(&bounce).await, 200);
    let mut suspended = mail("evt_5", "");
    suspended["event"] = "inbox.suspended".into();
    assert_eq!(server.post(&suspended).await, 200);
    let mut misfit = mail("evt_6", "Without an id");
    misfit["message"]["id"] = true.into();
    assert_eq!(server.post(&misfit).await, 200);
    assert_eq!(server.post(&mail("evt_3", "Again")).await, 200);
    until(async || agent.answer_to("evt_3").await.is_some()).await;
    until(async || store.counts().await.unwrap().dead == 2).await;
    server.stop().await;
    assert_eq!(agent.answer_to("evt_1").await, None, "it was answered before");
    assert_eq!(agent.answer_to("evt_4").await, None, "a bounce must not be answered");
    let letters = store.dead_letters(None, 10).await.unwrap();
    let kinds: Vec<_> = letters.iter().map(|letter| &*letter.kind).collect();
    assert_eq!(kinds, ["message.received", "message.received"], "a suspension is handled");
    assert_eq!(letters[0].error, "there is nothing to answer");
    assert_eq!(letters[1].event_id.as_deref(), Some("evt_6"));
}

#[tokio::test]
async fn no_mail_is_lost_or_answered_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    drive(async || SqliteStore::open(Path::new(&path)).await.unwrap()).await;
}
