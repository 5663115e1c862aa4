//! A timer that is only there once there is something to wait for: most futures here are ready at
//! once, and a timer costs more than they do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(any(feature = "agents", feature = "dedupe", feature = "queue"))]
use tokio::time::timeout;
use tokio::time::{Instant, Sleep};

/// Boxed, since it is larger than most of what it would be moved about with.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when the time is over that `start` says at the first call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, start: impl FnOnce() -> Sleep) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(start())).as_mut().poll(cx)
    }

    /// Sets a timer that was polled before to another time.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        if let Some(sleep) = &mut self.0 {
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Waits for an operation that may fail, at most for `limit`.
///
/// Every wait for a store, a lookup or a client goes through here; `late` makes the error of one that
/// did not answer in time.
#[cfg(any(feature = "agents", feature = "dedupe", feature = "queue"))]
pub(crate) async fn within<T, E, F>(
    limit: std::time::Duration,
    operation: impl Future<Output = Result<T, E>>,
    late: F,
) -> Result<T, E>
where
    F: FnOnce() -> E,
{
    match timeout(limit, operation).await {
        Ok(result) => result,
        Err(_) => Err(late()),
    }
}
