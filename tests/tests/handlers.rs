//! What `#[openmail_handler]` takes, and that it runs.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use openmail_tests::fixture;
use openmail_tower::{
    Attempt, BoxError, Event, EventId, EventKind, EventRouter, FromEvent, FromRef, HandlerError,
    HandlerErrorKind, InboxId, Lifecycle, Message, MessageReceived, Outcome, Payload, RawBody,
    SetupTest, State, StoredEvent, ThreadId, UnknownEvent, VerifiedEvent, openmail_handler,
};
use tower::ServiceExt;

/// Where handlers leave what they saw.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn event(json: &serde_json::Value) -> VerifiedEvent {
    let raw_body = Bytes::from(json.to_string());
    VerifiedEvent::from_stored(StoredEvent { raw_body, timestamp: 1_711_015_500 }).unwrap()
}

fn mail(inbox: &str) -> VerifiedEvent {
    event(&serde_json::json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": inbox, "thread_id": "thr_1",
        "attempt": 2, "message": {"id": "msg_1", "from": "Ada <ada@example.com>", "subject": "Hi"},
    }))
}

fn named(name: &str) -> VerifiedEvent {
    event(&serde_json::json!({"event": name, "event_id": "evt_2", "inbox_id": "inb_1"}))
}

async fn run(router: EventRouter, event: VerifiedEvent) -> Result<Outcome, HandlerError> {
    router.oneshot(event).await
}

