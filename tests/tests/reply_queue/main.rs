//! Replies that the queue's worker stores and sends.

mod limits;
mod people;
mod replicas;
mod reports;
mod setup;

use std::{sync::atomic::Ordering, time::Duration};

use openmail_tests::fake_api::{Fault, Route};
use openmail_tower::{
    IntoOutcome, VerifiedEvent,
    queue::{Backoff, QueueStore},
    reply::Reply,
};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::service_fn;

use setup::{Setup, accepted, mail, to};

#[tokio::test]
async fn reply_is_sent_once_and_its_handler_runs_once() {
    let setup = Setup::new().await;
    setup
        .api
        .faults([Fault::refusal(500, "internal").times(2), Fault::lost_answer().times(1)])
        .await;
    setup.mail("inb_1", "thr_1", "msg_1").await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (4, 1));
    assert!(sends.iter().all(|it| it.key == sends[0].key && it.body == sends[0].body));
    assert_eq!(setup.runs.load(Ordering::Relaxed), 1);
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);
}

#[tokio::test]
async fn key_used_with_another_body_counts_as_sent() {
    let setup = Setup::new().await;
    let worker = setup.work();
    for (id, status, code) in
        [("m1", 409, "idempotency_key_conflict"), ("m2", 422, "idempotency_key_reused")]
    {
        setup.api.faults([Fault::refusal(status, code).times(1)]).await;
        setup.mail("inb_1", "thr_1", id).await;
        setup.until_done().await;
    }
    worker.abort();
    assert_eq!(setup.api.sends().await.len(), 2, "neither is sent again");
    assert!(setup.buried().await.is_empty());
}

#[tokio::test]
async fn permanent_refusal_becomes_a_dead_letter_with_its_code() {
    let setup = Setup::new().await;
    let worker = setup.work();
    for (id, code) in [
        ("m1", "recipient_suppressed"),
        ("m2", "phishing_detected"),
        ("m3", "unsafe_content"),
        ("m4", "no_mx_records"),
    ] {
        setup.api.faults([Fault::refusal(422, code).times(1)]).await;
        setup.mail("inb_1", "thr_1", id).await;
        setup.until_done().await;
        let letters = setup.store.dead_letters(None, 10).await.unwrap();
        let letter = letters.last().unwrap();
        assert!(letter.error.contains(code), "{}", letter.error);
        assert_eq!(letter.inbox_id.as_deref(), Some("inb_1"));
    }
    worker.abort();
    assert_eq!(setup.api.sends().await.len(), 4);
    assert_eq!(setup.runs.load(Ordering::Relaxed), 4);
}

/// Sends the reply to the queued mail, but the API's response is lost. Then `change` makes the
/// reply about a day old, and the API forgets its key.
async fn send_a_day_ago(setup: &Setup, change: &str) {
    let limit = Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "3600").times(1);
    setup.api.faults([Fault::lost_answer().times(1), limit]).await;
    let worker = setup.work();
    while setup.api.sends().await.len() < 2 {
        // The API does not announce requests.
        sleep(Duration::from_millis(10)).await;
    }
    setup.until("waiting", |counts| counts.waiting == 1 && counts.running == 0).await;
    worker.abort();
    let _ = worker.await;
    setup.api.forget().await;
    setup.change(change).await;
}

/// Makes a stored reply older than 23 h, the age from which it is looked up before it is sent.
const A_DAY_AGO: &str = "queued_at = queued_at - 23 * 3600000 - 1000, due_at = 0";

/// Makes a reply about a day old with `change`, and checks that the retry does not send it again.
async fn day_old_reply_is_looked_up(change: &str) {
    let setup = Setup::new().await;
    setup.mail("inb_1", "thr_1", "m1").await;
    send_a_day_ago(&setup, change).await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (2, 1));
    assert!(setup.buried().await.is_empty());
}

#[tokio::test]
async fn day_old_reply_is_looked_up_before_it_is_sent_again() {
    day_old_reply_is_looked_up(A_DAY_AGO).await;
}

/// The store's clock stops while the machine sleeps.
#[tokio::test]
async fn reply_is_looked_up_after_its_machine_has_slept_for_a_day() {
    // The reply is stored as JSON, in which the time has ten digits.
    let at = "instr(body, CAST('\"written_at\":' AS BLOB)) + 13";
    day_old_reply_is_looked_up(&format!(
        "body = CAST(substr(body, 1, {at} - 1) || CAST(CAST(substr(body, {at}, 10) AS TEXT)
           - 90000 AS TEXT) || substr(body, {at} + 10) AS BLOB), due_at = 0"
    ))
    .await;
}

