use super::*;

#[openmail_handler(event = "message.received")]
#[allow(clippy::too_many_arguments)]
async fn borrowed(
    mail: &MessageReceived,
    message: &Message,
    verified: &VerifiedEvent,
    event: &Event,
    inbox: InboxId,
    thread: ThreadId,
    id: EventId,
    Attempt(attempt): Attempt,
    kind: EventKind,
    RawBody(raw): RawBody,
    State(log): State<Log>,
    Payload(json): Payload<serde_json::Value>,
    Both(maybe, _): Both<Option<EventId>, Everything<'_>>,
) {
    assert_eq!(message, &mail.message);
    assert_eq!(verified.raw_body(), &raw);
    assert_eq!(event.kind(), kind);
    assert_eq!(maybe.as_ref(), Some(&id));
    assert_eq!(json["event"], "message.received");
    log.add(format!("{inbox} {thread} {id} {attempt} {}", message.sender().unwrap()));
}

/// A user's own extractor with a lifetime.
struct Everything<'e>(#[allow(dead_code)] &'e VerifiedEvent);

impl<'e, S> FromEvent<'e, S> for Everything<'e> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        Ok(Everything(event))
    }
}

struct Both<A, B>(A, B);

impl<'e, S, A: FromEvent<'e, S>, B: FromEvent<'e, S>> FromEvent<'e, S> for Both<A, B> {
    fn from_event(event: &'e VerifiedEvent, state: &'e S) -> Result<Self, HandlerError> {
        Ok(Both(A::from_event(event, state)?, B::from_event(event, state)?))
    }
}

#[openmail_handler(event = "message.received", inbox = "inb_owned")]
async fn owned(
    mail: MessageReceived,
    message: Message,
    event: Event,
    verified: VerifiedEvent,
    ids: Option<ThreadId>,
    attempt: Option<Attempt>,
    State(log): State<Log>,
) {
    assert_eq!(mail.message, message);
    assert_eq!(&event, verified.event());
    tokio::task::yield_now().await;
    log.add(format!("{} {:?} {attempt:?}", verified.kind(), ids.map(|id| id.to_string())));
}

#[openmail_handler(event = ["inbox.suspended", "inbox.reactivated", "pod.suspended", "pod.reactivated"])]
async fn lifecycle(news: &Lifecycle, id: EventId, inbox: Option<InboxId>, State(log): State<Log>) {
    let _ = news;
    log.add(format!("{id} {}", inbox.is_some()));
}

#[openmail_handler(event = "setup.test")]
async fn test(_: &SetupTest, _: State<Log>) {}

#[openmail_handler]
async fn rest(event: &VerifiedEvent, inbox: Option<InboxId>, log: State<Log>) {
    log.0.add(format!("rest {} {inbox:?}", event.kind()));
}

