//! [`Worker`] and its settings.

use std::{fmt, future::Future, time::Duration};

use tower_service::Service;

use crate::{
    queue::{backoff::Backoff, store::QueueStore},
    seam::{BoxError, Outcome, VerifiedEvent},
};

use super::drive;

/// Runs the events of a queue through a service: an [`EventRouter`](crate::EventRouter), usually.
///
/// | what the service says | what becomes of the event |
/// |---|---|
/// | an [`Outcome`] | done |
/// | an error, a panic | runs again after the [`Backoff`], and not before the error's [`delay`](crate::HandlerError::delay); after the last attempt, a dead letter |
/// | a [permanent](crate::HandlerError::permanent) error | a dead letter |
/// | unavailable, in flight | comes again; the attempt does not count |
///
/// An event whose body is no event any more becomes a dead letter, too. What it runs has the
/// number of the run as [`attempt`](VerifiedEvent::attempt), from 1.
///
/// While an event runs, its lease is renewed. When its process dies, the lease runs out and another
/// worker takes it: the run counts as failed, and the event waits for its back-off. So one that
/// takes its process down parts from those that ran beside it, and is a dead letter in the end. When
/// the lease is lost in another way, the run is cut off at its next `.await`, since somebody else
/// runs the event.
#[derive(Clone)]
#[must_use = "a worker does nothing until it is `run`"]
pub struct Worker<St, E> {
    pub(super) store: St,
    pub(super) events: E,
    pub(super) settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
    pub(super) backoff: Backoff,
    pub(super) retries_hold_lanes: bool,
    pub(super) poll: Duration,
    pub(super) keep: Duration,
    pub(super) grace: Duration,
    pub(super) store_timeout: Duration,
}

impl<St, E> Worker<St, E> {
    /// A worker that runs the events of `store` through `events`.
    pub fn new(store: St, events: E) -> Self {
        let settings = Settings {
            concurrency: 16,
            lease: Duration::from_secs(30),
            backoff: Backoff::default(),
            retries_hold_lanes: true,
            poll: Duration::from_secs(1),
            keep: Duration::from_secs(24 * 60 * 60),
            grace: Duration::from_secs(30),
            store_timeout: Duration::from_secs(10),
        };
        Self { store, events, settings }
    }

    /// How many events to run at a time. Default: 16.
    ///
    /// # Panics
    /// When it is 0.
    pub fn concurrency(mut self, events: usize) -> Self {
        assert!(events > 0, "a worker runs at least one event at a time");
        self.settings.concurrency = events;
        self
    }

    /// After how long a worker that has died is known to be lost; a running event's lease is renewed every
    /// third of it. Default: 30 s.
    ///
    /// # Panics
    /// When it is less than a millisecond.
    pub fn lease(mut self, lease: Duration) -> Self {
        assert!(lease >= Duration::from_millis(1), "an event needs a lease");
        self.settings.lease = lease;
        self
    }

    /// When a failed event runs again, and how often. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Lets the others of its lane go before an event that waits for a retry. Two of a lane still
    /// never run at the same time. By default the lane waits, and its order holds.
    pub fn overtake_retries(mut self) -> Self {
        self.settings.retries_hold_lanes = false;
        self
    }

    /// How often to look for events when nothing tells of any: SQLite tells of those of its own
    /// process, PostgreSQL of all. Default: 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// How long to keep events that are done, and so for how long a duplicate is known as one.
    /// OpenMail's attempts spread over some 7.5 minutes; the default of 24 h also covers what
    /// somebody delivers anew by hand.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.settings.keep = keep;
        self
    }

    /// How long events under way may take once the worker is to stop. Default: 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How long to wait for the store at a time; beyond that it counts as unreachable. Default: 10 s.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Runs events until `shutdown` resolves. Then it takes no more, gives back those it has not
    /// begun with, and waits for those under way.
    ///
    /// What is still running when the [`grace`](Self::grace) is over is cut off at its next
    /// `.await`, and runs again elsewhere; that attempt does not count. What never comes to an
    /// `.await` is left to itself after a [`store_timeout`](Self::store_timeout), and runs again
    /// once its lease has run out. Gives how many those were. A store that goes away is waited for;
    /// while it is, `shutdown` is still heard.
    ///
    /// When this future is dropped, what runs is cut off, and runs again once its lease has run out.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> usize
    where
        St: QueueStore,
        E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
        E::Error: Into<BoxError>,
        E::Future: Send + 'static,
    {
        drive::drive(self, shutdown).await
    }
}

impl<St: fmt::Debug, E> fmt::Debug for Worker<St, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
