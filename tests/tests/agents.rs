//! The agent of an inbox is looked up when its events arrive.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openmail_tower::{
    EventRouter, HandlerError, HandlerErrorKind, InboxId, Outcome, StoredEvent, VerifiedEvent,
    layers::{AgentResolver, agent::Agent},
    openmail_handler,
};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};

fn event(name: &str, inbox: &str) -> VerifiedEvent {
    let json = serde_json::json!({
        "event": name, "event_id": "evt_1", "inbox_id": inbox,
        "message": {"id": "msg_1", "from": "ada@example.com"},
    });
    let stored =
        StoredEvent { raw_body: Bytes::from(json.to_string()), timestamp: 0, inbox_id: None };
    VerifiedEvent::from_stored(stored).unwrap()
}

fn mail(inbox: &str) -> VerifiedEvent {
    event("message.received", inbox)
}

/// Reports which handler ran, by failing.
fn ran(who: impl Into<String>) -> Result<(), HandlerError> {
    Err(HandlerError::permanent(who.into()))
}

#[openmail_handler(event = "message.received")]
async fn answer(Agent(name): Agent<String>) -> Result<(), HandlerError> {
    ran(name)
}

#[openmail_handler(event = "pod.suspended")]
async fn pods() -> Result<(), HandlerError> {
    ran("pods")
}

#[openmail_handler]
async fn rest() -> Result<(), HandlerError> {
    ran("fallback")
}

fn router() -> EventRouter {
    EventRouter::new().handler(answer).handler(pods).fallback(rest)
}

/// A database of agents by inbox.
#[derive(Clone, Default)]
struct Database {
    agents: Arc<Mutex<HashMap<String, String>>>,
    lookups: Arc<AtomicUsize>,
}

impl Database {
    fn new(agents: &[(&str, &str)]) -> Self {
        let this = Self::default();
        agents.iter().for_each(|(inbox, agent)| this.set(inbox, agent));
        this
    }

    fn set(&self, inbox: &str, agent: &str) {
        self.agents.lock().unwrap().insert(inbox.into(), agent.into());
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }

    fn resolver(&self) -> AgentResolver<String> {
        let this = self.clone();
        AgentResolver::new(move |inbox: InboxId| {
            this.lookups.fetch_add(1, Ordering::SeqCst);
            let agent = this.agents.lock().unwrap().get(inbox.as_str()).cloned();
            async move {
                match inbox.as_str() {
                    "down" => Err(std::io::Error::other("the database is down")),
                    _ => Ok(agent),
                }
            }
        })
    }
}

async fn tell(resolver: &AgentResolver<String>, event: VerifiedEvent) -> String {
    match resolver.layer(router()).oneshot(event).await {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => format!("{error}"),
    }
}

