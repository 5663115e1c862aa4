//! Subscribers that discard everything, to measure what they cost.

use std::{
    fmt, io,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    callsite::rebuild_interest_cache,
    dispatcher::{self, DefaultGuard},
    level_filters::LevelFilter,
    span,
};
use tracing_subscriber::{Layer as _, Registry, layer::SubscriberExt as _};

/// A subscriber that is enabled at `info` and discards everything.
pub struct Discard(Kind);

enum Kind {
    Global,
    /// A default of this thread, which costs a little more than a global one.
    Scoped(Arc<dyn Subscriber + Send + Sync>),
}

/// While it exists, the subscriber is the default, of the process or of this thread.
pub struct Discarding(Option<DefaultGuard>);

impl Discard {
    /// Creates one of each kind.
    pub fn all() -> [Self; 3] {
        [Self::at_once(), Self::unformatted(), Self::formatted()]
    }

    /// Creates one that does nothing at all. It becomes the global default, as in most programs.
    pub fn at_once() -> Self {
        Self(Kind::Global)
    }

    /// Creates one that keeps the spans while they are open, as `tracing-subscriber` does, and
    /// formats nothing.
    pub fn unformatted() -> Self {
        Self(Kind::Scoped(Arc::new(Registry::default().with(LevelFilter::INFO))))
    }

    /// Creates one that formats each line, with the fields of its spans.
    pub fn formatted() -> Self {
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::sink);
        let lines = lines.with_filter(LevelFilter::INFO);
        Self(Kind::Scoped(Arc::new(Registry::default().with(lines))))
    }

    /// Makes it the default.
    pub fn begin(&self) -> Discarding {
        Discarding(match &self.0 {
            Kind::Global => {
                Nothing::switch(true);
                None
            }
            Kind::Scoped(subscriber) => {
                Some(dispatcher::set_default(&Dispatch::new(Arc::clone(subscriber))))
            }
        })
    }
}

/// A global default cannot be replaced, so this one is switched on and off.
struct Nothing;

static IS_ON: AtomicBool = AtomicBool::new(false);

impl Nothing {
    fn switch(is_on: bool) {
        static SET: Once = Once::new();
        SET.call_once(|| {
            dispatcher::set_global_default(Dispatch::new(Nothing)).expect("there is no other");
        });
        IS_ON.store(is_on, Ordering::Relaxed);
        rebuild_interest_cache();
    }

    fn level() -> LevelFilter {
        if IS_ON.load(Ordering::Relaxed) { LevelFilter::INFO } else { LevelFilter::OFF }
    }
}

impl Subscriber for Nothing {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Self::level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(Self::level())
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
    fn drop(&mut self) {
        match self.0.take() {
            None => Nothing::switch(false),
            Some(scoped) => {
                drop(scoped);
                // Otherwise `tracing` would keep asking whether there is a subscriber.
                rebuild_interest_cache();
            }
        }
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
