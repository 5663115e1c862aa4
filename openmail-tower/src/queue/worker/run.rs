//! Runs one entry once.

use std::{
    fmt::Display,
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::{
    sync::watch,
    task::{JoinError, spawn_blocking},
    time::{Instant, timeout},
};
use tower_service::Service;

use crate::{
    event::{EventKind, InboxId},
    queue::{
        entry::{NewReply, Role},
        error::QueueError,
        lease::{Claimed, Registration},
        policy::{self, RetryPolicy, Run},
        settlement::Settlement,
        store::QueueStore,
    },
    seam::{
        BoxError, CatchPanic, HandlerError, HandlerErrorKind, Outcome, StoredEvent, TraceContext,
        VerifiedEvent, within,
    },
    telemetry::{self, Fields, Next},
};

#[cfg(feature = "guard")]
use crate::seam::{CountStore, OfferedCounts};

use super::{
    replies::{Replies, Sent},
    reports::{Prepared, Reports},
    settings::Settings,
};

/// Bodies of at least this size are parsed on a thread for blocking work, so that they do not hold
/// up other tasks.
const LARGE: usize = 256 << 10;

/// The state that all runs of a worker share.
#[derive(Debug)]
pub(super) struct Shared<St> {
    pub(super) store: St,
    pub(super) settings: Settings,
    pub(super) replies: Option<Arc<dyn Replies>>,
    pub(super) reports: Option<Reports>,
    /// The store in which guards inside the service keep their counts.
    #[cfg(feature = "guard")]
    pub(super) counts: Option<Arc<dyn CountStore>>,
    /// Keeps the worker registered as alive until its last run has ended.
    pub(super) registration: Registration,
}

/// How a run has ended, and how to settle its entry.
#[derive(Debug)]
pub(super) struct Ended {
    /// The outcome as one word, for logs and metrics.
    pub(super) outcome: &'static str,
    pub(super) settlement: Settlement,
    pub(super) observed: Option<telemetry::Run>,
    /// The reports to send once the settlement is stored.
    pub(super) reports: Option<Prepared>,
}

impl Ended {
    /// The result of a run that was not begun, or was cancelled by its worker.
    pub(super) fn given_back() -> Self {
        Self { outcome: "dropped", settlement: Settlement::GiveBack, observed: None, reports: None }
    }

    /// The result of a run whose task was cancelled, or panicked while it was dropped.
    pub(super) fn cut_short(error: &JoinError, past: Run, policy: &RetryPolicy) -> Self {
        if error.is_cancelled() {
            return Self::given_back();
        }
        let error = HandlerError::panicked("while the run was dropped");
        let settlement = policy.settlement(Err(error), past);
        Self { outcome: "panicked", settlement, observed: None, reports: None }
    }
}

/// Runs a claimed entry, and returns how to settle it.
pub(super) async fn run<St, E>(
    shared: &Shared<St>,
    events: E,
    claimed: Claimed,
    until: watch::Receiver<Instant>,
) -> Ended
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    let Settings { policy, run_timeout, .. } = &shared.settings;
    let past = Run::from(&claimed);
    let trace = claimed.trace_context.as_deref().and_then(|trace| trace.parse().ok());
    let mut observed = match claimed.role {
        Role::Event => telemetry::Run::of_queue(fields(&claimed), trace),
        Role::Reply => telemetry::Run::of_reply(fields(&claimed), Some(trace)),
    };
    if claimed.role == Role::Event && claimed.attempt == 1 && claimed.releases == 0 {
        telemetry::queue::waited(claimed.age);
    }
    let (role, replies) = (claimed.role, shared.replies.as_deref());
    let reports = shared.reports.as_ref().map(|it| (it, Reports::begin(&claimed, replies)));
    let failed = |error| (HandlerErrorKind::Failed.label(), policy.settlement(Err(error), past));
    let trace = observed.trace_context().or(trace);
    let work = async {
        if claimed.was_held {
            let error = "on hold for longer than allowed".to_owned();
            return ("held", Settlement::Bury { error });
        }
        if claimed.was_lost {
            let error = HandlerError::failed("its worker died while running only this entry");
            return ("lost", policy.settlement(Err(error), past));
        }
        let run = while_held(until.clone(), once(shared, events, claimed, trace));
        match timeout(*run_timeout, run).await {
            Ok(ended) => ended,
            // The run was paused because its lease may have expired, which must not use an attempt.
            Err(_) if Instant::now() >= *until.borrow() => ("dropped", Settlement::GiveBack),
            Err(_) => {
                let error = format!("the run was cancelled after {run_timeout:?}");
                failed(HandlerError::failed(error))
            }
        }
    };
    // Formatting an error and dropping a future also run user code, which may panic.
    let (outcome, settlement) = match CatchPanic::new(|| observed.scope(work)).await {
        Ok(ended) => ended,
        Err(panic) => judged(policy, Err(HandlerError::panicked(panic)), past),
    };
    let error = settlement.reason();
    observed.end(outcome, error.as_ref().map(|it| it as _), next(&settlement));
    let reports = reports.map(|(it, about)| it.prepare(role, about, &settlement, replies));
    Ended { outcome, settlement, observed: Some(observed), reports }
}

