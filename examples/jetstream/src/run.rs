//! One run: the handler, and what the server is told of it.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use async_nats::jetstream::{AckKind, Message};
use futures_util::FutureExt as _;
use openmail_tower::{BoxError, HandlerError, HandlerErrorKind, Outcome, VerifiedEvent};
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::{message, stream::MAX_AGE};

/// After how many runs an event that still fails is given up: some 4.5 hours, on average.
const LAST_RUN: u32 = 20;

/// The longest waits after the first run and after any.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60 * 60));

/// How long to wait for the server to confirm that it knows, how often, and how long in between.
const CONFIRM: (Duration, u32, Duration) = (Duration::from_secs(5), 5, Duration::from_secs(1));

/// Runs the message's event through `events` and tells the server what came of it.
pub(crate) async fn run<E>(message: Message, events: E, ack_wait: Duration)
where
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    let (sequence, delivered) = message
        .info()
        .map_or((0, 1), |info| (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(1)));
    let span = tracing::info_span!("event", sequence, run = delivered);
    let ran = async {
        let answer = match message::read(&message) {
            Ok(event) => tokio::select! {
                outcome = handle(events, event.with_attempt(delivered)) => {
                    answer(outcome, delivered)
                }
                never = progress(&message, ack_wait / 3) => match never {},
            },
            Err(error) => {
                tracing::error!("given up, since it is no event: {error:#}");
                AckKind::Term
            }
        };
        settle(&message, answer).await;
    };
    ran.instrument(span).await;
}

async fn handle<E>(events: E, event: VerifiedEvent) -> Result<Outcome, HandlerError>
where
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    match AssertUnwindSafe(events.oneshot(event)).catch_unwind().await {
        Ok(outcome) => outcome.map_err(|error| HandlerError::from_boxed(error.into())),
        Err(_) => Err(HandlerError::failed("the handler panicked")),
    }
}

/// Says every now and then that the event is being worked at, lest it be handed out again.
async fn progress(message: &Message, interval: Duration) -> Infallible {
    loop {
        sleep(interval).await;
        if let Err(error) = message.ack_with(AckKind::Progress).await {
            tracing::warn!("cannot tell that it goes on: {error}");
        }
    }
}

/// What to tell the server. What is given up stays in the stream under its sequence number.
fn answer(outcome: Result<Outcome, HandlerError>, run: u32) -> AckKind {
    let error = match outcome {
        Ok(outcome) => {
            tracing::debug!(?outcome, "handled");
            return AckKind::Ack;
        }
        Err(error) => error,
    };
    let asked = error.delay().unwrap_or_default();
    let delay = match error.kind() {
        HandlerErrorKind::Permanent => None,
        // It has not run: that is no reason to give up.
        HandlerErrorKind::Unavailable | HandlerErrorKind::InFlight => Some(asked.max(backoff(run))),
        _ if run >= LAST_RUN => None,
        _ => Some(asked.max(backoff(run))),
    };
    match delay.map(|delay| delay.min(MAX_AGE)) {
        Some(delay) => {
            tracing::warn!(?delay, "failed, to run again: {error}");
            AckKind::Nak(Some(delay))
        }
        None => {
            tracing::error!("given up: {error}");
            AckKind::Term
        }
    }
}

/// Any time up to one that doubles with each run, so that what failed together does not come back
/// together.
fn backoff(run: u32) -> Duration {
    longest_backoff(run).mul_f64(fastrand::f64())
}

fn longest_backoff(run: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(2_u32.saturating_pow(run.saturating_sub(1))).min(longest)
}

/// Tells the server until it confirms: an event of which it does not know runs again.
async fn settle(message: &Message, answer: AckKind) {
    let (limit, attempts, pause) = CONFIRM;
    for _ in 0..attempts {
        match timeout(limit, message.double_ack_with(answer)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::warn!("not confirmed: {error}"),
            Err(_) => tracing::warn!("not confirmed in time"),
        }
        sleep(pause).await;
    }
    tracing::error!(?answer, "the server does not know, and may hand it out again");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(error: HandlerError, run: u32) -> Option<Duration> {
        match answer(Err(error), run) {
            AckKind::Nak(Some(delay)) => Some(delay),
            AckKind::Term => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_handled_or_is_unrouted_is_acknowledged() {
        for outcome in [Outcome::Done, Outcome::Duplicate, Outcome::Unrouted] {
            assert!(matches!(answer(Ok(outcome), 1), AckKind::Ack));
        }
    }

    #[test]
    fn a_failure_runs_again_until_the_last_run() {
        assert!(delay(HandlerError::failed("x"), LAST_RUN - 1).is_some());
        assert_eq!(delay(HandlerError::failed("x"), LAST_RUN), None);
        assert_eq!(delay(HandlerError::permanent("x"), 1), None);
        assert!(delay(HandlerError::unavailable("x"), LAST_RUN).is_some());
        assert!(delay(HandlerError::in_flight(Duration::ZERO), LAST_RUN).is_some());
    }

    #[test]
    fn it_waits_at_least_as_long_as_the_error_says() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(delay(HandlerError::failed("x").after(day), 1), Some(day));
        assert_eq!(delay(HandlerError::failed("x").after(Duration::MAX), 1), Some(MAX_AGE));
    }

    #[test]
    fn the_back_off_doubles_up_to_an_hour() {
        let longest = [1, 2, 3, 12, 33, u32::MAX].map(|run| longest_backoff(run).as_secs());
        assert_eq!(longest, [2, 4, 8, 3600, 3600, 3600]);
        assert!((0..1000).all(|_| backoff(1) <= longest_backoff(1)));
        assert!((0..1000).any(|_| backoff(1) > longest_backoff(1) / 2));
        assert!((0..1000).any(|_| backoff(1) < longest_backoff(1) / 2));
    }
}
