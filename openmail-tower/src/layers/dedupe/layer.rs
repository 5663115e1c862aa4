//! [`DedupeLayer`].

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::seam::DedupeKey;

use super::{room::Most, runs::Runs, service::Dedupe, store::DedupeStore};

/// Runs each event once: puts [`Dedupe`] around a service of events.
///
/// Clones share the store and the runs under way. See [the module](super) for what it does.
pub struct DedupeLayer<St> {
    pub(super) store: Arc<St>,
    pub(super) settings: Settings,
    pub(super) runs: Runs,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) key: DedupeKey,
    pub(super) lease: Duration,
    pub(super) keep: Duration,
    pub(super) store_timeout: Duration,
    pub(super) run_timeout: Duration,
    pub(super) most: Most,
    pub(super) run_when_unavailable: bool,
}

impl<St: DedupeStore> DedupeLayer<St> {
    /// A layer that keeps its claims in `store`.
    pub fn new(store: St) -> Self {
        let settings = Settings {
            key: DedupeKey::EventId,
            lease: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 60 * 60),
            store_timeout: Duration::from_secs(3),
            run_timeout: Duration::from_secs(5 * 60),
            most: Most { all: 1024, of_one_inbox: 256 },
            run_when_unavailable: false,
        };
        Self { store: Arc::new(store), settings, runs: Runs::default() }
    }

    /// How two deliveries are recognised as the same event. Default: by `event_id`.
    #[must_use]
    pub fn key(mut self, key: DedupeKey) -> Self {
        self.settings.key = key;
        self
    }

    /// The duration after which a claim expires unless renewed: how long an event waits whose process
    /// has died. The claim of a running event is renewed three times a lease, on the task that runs
    /// it, so a handler must not block its thread for that long. Default: 30 s.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        assert!(!lease.is_zero(), "a claim needs a lease");
        self.settings.lease = lease;
        self
    }

    /// The duration for which an event is known to be done. OpenMail's attempts take about 7.5
    /// minutes; the default also covers events that are delivered again by hand. Default: 24 h.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.settings.keep = keep;
        self
    }

    /// Maximum time to wait for one answer of the store, after which it counts as unreachable. Once
    /// an event is claimed, at most a third of its lease. Default: 3 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Maximum time of one run. A run that takes longer is cancelled at its next `.await` and its
    /// claim is released: it has failed, and the next delivery runs it again. Default: 5 min.
    #[must_use]
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.settings.run_timeout = timeout;
        self
    }

    /// Maximum number of runs at a time, including those that nobody waits for any more. Events
    /// beyond it are not run:
    /// [`HandlerErrorKind::Unavailable`](crate::HandlerErrorKind::Unavailable). Default: 1,024.
    ///
    /// # Panics
    /// When it is 0.
    #[must_use]
    pub fn max_runs(mut self, runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        self.settings.most.all = runs;
        self
    }

    /// Maximum number of runs at a time of the events of one inbox, so that one inbox whose agent
    /// hangs leaves room for the others. Default: 256.
    ///
    /// # Panics
    /// When it is 0.
    #[must_use]
    pub fn max_runs_per_inbox(mut self, runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        self.settings.most.of_one_inbox = runs;
        self
    }

    /// Runs events while the store cannot be reached, at the risk that some run twice. By default
    /// they are not run and come back later:
    /// [`HandlerErrorKind::Unavailable`](crate::HandlerErrorKind::Unavailable).
    #[must_use]
    pub fn run_when_unavailable(mut self) -> Self {
        self.settings.run_when_unavailable = true;
        self
    }

    /// Waits until all runs have ended. From the call on, new events are refused as unavailable.
    ///
    /// Runs that take longer than `limit` are cut off at their next `.await` and their claims are
    /// released, so that the next delivery runs them. Returns how many those were. A claim that
    /// cannot be released in time ends with its lease.
    pub async fn shutdown(&self, limit: Duration) -> usize {
        // A run that is cut off waits for the store twice at most: to claim, and to release.
        let grace = self.settings.store_timeout.saturating_mul(2);
        self.runs.shutdown(limit, grace).await
    }
}

impl<S, St> Layer<S> for DedupeLayer<St> {
    type Service = Dedupe<S, St>;

    fn layer(&self, inner: S) -> Dedupe<S, St> {
        Dedupe::new(inner, self.clone())
    }
}

impl<St> Clone for DedupeLayer<St> {
    fn clone(&self) -> Self {
        let Self { store, settings, runs } = self;
        Self { store: Arc::clone(store), settings: *settings, runs: runs.clone() }
    }
}

impl<St> fmt::Debug for DedupeLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupeLayer")
            .field("settings", &self.settings)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}