#[tokio::test]
async fn handler_gets_the_agent_of_the_events_inbox() {
    let database = Database::new(&[("a", "Ada"), ("b", "Bob")]);
    let resolver = database.resolver();
    assert_eq!(tell(&resolver, mail("a")).await, "Ada");
    assert_eq!(tell(&resolver, mail("b")).await, "Bob");
    assert_eq!(tell(&resolver, mail("a")).await, "Ada");
    assert_eq!(database.lookups(), 2);
    let pod = Bytes::from_static(br#"{"event":"pod.suspended","pod_id":"p","inbox_id":null}"#);
    let pod =
        VerifiedEvent::from_stored(StoredEvent { raw_body: pod, timestamp: 0, inbox_id: None })
            .unwrap();
    assert_eq!(tell(&resolver, pod).await, "pods");
    assert_eq!(database.lookups(), 2);
}

#[tokio::test]
async fn event_without_an_agent_goes_to_the_fallback() {
    let database = Database::new(&[]);
    let resolver = database.resolver();
    for _ in 0..3 {
        assert_eq!(tell(&resolver, mail("a")).await, "fallback");
    }
    assert_eq!(database.lookups(), 1, "the absence of an agent is remembered too");
    let bare = resolver.layer(EventRouter::new().handler(answer));
    assert_eq!(bare.oneshot(mail("a")).await.unwrap(), Outcome::Unrouted);
}

#[tokio::test]
async fn forgotten_agent_is_looked_up_again() {
    let database = Database::new(&[]);
    let resolver = database.resolver();
    assert_eq!(tell(&resolver, mail("a")).await, "fallback");
    database.set("a", "Ada");
    assert_eq!(tell(&resolver, mail("a")).await, "fallback");
    resolver.clone().forget("a").await;
    assert_eq!(tell(&resolver, mail("a")).await, "Ada");
}

#[tokio::test]
async fn lookup_in_progress_is_forgotten_too() {
    let database = Database::new(&[("a", "Ada")]);
    let open = Arc::new(Semaphore::new(0));
    let resolver = {
        let (database, open) = (database.clone(), Arc::clone(&open));
        AgentResolver::new(move |inbox: InboxId| {
            let first = database.lookups.fetch_add(1, Ordering::SeqCst) == 0;
            let agent = database.agents.lock().unwrap().get(inbox.as_str()).cloned();
            let open = Arc::clone(&open);
            async move {
                if first {
                    open.acquire().await?.forget();
                }
                Ok::<_, tokio::sync::AcquireError>(agent)
            }
        })
    };
    let mut under_way = Box::pin(tell(&resolver, mail("a")));
    tokio::select! {
        biased;
        who = &mut under_way => panic!("{who}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(database.lookups(), 1);
    database.set("a", "Bob");
    resolver.forget("a").await;
    assert_eq!(
        tell(&resolver, mail("a")).await,
        "Bob",
        "it does not wait for the lookup in progress"
    );
    open.add_permits(1);
    assert_eq!(under_way.await, "Ada");
    assert_eq!(tell(&resolver, mail("a")).await, "Bob");
    assert_eq!(database.lookups(), 2);
}

#[tokio::test]
async fn zero_duration_turns_off_remembering_of_agents_or_of_their_absence() {
    let database = Database::new(&[("a", "Ada")]);
    let resolver = database.resolver().remember_none(Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(tell(&resolver, mail("a")).await, "Ada");
        assert_eq!(tell(&resolver, mail("x")).await, "fallback");
    }
    assert_eq!(database.lookups(), 1 + 3);
    let resolver = database.resolver().remember(Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(tell(&resolver, mail("a")).await, "Ada");
        assert_eq!(tell(&resolver, mail("x")).await, "fallback");
    }
    assert_eq!(database.lookups(), 4 + 3 + 1);
}

#[tokio::test]
async fn failed_lookup_is_retried_and_not_remembered() {
    let database = Database::new(&[]);
    let resolver = database.resolver();
    for lookups in 1..3 {
        let error = resolver.layer(router()).oneshot(mail("down")).await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
        let text = "the inbox's agent could not be looked up: the database is down";
        assert_eq!(error.to_string(), text);
        assert_eq!(database.lookups(), lookups);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_lookup_is_retried() {
    let resolver =
        AgentResolver::new(|_| std::future::pending::<Result<Option<String>, HandlerError>>())
            .timeout(Duration::from_secs(3));
    let begun = tokio::time::Instant::now();
    let error = resolver.layer(router()).oneshot(mail("a")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn concurrent_events_share_a_lookup_and_repeat_it_if_it_is_dropped() {
    let (lookups, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let resolver = {
        let (lookups, open) = (Arc::clone(&lookups), Arc::clone(&open));
        AgentResolver::new(move |_| {
            lookups.fetch_add(1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            async move {
                open.acquire().await?.forget();
                Ok::<_, tokio::sync::AcquireError>(Some("Ada".to_owned()))
            }
        })
    };
    let settle = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let start = || {
        let service = resolver.layer(router());
        tokio::spawn(async { service.oneshot(mail("a")).await.unwrap_err().to_string() })
    };
    let first = start();
    settle().await;
    let others: Vec<_> = (0..10).map(|_| start()).collect();
    settle().await;
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    // The event that started the lookup is dropped, and the lookup with it, as when the sender
    // hangs up. Another event looks the agent up.
    first.abort();
    settle().await;
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
    open.add_permits(1);
    for run in others {
        assert_eq!(run.await.unwrap(), "Ada");
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn capacity_of_zero_does_not_remember_that_there_is_no_agent() {
    let database = Database::new(&[]);
    let resolver = database.resolver().capacity(0);
    for _ in 0..3 {
        assert_eq!(tell(&resolver, mail("a")).await, "fallback");
    }
    assert_eq!(database.lookups(), 3);
}

#[tokio::test]
async fn missing_resolver_fails_the_event_with_an_error_that_says_so() {
    let error = router().oneshot(mail("a")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert!(error.to_string().contains("its AgentResolver is missing"), "{error}");
}

#[openmail_handler]
async fn any(Agent(name): Agent<String>) -> Result<(), HandlerError> {
    ran(name)
}

#[tokio::test]
async fn missing_agent_fails_the_event() {
    let events = Database::new(&[]).resolver().layer(EventRouter::new().fallback(any));
    let error = events.clone().oneshot(mail("a")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert!(error.to_string().contains("the inbox has no Agent"), "{error}");
    let pod = openmail_tests::event(r#"{"event":"pod.suspended"}"#);
    let error = events.oneshot(pod).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Permanent);
    assert!(error.to_string().contains("belongs to no inbox"), "{error}");
}
