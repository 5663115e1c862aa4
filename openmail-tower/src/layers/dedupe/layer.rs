//! [`DedupeLayer`].

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::seam::DedupeKey;

use super::{runs::Runs, service::Dedupe, store::DedupeStore};

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
            run_when_unavailable: false,
        };
        Self { store: Arc::new(store), settings, runs: Runs::default() }
    }

    /// By what two deliveries are told to be of the same event. Default: by `event_id`.
    #[must_use]
    pub fn key(mut self, key: DedupeKey) -> Self {
        self.settings.key = key;
        self
    }

    /// How long a claim lasts that is not renewed, which is how long an event waits whose process
    /// has died. A running event's claim is renewed every third of it, on the task it runs on: a
    /// handler must not block its thread for so long. Default: 30 s.
    ///
    /// # Panics
    /// When it is zero.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        assert!(!lease.is_zero(), "a claim needs a lease");
        self.settings.lease = lease;
        self
    }

    /// How long an event is known to be done. OpenMail's attempts spread over some 7.5 minutes; the
    /// default of 24 h also covers what somebody delivers anew by hand.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.settings.keep = keep;
        self
    }

    /// How long to wait for the store at a time; beyond that it counts as unreachable. Once an event
    /// is claimed, that is never longer than a third of its lease. Default: 3 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
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

    /// Waits until every event under way has run to its end; new ones are refused as unavailable
    /// meanwhile and from then on.
    ///
    /// Runs that take longer than `limit` are cut off at their next `.await` and their claims given
    /// back, so that the next delivery runs them. Gives how many those were. A claim that cannot be
    /// given back in time ends with its lease.
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
