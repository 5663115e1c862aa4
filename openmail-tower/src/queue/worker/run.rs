//! One run of one event.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tower_service::Service;

use crate::{
    queue::{
        error::QueueError,
        lease::{Claimed, Lease},
        observe,
        settlement::Settlement,
        store::QueueStore,
    },
    seam::{BoxError, CatchPanic, HandlerError, HandlerErrorKind, Outcome, VerifiedEvent, within},
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
    let Claimed { lease, attempt, was_lost, stored, .. } = claimed;
    let work = async {
        // It may be what took its worker down, or only have run beside that: it waits as what
        // failed does, so that the two part.
        if was_lost {
            let error = HandlerError::failed("its worker was lost");
            return settlement(Err(error), attempt, &settings);
        }
        let event = match VerifiedEvent::from_stored(stored) {
            Ok(event) => event.with_attempt(attempt),
            Err(error) => {
                return Settlement::Bury { error: format!("it cannot be read: {error}") };
            }
        };
        let outcome = events.call(event).await;
        let outcome = outcome.map_err(|error| HandlerError::from_boxed(error.into()));
        held.has_run(&lease);
        // An error's text is the user's code as well.
        settlement(outcome, attempt, &settings)
    };
    let settlement = match CatchPanic::new(|| work).await {
        Ok(settlement) => settlement,
        Err(panic) => settlement(Err(HandlerError::panicked(panic)), attempt, &settings),
    };
    held.has_run(&lease);
    settle(&store, &held, &lease, attempt, settlement, settings.store_timeout).await;
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
    mut settlement: Settlement,
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
                observe::settled(run.id, &settlement);
                if held.let_go(run, &lease) {
                    return;
                }
                // Claimed anew after it was written: what has not begun is given back.
                settlement = Settlement::GiveBack;
                continue;
            }
            Ok(false) if held.let_go_lost(run, &lease) => return observe::lost(run.id),
            Ok(false) => {}
            Err(error) => observe::away(&error),
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
