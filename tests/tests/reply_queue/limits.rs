//! Replies wait for OpenMail's limits and suspensions to end, and for a valid key.

use std::{sync::atomic::Ordering, time::Duration};

use openmail_tests::{Log, fake_api::Fault};
use openmail_tower::{
    queue::{Backoff, Lane, QueueStore},
    testing::TestEvent,
};
use tokio::time::sleep;

use crate::setup::{Setup, accepted, to};

const ATTEMPTS: u32 = 3;

fn few_attempts() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_millis(50)).attempts(ATTEMPTS)
}

#[tokio::test]
async fn limited_reply_waits_and_delays_only_its_thread() {
    for (status, code) in [(429, "rate_limit_exceeded"), (402, "spend_cap_paused")] {
        let setup = Setup::new().await;
        // One refusal more than there are attempts, since waiting uses none.
        let limit = Fault::refusal(status, code).header("retry-after", "0");
        setup.api.faults([limit.times(ATTEMPTS + 1).inbox("inb_1")]).await;
        setup.mail("inb_1", "thr_1", "a1").await;
        setup.mail("inb_1", "thr_1", "a2").await;
        setup.mail("inb_2", "thr_2", "b1").await;
        let worker = setup.worker(setup.api.openmail()).backoff(few_attempts());
        let worker = tokio::spawn(worker.run(std::future::pending()));
        setup.until_done().await;
        worker.abort();
        assert_eq!(setup.store.counts().await.unwrap().dead, 0, "{code}");
        let sends = setup.api.sends().await;
        let order = to(&sends);
        assert_eq!(order.iter().filter(|it| *it == "a1").count(), ATTEMPTS as usize + 2, "{code}");
        let first = |id: &str| order.iter().position(|it| it == id).unwrap();
        let last_a1 = order.iter().rposition(|it| it == "a1").unwrap();
        assert!(first("a2") > last_a1, "{code}: the thread's next mail waits: {order:?}");
        assert!(first("b1") < last_a1, "{code}: another thread does not wait: {order:?}");
    }
}

#[tokio::test]
async fn limited_reply_waits_up_to_thirty_days() {
    const DAY: u64 = 24 * 3600 * 1000;
    let setup = Setup::new().await;
    // With this maximum age, a reply would become a dead letter at the first outage.
    let worker =
        || setup.worker(setup.api.openmail()).backoff(few_attempts()).max_age(Duration::ZERO);
    for (number, (status, code)) in [
        (401, "unauthorized"),
        (402, "spend_cap_paused"),
        (422, "storage_limit_exceeded"),
        (429, "rate_limit_exceeded"),
        (429, "cold_outreach_limit"),
    ]
    .into_iter()
    .enumerate()
    {
        let (inbox, first) = (format!("inb_{number}"), format!("first-{code}"));
        let limit = |times| Fault::refusal(status, code).inbox(&inbox).times(times);
        // One refusal more than there are attempts, since waiting uses none.
        setup.api.faults([limit(ATTEMPTS + 1).header("retry-after", "0")]).await;
        setup.api.faults([limit(1).header("retry-after", "3600")]).await;
        setup.mail(&inbox, "thr_1", &first).await;
        setup.mail(&inbox, "thr_1", &format!("second-{code}")).await;
        let running = tokio::spawn(worker().run(std::future::pending()));
        let tries = async || to(&setup.api.sends().await).iter().filter(|it| **it == first).count();
        while tries().await < ATTEMPTS as usize + 2 {
            sleep(Duration::from_millis(10)).await;
        }
        setup.until(code, |counts| counts.waiting == 1 && counts.running == 0).await;
        running.abort();
        let _ = running.await;
        // The limit has lasted for 29 days, and then for longer than a reply may wait.
        setup.api.faults([limit(1).header("retry-after", "3600")]).await;
        setup.change(&format!("put_off_at = put_off_at - {}, due_at = 0", 29 * DAY)).await;
        let running = tokio::spawn(worker().run(std::future::pending()));
        while tries().await < ATTEMPTS as usize + 3 {
            sleep(Duration::from_millis(10)).await;
        }
        setup.until(code, |counts| counts.waiting == 1 && counts.running == 0).await;
        running.abort();
        let _ = running.await;
        assert!(setup.buried().await.is_empty(), "{code}");
        setup.api.faults([limit(1)]).await;
        setup.change(&format!("put_off_at = put_off_at - {DAY}, due_at = 0")).await;
        let running = tokio::spawn(worker().run(std::future::pending()));
        setup.until_done().await;
        running.abort();
        let _ = running.await;
        let [error] = &setup.buried().await[..] else { panic!("{code}") };
        assert!(error.starts_with("put off for 720 h") && error.contains(code), "{error}");
    }
    // The next mail of each thread was answered afterwards.
    assert_eq!(accepted(&setup.api.sends().await), 5);
}

