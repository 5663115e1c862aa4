//! `openmail_tower`'s own client against the sandbox.

mod support;

use futures_util::TryStreamExt;
use http::Method;
use openmail_tower::{
    InboxId,
    api::{ApiErrorKind, ApiKey, DeliveryRole, Direction, File, OpenMail, Outgoing},
};
use serde_json::{Value, json};
use support::{Local, mail};

fn client(local: &Local) -> OpenMail {
    OpenMail::at(ApiKey::new(&local.key).unwrap(), &local.url).unwrap()
}

#[tokio::test]
async fn client_lists_reads_replies_and_downloads() {
    let local = Local::start().await;
    let openmail = client(&local);
    let inbox = InboxId::from("inb_support");
    let form = reqwest::multipart::Form::new()
        .text("from", "Ada <ada@example.com>")
        .text("to", "support@sandbox.test")
        .text("subject", "Order 42")
        .text("text", "See the list.")
        .part("files", reqwest::multipart::Part::text("one\ntwo").file_name("list.txt"));
    local.request(Method::POST, "/sandbox/mails").multipart(form).send().await.unwrap();

    let threads: Vec<_> = openmail.threads(&inbox).try_collect().await.unwrap();
    let [summary] = &threads[..] else { panic!("{threads:?}") };
    assert_eq!((summary.message_count, summary.is_read), (Some(1), Some(false)));
    let thread = openmail.thread(&summary.id).await.unwrap();
    let message = &thread.messages[0];
    assert_eq!(message.direction, Some(Direction::Inbound));
    assert_eq!(message.delivery_role, Some(DeliveryRole::To));
    let file = &message.attachments[0];
    assert_eq!(openmail.download(file).bytes().await.unwrap(), "one\ntwo");
    local.control(Method::POST, "/sandbox/attachments/expire", Value::Null).await;
    assert_eq!(openmail.download(file).bytes().await.unwrap(), "one\ntwo");

    let reply =
        Outgoing::to("ada@example.com").text("It is on its way.").in_thread(thread.id.clone());
    let reply = reply.attach(File::new("invoice.txt", "EUR 184.30"));
    let sent = openmail.send(&inbox, "reply-1", &reply).await.unwrap();
    let again = openmail.send(&inbox, "reply-1", &reply).await.unwrap();
    assert_eq!(sent.message_id, again.message_id);
    let other = Outgoing::to("ada@example.com").text("It is lost.").in_thread(thread.id.clone());
    let refused = openmail.send(&inbox, "reply-1", &other).await.unwrap_err();
    assert_eq!(refused.kind(), ApiErrorKind::KeyReused);

    let messages: Vec<_> = openmail.messages(&inbox).try_collect().await.unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(openmail.download(&messages[0].attachments[0]).bytes().await.unwrap(), "EUR 184.30");
    openmail.mark_unread(&thread.id).await.unwrap();
    assert_eq!(openmail.thread(&thread.id).await.unwrap().is_read, Some(false));
    local.stop().await;
}

#[tokio::test]
async fn client_recognises_limits_suspensions_and_cut_connections() {
    let local = Local::start().await;
    let openmail = client(&local);
    let inbox = InboxId::from("inb_support");
    local.receive(mail("Order 42")).await;
    let letter = Outgoing::to("ada@example.com").subject("Hello").text("Hello");
    for (answer, want) in
        [("429", ApiErrorKind::RateLimited), ("402", ApiErrorKind::SpendCapPaused)]
    {
        let fault = json!({"requests": {"answer": answer, "count": 1}});
        local.control(Method::PUT, "/sandbox/faults", fault).await;
        let error = openmail.send(&inbox, "1", &letter).await.unwrap_err();
        assert_eq!(error.kind(), want);
    }
    let cut = json!({"requests": {"answer": "cut", "count": 1}});
    local.control(Method::PUT, "/sandbox/faults", cut).await;
    let error = openmail.send(&inbox, "1", &letter).await.unwrap_err();
    assert!(error.may_have_been_sent(), "{error}");
    openmail.send(&inbox, "1", &letter).await.unwrap();
    let messages: Vec<_> = openmail.messages(&inbox).try_collect().await.unwrap();
    assert_eq!(messages.len(), 2, "it was sent once");

    local.control(Method::POST, "/sandbox/inboxes/inb_support/suspend", json!({})).await;
    let error = openmail.send(&inbox, "2", &letter).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::ReputationSuspended);
    local.stop().await;
}
