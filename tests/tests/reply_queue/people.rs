//! Events for which a reply has no recipient.

use openmail_tower::{
    IntoOutcome, VerifiedEvent,
    queue::{QueueStore, Role},
    reply::Reply,
    testing::TestEvent,
};
use serde_json::{Value, json};
use tower::service_fn;

use crate::setup::{Setup, mail};

#[tokio::test]
async fn unanswerable_mail_fails_the_reply_but_not_the_event() {
    let setup = Setup::new().await;
    let handler = service_fn(async |_: VerifiedEvent| Reply::text("Hello.").into_outcome());
    let worker = setup.queue.worker(handler).replies(setup.api.openmail());
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let own = json!({"id": "own", "fromAddr": "agent@openmail.sh", "toAddr": "agent@openmail.sh"});
    setup.api.message("thr_1", own).await;
    setup.api.message("thr_2", json!({"id": "bounce", "fromAddr": "<>"})).await;
    let without_thread = |id: &str| mail("inb_1", "", id).field("thread_id", Value::Null);
    let to = "agent@openmail.sh";
    for (event, reason) in [
        (mail("inb_1", "thr_1", "own"), "comes from the inbox itself"),
        (mail("inb_1", "thr_2", "bounce"), "no sender that can be answered"),
        (without_thread("a").from(to).message_field("to", to), "comes from the inbox itself"),
        (without_thread("b").from("a@b.c, d@e.f"), "no sender that can be answered"),
    ] {
        setup.event(&event).await;
        setup.until_done().await;
        let [letter] = &setup.store.dead_letters(None, 10).await.unwrap()[..] else { panic!() };
        assert!(letter.role == Role::Reply && letter.error.contains(reason), "{}", letter.error);
        assert!(setup.store.drop_dead_letter(letter.id).await.unwrap());
    }
    // An event that is not a mail.
    setup.event(&TestEvent::new("pod.suspended")).await;
    setup.until_done().await;
    worker.abort();
    assert!(setup.buried().await.is_empty());
    assert!(setup.api.sends().await.is_empty());
}
