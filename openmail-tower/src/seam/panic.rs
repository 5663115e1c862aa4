//! A panic is a failure, not an abort.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// Runs `make()` and then the future it gives, and hands over what either panics with.
    ///
    /// Whoever uses it drops what has panicked, so nobody sees the state it left behind.
    #[derive(Debug)]
    pub(crate) struct CatchPanic<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Running { #[pin] future: F },
        Panicked { payload: Option<Box<dyn Any + Send>> },
    }
}

impl<F: Future> CatchPanic<F> {
    pub(crate) fn new(make: impl FnOnce() -> F) -> Self {
        let state = match catch_unwind(AssertUnwindSafe(make)) {
            Ok(future) => State::Running { future },
            Err(payload) => State::Panicked { payload: Some(payload) },
        };
        Self { state }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Running { future } => {
                match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                }
            }
            StateProj::Panicked { payload } => {
                Poll::Ready(Err(payload.take().expect("polled after it was ready")))
            }
        }
    }
}
