//! The maximum number of concurrent runs for each inbox.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, StoredEvent, VerifiedEvent, layers::InboxLimitLayer,
};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt, service_fn};

fn event(inbox: &str) -> VerifiedEvent {
    let json = format!(r#"{{"event":"inbox.suspended","event_id":"e","inbox_id":{inbox}}}"#);
    let stored = StoredEvent { raw_body: Bytes::from(json), timestamp: 0, inbox_id: None };
    VerifiedEvent::from_stored(stored).unwrap()
}

/// The number of runs in progress, and permits that let them end.
#[derive(Clone)]
struct Runs(Arc<(AtomicUsize, Semaphore)>);

impl Runs {
    fn new() -> Self {
        Self(Arc::new((AtomicUsize::new(0), Semaphore::new(0))))
    }

    fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    fn end(&self, runs: usize) {
        self.0.1.add_permits(runs);
    }

    fn service(
        &self,
    ) -> impl Service<
        VerifiedEvent,
        Response = Outcome,
        Error = HandlerError,
        Future = impl Future<Output = Result<Outcome, HandlerError>> + Send,
    > + Clone
    + Send
    + 'static {
        let this = self.clone();
        service_fn(move |_| {
            let this = this.clone();
            async move {
                this.0.0.fetch_add(1, Ordering::SeqCst);
                this.0.1.acquire().await.unwrap().forget();
                this.0.0.fetch_sub(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            }
        })
    }
}

/// Lets everything progress as far as it can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_inbox_does_not_starve_another() {
    let runs = Runs::new();
    let service = InboxLimitLayer::new(2).wait(Duration::MAX).layer(runs.service());
    let start = |inbox| tokio::spawn(service.clone().oneshot(event(inbox)));
    let busy: Vec<_> = (0..5).map(|_| start(r#""busy""#)).collect();
    settle().await;
    assert_eq!(runs.count(), 2);
    let others = [start(r#""a""#), start("null"), start("null"), start("null")];
    settle().await;
    assert_eq!(runs.count(), 6, "an event without an inbox is not limited");
    runs.end(9);
    for run in busy.into_iter().chain(others) {
        assert_eq!(run.await.unwrap().unwrap(), Outcome::Done);
    }
    assert!(format!("{service:?}").contains("busy: 0"), "{service:?}");
}

#[tokio::test(start_paused = true)]
async fn event_that_waited_too_long_is_unavailable() {
    let runs = Runs::new();
    let layer = InboxLimitLayer::new(1).wait(Duration::from_secs(2));
    let service = layer.layer(runs.service());
    let first = tokio::spawn(service.clone().oneshot(event(r#""a""#)));
    settle().await;
    let begun = tokio::time::Instant::now();
    let error = service.clone().oneshot(event(r#""a""#)).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(runs.count(), 1);
    runs.end(1);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropped_event_gives_up_its_place() {
    let runs = Runs::new();
    let service = InboxLimitLayer::new(1).wait(Duration::MAX).layer(runs.service());
    let start = || tokio::spawn(service.clone().oneshot(event(r#""a""#)));
    let (running, waiting, next) = (start(), start(), start());
    settle().await;
    waiting.abort();
    running.abort();
    settle().await;
    assert!(!next.is_finished());
    runs.end(1);
    next.await.unwrap().unwrap();
    drop((running, waiting));
    assert!(format!("{service:?}").contains("busy: 0"), "{service:?}");
}

#[test]
#[should_panic = "no event would ever run"]
fn limit_of_zero_panics() {
    let _ = InboxLimitLayer::new(0);
}