#[tokio::test]
async fn handlers_can_take_everything_an_event_has() {
    let log = Log::default();
    let router = EventRouter::new()
        .handler(borrowed)
        .handler(owned)
        .handler(lifecycle)
        .handler(test)
        .fallback(rest)
        .with_state(log.clone());
    for (event, line) in [
        (mail("inb_1"), "inb_1 thr_1 evt_1 2 Ada <ada@example.com>"),
        (mail("inb_owned"), "message.received Some(\"thr_1\") Some(Attempt(2))"),
        (named("inbox.suspended"), "evt_2 true"),
        (named("inbox.reactivated"), "evt_2 true"),
        (named("message.bounced"), "rest message.bounced Some(\"inb_1\")"),
    ] {
        assert_eq!(run(router.clone(), event).await.unwrap(), Outcome::Done);
        assert_eq!(log.take(), [line]);
    }
    assert_eq!(run(router.clone(), named("setup.test")).await.unwrap(), Outcome::Done);
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn event_of_a_pod_has_no_inbox() {
    let log = Log::default();
    let router = EventRouter::new().handler(lifecycle).with_state(log.clone());
    let stored =
        StoredEvent { raw_body: fixture("pod.suspended").into(), timestamp: 0, inbox_id: None };
    let event = VerifiedEvent::from_stored(stored).unwrap();
    let id = event.event_id().unwrap().clone();
    assert_eq!(run(router, event).await.unwrap(), Outcome::Done);
    assert_eq!(log.take(), [format!("{id} false")]);
}

#[openmail_handler(event = ["inbox.suspended", "pod.suspended"], inbox = "inb_1")]
async fn suspended(kind: EventKind, _: &Lifecycle, State(log): State<Log>) {
    log.add(kind.as_str());
}

#[tokio::test]
async fn event_of_a_pod_belongs_to_the_inbox_whose_secret_signed_it() {
    let log = Log::default();
    let router = EventRouter::new().handler(suspended).with_state(log.clone());
    for (signed_for, outcome) in [(None, Outcome::Unrouted), (Some("inb_1"), Outcome::Done)] {
        let raw_body = fixture("pod.suspended").into();
        let inbox_id = signed_for.map(InboxId::from);
        let event = VerifiedEvent::from_stored(StoredEvent { raw_body, timestamp: 0, inbox_id });
        assert_eq!(run(router.clone(), event.unwrap()).await.unwrap(), outcome, "{signed_for:?}");
    }
    assert_eq!(log.take(), ["pod.suspended"]);
}

/// A user's own payload for an event that the crate does not know.
#[derive(serde::Deserialize)]
struct Bounced {
    inbox_id: String,
}

#[openmail_handler(event = ["message.bounced", "message.sent"], unlisted)]
async fn unlisted(Payload(bounced): Payload<Bounced>, news: &UnknownEvent, State(log): State<Log>) {
    log.add(format!("{} {}", news.event, bounced.inbox_id));
}

#[tokio::test]
async fn handler_can_name_an_unlisted_event() {
    let log = Log::default();
    let router = EventRouter::new().handler(unlisted).with_state(log.clone());
    assert_eq!(run(router, named("message.sent")).await.unwrap(), Outcome::Done);
    assert_eq!(log.take(), ["message.sent inb_1"]);
}

// An unknown event may have an inbox, even if its name begins with `pod.`.
#[openmail_handler(event = "pod.inbox_added", unlisted, inbox = "inb_new")]
async fn added(news: &UnknownEvent, State(log): State<Log>) {
    log.add(&news.event);
}

#[tokio::test]
async fn unlisted_event_of_a_pod_may_have_an_inbox() {
    let log = Log::default();
    let router = EventRouter::new().handler(added).with_state(log.clone());
    let news = serde_json::json!({"event": "pod.inbox_added", "inbox_id": "inb_new"});
    run(router, event(&news)).await.unwrap();
    assert_eq!(log.take(), ["pod.inbox_added"]);
}

#[derive(serde::Deserialize)]
struct Cut {
    text: String,
}

#[openmail_handler(event = "message.bounced", unlisted)]
async fn cut(Payload(bounce): Payload<Cut>, State(log): State<Log>) {
    log.add(bounce.text);
}

#[tokio::test]
async fn keeps_an_event_with_half_an_emoji() {
    let log = Log::default();
    let router = EventRouter::new().handler(cut).with_state(log.clone());
    let json = r#"{"event":"message.bounced","text":"cut \ud83d"}"#;
    assert_eq!(run(router, openmail_tests::event(json)).await.unwrap(), Outcome::Done);
    assert_eq!(log.take(), ["cut \u{fffd}"]);
}

#[openmail_handler(event = "message.received")]
async fn picky(_: Payload<Picky>) {}

#[derive(serde::Deserialize)]
struct Picky {
    #[serde(rename = "nowhere")]
    _nowhere: u32,
}

#[tokio::test]
async fn payload_that_does_not_fit_is_retried() {
    let error = run(EventRouter::new().handler(picky), mail("inb_1")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[openmail_handler(event = "message.received")]
async fn threaded(_: ThreadId) {}

#[tokio::test]
async fn missing_argument_is_a_failure_but_not_permanent() {
    let mail = event(&serde_json::json!({
        "event": "message.received", "event_id": "e", "inbox_id": "inb_1",
        "message": {"id": "m", "from": "a@example.com"},
    }));
    let error = run(EventRouter::new().handler(threaded), mail).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert!(error.to_string().contains("thread_id"), "{error}");
}