#[tokio::test]
async fn reply_held_for_thirty_days_becomes_a_dead_letter() {
    let setup = Setup::new().await;
    setup.api.faults([Fault::refusal(403, "reputation_suspended").times(2)]).await;
    setup.mail("inb_1", "thr_1", "m1").await;
    let worker = setup.work();
    setup.until("held", |counts| counts.held == 1).await;
    // Releasing it and holding it again does not restart the time.
    setup.change("put_off_at = put_off_at - 2592000000").await;
    assert_eq!(setup.store.release_held(None).await.unwrap(), 1);
    setup.until_done().await;
    let [error] = &setup.buried().await[..] else { panic!() };
    assert!(error.starts_with("on hold for 720 h"), "{error}");

    setup.api.faults([Fault::refusal(403, "account_banned").times(1)]).await;
    setup.mail("inb_1", "thr_1", "m2").await;
    setup.until("held", |counts| counts.held == 1).await;
    setup.change("due_at = due_at - 2592000000").await;
    setup.until_done().await;
    worker.abort();
    assert_eq!(setup.buried().await, ["on hold for longer than allowed"]);
    assert_eq!(accepted(&setup.api.sends().await), 0);
}

#[tokio::test]
async fn suspended_inbox_holds_its_replies_until_reactivated() {
    for lane in [Lane::Thread, Lane::Inbox] {
        let mut setup = Setup::new().await;
        setup.queue = setup.queue.lane(lane.clone());
        let worker = setup.work();
        for (id, released_by) in
            [("m1", "inbox.reactivated"), ("m2", "pod.reactivated"), ("m3", "hand")]
        {
            let suspended = Fault::refusal(403, "reputation_suspended").times(1).inbox("inb_1");
            setup.api.faults([suspended]).await;
            setup.mail("inb_1", "thr_1", id).await;
            setup.until("held", |counts| counts.held == 1).await;
            let tries = setup.api.sends().await.len();
            // Its lane waits; other lanes do not. Another inbox's reactivation does not release it.
            setup.mail("inb_2", "thr_2", &format!("other-{id}")).await;
            setup.event(&TestEvent::new("inbox.reactivated").inbox("inb_2")).await;
            setup.until("only the held reply is left", |counts| counts.open() == 1).await;
            assert_eq!(setup.store.counts().await.unwrap().held, 1);
            assert_eq!(setup.api.sends().await.len(), tries + 1);
            match released_by {
                "hand" => assert_eq!(setup.store.release_held(Some("inb_1")).await.unwrap(), 1),
                // This event names no inbox.
                "pod.reactivated" => setup.event(&TestEvent::new(released_by)).await,
                _ => setup.event(&TestEvent::new(released_by).inbox("inb_1")).await,
            }
            setup.until(&format!("{released_by} {lane:?}"), |counts| counts.open() == 0).await;
            let sends = setup.api.sends().await;
            assert_eq!(to(&sends).iter().filter(|it| *it == id).count(), 2, "{released_by}");
        }
        worker.abort();
        assert_eq!(accepted(&setup.api.sends().await), 6);
    }
}

#[tokio::test]
async fn wrong_key_loses_nothing_and_a_new_key_continues() {
    let log = Log::default();
    let _listening = log.listen(tracing::Level::ERROR);
    let setup = Setup::new().await;
    setup.api.revoke("om_old").await;
    let worker = setup.worker(setup.api.openmail_with("om_old")).backoff(few_attempts());
    let worker = tokio::spawn(worker.run(std::future::pending()));
    setup.mail("inb_1", "thr_1", "m1").await;
    setup.mail("inb_1", "thr_1", "m2").await;
    let tries = async || setup.api.requests().await.len();
    while tries().await < ATTEMPTS as usize + 2 {
        setup.until("waiting", |counts| counts.waiting == 1 && counts.running == 0).await;
        // The default delay is a minute.
        setup.change("due_at = 0").await;
        // The API does not announce requests.
        sleep(Duration::from_millis(10)).await;
    }
    setup.until("waiting", |counts| counts.waiting == 1 && counts.running == 0).await;
    worker.abort();
    let _ = worker.await;
    assert!(!log.lines(&["ERROR", "no reply can be sent until the API key is changed"]).is_empty());
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);

    setup.change("due_at = 0").await;
    let worker = setup.work_for(setup.api.openmail_with("om_new"));
    setup.until_done().await;
    worker.abort();
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);
    let sends = setup.api.sends().await;
    assert_eq!((to(&sends), accepted(&sends)), (vec!["m1".into(), "m2".into()], 2));
    assert!(sends.iter().all(|it| it.authorization.as_deref() == Some("Bearer om_new")));
    assert_eq!(setup.runs.load(Ordering::Relaxed), 2, "each handler has run once");
}
