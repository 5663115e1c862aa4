//! One run: claim, handle, complete or release.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tower_service::Service;

use crate::{
    seam::{BoxError, CatchPanic, HandlerError, HandlerErrorKind, Outcome, VerifiedEvent, within},
    telemetry,
};

use super::{
    layer::{DedupeLayer, Settings},
    runs::Runs,
    store::{Claim, ClaimToken, DedupeStore},
};

pub(super) type Answer = Result<Outcome, HandlerError>;

pub(super) struct Run<St> {
    store: Arc<St>,
    settings: Settings,
    runs: Runs,
    key: String,
    token: ClaimToken,
}

impl<St: DedupeStore> Run<St> {
    pub(super) fn new(layer: &DedupeLayer<St>, key: String) -> Self {
        let DedupeLayer { store, settings, runs } = layer.clone();
        Self { store, settings, runs, key, token: ClaimToken::random() }
    }

    /// Runs the event if it can be claimed, and sends the result to `caller`, which may be gone.
    pub(super) async fn go<S>(
        self,
        service: S,
        event: VerifiedEvent,
        caller: oneshot::Sender<Answer>,
    ) where
        S: Service<VerifiedEvent, Response = Outcome>,
        S::Error: Into<BoxError>,
    {
        match limited(self.settings.store_timeout, self.ask()).await {
            Ok(Claim::Claimed) => {}
            Ok(Claim::InFlight(remaining)) => {
                return tell(caller, Err(HandlerError::in_flight(remaining)));
            }
            Ok(Claim::Done) => return tell(caller, Ok(Outcome::Duplicate)),
            Err(error) if self.settings.run_when_unavailable => {
                self.log("running without a claim", &error);
            }
            Err(error) => {
                tell(caller, Err(HandlerError::unavailable(error)));
                // The store may have recorded the claim although its answer was lost.
                let _ = self.settle(false).await;
                return;
            }
        }
        let answer = self.handle(service, event).await;
        let done = is_done(&answer);
        let settled = self.settle(done).await;
        tell(caller, answer);
        if let Err(error) = settled {
            self.settle_later(done, error).await;
        }
    }

    /// Runs the service, and renews the claim while it runs.
    async fn handle<S>(&self, mut service: S, event: VerifiedEvent) -> Answer
    where
        S: Service<VerifiedEvent, Response = Outcome>,
        S::Error: Into<BoxError>,
    {
        // The service is moved into the future, so that a panic in its `Drop`, which may be user
        // code, is caught as well.
        let run = CatchPanic::new(|| async move {
            let answer = service.call(event).await;
            answer.map_err(|error| HandlerError::from_boxed(error.into()))
        });
        let limit = self.settings.run_timeout;
        tokio::select! {
            biased;
            () = self.runs.cut_off() => Err(HandlerError::failed("the run was cancelled by the shutdown")),
            answer = run => answer.unwrap_or_else(|panic| Err(HandlerError::panicked(panic))),
            () = sleep(limit) => {
                Err(HandlerError::failed(format!("the run was cancelled after {limit:?}")))
            }
            never = self.renew() => match never {},
        }
    }

    /// Renews the claim three times per lease, however long the store takes to answer.
    async fn renew(&self) -> Infallible {
        let period = (self.settings.lease / 3).max(Duration::from_millis(1));
        let mut took = Duration::ZERO;
        loop {
            sleep(period.saturating_sub(took)).await;
            let begun = Instant::now();
            let renewed = limited(self.brief(), self.ask()).await;
            took = begun.elapsed();
            match renewed {
                Ok(Claim::Claimed) => {}
                Ok(_) => {
                    self.log(
                        "the claim was lost while the handler was running",
                        &"another token holds it",
                    );
                    return pending().await;
                }
                Err(error) => self.log("the claim could not be renewed", &error),
            }
        }
    }

    fn ask(&self) -> impl Future<Output = Result<Claim, St::Error>> + Send {
        self.store.claim(&self.key, self.token, self.settings.lease)
    }

    async fn settle(&self, done: bool) -> Result<(), BoxError> {
        if !done {
            return limited(self.brief(), self.store.release(&self.key, self.token)).await;
        }
        let keep = self.settings.keep;
        if !limited(self.brief(), self.store.complete(&self.key, self.token, keep)).await? {
            self.log("the claim was lost before the handler finished", &"another token holds it");
        }
        Ok(())
    }

    /// Repeats `settle` for the duration of a lease: an event whose result is not recorded would run
    /// again. Nothing renews the claim meanwhile, so the delays are short.
    async fn settle_later(&self, done: bool, mut error: BoxError) {
        const LONGEST: Duration = Duration::from_secs(1);
        let begun = Instant::now();
        let mut delay = Duration::from_millis(100);
        loop {
            let left = self.settings.lease.saturating_sub(begun.elapsed());
            tokio::select! {
                () = self.runs.cut_off() => break,
                () = sleep(delay.min(left)) => delay = (delay * 2).min(LONGEST),
            }
            match self.settle(done).await {
                Ok(()) => return,
                Err(again) => error = again,
            }
            // The attempt that begins once the lease has ended is the last.
            if left.is_zero() {
                break;
            }
        }
        self.log(
            if done {
                "the event could not be recorded as done"
            } else {
                "the claim could not be released"
            },
            &error,
        );
    }

    /// Returns the maximum time to wait for the store while the event is claimed.
    fn brief(&self) -> Duration {
        let Settings { store_timeout, lease, .. } = self.settings;
        store_timeout.min(lease / 3)
    }

    fn log(&self, what: &'static str, why: &dyn fmt::Display) {
        telemetry::claim(&self.key, what, why);
    }
}

async fn limited<T, E: Into<BoxError>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    let late = || format!("the deduplication store did not answer within {limit:?}").into();
    within(limit, async { answer.await.map_err(Into::into) }, late).await
}

fn tell(caller: oneshot::Sender<Answer>, answer: Answer) {
    // If the caller is gone, it cannot log the error.
    if let Err(Err(mut error)) = caller.send(answer) {
        telemetry::not_handled(&mut error);
    }
}

/// Returns whether the event needs no further run.
fn is_done(answer: &Answer) -> bool {
    match answer {
        // Replies have not been sent yet, and sending them may fail.
        Ok(outcome) => !matches!(outcome, Outcome::Unrouted | Outcome::Replies(_)),
        Err(error) => error.kind() == HandlerErrorKind::Permanent,
    }
}
