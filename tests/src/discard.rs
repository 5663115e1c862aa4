//! Subscribers that discard everything, to measure what they cost.

use std::{fmt, io, sync::Arc};

use tracing::{
    Dispatch, Subscriber,
    callsite::rebuild_interest_cache,
    dispatcher::{self, DefaultGuard},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer as _, Registry, layer::SubscriberExt as _};

/// A subscriber at `info` that discards everything.
pub struct Discard(Arc<dyn Subscriber + Send + Sync>);

/// While it exists, the subscriber is this thread's default.
pub struct Discarding(Option<DefaultGuard>);

impl Discard {
    /// Creates one that keeps spans and their fields' callsites, and formats nothing.
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

impl Drop for Discarding {
    /// Without this, `tracing` would keep asking whether there is a subscriber.
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
