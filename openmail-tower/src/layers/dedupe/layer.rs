//! [`DedupeLayer`].

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::seam::DedupeKey;

use super::{room::MaxRuns, runs::Runs, service::Dedupe, store::DedupeStore};

/// Wraps an event service in [`Dedupe`], which runs each event once.
///
/// Clones share the store and the runs in progress. See [the module](super) for how it works.
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
    pub(super) most: MaxRuns,
    pub(super) run_when_unavailable: bool,
}

impl<St: DedupeStore> DedupeLayer<St> {
    /// Creates a layer that keeps its claims in `store`.
    pub fn new(store: St) -> Self {
        let settings = Settings {
            key: DedupeKey::EventId,
            lease: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 60 * 60),
            store_timeout: Duration::from_secs(3),
            run_timeout: Duration::from_secs(5 * 60),
            most: MaxRuns { all: 1024, of_one_inbox: 256 },
            run_when_unavailable: false,
        };
        Self { store: Arc::new(store), settings, runs: Runs::default() }
    }

    /// Sets how two deliveries are recognised as the same event. Default: by inbox and `event_id`.
    #[must_use]
    pub fn key(mut self, key: DedupeKey) -> Self {
        self.settings.key = key;
        self
    }

    /// Sets the duration after which a claim expires unless renewed, which is how long an event can
    /// stay claimed after its process has died. The claim of a running event is renewed three times
    /// per lease, on the task that runs it, so a handler must not block its thread for two thirds
    /// of a lease. Default: 30 s.
    ///
    /// # Panics
    /// If it is zero.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        assert!(!lease.is_zero(), "the lease must not be zero");
        self.settings.lease = lease;
        self
    }

    /// Sets how long a finished event is remembered. OpenMail's attempts take about 7.5 minutes;
    /// the default also covers events that are delivered again by hand. Default: 24 h.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.settings.keep = keep;
        self
    }

    /// Sets the maximum time to wait for one answer of the store, after which it counts as
    /// unreachable. While an event is claimed, the wait is limited to a third of its lease as well.
    /// Default: 3 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Sets the maximum time of one run. A run that takes longer is cancelled at its next `.await`,
    /// fails, and releases its claim, so that the next delivery runs the event again. Default: 5
    /// min.
    #[must_use]
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.settings.run_timeout = timeout;
        self
    }

    /// Sets the maximum number of concurrent runs, including those whose caller has gone. Events
    /// beyond this limit are not run and fail as
    /// [`HandlerErrorKind::Unavailable`](crate::HandlerErrorKind::Unavailable). Events without an
    /// id are neither counted nor limited. Default: 1,024.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn max_runs(mut self, runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        self.settings.most.all = runs;
        self
    }

    /// Sets the maximum number of concurrent runs for one inbox, so that an inbox whose agent hangs
    /// leaves room for the others. Default: 256.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn max_runs_per_inbox(mut self, runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        self.settings.most.of_one_inbox = runs;
        self
    }

    /// Runs events even while the store is unreachable, at the risk that some run twice. Default:
    /// they are not run, fail as
    /// [`HandlerErrorKind::Unavailable`](crate::HandlerErrorKind::Unavailable), and are retried
    /// later.
    #[must_use]
    pub fn run_when_unavailable(mut self) -> Self {
        self.settings.run_when_unavailable = true;
        self
    }

    /// Waits until all runs have ended. From this call on, new events fail as unavailable. Events
    /// without an id run on their callers' own tasks, and are not affected.
    ///
    /// Runs that take longer than `limit` are cancelled at their next `.await` and their claims are
    /// released, so that the next delivery runs them. Returns the number of cancelled runs. A claim
    /// that cannot be released in time expires with its lease.
    pub async fn shutdown(&self, limit: Duration) -> usize {
        // A cancelled run waits for the store at most twice: to claim, and to release.
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