#[tokio::test]
async fn day_old_reply_is_sent_although_its_thread_has_another_reply() {
    let setup = Setup::new().await;
    let limit = Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "3600").times(1);
    setup.mail("inb_1", "thr_1", "m1").await;
    let worker = setup.work();
    setup.until_done().await;
    setup.api.faults([limit]).await;
    setup.mail("inb_1", "thr_1", "m2").await;
    setup.until("waiting", |counts| counts.waiting == 1 && counts.running == 0).await;
    worker.abort();
    let _ = worker.await;
    setup.change(A_DAY_AGO).await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    let sends = setup.api.sends().await;
    assert_eq!((to(&sends), accepted(&sends)), (vec!["m1".into(), "m2".into(), "m2".into()], 2));
}

/// A mail without a thread.
#[tokio::test]
async fn day_old_reply_without_a_thread_is_looked_up_in_its_inbox() {
    let now = jiff::Timestamp::now().to_string();
    for (sent_to, text, accepts) in [
        ("ada@example.com", "Hello 0.\n> Help", 1),
        ("ada@example.com", "Welcome.", 2),
        ("bob@example.com", "Hello 0.", 2),
    ] {
        let setup = Setup::new().await;
        setup.event(&mail("inb_1", "", "m1").field("thread_id", Value::Null)).await;
        send_a_day_ago(&setup, A_DAY_AGO).await;
        let sent = json!({"id": "out_1", "direction": "outbound", "toAddr": sent_to,
            "bodyText": text, "createdAt": now, "status": "sent"});
        let list = json!({"data": [sent], "total": 1}).to_string();
        setup.api.route("/v1/inboxes/inb_1/messages", Route::body(200, list)).await;
        let worker = setup.work();
        setup.until_done().await;
        worker.abort();
        assert_eq!(accepted(&setup.api.sends().await), accepts, "{sent_to} {text}");
        assert!(setup.buried().await.is_empty());
    }
}

#[tokio::test]
async fn mail_whose_thread_cannot_be_read_is_answered_from_its_event() {
    let missing = Route::body(404, r#"{"error":"not_found","message":"no"}"#);
    // A thread's messages come in one response, which may be too large to read.
    let large =
        Route::body(200, format!(r#"{{"threadId":"t","data":["{}"]}}"#, "x".repeat(33 << 20)));
    for route in [missing, large] {
        let setup = Setup::new().await;
        setup.mail("inb_1", "thr_1", "m1").await;
        setup.api.route("/v1/threads/thr_1/messages", route).await;
        let worker = setup.work();
        setup.until_done().await;
        worker.abort();
        let sends = setup.api.sends().await;
        assert_eq!((to(&sends), accepted(&sends)), (vec!["ada".into()], 1));
        assert!(setup.buried().await.is_empty());
    }
}

#[tokio::test]
async fn day_old_reply_whose_thread_cannot_be_read_becomes_a_dead_letter() {
    let setup = Setup::new().await;
    setup.mail("inb_1", "thr_1", "m1").await;
    send_a_day_ago(&setup, A_DAY_AGO).await;
    let missing = Route::body(404, r#"{"error":"not_found","message":"no"}"#);
    setup.api.route("/v1/threads/thr_1/messages", missing).await;
    let worker = setup.work();
    setup.until("dead", |counts| counts.dead == 1).await;
    worker.abort();
    assert_eq!(setup.api.sends().await.len(), 2, "it may have been sent");
}

#[tokio::test]
async fn event_with_a_reply_becomes_a_dead_letter_in_a_worker_without_replies() {
    let setup = Setup::new().await;
    setup.mail("inb_1", "thr_1", "m1").await;
    let handler = service_fn(async |_: VerifiedEvent| Reply::text("Hello.").into_outcome());
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(2);
    let worker = setup.queue.worker(handler).backoff(backoff).run(std::future::pending());
    let worker = tokio::spawn(worker);
    setup.until("dead", |counts| counts.dead == 1).await;
    worker.abort();
    let letters = setup.store.dead_letters(None, 1).await.unwrap();
    assert!(letters[0].error.contains("replies"), "{}", letters[0].error);
}
