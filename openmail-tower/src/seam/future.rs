//! [`OutcomeFuture`]: the boxed future that this crate's handlers, router and layers return.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{error::HandlerError, outcome::Outcome};

/// The future of a run. Resolves to an [`Outcome`] or a [`HandlerError`].
///
/// Returned by handlers, by the router and by those layers of this crate that box their futures.
pub struct OutcomeFuture(Inner);

enum Inner {
    Ready(Option<Result<Outcome, HandlerError>>),
    Boxed(Pin<Box<dyn Future<Output = Result<Outcome, HandlerError>> + Send>>),
}

impl OutcomeFuture {
    /// Boxes a run.
    pub fn new(run: impl Future<Output = Result<Outcome, HandlerError>> + Send + 'static) -> Self {
        Self(Inner::Boxed(Box::pin(run)))
    }

    /// Returns a future that resolves at once and allocates nothing.
    pub fn ready(result: Result<Outcome, HandlerError>) -> Self {
        Self(Inner::Ready(Some(result)))
    }
}

impl Future for OutcomeFuture {
    type Output = Result<Outcome, HandlerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Ready(result) => Poll::Ready(result.take().expect("polled after completion")),
            Inner::Boxed(run) => run.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for OutcomeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutcomeFuture").finish_non_exhaustive()
    }
}
