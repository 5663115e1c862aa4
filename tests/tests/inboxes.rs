//! Handlers and services are bound and unbound while events are being served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use openmail_tower::{
    EventRouter, HandlerError, InboxId, Outcome, StoredEvent, VerifiedEvent, handler::State,
    openmail_handler,
};
use tower::{ServiceExt, service_fn};

fn event(name: &str, inbox: &str) -> VerifiedEvent {
    let json = serde_json::json!({
        "event": name, "event_id": "evt_1", "inbox_id": inbox,
        "message": {"id": "msg_1", "from": "ada@example.com"},
    });
    let raw_body = Bytes::from(json.to_string());
    VerifiedEvent::from_stored(StoredEvent { raw_body, timestamp: 1_711_015_500, inbox_id: None })
        .unwrap()
}

async fn run(router: &EventRouter, name: &str, inbox: &str) -> String {
    match router.clone().oneshot(event(name, inbox)).await {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => error.to_string(),
    }
}

/// Reports which handler ran, by failing.
fn ran(who: &str) -> Result<(), HandlerError> {
    Err(HandlerError::permanent(who))
}

#[openmail_handler(event = "message.received", inbox = "at start-up")]
async fn start_up() -> Result<(), HandlerError> {
    ran("start-up")
}

#[openmail_handler(event = "message.received")]
async fn by_id() -> Result<(), HandlerError> {
    ran("by id")
}

#[openmail_handler(event = "message.received")]
async fn others() -> Result<(), HandlerError> {
    ran("others")
}

#[openmail_handler]
async fn rest() -> Result<(), HandlerError> {
    ran("fallback")
}

#[openmail_handler(event = "message.received")]
async fn bound(State(name): State<&'static str>) -> Result<(), HandlerError> {
    ran(name)
}

#[openmail_handler(event = ["inbox.suspended", "message.sent"], unlisted)]
async fn news(inbox: Option<InboxId>) -> Result<(), HandlerError> {
    ran(inbox.unwrap().as_str())
}

#[tokio::test]
async fn binding_comes_before_handlers_of_every_inbox_and_the_fallback() {
    let router = EventRouter::new().handler(start_up).handler(others).fallback(rest);
    let serving = router.clone();
    let inboxes = router.inboxes();
    assert_eq!(run(&serving, "message.received", "A").await, "others");

    inboxes.clone().with_state("A's").bind("A", bound).unwrap();
    inboxes.bind("A", news).unwrap();
    assert!(inboxes.contains("A") && !inboxes.contains("B"));
    assert_eq!(run(&serving, "message.received", "A").await, "A's");
    assert_eq!(run(&serving, "inbox.suspended", "A").await, "A");
    assert_eq!(run(&serving, "message.sent", "A").await, "A");
    assert_eq!(run(&serving, "inbox.reactivated", "A").await, "fallback");
    assert_eq!(run(&serving, "message.received", "B").await, "others");
    assert_eq!(run(&serving, "message.received", "at start-up").await, "start-up");

    assert!(inboxes.unbind("A") && !inboxes.unbind("A"));
    assert_eq!(run(&serving, "message.received", "A").await, "others");
}

/// A binding is refused for what the router already handles, but a handler may be added to the
/// router after the binding.
#[tokio::test]
async fn routers_own_handler_comes_before_a_binding() {
    let router = EventRouter::new().handler(others).fallback(rest);
    let inboxes = router.inboxes();
    let service = service_fn(async |_: VerifiedEvent| ran("service").map(|()| Outcome::Done));
    for inbox in ["at start-up", "by id"] {
        inboxes.replace_service(inbox, service).unwrap();
        assert_eq!(run(&router, "message.received", inbox).await, "service");
    }
    let router = router.handler(start_up).inbox("by id", by_id);
    assert_eq!(run(&router, "message.received", "at start-up").await, "start-up");
    assert_eq!(run(&router, "message.received", "by id").await, "by id");
    // Events of the inbox that the router's handler does not take still go to the binding.
    assert_eq!(run(&router, "inbox.suspended", "at start-up").await, "service");
}

#[tokio::test]
async fn bound_service_gets_every_event_of_its_inbox() {
    let service = |who: &'static str| {
        service_fn(move |_: VerifiedEvent| async move { ran(who).map(|()| Outcome::Done) })
    };
    let router = EventRouter::new().fallback_service(service("fallback"));
    router.inboxes().replace_service("A", service("A's")).unwrap();
    for name in ["message.received", "inbox.suspended", "message.sent"] {
        assert_eq!(run(&router, name, "A").await, "A's");
        assert_eq!(run(&router, name, "B").await, "fallback");
    }
}