/// Runs the service on an event, or sends a reply.
async fn once<St, E>(
    shared: &Shared<St>,
    mut events: E,
    claimed: Claimed,
    trace: Option<TraceContext>,
) -> (&'static str, Settlement)
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    let policy = &shared.settings.policy;
    let past = Run::from(&claimed);
    if claimed.role == Role::Reply {
        let Some(replies) = &shared.replies else { return ("dropped", Settlement::GiveBack) };
        return match replies.send(claimed).await {
            Sent::Done => ("sent", policy.settlement(Ok(Outcome::Done), past)),
            Sent::Failed(error) => {
                let outcome = match error.kind() {
                    HandlerErrorKind::PutOff => "waiting",
                    kind => kind.label(),
                };
                (outcome, policy.settlement(Err(error), past))
            }
            Sent::Held { reason } => ("held", policy.hold(reason, past)),
        };
    }
    let attempt = claimed.attempt;
    let mut event = match parse(claimed.stored).await {
        Ok(event) => event.with_attempt(attempt),
        Err(error) => {
            let error = HandlerError::permanent(format!("the event cannot be read: {error}"));
            return judged(policy, Err(error), past);
        }
    };
    if let Some(trace) = trace {
        event = event.with_trace_context(trace);
    }
    #[cfg(feature = "guard")]
    if let Some(counts) = &shared.counts {
        event.extensions_mut().insert(OfferedCounts(Arc::clone(counts)));
    }
    if let Err(error) = release_held(shared, &event).await {
        return judged(policy, Err(HandlerError::unavailable(error)), past);
    }
    let result = match CatchPanic::new(|| events.call(event.clone())).await {
        Ok(result) => result.map_err(|error| HandlerError::from_boxed(error.into())),
        Err(panic) => Err(HandlerError::panicked(panic)),
    };
    match result {
        // A `setup.test`, which OpenMail's "Test webhook" sends, needs no handler and does not
        // become a dead letter.
        Ok(Outcome::Unrouted) if event.kind() == EventKind::SetupTest => {
            (Outcome::Unrouted.label(), Settlement::done())
        }
        Ok(outcome) => match written(shared, &event, &outcome) {
            Ok(Some(replies)) => (outcome.label(), Settlement::Done { replies }),
            Ok(None) => judged(policy, Ok(outcome), past),
            Err(error) => judged(policy, Err(error), past),
        },
        Err(error) => judged(policy, Err(error), past),
    }
}

fn judged(
    policy: &RetryPolicy,
    result: Result<Outcome, HandlerError>,
    past: Run,
) -> (&'static str, Settlement) {
    let label = match &result {
        Ok(outcome) => outcome.label(),
        Err(error) => error.kind().label(),
    };
    (label, policy.settlement(result, past))
}

fn fields(claimed: &Claimed) -> Fields<'_> {
    Fields {
        kind: &claimed.kind,
        event_id: claimed.event_id.as_deref(),
        inbox_id: claimed.inbox_id.as_deref(),
        thread_id: claimed.thread_id.as_deref(),
        attempt: Some(claimed.attempt),
    }
}

