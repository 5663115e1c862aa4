//! Several receivers get the same mail.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use openmail_tower::{
    Outcome,
    queue::{Enqueue, QueueStore, SqliteStore},
    testing::dispatch,
};
use serde_json::json;

use crate::setup::{Setup, accepted, mail};

/// Delivers a mail five times, to two replicas in turn.
async fn deliver(setup: &Setup, replicas: [&Enqueue<SqliteStore>; 2]) -> Vec<Outcome> {
    let message = json!({"id": "m1", "fromAddr": "m1@example.com"});
    setup.api.message("thr_1", message).await;
    let event = mail("inb_1", "thr_1", "m1");
    let deliveries = (1..=5).zip(replicas.into_iter().cycle()).map(|(attempt, replica)| {
        let event = event.clone().attempt(attempt);
        async move { dispatch(replica, &event).await.unwrap() }
    });
    join_all(deliveries).await
}

#[tokio::test]
async fn five_deliveries_to_two_replicas_of_a_queue_send_one_reply() {
    let setup = Setup::new().await;
    let other = Enqueue::sqlite(setup.folder.path().join("inbox.db")).await.unwrap();
    let workers = [&setup.queue, &other].map(|queue| setup.work_on(queue));
    let outcomes = deliver(&setup, [&setup.queue, &other]).await;
    assert_eq!(outcomes.iter().filter(|it| **it == Outcome::Queued).count(), 1, "{outcomes:?}");
    setup.until_done().await;
    workers.iter().for_each(|worker| worker.abort());
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (1, 1));
    assert_eq!(setup.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn five_deliveries_to_two_replicas_with_separate_queues_send_one_reply() {
    let setup = Setup::new().await;
    let other = Enqueue::sqlite(setup.folder.path().join("other.db")).await.unwrap();
    let workers = [&setup.queue, &other].map(|queue| setup.work_on(queue));
    deliver(&setup, [&setup.queue, &other]).await;
    setup.until_done().await;
    let is_done = async || other.store().counts().await.unwrap().open() == 0;
    while !is_done().await {
        tokio::task::yield_now().await;
    }
    workers.iter().for_each(|worker| worker.abort());
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (2, 1), "the API knows the key of the second one");
    assert!(sends[0].key == sends[1].key && sends[0].body != sends[1].body);
    assert!(setup.buried().await.is_empty());
    assert_eq!(other.store().counts().await.unwrap().dead, 0);
}
