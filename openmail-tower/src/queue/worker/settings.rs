//! [`Worker`] and its settings.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::sync::Mutex;
use tower_service::Service;

use crate::{
    queue::{
        backoff::Backoff,
        entry::{DeadLetter, Retention},
        policy::RetryPolicy,
        report::ReplyReport,
        request::InboxLimits,
        store::QueueStore,
    },
    seam::{BoxError, Outcome, VerifiedEvent},
};

use super::{drive, hook::Hook, replies::Replies, reports::Reports};

/// Runs the events of a queue through a service, usually an [`EventRouter`](crate::EventRouter).
///
/// A [`RetryPolicy`] decides what happens to an event afterwards:
///
/// | the service's result | the event |
/// |---|---|
/// | an [`Outcome`] | is done; if [unrouted](Self::drop_unrouted) and not a `setup.test`, a dead letter |
/// | an error, a panic, a run that takes [too long](Self::run_timeout), a reply that this worker is not set up to send | is retried after the [`Backoff`], and not before the error's [`delay`](crate::HandlerError::delay); after the last attempt, a dead letter |
/// | a [permanent](crate::HandlerError::permanent) error | is a dead letter |
/// | [unavailable](crate::HandlerErrorKind::Unavailable), [in flight](crate::HandlerErrorKind::InFlight) | runs again after a back-off that grows each time, without using an attempt; after [72 h](Self::max_age), a dead letter |
/// | [put off](crate::HandlerErrorKind::PutOff) | runs again after the error's [`delay`](crate::HandlerError::delay), without using an attempt; after [30 days](Self::max_put_off), a dead letter |
///
/// A stored body that cannot be parsed also becomes a dead letter. The
/// [`attempt`](VerifiedEvent::attempt) of an event is the number of its run, from 1.
///
/// # Fairness
/// One inbox uses at most its [share](Self::per_inbox) of the runs and half of the
/// [memory](Self::memory). An event that takes more than half runs as the only one of its inbox. So
/// if at least four events may run at a time, and none takes more than half of the memory, events
/// of other inboxes start at once even if one inbox's handler is slow.
///
/// # Leases
/// While an event runs, its lease is renewed. When a worker's process dies, the operating system or
/// the database drops a lock that it held; other workers notice this and run its events again at
/// once. Without such a lock, the events wait for the [lease](Self::lease) to expire. A run makes
/// no further progress once its worker learns that the lease was lost, or once the lease may have
/// expired.
///
/// An event whose run was lost twice in a row may be the one that crashes the process. Until one of
/// its runs ends, it runs alone, and each run that is lost even then counts as an attempt.
#[derive(Clone)]
#[must_use = "a worker does nothing until it is `run`"]
pub struct Worker<St, E> {
    pub(super) store: St,
    pub(super) events: E,
    pub(super) settings: Settings,
    pub(super) dead_letters: Option<Hook<DeadLetter>>,
    pub(super) replies: Option<Arc<dyn Replies>>,
    pub(super) reports: Option<Reports>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) per_inbox: Option<InboxLimits>,
    pub(super) memory: u64,
    pub(super) lease: Duration,
    pub(super) policy: RetryPolicy,
    pub(super) run_timeout: Duration,
    pub(super) poll: Duration,
    pub(super) retention: Retention,
    pub(super) grace: Duration,
    pub(super) store_timeout: Duration,
}

impl Settings {
    /// Returns the limit of each inbox. By default, one inbox leaves a quarter of the runs, rounded
    /// down, to the others.
    pub(super) fn inbox_limits(&self) -> InboxLimits {
        let share = self.concurrency - self.concurrency / 4;
        self.per_inbox.clone().unwrap_or_else(|| InboxLimits::all(share))
    }
}

