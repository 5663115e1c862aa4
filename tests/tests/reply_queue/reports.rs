//! `Worker::on_reply` reports each reply's state.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tests::fake_api::Fault;
use openmail_tower::{
    api::{ApiKey, OpenMail},
    queue::{Backoff, QueueStore, ReplyReport, ReplyState},
};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tower::{Service, service_fn};

use crate::setup::{Setup, accepted};

type Told = Arc<Mutex<Vec<ReplyReport>>>;

/// A hook that always fails, and takes longer if the reply was queued.
fn hook(told: &Told) -> impl Hook + use<> {
    let told = Arc::clone(told);
    service_fn(move |report: ReplyReport| {
        let told = Arc::clone(&told);
        async move {
            if report.state == ReplyState::Queued {
                sleep(Duration::from_millis(200)).await;
            }
            told.lock().unwrap().push(report);
            Err::<(), _>(io::Error::other("full"))
        }
    })
}

trait Hook: Service<ReplyReport, Error = io::Error, Future: Send> + Send + 'static {}

impl<S: Service<ReplyReport, Error = io::Error, Future: Send> + Send + 'static> Hook for S {}

fn work(setup: &Setup, told: &Told) -> JoinHandle<usize> {
    let worker = setup.worker(setup.api.openmail()).on_reply(hook(told));
    tokio::spawn(worker.run(std::future::pending()))
}

async fn until(told: &Told, count: usize) {
    while told.lock().unwrap().len() < count {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn each_state_of_a_reply_is_reported_even_by_another_worker() {
    let setup = Setup::new().await;
    let told = Told::default();
    let inbox = |fault: Fault, inbox| fault.times(1).inbox(inbox);
    let faults = [
        inbox(Fault::refusal(403, "reputation_suspended"), "inb_held"),
        inbox(Fault::refusal(422, "no_mx_records"), "inb_failed"),
        inbox(Fault::refusal(500, "internal"), "inb_sent"),
    ];
    setup.api.faults(faults).await;
    let worker = work(&setup, &told);
    for name in ["held", "failed", "sent"] {
        setup.mail(&format!("inb_{name}"), &format!("thr_{name}"), &format!("msg_{name}")).await;
    }
    until(&told, 6).await;
    worker.abort();
    let _ = worker.await;
    // From here on, a new worker reports. It knows the reply only from the database.
    let worker = work(&setup, &told);
    assert_eq!(setup.store.release_held(None).await.unwrap(), 1);
    until(&told, 7).await;
    setup.until_done().await;
    worker.abort();

    let told = told.lock().unwrap().clone();
    let sends = setup.api.sends().await;
    for (name, states) in [
        ("held", &[ReplyState::Queued, ReplyState::Held, ReplyState::Sent][..]),
        ("failed", &[ReplyState::Queued, ReplyState::Failed]),
        ("sent", &[ReplyState::Queued, ReplyState::Sent]),
    ] {
        let message = format!("msg_{name}");
        let of: Vec<_> =
            told.iter().filter(|it| it.message_id.as_deref() == Some(&message)).collect();
        assert_eq!(of.iter().map(|it| it.state).collect::<Vec<_>>(), states, "{name}");
        for report in of {
            assert_eq!(report.inbox_id, Some(format!("inb_{name}")));
            assert_eq!(report.thread_id, Some(format!("thr_{name}")));
            assert!(report.event_id.is_some());
            assert_eq!(report.name, "reply");
            let is_sent = |seen: &openmail_tests::fake_api::Seen| {
                seen.key.as_ref() == Some(&report.key) && seen.body.contains(&message)
            };
            assert!(sends.iter().any(is_sent), "no request has the key of the report");
            let error = report.error.as_deref().unwrap_or_default();
            match report.state {
                ReplyState::Held => assert!(error.contains("reputation_suspended"), "{error}"),
                ReplyState::Failed => assert!(error.contains("no_mx_records"), "{error}"),
                _ => assert_eq!(report.error, None),
            }
        }
    }
    assert_eq!(accepted(&sends), 2);
}

#[tokio::test]
async fn limited_reply_is_reported_only_as_queued_and_sent() {
    let setup = Setup::new().await;
    let limit = Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "0").times(3);
    setup.api.faults([limit]).await;
    let told = Told::default();
    let worker = work(&setup, &told);
    setup.mail("inb_1", "thr_1", "msg_1").await;
    until(&told, 2).await;
    worker.abort();
    let states: Vec<_> = told.lock().unwrap().iter().map(|it| it.state).collect();
    assert_eq!(states, [ReplyState::Queued, ReplyState::Sent]);
    assert_eq!(setup.api.sends().await.len(), 4);
}

#[tokio::test]
async fn reply_whose_request_panics_when_dropped_is_sent_later() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let begun = Arc::new(Notify::new());
    let client = {
        let begun = Arc::clone(&begun);
        service_fn(move |_: Request<Full<Bytes>>| {
            let begun = Arc::clone(&begun);
            async move {
                let _panics = Panics;
                begun.notify_one();
                std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            }
        })
    };
    let key = ApiKey::new("k").unwrap();
    let openmail = OpenMail::with_client(client, key, "https://api.openmail.example").unwrap();
    let setup = Setup::new().await;
    let told = Told::default();
    let backoff = Backoff::new(Duration::ZERO, Duration::ZERO).attempts(1);
    let worker = setup.worker(openmail).backoff(backoff).grace(Duration::ZERO);
    setup.mail("inb_1", "thr_1", "msg_1").await;
    let cut = worker.on_reply(hook(&told)).run(async move { begun.notified().await }).await;
    assert_eq!(cut, 1);
    assert_eq!(setup.store.counts().await.unwrap().dead, 0, "it uses no attempt");
    let worker = work(&setup, &told);
    until(&told, 2).await;
    worker.abort();
    let states: Vec<_> = told.lock().unwrap().iter().map(|it| it.state).collect();
    assert_eq!(states, [ReplyState::Queued, ReplyState::Sent]);
}
