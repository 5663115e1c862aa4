//! Subscribers that discard everything, to measure what they cost.

use std::{fmt, io, sync::Arc};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    callsite::rebuild_interest_cache,
    dispatcher::{self, DefaultGuard},
    level_filters::LevelFilter,
    span,
};
use tracing_subscriber::{Layer as _, Registry, layer::SubscriberExt as _};

/// A subscriber that is enabled at `info` and discards everything.
pub struct Discard(Arc<dyn Subscriber + Send + Sync>);

/// While it exists, the subscriber is this thread's default.
pub struct Discarding(Option<DefaultGuard>);

impl Discard {
    /// Creates one of each kind.
    pub fn all() -> [Self; 3] {
        [Self::at_once(), Self::unformatted(), Self::formatted()]
    }

    /// Creates one that does nothing at all.
    pub fn at_once() -> Self {
        Self(Arc::new(Nothing))
    }

    /// Creates one that keeps the spans while they are open, as `tracing-subscriber` does, and
    /// formats nothing.
    pub fn unformatted() -> Self {
        Self(Arc::new(Registry::default().with(LevelFilter::INFO)))
    }

    /// Creates one that formats each line, with the fields of its spans.
    pub fn formatted() -> Self {
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::sink);
        Self(Arc::new(Registry::default().with(lines.with_filter(LevelFilter::INFO))))
    }

    /// Makes it this thread's default.
    pub fn begin(&self) -> Discarding {
        let dispatch = Dispatch::new(Arc::clone(&self.0));
        Discarding(Some(dispatcher::set_default(&dispatch)))
    }
}

struct Nothing;

impl Subscriber for Nothing {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= LevelFilter::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Drop for Discarding {
    /// Rebuilds the cache, or `tracing` would keep asking whether there is a subscriber.
    fn drop(&mut self) {
        drop(self.0.take());
        rebuild_interest_cache();
    }
}

impl fmt::Debug for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discard").finish_non_exhaustive()
    }
}

impl fmt::Debug for Discarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discarding").finish_non_exhaustive()
    }
}