impl<St, E> Worker<St, E> {
    /// Creates a worker that runs the events of `store` through `events`.
    pub fn new(store: St, events: E) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let settings = Settings {
            concurrency: 16,
            per_inbox: None,
            memory: 64 << 20,
            lease: Duration::from_secs(30),
            policy: RetryPolicy::default(),
            run_timeout: Duration::from_secs(5 * 60),
            poll: Duration::from_secs(1),
            retention: Retention::new(DAY, 30 * DAY),
            grace: Duration::from_secs(30),
            store_timeout: Duration::from_secs(10),
        };
        Self { store, events, settings, dead_letters: None, replies: None, reports: None }
    }

    /// Sets the maximum number of concurrent runs. Default: 16.
    ///
    /// # Panics
    /// If it is 0.
    pub fn concurrency(mut self, events: usize) -> Self {
        assert!(events > 0, "the concurrency must be at least 1");
        self.settings.concurrency = events;
        self
    }

    /// Sets the maximum number of concurrent runs for each inbox. Further events of an inbox stay
    /// in the queue and do not delay those of other inboxes. Default: three quarters of the
    /// [`concurrency`](Self::concurrency), rounded up.
    ///
    /// # Panics
    /// If it is 0.
    pub fn per_inbox(self, events: usize) -> Self {
        assert!(events > 0, "the limit for each inbox must be at least 1");
        self.inbox_limits(InboxLimits::all(events))
    }

    /// Sets the maximum number of concurrent runs for each inbox as a function of its id. Replaces
    /// [`per_inbox`](Self::per_inbox). Default: that of `per_inbox`, for every inbox.
    pub fn inbox_limits(mut self, limits: InboxLimits) -> Self {
        self.settings.per_inbox = Some(limits);
        self
    }

    /// Sets the maximum memory for the events that run at the same time, in bytes: their bodies,
    /// and what is parsed from them. The worker claims no more than fits. If a single event takes
    /// more than this, it runs alone. Default: 64 MiB.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.settings.memory = bytes;
        self
    }

    /// Sets the duration of a lease. If this worker does not renew it in time, another worker may
    /// claim the event. Leases are renewed each time a third of this duration has passed, and at
    /// least once an hour. Default: 30 s.
    ///
    /// # Panics
    /// If it is less than a millisecond.
    pub fn lease(mut self, lease: Duration) -> Self {
        assert!(lease >= Duration::from_millis(1), "the lease must be at least 1 ms");
        self.settings.lease = lease;
        self
    }

    /// Sets when and how often a failed event is retried. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.policy = self.settings.policy.backoff(backoff);
        self
    }

    /// Lets other events of a lane run before an event or a reply that waits for a retry. Two
    /// events of a lane still never run at the same time. Default: the lane waits, so its events
    /// keep their order.
    pub fn overtake_retries(mut self) -> Self {
        self.settings.policy = self.settings.policy.overtake_retries();
        self
    }

    /// Counts an event that no handler matches as done. Default: it becomes a dead letter, since it
    /// was acknowledged. A `setup.test` is done either way.
    pub fn drop_unrouted(mut self) -> Self {
        self.settings.policy = self.settings.policy.drop_unrouted();
        self
    }

    /// Sets how long an event may be released repeatedly, because something is unavailable, before
    /// it becomes a dead letter. Default: 72 h.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.policy = self.settings.policy.max_age(age);
        self
    }

    /// Sets how long an event or a reply may be held back by limits, counted from the first time,
    /// before it becomes a dead letter. Such limits include a guard's rate or pause, a suspended
    /// inbox, a banned account, and OpenMail's responses 401, 402, 429 and 422
    /// `storage_limit_exceeded`. Default: 30 days.
    pub fn max_put_off(mut self, time: Duration) -> Self {
        self.settings.policy = self.settings.policy.max_put_off(time);
        self
    }

    /// Sets the maximum duration of a run. A run that takes longer is dropped at its next `.await`
    /// and counts as failed. Default: 5 min.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.settings.run_timeout = timeout;
        self
    }

    /// Sets the interval at which the worker looks for due events even without a notification.
    /// SQLite notifies only about changes made through the same store, PostgreSQL about all
    /// changes. Default: 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// Sets how long the keys of done events are kept, and so for how long a duplicate is
    /// recognised. OpenMail's attempts spread over about 7.5 min; the default also covers events
    /// that are delivered again by hand. Default: 24 h.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.settings.retention.done = keep;
        self
    }

    /// Sets how long dead letters are kept. Default: 30 days.
    pub fn keep_dead_letters(mut self, keep: Duration) -> Self {
        self.settings.retention.dead = keep;
        self
    }

    /// Sets the maximum time for runs in progress to finish once the worker is stopping. Default:
    /// 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Sets the maximum duration of one call to the store. After that, the store counts as
    /// unreachable. Default: 10 s.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Sets a service that is called for each event or reply that becomes a dead letter, once that
    /// is committed.
    ///
    /// It is called once for each, by one of the workers that have such a service. It is called
    /// again, after 60 s, only if the call failed or took longer than 30 s, if the store could not
    /// record that it succeeded, or if the worker or its process ended meanwhile. Dead letters from
    /// before the service was set are reported as well.
    ///
    #[cfg_attr(feature = "queue-sqlite", doc = "```no_run")]
    #[cfg_attr(not(feature = "queue-sqlite"), doc = "```ignore")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use openmail_tower::{EventRouter, queue::{DeadLetter, Enqueue}};
    /// use tower::service_fn;
    ///
    /// let queue = Enqueue::sqlite("inbox.db").await?;
    /// let router: EventRouter = EventRouter::new();
    /// let worker = queue.worker(router).on_dead_letter(service_fn(
    ///     async |letter: DeadLetter| {
    ///         eprintln!("{} {}: {}", letter.id, letter.kind, letter.error);
    ///         Ok::<_, std::io::Error>(())
    ///     },
    /// ));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_dead_letter<S>(mut self, service: S) -> Self
    where
        S: Service<DeadLetter> + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.dead_letters = Some(Arc::new(Mutex::new(service)));
        self
    }

    /// Sets a service that is called when a reply has been queued, sent or put on hold, or has
    /// become a dead letter, once that change is committed.
    ///
    /// The worker that changed the reply's state calls the service once for that change. If the
    /// worker or its process ends between the commit and the call, or the answer to the commit is
    /// lost, the change is not reported. A worker reports that it has queued a reply before it
    /// reports anything else about that reply; another worker's report may come earlier. A call
    /// that takes longer than 30 s is dropped. The worker claims no more while it is settling or
    /// reporting more entries than its [`concurrency`](Self::concurrency). When it stops, it waits
    /// for the calls in progress, but not longer than the [`grace`](Self::grace) and the
    /// [`store_timeout`](Self::store_timeout) together.
    ///
    #[cfg_attr(all(feature = "api", feature = "queue-sqlite"), doc = "```no_run")]
    #[cfg_attr(not(all(feature = "api", feature = "queue-sqlite")), doc = "```ignore")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use openmail_tower::{EventRouter, api::OpenMail, queue::{Enqueue, ReplyReport}};
    /// use tower::service_fn;
    ///
    /// let queue = Enqueue::sqlite("inbox.db").await?;
    /// let router: EventRouter = EventRouter::new();
    /// let worker = queue.worker(router).replies(OpenMail::from_env()?).on_reply(service_fn(
    ///     async |reply: ReplyReport| {
    ///         println!("{:?}: {}", reply.message_id, reply.state.as_str());
    ///         Ok::<_, std::io::Error>(())
    ///     },
    /// ));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_reply<S>(mut self, service: S) -> Self
    where
        S: Service<ReplyReport> + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.reports = Some(Reports::new(Arc::new(Mutex::new(service))));
        self
    }

    /// Runs events until `shutdown` resolves. The worker then claims no more, gives back entries
    /// that have not begun, and waits for those that run.
    ///
    /// A run that is still in progress after the [`grace`](Self::grace) is dropped at its next
    /// `.await`, and does not count as an attempt. Its event runs again in another worker or after
    /// a restart. A run that never reaches an `.await` is abandoned after a further
    /// [`store_timeout`](Self::store_timeout). Returns the number of cancelled runs. If the store
    /// is unreachable, the worker waits for it, but still reacts to `shutdown`.
    ///
    /// If this future is dropped, its runs are dropped as well, and their events run again in
    /// another worker or after a restart.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
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
