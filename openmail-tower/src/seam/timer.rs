//! A timer that is created only when there is something to wait for: most futures here are ready at
//! once, and a timer costs more than they do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, timeout};

/// A sleep that is created when it is first polled. Boxed, since a `Sleep` is larger than most of
/// the structs that contain a timer.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Polls the sleep, which `start` creates at the first call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, start: impl FnOnce() -> Sleep) -> Poll<()> {
        self.0.get_or_insert_with(|| Box::pin(start())).as_mut().poll(cx)
    }

    /// Moves the deadline of a timer that was polled before.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        if let Some(sleep) = &mut self.0 {
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Waits at most `limit` for an operation that may fail. `late` creates the error for an operation
/// that did not finish in time.
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
