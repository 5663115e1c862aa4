//! [`Emulator`] and its options.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Uri;
use tokio::sync::Semaphore;

use crate::webhook::Secret;

use super::report::{Delivery, DeliveryAttempt};

/// The time that OpenMail waits before each attempt.
pub const SCHEDULE: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(240),
];

/// The time that OpenMail waits for a response.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// Delivers events as OpenMail does.
///
/// Each attempt has a new timestamp and signature, an updated `attempt` and `delivered_at` in an
/// event that has these fields, and the same `X-Event-Id`. It fails unless the response is a 2xx
/// within 15 s; the next attempts follow after 30 s, 60 s, 2 min and 4 min. Redirects are failures.
/// The waits use tokio's clock, so in a test that pauses it they take no time.
///
/// ```
/// use openmail_tower::{EventRouter, Secret, VerifyLayer, webhook};
/// use openmail_tower::testing::{Emulator, TestEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openmail_tower::webhook::SecretError> {
/// let secret = Secret::new("whsec_test")?;
/// let app = webhook(VerifyLayer::new(secret.clone()), EventRouter::new());
///
/// let mails = (0..10).map(|n| TestEvent::message_received().subject(format!("Mail {n}")));
/// let report = Emulator::new(secret).duplicates(0.2).shuffle().deliver(app, mails).await;
/// assert!(report.all_accepted(), "{report:#?}");
/// # Ok(())
/// # }
/// ```
///
/// To deliver to a URL, use any HTTP client that is a tower service, such as `hyper-util`'s:
/// ```no_run
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use openmail_tower::{Secret, testing::{Emulator, TestEvent}};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder(TokioExecutor::new()).build_http();
/// let report = Emulator::new(Secret::from_env("OPENMAIL_WEBHOOK_SECRET")?)
///     .uri("http://127.0.0.1:3000/webhooks".parse()?)
///     .deliver(client, [TestEvent::message_received()])
///     .await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Emulator {
    pub(super) secret: Secret,
    pub(super) uri: Uri,
    pub(super) target: Option<Arc<Target>>,
    pub(super) schedule: Arc<[Duration]>,
    pub(super) first_attempt: u32,
    pub(super) speed: f64,
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) rate: Option<f64>,
    pub(super) duplicates: f64,
    pub(super) shuffle: bool,
    pub(super) random: fastrand::Rng,
    pub(super) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    pub(super) observe: Arc<Observe>,
}

type Target = dyn Fn() -> (Uri, Secret) + Send + Sync;
type Observe = dyn Fn(&Delivery, &DeliveryAttempt) + Send + Sync;

impl Emulator {
    /// Creates an emulator that signs with `secret` and delivers to `/webhooks`.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            uri: Uri::from_static("/webhooks"),
            target: None,
            schedule: Arc::new(SCHEDULE),
            first_attempt: 1,
            speed: 1.0,
            timeout: TIMEOUT,
            concurrency: 64,
            rate: None,
            duplicates: 0.0,
            shuffle: false,
            random: fastrand::Rng::new(),
            clock: Arc::new(SystemTime::now),
            observe: Arc::new(|_, _| ()),
        }
    }

    /// Sets where to deliver to: a path, or a whole URL for an HTTP client. Default: `/webhooks`.
    #[must_use]
    pub fn uri(mut self, uri: Uri) -> Self {
        self.uri = uri;
        self
    }

    /// Sets a function that is called before each attempt and returns its URI and secret, for a
    /// webhook whose secret is rotated while an event is retried. This replaces [`uri`](Self::uri)
    /// and the secret given to [`new`](Self::new).
    #[must_use]
    pub fn target(mut self, target: impl Fn() -> (Uri, Secret) + Send + Sync + 'static) -> Self {
        self.target = Some(Arc::new(target));
        self
    }

    /// Sets the wait before each attempt; there are as many attempts as waits. Default:
    /// [`SCHEDULE`].
    #[must_use]
    pub fn schedule(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.schedule = waits.into_iter().collect();
        self
    }

    /// Sets the number of the first attempt, to continue a delivery that an earlier run began: set
    /// [`schedule`](Self::schedule) to the remaining waits. Default: 1.
    #[must_use]
    pub fn first_attempt(mut self, number: u32) -> Self {
        self.first_attempt = number;
        self
    }

    /// Sets the speed of the schedule: a speed of 2 cuts each wait in half. The time limit and the
    /// timestamps are not affected: the receiver's clock runs as usual. Default: 1.
    ///
    /// # Panics
    /// If it is not greater than 0.
    #[must_use]
    pub fn speed(mut self, factor: f64) -> Self {
        assert!(factor > 0.0, "the speed must be greater than 0, not {factor}");
        self.speed = factor;
        self
    }

    /// Sets the maximum time to wait for a response. Default: 15 s.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets the maximum number of concurrent attempts. Default: 64.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn concurrency(mut self, attempts: usize) -> Self {
        assert!(attempts > 0, "the concurrency must be greater than 0");
        self.concurrency = attempts.min(Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the maximum average rate at which deliveries begin, in events per second. If
    /// [`concurrency`](Self::concurrency) delays some, the emulator catches up afterwards. Retries
    /// are not limited. Default: no limit.
    ///
    /// # Panics
    /// If it is less than one per day.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        assert!(
            per_second >= 1.0 / 86_400.0,
            "the rate must be at least one event per day, not {per_second} per second"
        );
        self.rate = Some(per_second);
        self
    }

    /// Sets the probability, from 0 to 1, that an event is sent a second time: OpenMail promises at
    /// least one delivery, not exactly one. Default: 0.
    ///
    /// # Panics
    /// If it is not between 0 and 1.
    #[must_use]
    pub fn duplicates(mut self, share: f64) -> Self {
        assert!((0.0..=1.0).contains(&share), "the share must be between 0 and 1, not {share}");
        self.duplicates = share;
        self
    }

    /// Shuffles the events, up to 1,024 at a time: OpenMail promises no order. Default: they are
    /// sent in the given order.
    #[must_use]
    pub fn shuffle(mut self) -> Self {
        self.shuffle = true;
        self
    }

    /// Seeds the random choices, so that duplicates and order are the same in every run. Default: a
    /// random seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = fastrand::Rng::with_seed(seed);
        self
    }

    /// Sets the clock for the timestamps. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// Sets a function that is called after each attempt. Its arguments are the delivery so far,
    /// including this attempt, and the attempt itself. Default: none.
    #[must_use]
    pub fn on_attempt(
        mut self,
        observe: impl Fn(&Delivery, &DeliveryAttempt) + Send + Sync + 'static,
    ) -> Self {
        self.observe = Arc::new(observe);
        self
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("uri", &self.uri)
            .field("schedule", &self.schedule)
            .field("first_attempt", &self.first_attempt)
            .field("speed", &self.speed)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("rate", &self.rate)
            .field("duplicates", &self.duplicates)
            .field("shuffle", &self.shuffle)
            .finish_non_exhaustive()
    }
}
