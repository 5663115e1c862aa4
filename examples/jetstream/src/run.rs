//! Runs one message, and reports the result to the server.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use async_nats::jetstream::{AckKind, Message};
use futures_util::FutureExt as _;
use openmail_tower::{
    BoxError, HandlerError, Outcome, VerifiedEvent,
    queue::{RetryPolicy, Run, Settlement},
};
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::{message, stream::MAX_AGE};

/// The time to wait for the server's confirmation, the number of attempts, and the delay between
/// them.
const CONFIRM: (Duration, u32, Duration) = (Duration::from_secs(5), 5, Duration::from_secs(1));

/// Runs the message's event through `events` and reports the result to the server.
pub(crate) async fn run<E>(message: Message, events: E, ack_wait: Duration)
where
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
{
    let (sequence, delivered) = message
        .info()
        .map_or((0, 1), |info| (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(1)));
    let event = message::read(&message);
    let event_id = event.as_ref().ok().and_then(VerifiedEvent::event_id).map(|id| id.as_str());
    let span = tracing::info_span!("event", event_id, sequence, run = delivered);
    let ran = async {
        let answer = match event {
            Ok(event) => tokio::select! {
                outcome = handle(events, event.with_attempt(delivered)) => {
                    answer(outcome, delivered)
                }
                never = progress(&message, ack_wait / 3) => match never {},
            },
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "not an event, given up");
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

/// Reports regularly that the event is in progress, so that the server does not deliver it again.
async fn progress(message: &Message, interval: Duration) -> Infallible {
    loop {
        sleep(interval).await;
        if let Err(error) = message.ack_with(AckKind::Progress).await {
            tracing::warn!(error = %error, "cannot report progress");
        }
    }
}

/// Returns the acknowledgement for the server, by the same policy as a queue's worker. Events that
/// are given up stay in the stream under their sequence numbers.
fn answer(outcome: Result<Outcome, HandlerError>, delivered: u32) -> AckKind {
    let mut run = Run::attempt(delivered);
    // The server has one count for failed and for released runs, so the earlier runs count as both.
    // No age is set, since the stream limits how long it keeps an event.
    run.releases = delivered.saturating_sub(1);
    match RetryPolicy::default().settlement(outcome, run) {
        Settlement::Retry { after, error: reason, .. }
        | Settlement::Release { after, reason }
        | Settlement::PutOff { after, reason, .. } => {
            let delay = after.min(MAX_AGE);
            tracing::warn!(?delay, reason, "the event will run again");
            AckKind::Nak(Some(delay))
        }
        Settlement::Bury { error } => {
            tracing::error!(error, "event given up");
            AckKind::Term
        }
        _ => {
            tracing::info!("event handled");
            AckKind::Ack
        }
    }
}

/// Reports the result up to 5 times, until the server confirms it. Without a report, the event
/// would run again.
async fn settle(message: &Message, answer: AckKind) {
    let (limit, attempts, pause) = CONFIRM;
    for _ in 0..attempts {
        match timeout(limit, message.double_ack_with(answer)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "the server did not confirm the result")
            }
            Err(_) => tracing::warn!("the server did not confirm the result in time"),
        }
        sleep(pause).await;
    }
    tracing::error!(
        ?answer,
        "the server did not confirm the result, and may deliver the event again"
    );
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
    fn handled_event_is_acknowledged_and_unrouted_one_is_given_up() {
        for outcome in [Outcome::Done, Outcome::Duplicate] {
            assert!(matches!(answer(Ok(outcome), 1), AckKind::Ack));
        }
        assert!(matches!(answer(Ok(Outcome::Unrouted), 1), AckKind::Term));
    }

    #[test]
    fn failure_is_retried_until_the_last_run() {
        const LAST_RUN: u32 = 20;
        assert!(delay(HandlerError::failed("x"), LAST_RUN - 1).is_some());
        assert_eq!(delay(HandlerError::failed("x"), LAST_RUN), None);
        assert_eq!(delay(HandlerError::permanent("x"), 1), None);
        assert!(delay(HandlerError::unavailable("x"), LAST_RUN).is_some());
        assert!(delay(HandlerError::in_flight(Duration::ZERO), LAST_RUN).is_some());
    }

    #[test]
    fn waits_at_least_as_long_as_the_error_says() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(delay(HandlerError::failed("x").after(day), 1), Some(day));
        assert_eq!(delay(HandlerError::failed("x").after(Duration::MAX), 1), Some(MAX_AGE));
    }
}