mod arguments {
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
        log.add(format!("{inbox} {thread} {id} {attempt} {}", message.from));
    }

    /// An extractor with a lifetime, of this test's own.
    struct Everything<'e>(#[allow(dead_code)] &'e VerifiedEvent);

    impl<'e, K, S> FromEvent<'e, K, S> for Everything<'e> {
        fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
            Ok(Everything(event))
        }
    }

    struct Both<A, B>(A, B);

    impl<'e, K, S, A: FromEvent<'e, K, S>, B: FromEvent<'e, K, S>> FromEvent<'e, K, S> for Both<A, B> {
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
    async fn lifecycle(
        news: &Lifecycle,
        id: EventId,
        inbox: Option<InboxId>,
        State(log): State<Log>,
    ) {
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
    async fn everything_an_event_has_can_be_taken() {
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
    async fn a_pods_event_has_no_inbox() {
        let log = Log::default();
        let router = EventRouter::new().handler(lifecycle).with_state(log.clone());
        let stored = StoredEvent { raw_body: fixture("pod.suspended").into(), timestamp: 0 };
        let event = VerifiedEvent::from_stored(stored).unwrap();
        let id = event.event_id().unwrap().clone();
        assert_eq!(run(router, event).await.unwrap(), Outcome::Done);
        assert_eq!(log.take(), [format!("{id} false")]);
    }

    /// A payload type that the crate does not know, of an event that it does not know.
    #[derive(serde::Deserialize)]
    struct Bounced {
        inbox_id: String,
    }

    #[openmail_handler(event = ["message.bounced", "message.sent"], unlisted)]
    async fn unlisted(
        Payload(bounced): Payload<Bounced>,
        news: &UnknownEvent,
        State(log): State<Log>,
    ) {
        log.add(format!("{} {}", news.event, bounced.inbox_id));
    }

    #[tokio::test]
    async fn an_unlisted_event_can_be_asked_for() {
        let log = Log::default();
        let router = EventRouter::new().handler(unlisted).with_state(log.clone());
        assert_eq!(run(router, named("message.sent")).await.unwrap(), Outcome::Done);
        assert_eq!(log.take(), ["message.sent inb_1"]);
    }

    #[openmail_handler(event = "message.received")]
    async fn picky(_: Payload<Picky>) {}

    #[derive(serde::Deserialize)]
    struct Picky {
        #[serde(rename = "nowhere")]
        _nowhere: u32,
    }

    #[tokio::test]
    async fn what_cannot_be_taken_fails_for_good() {
        let error = run(EventRouter::new().handler(picky), mail("inb_1")).await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Permanent);
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}

mod returns {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct OwnError;

    #[openmail_handler(event = "message.received", inbox = "own")]
    async fn own() -> Result<(), OwnError> {
        Err(OwnError)
    }

    #[openmail_handler(event = "message.received", inbox = "boxed")]
    async fn boxed() -> Result<(), BoxError> {
        Err("boxed".into())
    }

    #[openmail_handler(event = "message.received", inbox = "handler_error")]
    async fn handler_error(mail: &MessageReceived) -> Result<Outcome, HandlerError> {
        let number: u32 = mail.inbox_id.as_str().parse()?;
        Err(HandlerError::permanent(number.to_string()))
    }

    #[openmail_handler(event = "message.received", inbox = "outcome")]
    async fn an_outcome() -> Outcome {
        Outcome::Duplicate
    }

    #[openmail_handler(event = "message.received", inbox = "fine")]
    async fn fine() -> Result<Outcome, OwnError> {
        Ok(Outcome::Done)
    }

    /// The error borrows from the event.
    #[openmail_handler(event = "message.received", inbox = "borrowed")]
    async fn borrowed(mail: &MessageReceived) -> Result<(), &str> {
        Err(mail.inbox_id.as_str())
    }

    #[openmail_handler(event = "message.received", inbox = "opaque")]
    async fn opaque() -> impl openmail_tower::IntoOutcome {
        Ok::<_, OwnError>(())
    }

    #[tokio::test]
    async fn the_answer_becomes_an_outcome_or_an_error() {
        let router = EventRouter::new()
            .handler(own)
            .handler(boxed)
            .handler(handler_error)
            .handler(an_outcome)
            .handler(fine)
            .handler(borrowed)
            .handler(opaque);
        let tell = async |inbox| match run(router.clone(), mail(inbox)).await {
            Ok(outcome) => format!("{outcome:?}"),
            Err(error) => format!("{:?}: {error}", error.kind()),
        };
        assert_eq!(tell("own").await, "Failed: no answer");
        assert_eq!(tell("boxed").await, "Failed: boxed");
        assert_eq!(tell("handler_error").await, "Failed: invalid digit found in string");
        assert_eq!(tell("outcome").await, "Duplicate");
        assert_eq!(tell("fine").await, "Done");
        assert_eq!(tell("borrowed").await, "Failed: borrowed");
        assert_eq!(tell("opaque").await, "Done");
        assert_eq!(tell("else").await, "Unrouted");
    }
}

mod routes {
    use super::*;

    const ONE: &str = "inb_one";

    mod ids {
        pub(super) const TWO: &str = concat!("inb_", "two");
    }

    const fn three() -> &'static str {
        "inb_three"
    }

    #[openmail_handler(event = "message.received", inbox = ONE)]
    async fn constant(State(log): State<Log>) {
        log.add("constant");
    }

    #[openmail_handler(event = "message.received", inbox = [ids::TWO, three(), "inb_four",])]
    async fn list(State(log): State<Log>, inbox: InboxId) {
        log.add(format!("list {inbox}"));
    }

    #[openmail_handler(event = ["message.received", "inbox.suspended"])]
    async fn others(State(log): State<Log>, inbox: InboxId) {
        log.add(format!("others {inbox}"));
    }

    #[tokio::test]
    async fn inboxes_are_constants_or_lists_of_them() {
        let log = Log::default();
        let router = EventRouter::new()
            .handler(constant)
            .handler(list)
            .handler(others)
            .with_state(log.clone());
        for (inbox, line) in [
            ("inb_one", "constant"),
            ("inb_two", "list inb_two"),
            ("inb_three", "list inb_three"),
            ("inb_four", "list inb_four"),
            ("inb_five", "others inb_five"),
        ] {
            run(router.clone(), mail(inbox)).await.unwrap();
            assert_eq!(log.take(), [line]);
        }
        run(router, named("inbox.suspended")).await.unwrap();
        assert_eq!(log.take(), ["others inb_1"]);
    }

    #[openmail_handler(event = "message.received", inbox = "inb_four")]
    async fn twin() {}

    #[test]
    fn two_handlers_of_one_event_and_inbox_panic_with_both_places() {
        let twins = || EventRouter::<Log>::new().handler(list).handler(twin);
        let panic = std::panic::catch_unwind(twins).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        for part in ["`list` (tests/tests/handlers.rs:", "`twin` (", "`inb_four`"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[openmail_handler(event = "message.received", inbox = three())]
    async fn bound_at_start_up(State(log): State<Log>, inbox: InboxId) {
        log.add(inbox.as_str());
    }

    #[tokio::test]
    async fn ids_known_only_at_start_up_replace_the_attributes() {
        let log = Log::default();
        let id = String::from("inb_at_start_up");
        let router = EventRouter::new().inbox(&id, bound_at_start_up).with_state(log.clone());
        run(router.clone(), mail(&id)).await.unwrap();
        assert_eq!(log.take(), ["inb_at_start_up"]);
        assert_eq!(run(router, mail("inb_three")).await.unwrap(), Outcome::Unrouted);
    }
}

mod states {
    use super::*;

    #[derive(Debug, Clone)]
    struct AppState {
        log: Log,
        greeting: &'static str,
    }

    impl FromRef<AppState> for Log {
        fn from_ref(state: &AppState) -> Self {
            state.log.clone()
        }
    }

    /// Can be taken from one state only.
    struct Greeting(&'static str);

    impl<'e, K> FromEvent<'e, K, AppState> for Greeting {
        fn from_event(_: &'e VerifiedEvent, state: &'e AppState) -> Result<Self, HandlerError> {
            Ok(Self(state.greeting))
        }
    }

    #[openmail_handler(event = "message.received", inbox = "inb_part")]
    async fn part(State(log): State<Log>) {
        log.add("part");
    }

    #[openmail_handler(event = "message.received", inbox = "inb_whole")]
    async fn whole(State(AppState { log, greeting }): State<AppState>) {
        log.add(greeting);
    }

    #[openmail_handler(event = "message.received", state = AppState)]
    async fn one_state(
        mail: &MessageReceived,
        State(log): State<Log>,
        Greeting(greeting): Greeting,
    ) {
        log.add(format!("{greeting} {}", mail.inbox_id));
    }

    #[openmail_handler(state = AppState)]
    async fn rest(event: EventKind, State(log): State<Log>, _: Greeting) {
        log.add(event.as_str());
    }

    #[tokio::test]
    async fn handlers_take_the_state_or_a_part_of_it() {
        let log = Log::default();
        let router = EventRouter::new()
            .handler(part)
            .handler(whole)
            .handler(one_state)
            .fallback(rest)
            .with_state(AppState { log: log.clone(), greeting: "Hello" });
        for event in [mail("inb_part"), mail("inb_whole"), mail("inb_1"), named("message.sent")] {
            assert_eq!(run(router.clone(), event).await.unwrap(), Outcome::Done);
        }
        assert_eq!(log.take(), ["part", "Hello", "Hello inb_1", "message.sent"]);
    }
}

mod attributes {
    use super::*;

    #[openmail_handler(event = "message.received")]
    #[cfg(any())]
    async fn absent(_: NoSuchType) {}

    #[openmail_handler(event = "message.received")]
    #[cfg_attr(all(), cfg(any()), allow(unused_variables))]
    async fn absent_as_well(_: NoSuchType) {}

    #[openmail_handler(event = "message.received")]
    #[cfg_attr(all(), doc = "Has docs.", allow(unused_variables))]
    async fn absent(mail: &MessageReceived) {}

    #[openmail_handler(event = "message.received")]
    #[deprecated = "it is only here to be deprecated"]
    #[allow(unused_variables)]
    pub(crate) async fn old(unused: &MessageReceived, State(log): State<Log>) {
        let _ = log;
    }

    #[test]
    fn cfg_removes_all_of_a_handler() {
        let _ = EventRouter::<()>::new().handler(absent);
    }

    #[test]
    #[expect(deprecated)]
    fn a_deprecated_handler_says_so_where_it_is_registered() {
        let _ = EventRouter::<Log>::new().handler(old);
    }

    #[openmail_handler(event = "message.received", inbox = "default")]
    #[tracing::instrument(skip_all, fields(inbox = %mail.inbox_id))]
    async fn instrumented(mail: &MessageReceived) {
        tracing::info!("inside");
    }

    #[openmail_handler(event = "message.received", inbox = "named")]
    #[tracing::instrument(level = "info", name = "other", skip_all)]
    async fn instrumented_by_name(mail: &MessageReceived) {
        tracing::info!("inside");
        let _ = mail;
    }

    #[openmail_handler(event = "message.received", inbox = "bare")]
    #[cfg_attr(all(), tracing::instrument)]
    async fn instrumented_bare() {
        tracing::info!("inside");
    }

    #[derive(Clone)]
    struct Writer(Log);

    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.add(String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_instrumented_handler_keeps_its_spans_name() {
        let log = Log::default();
        let writer = Writer(log.clone());
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let router = EventRouter::new()
            .handler(instrumented)
            .handler(instrumented_by_name)
            .handler(instrumented_bare);
        for (inbox, line) in [
            ("default", " INFO instrumented{inbox=default}: inside\n"),
            ("named", " INFO other: inside\n"),
            ("bare", " INFO instrumented_bare: inside\n"),
        ] {
            run(router.clone(), mail(inbox)).await.unwrap();
            assert_eq!(log.take().concat(), line);
        }
    }

    #[openmail_handler(event = "message.received")]
    pub(crate) async fn counted(numbers: Payload<Numbers>) -> Result<(), HandlerError> {
        match numbers.0.numbers.as_slice() {
            [] => Err(HandlerError::permanent("none")),
            _ => Ok(()),
        }
    }

    #[derive(Debug, serde::Deserialize)]
    pub(crate) struct Numbers {
        #[serde(default)]
        pub(crate) numbers: Vec<u32>,
    }

    #[tokio::test]
    async fn the_function_stays_callable() {
        assert!(counted::call(Payload(Numbers { numbers: vec![1] })).await.is_ok());
        assert!(counted::call(Payload(Numbers { numbers: vec![] })).await.is_err());
        let (copy, name) = (counted, format!("{counted:?}"));
        assert_eq!(name, format!("{copy:?}"));
        assert_eq!(name, "counted");
    }
}

mod names {
    /// Named as the macro's own variables and types might be, and nothing imported by its own name.
    #[allow(non_upper_case_globals)]
    mod hostile {
        use openmail_tower::State as Of;
        pub(super) use openmail_tower::openmail_handler as on;

        #[derive(Debug, Clone)]
        pub(super) struct S;
        #[derive(Debug, Clone)]
        pub(super) struct Kind;
        #[derive(Debug, Clone)]
        pub(super) struct Box;

        impl openmail_tower::FromRef<S> for Kind {
            fn from_ref(_: &S) -> Self {
                Self
            }
        }
        impl openmail_tower::FromRef<S> for Box {
            fn from_ref(_: &S) -> Self {
                Self
            }
        }

        const check: &str = "inb_check";
        const name: &str = "inb_name";

        #[on(event = "message.received", inbox = [check, name])]
        pub(super) async fn event(_: Of<S>, _: Of<Kind>, _: Of<Box>) {}

        #[on(event = "message.received")]
        pub(super) async fn state(whole: Of<S>) {
            let Of(S) = whole;
        }

        #[on]
        pub(super) async fn r#type(_: &openmail_tower::VerifiedEvent) {}
    }

    macro_rules! handlers {
        ($($name:ident: $event:literal of $inbox:expr, $argument:ty;)*) => {$(
            #[openmail_tower::openmail_handler(event = $event, inbox = $inbox)]
            async fn $name(_: $argument) {}
        )*};
    }

    handlers! {
        by_macro: "message.received" of "inb_macro", &openmail_tower::MessageReceived;
        by_macro_as_well: "inbox.suspended" of concat!("inb", "_macro"), openmail_tower::EventKind;
    }

    #[tokio::test]
    async fn a_macro_and_a_function_can_hold_handlers() {
        #[openmail_tower::openmail_handler(event = "message.received")]
        async fn inner(_: openmail_tower::RawBody) {}

        let router = openmail_tower::EventRouter::new()
            .handler(by_macro)
            .handler(by_macro_as_well)
            .handler(inner);
        for inbox in ["inb_macro", "inb_1"] {
            let outcome = super::run(router.clone(), super::mail(inbox)).await.unwrap();
            assert_eq!(outcome, openmail_tower::Outcome::Done);
        }
    }

    #[openmail_tower::openmail_handler(event = "pod.suspended", crate = self::elsewhere::tower)]
    async fn crate_elsewhere(_: elsewhere::tower::EventId) {}

    mod elsewhere {
        pub(super) use openmail_tower as tower;
    }

    #[tokio::test]
    async fn no_name_gets_in_the_way() {
        let router = openmail_tower::EventRouter::new()
            .handler(hostile::event)
            .handler(hostile::state)
            .handler(crate_elsewhere)
            .fallback(hostile::r#type)
            .with_state(hostile::S);
        for inbox in ["inb_check", "inb_name", "inb_1"] {
            let outcome = super::run(router.clone(), super::mail(inbox)).await.unwrap();
            assert_eq!(outcome, openmail_tower::Outcome::Done);
        }
    }
}
