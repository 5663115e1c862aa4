//! One run of one event.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tower_service::Service;

use crate::{
    queue::{
        error::QueueError,
        lease::{Claimed, Lease},
        settlement::Settlement,
        store::QueueStore,
    },
    seam::{BoxError, CatchPanic, HandlerError, HandlerErrorKind, Outcome, VerifiedEvent, within},
    telemetry::{self, Fields, Next, Run, queue::Settled},
};

use super::{claim::pause, held::Held, settings::Settings};

/// Runs a claimed event through a service that is ready, and writes down what became of it.
pub(super) async fn run<St, E>(
    store: St,
    mut events: E,
    claimed: Claimed,
    held: Held,
    settings: Arc<Settings>,
) where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    let trace = claimed.trace_context.as_deref().and_then(|trace| trace.parse().ok());
    let mut observed = Run::of_queue(fields(&claimed), trace);
    if claimed.attempt == 1 && claimed.releases == 0 {
        telemetry::queue::waited(claimed.age);
    }
    let Claimed { lease, attempt, was_lost, stored, .. } = claimed;
    let trace = observed.trace_context().or(trace);
    let work = async {
        // It may be what took its worker down, or only have run beside that: it waits as what
        // failed does, so that the two part.
        if was_lost {
            let error = HandlerError::failed("its worker was lost");
            return ("lost", settlement(Err(error), attempt, &settings));
        }
        let mut event = match VerifiedEvent::from_stored(stored) {
            Ok(event) => event.with_attempt(attempt),
            Err(error) => {
                let error = format!("it cannot be read: {error}");
                return ("permanent", Settlement::Bury { error });
            }
        };
        if let Some(trace) = trace {
            event = event.with_trace_context(trace);
        }
        let outcome = events.call(event).await;
        let outcome = outcome.map_err(|error| HandlerError::from_boxed(error.into()));
        held.has_run(&lease);
        // An error's text is the user's code as well.
        (label(&outcome), settlement(outcome, attempt, &settings))
    };
    let (outcome, settlement) = match CatchPanic::new(|| observed.scope(work)).await {
        Ok(end) => end,
        Err(panic) => {
            let outcome = Err(HandlerError::panicked(panic));
            (label(&outcome), settlement(outcome, attempt, &settings))
        }
    };
    held.has_run(&lease);
    let error = settlement.reason();
    observed.end(outcome, error.as_ref().map(|it| it as _), next(&settlement));
    let limit = settings.store_timeout;
    observed.scope(settle(&store, &held, &lease, attempt, (outcome, settlement), limit)).await;
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

fn label(outcome: &Result<Outcome, HandlerError>) -> &'static str {
    match outcome {
        Ok(outcome) => outcome.label(),
        Err(error) => error.kind().label(),
    }
}

/// When the event runs next.
fn next(settlement: &Settlement) -> Next {
    match settlement {
        Settlement::Retry { after, .. } | Settlement::Release { after, .. } => Next::In(*after),
        Settlement::Bury { .. } => Next::DeadLetter,
        Settlement::Done { .. } | Settlement::GiveBack | Settlement::Hold { .. } => Next::Never,
    }
}

/// What of a settlement is counted beside the run.
fn settled(outcome: &'static str, settlement: &Settlement) -> Option<Settled> {
    match settlement {
        Settlement::Retry { .. } => Some(Settled::Retry),
        Settlement::Release { .. } => Some(Settled::Release(outcome)),
        Settlement::Bury { .. } => Some(Settled::DeadLetter),
        Settlement::Done { .. } | Settlement::GiveBack | Settlement::Hold { .. } => None,
    }
}

fn settlement(
    outcome: Result<Outcome, HandlerError>,
    attempt: u32,
    settings: &Settings,
) -> Settlement {
    let Err(failure) = outcome else { return Settlement::done() };
    let error = failure.to_string();
    let after = settings.backoff.after(attempt).max(failure.delay().unwrap_or_default());
    match failure.kind() {
        HandlerErrorKind::Permanent => Settlement::Bury { error },
        HandlerErrorKind::Unavailable | HandlerErrorKind::InFlight => {
            Settlement::Release { after, reason: error }
        }
        HandlerErrorKind::Failed | HandlerErrorKind::Panicked
            if settings.backoff.is_last(attempt) =>
        {
            Settlement::Bury { error }
        }
        HandlerErrorKind::Failed | HandlerErrorKind::Panicked => {
            Settlement::Retry { after, error, holds_lane: settings.retries_hold_lanes }
        }
    }
}

/// Writes down what became of a run. A store that is away is waited for: the event has run, and to
/// lose that would have it run again.
async fn settle<St: QueueStore>(
    store: &St,
    held: &Held,
    run: &Lease,
    attempt: u32,
    (outcome, mut settlement): (&'static str, Settlement),
    limit: Duration,
) {
    let mut failures = 0;
    while let Some((lease, claimed)) = held.lease(run) {
        // Claimed for the next run, so the store has heard of this one's end: that has not begun.
        if let Settlement::Retry { after, .. } = &settlement
            && claimed > attempt
        {
            settlement = Settlement::Release { after: *after, reason: String::new() };
        }
        match within(limit, store.settle(&lease, settlement.clone()), QueueError::late).await {
            Ok(true) => {
                if let Some(settled) = settled(outcome, &settlement) {
                    telemetry::queue::settled(settled);
                }
                if held.let_go(run, &lease) {
                    return;
                }
                // Claimed anew after it was written: what has not begun is given back.
                settlement = Settlement::GiveBack;
                continue;
            }
            Ok(false) if held.let_go_lost(run, &lease) => return telemetry::queue::lost(run.id),
            Ok(false) => {}
            Err(error) => telemetry::queue::away(&error),
        }
        failures += 1;
        sleep(pause(failures)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{backoff::Backoff, worker::Worker};

    fn settings() -> Settings {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(3);
        Worker::new((), ()).backoff(backoff).settings
    }

    fn after(outcome: Result<Outcome, HandlerError>, attempt: u32) -> Settlement {
        settlement(outcome, attempt, &settings())
    }

    #[test]
    fn what_was_handled_or_is_unrouted_is_done() {
        for outcome in [Outcome::Done, Outcome::Duplicate, Outcome::Unrouted] {
            assert!(matches!(after(Ok(outcome), 1), Settlement::Done { .. }));
        }
    }

    #[test]
    fn a_failure_is_tried_again_until_the_last_attempt() {
        for attempt in [1, 2] {
            let settled = after(Err(HandlerError::failed("x")), attempt);
            assert!(matches!(settled, Settlement::Retry { error, .. } if error == "x"));
        }
        assert!(matches!(after(Err(HandlerError::failed("x")), 3), Settlement::Bury { .. }));
        assert!(matches!(after(Err(HandlerError::permanent("x")), 1), Settlement::Bury { .. }));
        let panicked = HandlerError::panicked("x");
        assert!(matches!(after(Err(panicked), 1), Settlement::Retry { .. }));
    }

    #[test]
    fn it_waits_at_least_as_long_as_the_error_says() {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        let settled = after(Err(HandlerError::failed("x").after(week)), 1);
        assert!(matches!(settled, Settlement::Retry { after, .. } if after == week));
        let settled = after(Err(HandlerError::in_flight(week)), 99);
        assert!(matches!(settled, Settlement::Release { after, .. } if after == week));
        let settled = after(Err(HandlerError::unavailable("x")), 99);
        assert!(matches!(settled, Settlement::Release { .. }));
    }
}