#[tokio::test]
async fn bindings_and_the_fallback_can_be_replaced() {
    let service = |who: &'static str| {
        service_fn(move |_: VerifiedEvent| async move { ran(who).map(|()| Outcome::Done) })
    };
    let router = EventRouter::new().handler(start_up).fallback(rest);
    let inboxes = router.inboxes();
    inboxes.replace_service("A", service("first")).unwrap();
    assert_eq!(run(&router, "message.received", "A").await, "first");
    inboxes.replace_service("A", service("second")).unwrap();
    assert_eq!(run(&router, "message.received", "A").await, "second");
    assert!(inboxes.replace_service("at start-up", service("x")).is_err());

    inboxes.set_fallback(Some(service("rest")));
    assert_eq!(run(&router, "message.received", "B").await, "rest");
    inboxes.set_fallback(None::<EventRouter>);
    assert_eq!(run(&router, "message.received", "B").await, "fallback");
}

#[test]
fn binding_twice_is_an_error_that_names_the_first() {
    let router = EventRouter::new().handler(start_up);
    let inboxes = router.inboxes().with_state("state");
    let service = service_fn(|_: VerifiedEvent| async { Ok::<_, HandlerError>(Outcome::Done) });

    let error = inboxes.bind("at start-up", bound).unwrap_err();
    for part in ["`start_up` (tests/tests/inboxes.rs:", "`at start-up`", "`bound` ("] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(inboxes.replace_service("at start-up", service).is_err());

    inboxes.bind("A", bound).unwrap();
    let error = inboxes.bind("A", bound).unwrap_err();
    assert!(error.to_string().starts_with("`bound` (tests/tests/inboxes.rs:"), "{error}");
    inboxes.bind("A", news).expect("it asks for other events");

    inboxes.replace_service("B", service).unwrap();
    let error = inboxes.bind("B", news).unwrap_err();
    assert!(
        error.to_string().starts_with("the service given at tests/tests/inboxes.rs:"),
        "{error}"
    );
}

#[tokio::test]
async fn unlisted_event_is_routed_by_its_name() {
    let router = EventRouter::new();
    router.inboxes().bind("A", news).unwrap();
    assert_eq!(run(&router, "message.sent", "A").await, "A");
    assert_eq!(run(&router, "message.bounced", "A").await, "Unrouted");
}

/// A service that is ready only when polled twice, and panics if it is called earlier.
#[derive(Clone)]
struct Slow(usize);

impl tower::Service<VerifiedEvent> for Slow {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = std::future::Ready<Result<Outcome, HandlerError>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), HandlerError>> {
        self.0 += 1;
        if self.0 > 1 {
            return std::task::Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }

    fn call(&mut self, _: VerifiedEvent) -> Self::Future {
        assert_eq!(self.0, 2, "called before it was ready");
        std::future::ready(Ok(Outcome::Done))
    }
}

#[tokio::test]
async fn bound_service_is_called_once_it_is_ready() {
    let router = EventRouter::new();
    router.inboxes().replace_service("A", Slow(0)).unwrap();
    for _ in 0..2 {
        assert_eq!(run(&router, "message.received", "A").await, "Done");
    }
}

/// Some threads bind and unbind while others route events: a permanent binding is always found, and
/// a bound service gets only events of its own inbox.
#[test]
fn routing_is_correct_while_inboxes_come_and_go() {
    const INBOXES: usize = 2_000;
    let router = EventRouter::new().fallback(rest);
    let inboxes = router.inboxes();
    let runs = Arc::new(AtomicUsize::new(0));
    let bind = |inboxes: &openmail_tower::router::Inboxes, id: &str| {
        let (own, runs) = (id.to_owned(), Arc::clone(&runs));
        let service = service_fn(move |event: VerifiedEvent| {
            assert_eq!(event.inbox_id().unwrap(), &*own);
            runs.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, HandlerError>(Outcome::Done) }
        });
        inboxes.replace_service(id, service).unwrap();
    };
    bind(&inboxes, "steady");
    let stop = AtomicBool::new(false);
    let (steady, passing) = thread::scope(|scope| {
        let router = &router;
        let readers: Vec<_> = (0..2)
            .map(|n: usize| {
                let stop = &stop;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let (mut steady, mut passing) = (0, 0);
                    runtime.block_on(async {
                        let mut at = n;
                        while !stop.load(Ordering::Relaxed) {
                            assert_eq!(run(router, "message.received", "steady").await, "Done");
                            steady += 1;
                            let id = format!("{}", at % INBOXES);
                            at += 7;
                            let ran = run(router, "message.received", &id).await;
                            assert!(ran == "Done" || ran == "fallback", "{ran}");
                            passing += usize::from(ran == "Done");
                        }
                    });
                    (steady, passing)
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|half: usize| {
                let (inboxes, bind) = (inboxes.clone(), &bind);
                scope.spawn(move || {
                    let own = || (0..INBOXES).filter(move |id| id % 2 == half);
                    for _ in 0..3 {
                        own().for_each(|id| bind(&inboxes, &id.to_string()));
                        own().for_each(|id| assert!(inboxes.unbind(id.to_string())));
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    });
    assert_eq!(runs.load(Ordering::Relaxed), steady + passing);
    assert!(!inboxes.contains("0"));
}
