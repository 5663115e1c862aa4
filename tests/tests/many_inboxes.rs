//! Ten thousand inboxes are added while events arrive: four thousand good ones and two thousand
//! forged ones per second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use openmail_tests::{NOW, clock};
use openmail_tower::{
    EventRouter, HandlerError, Outcome, Secret, VerifiedEvent, VerifyLayer,
    router::Inboxes,
    webhook,
    webhook::{InboxKeyring, signature::sign},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tower::{ServiceExt, service_fn};

const INBOXES: usize = 10_000;

fn secret(inbox: usize) -> Secret {
    Secret::new(format!("whsec_{inbox}")).unwrap()
}

fn request(inbox: usize, signed_by: usize) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"event":"message.received","event_id":"evt","inbox_id":"{inbox}",
           "message":{{"id":"msg","from":"ada@example.com"}}}}"#
    );
    Request::post(format!("/webhooks/{inbox}"))
        .header("x-timestamp", NOW)
        .header("x-signature", sign(&secret(signed_by), NOW, body.as_bytes()))
        .body(body.into())
        .unwrap()
}

/// Adds an inbox with its own service, which panics if it gets the event of another inbox.
fn add(inboxes: &Inboxes, keyring: &InboxKeyring, inbox: usize, runs: &Arc<AtomicUsize>) {
    let runs = Arc::clone(runs);
    let service = service_fn(move |event: VerifiedEvent| {
        assert_eq!(event.inbox_id().unwrap(), inbox.to_string().as_str());
        runs.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, HandlerError>(Outcome::Done) }
    });
    inboxes.replace_service(inbox.to_string(), service).unwrap();
    keyring.set(inbox.to_string(), secret(inbox));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_its_inbox() {
    let (keyring, router) = (InboxKeyring::new(), EventRouter::new());
    let (inboxes, runs) = (router.inboxes(), Arc::new(AtomicUsize::new(0)));
    let layer = VerifyLayer::with_keyring(keyring.clone()).clock(clock(0));
    let webhook = webhook(layer, router);
    // The number of inboxes. It grows only after an inbox is bound.
    let there = Arc::new(AtomicUsize::new(1));
    add(&inboxes, &keyring, 0, &runs);

    let adding = tokio::task::spawn_blocking({
        let (there, runs) = (Arc::clone(&there), Arc::clone(&runs));
        move || {
            for inbox in 1..INBOXES {
                add(&inboxes, &keyring, inbox, &runs);
                there.store(inbox + 1, Ordering::Release);
                // Pauses, so that adding all inboxes takes as long as several thousand events.
                if inbox % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    });

    let mut pace = interval(Duration::from_micros(500));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = JoinSet::new();
    let (mut sent, mut at) = (0, 0);
    while !adding.is_finished() || sent < 2_000 {
        pace.tick().await;
        let count = there.load(Ordering::Acquire);
        // Any existing inbox, and the newest one.
        at = (at + 7919) % count;
        for inbox in [at, count - 1] {
            let answer = webhook.clone().oneshot(request(inbox, inbox));
            answers
                .spawn(async move { assert_eq!(answer.await.unwrap().status(), 200, "{inbox}") });
            sent += 1;
        }
        // The next inbox, which may not exist yet, with the secret of another one.
        let forged = webhook.clone().oneshot(request(count, at));
        answers.spawn(async { assert_eq!(forged.await.unwrap().status(), 401) });
    }
    adding.await.unwrap();
    while let Some(answer) = answers.join_next().await {
        answer.unwrap();
    }
    assert_eq!(runs.load(Ordering::Relaxed), sent);
}
