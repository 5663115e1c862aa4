//! Catches panics in user code.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// The message that a run panicked with. The payload itself is dropped where it was caught.
#[derive(Debug)]
pub(crate) struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Panicked {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        drop_quietly(payload);
        Self(text)
    }
}

/// Drops a value whose `Drop` may panic.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // A payload can panic on drop, and so can the payload of that panic. The latter is leaked,
        // which ends the chain.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            let _ = ManuallyDrop::new(payload);
        }
    }
}

pin_project! {
    /// Runs `make()` and then the future that it returns, and returns the panic of either.
    ///
    /// The future is dropped as soon as it is ready or has panicked, or when this is dropped. A
    /// panic in its `Drop` does not change its result.
    #[derive(Debug)]
    pub(crate) struct CatchPanic<F> {
        #[pin]
        state: State<F>,
    }

    impl<F> PinnedDrop for CatchPanic<F> {
        fn drop(this: Pin<&mut Self>) {
            end(this.project().state);
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Running { #[pin] future: F },
        Panicked { panicked: Option<Panicked> },
        Ended,
    }
}

/// Drops the future in place.
fn end<F>(mut state: Pin<&mut State<F>>) {
    // The new state is written even if dropping the old one panics.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| state.set(State::Ended))) {
        drop_quietly(payload);
    }
}

impl<F: Future> CatchPanic<F> {
    pub(crate) fn new(make: impl FnOnce() -> F) -> Self {
        let state = match catch_unwind(AssertUnwindSafe(make)) {
            Ok(future) => State::Running { future },
            Err(payload) => State::Panicked { panicked: Some(Panicked::new(payload)) },
        };
        Self { state }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let output = match state.as_mut().project() {
            StateProj::Running { future } => {
                match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(output)) => Ok(output),
                    Err(payload) => Err(Panicked::new(payload)),
                }
            }
            StateProj::Panicked { panicked } => Err(panicked.take().expect("polled once")),
            StateProj::Ended => panic!("polled after completion"),
        };
        end(state);
        Poll::Ready(output)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Panics when dropped, with a payload that panics when dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Fuse);
        }
    }

    struct Fuse;

    impl Drop for Fuse {
        fn drop(&mut self) {
            panic!("a payload that panics");
        }
    }

    struct Armed<F>(F, Bomb);

    impl<F: Future + Unpin> Future for Armed<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            Pin::new(&mut self.0).poll(cx)
        }
    }

    #[tokio::test]
    async fn future_whose_drop_panics_keeps_its_result() {
        assert_eq!(CatchPanic::new(|| Armed(ready(7), Bomb)).await.unwrap(), 7);
    }

    #[test]
    fn dropping_an_unfinished_future_does_not_panic() {
        drop(CatchPanic::new(|| Armed(pending::<()>(), Bomb)));
    }

    #[tokio::test]
    async fn survives_a_payload_whose_drop_panics() {
        let run = CatchPanic::new(|| async {
            std::panic::panic_any(Fuse);
        });
        assert_eq!(run.await.unwrap_err().0, "no message");
        let made = CatchPanic::new(|| -> std::future::Ready<()> { panic!("while it is made") });
        assert_eq!(made.await.unwrap_err().0, "while it is made");
    }
}