/// Returns when the entry runs next, for the log line. The line says nothing about the next run of
/// an entry that was given back or is on hold.
fn next(settlement: &Settlement) -> Next {
    match settlement {
        Settlement::Retry { after, .. }
        | Settlement::Release { after, .. }
        | Settlement::PutOff { after, .. } => Next::In(*after),
        Settlement::Bury { .. } => Next::DeadLetter,
        Settlement::Done { .. } | Settlement::GiveBack | Settlement::Hold { .. } => Next::Unlogged,
    }
}

/// Returns the replies in an outcome, if it has any. If nothing sends them, the event fails.
fn written<St>(
    shared: &Shared<St>,
    event: &VerifiedEvent,
    outcome: &Outcome,
) -> Result<Option<Vec<NewReply>>, HandlerError> {
    match (&shared.replies, outcome) {
        (Some(replies), Outcome::Replies(_)) => replies.written(event, outcome).map(Some),
        (None, Outcome::Replies(_)) => Err(policy::unsent()),
        _ => Ok(None),
    }
}

/// Parses an event, a large one on another thread.
async fn parse(stored: StoredEvent) -> Result<VerifiedEvent, Box<dyn Display + Send>> {
    if stored.raw_body.len() < LARGE {
        return VerifiedEvent::from_stored(stored).map_err(|error| Box::new(error) as _);
    }
    match spawn_blocking(|| VerifiedEvent::from_stored(stored)).await {
        Ok(event) => event.map_err(|error| Box::new(error) as _),
        Err(error) => Err(Box::new(error)),
    }
}

/// Releases the entries on hold for an inbox or a pod if the event says that it was reactivated.
async fn release_held<St: QueueStore>(
    shared: &Shared<St>,
    event: &VerifiedEvent,
) -> Result<(), QueueError> {
    let inbox = match event.kind() {
        EventKind::InboxReactivated => event.inbox_id().map(InboxId::as_str),
        // The inboxes of a pod are unknown here. Replies of an inbox that is still suspended are
        // put on hold again.
        EventKind::PodReactivated => None,
        _ => return Ok(()),
    };
    let limit = shared.settings.store_timeout;
    within(limit, shared.store.release_held(inbox), QueueError::late).await.map(drop)
}

/// Polls a run only while its lease is known to hold: a process that was suspended for longer than
/// the lease must not continue the run while the new holder runs the same entry.
async fn while_held<F: Future>(mut until: watch::Receiver<Instant>, run: F) -> F::Output {
    let mut run = pin!(run);
    loop {
        let step = poll_fn(|cx| {
            if Instant::now() < *until.borrow() {
                run.as_mut().poll(cx).map(Some)
            } else {
                Poll::Ready(None)
            }
        });
        if let Some(output) = step.await {
            return output;
        }
        if until.wait_for(|until| Instant::now() < *until).await.is_err() {
            // The lease was lost, and the task is about to be aborted.
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{task::yield_now, time::advance};

    use super::*;

    async fn poll_once<F: Future>(mut run: std::pin::Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| match run.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn makes_no_progress_once_the_lease_may_have_expired() {
        const LEASE: Duration = Duration::from_secs(30);
        let lease = watch::Sender::new(Instant::now() + LEASE);
        let steps = Arc::new(AtomicUsize::new(0));
        let step = Arc::clone(&steps);
        let run = async move {
            for _ in 0..3 {
                step.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
            }
        };
        let mut run = pin!(while_held(lease.subscribe(), run));
        assert!(poll_once(run.as_mut()).await.is_none());
        assert_eq!(steps.load(Ordering::SeqCst), 1);
        // As if the process was suspended, and resumed much later.
        advance(Duration::from_secs(3600)).await;
        for _ in 0..10 {
            assert!(poll_once(run.as_mut()).await.is_none());
        }
        assert_eq!(steps.load(Ordering::SeqCst), 1, "another worker may have claimed it by now");
        lease.send_replace(Instant::now() + LEASE);
        run.await;
        assert_eq!(steps.load(Ordering::SeqCst), 3, "no other worker had claimed it");
    }
}
