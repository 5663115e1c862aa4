//! [`Run`]: a run of an event, from its beginning to its end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{
    Fields, log,
    log::Next,
    metric,
    span::{Entered, Parent, Span},
};
#[cfg(any(feature = "api", feature = "queue"))]
use crate::seam::TraceContext;
use crate::seam::{HandlerError, Outcome};

/// An observed run. If this is dropped before [`end`](Self::end) is called, the run was cancelled
/// from outside, or has panicked.
#[derive(Debug)]
pub(crate) struct Run {
    kind: RunKind,
    span: Span,
    begun: Instant,
    has_ended: bool,
}

/// The kind of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    Handler,
    #[cfg(any(feature = "api", feature = "queue"))]
    Reply,
}

impl Run {
    fn new(kind: RunKind, span: Span) -> Self {
        Self { kind, span, begun: Instant::now(), has_ended: false }
    }

    /// Begins an attempt to send a reply: inside the current span, or in the trace of the event if
    /// the reply was queued.
    #[cfg(any(feature = "api", feature = "queue"))]
    pub(crate) fn of_reply(fields: Fields<'_>, queued: Option<Option<TraceContext>>) -> Self {
        let parent = queued.map_or(Parent::Current, Parent::Trace);
        Self::new(RunKind::Reply, Span::reply(fields, parent))
    }

    /// Begins the run of a delivery, inside the current span. `None` if nothing observes it.
    pub(crate) fn of_delivery(fields: Fields<'_>) -> Option<Self> {
        let span = Span::run(fields, Parent::Current);
        let is_observed = span.is_enabled() || log::is_enabled() || cfg!(feature = "metrics");
        is_observed.then(|| Self::new(RunKind::Handler, span))
    }

    /// Begins the run of a queued event, in the trace that the event belongs to.
    #[cfg(feature = "queue")]
    pub(crate) fn of_queue(fields: Fields<'_>, trace: Option<TraceContext>) -> Self {
        Self::new(RunKind::Handler, Span::run(fields, Parent::Trace(trace)))
    }

    /// Returns the trace context of the run's span, to pass on to everything that the run causes.
    #[cfg(feature = "queue")]
    pub(crate) fn trace_context(&self) -> Option<TraceContext> {
        self.span.trace_context()
    }

    /// Runs a future in the span.
    #[cfg(any(feature = "api", feature = "queue"))]
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.span.clone().scope(future)
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }

    /// Records that the run has ended.
    pub(crate) fn end(
        &mut self,
        outcome: &'static str,
        error: Option<&dyn fmt::Display>,
        next: Next,
    ) {
        self.has_ended = true;
        let duration = self.begun.elapsed();
        self.span.record_end(outcome, None, duration);
        let _entered = self.span.enter();
        log::run_ended(self.kind, outcome, error, duration, next);
        metric::run_ended(self.kind, outcome, duration);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.has_ended {
            let outcome = if thread::panicking() { "panicked" } else { "dropped" };
            self.end(outcome, None, Next::Unknown);
        }
    }
}

pin_project! {
    /// Runs a handler inside the run's span.
    #[derive(Debug)]
    pub(crate) struct Runner<F> {
        #[pin]
        handler: Option<F>,
        run: Option<Run>,
    }

    impl<F> PinnedDrop for Runner<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Everything that an unfinished handler logs on drop is inside the span.
            let _entered = this.run.as_ref().map(Run::enter);
            this.handler.set(None);
        }
    }
}

impl<F> Runner<F> {
    pub(crate) fn new(run: Run, handler: impl FnOnce() -> F) -> Self {
        let handler = {
            let _entered = run.enter();
            handler()
        };
        Self { handler: Some(handler), run: Some(run) }
    }
}

impl<F: Future<Output = Result<Outcome, HandlerError>>> Future for Runner<F> {
    type Output = Result<Outcome, HandlerError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // If the handler panics, the run is dropped, and so ends, while the stack unwinds.
        let mut run = this.run.take().expect("polled after completion");
        let polled = {
            let _entered = run.enter();
            this.handler.as_pin_mut().expect("it is not dropped yet").poll(cx)
        };
        let Poll::Ready(mut result) = polled else {
            *this.run = Some(run);
            return Poll::Pending;
        };
        match &mut result {
            Ok(outcome) => run.end(outcome.label(), None, Next::Unlogged),
            Err(error) => {
                error.set_logged();
                run.end(error.kind().label(), Some(error), Next::Unknown);
            }
        }
        Poll::Ready(result)
    }
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::{cell::Cell, future::pending};

    use tracing_subscriber::{filter::filter_fn, layer::SubscriberExt as _};

    use super::*;

    /// If the run were not observed, its line `run ended` would be missing. (With the feature
    /// `metrics`, every run is observed.)
    #[test]
    fn run_of_a_delivery_is_observed_if_only_its_lines_are_wanted() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let no_spans = filter_fn(|metadata| metadata.is_event());
        let subscriber = tracing_subscriber::registry().with(no_spans).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            let run = Run::of_delivery(Fields::default()).expect("its lines are wanted");
            assert!(!run.span.is_enabled());
        });
    }

    #[test]
    fn unfinished_handler_is_dropped_inside_the_span() {
        struct OnDrop<'a>(&'a Cell<Option<&'static str>>);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                self.0.set(tracing::Span::current().metadata().map(|span| span.name()));
            }
        }
        let span = Cell::new(None);
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let run = Run::of_delivery(Fields::default()).expect("its span is wanted");
            let on_drop = OnDrop(&span);
            drop(Runner::new(run, || async {
                let _on_drop = on_drop;
                pending::<()>().await;
            }));
            assert!(tracing::Span::current().is_none());
        });
        assert_eq!(span.get(), Some("openmail.run"));
    }
}
