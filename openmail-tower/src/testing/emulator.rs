//! [`Emulator`], and what can be set of it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Uri;
use tokio::sync::Semaphore;

use crate::webhook::Secret;

use super::report::{Delivery, DeliveryAttempt};

/// How long OpenMail waits before each attempt.
pub const SCHEDULE: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(240),
];

/// How long OpenMail waits for an answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Delivers events as OpenMail does.
///
/// Each attempt is stamped and signed anew, with the event's `attempt` and `delivered_at` brought
/// up to date and the same `X-Event-Id`; it fails unless it is answered with 2xx within 15 s; then
/// the next one follows after 30 s, 60 s, 2 min, 4 min. Redirects are failures. The clock that it
/// waits by is tokio's, so a test that pauses it waits for nothing.
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
/// assert!(report.all_taken(), "{report:#?}");
/// # Ok(())
/// # }
/// ```
///
/// To a URL it delivers with any HTTP client that is a tower service, as `hyper-util`'s:
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
    pub(super) time_limit: Duration,
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
    /// Signs with `secret` and delivers to `/webhooks`.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            uri: Uri::from_static("/webhooks"),
            target: None,
            schedule: Arc::new(SCHEDULE),
            first_attempt: 1,
            speed: 1.0,
            time_limit: TIME_LIMIT,
            concurrency: 64,
            rate: None,
            duplicates: 0.0,
            shuffle: false,
            random: fastrand::Rng::new(),
            clock: Arc::new(SystemTime::now),
            observe: Arc::new(|_, _| ()),
        }
    }

    /// Where to deliver to: a path, or all of a URL for an HTTP client. Default: `/webhooks`.
    #[must_use]
    pub fn uri(mut self, uri: Uri) -> Self {
        self.uri = uri;
        self
    }

    /// Looks up the URI and the secret before each attempt, for a webhook whose secret is rotated
    /// while an event is retried. Takes the place of [`uri`](Self::uri) and of the secret that the
    /// emulator was made with.
    #[must_use]
    pub fn target(mut self, target: impl Fn() -> (Uri, Secret) + Send + Sync + 'static) -> Self {
        self.target = Some(Arc::new(target));
        self
    }

    /// How long to wait before each attempt; one attempt a wait. Default: [`SCHEDULE`].
    #[must_use]
    pub fn schedule(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.schedule = waits.into_iter().collect();
        self
    }

    /// The number of the first attempt, to go on with a delivery that an earlier run began: set
    /// [`schedule`](Self::schedule) to the waits that are left. Default: 1.
    #[must_use]
    pub fn first_attempt(mut self, number: u32) -> Self {
        self.first_attempt = number;
        self
    }

    /// How many times as fast the schedule runs. The time limit does not change, nor do the
    /// timestamps: the receiver's clock runs as ever.
    ///
    /// # Panics
    /// Unless it is greater than 0.
    #[must_use]
    pub fn speed(mut self, factor: f64) -> Self {
        assert!(factor > 0.0, "a speed of {factor}");
        self.speed = factor;
        self
    }

    /// How long to wait for an answer. Default: 15 s.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How many attempts may be under way at once. Default: 64.
    ///
    /// # Panics
    /// When it is 0.
    #[must_use]
    pub fn concurrency(mut self, attempts: usize) -> Self {
        assert!(attempts > 0, "a concurrency of 0");
        self.concurrency = attempts.min(Semaphore::MAX_PERMITS);
        self
    }

    /// How many events to send a second, at most. Default: as many as are taken.
    ///
    /// # Panics
    /// Unless it is at least one a day.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        assert!(per_second >= 1.0 / 86_400.0, "a rate of {per_second}");
        self.rate = Some(per_second);
        self
    }

    /// Which share of the events, from 0 to 1, to send a second time beside the first: OpenMail
    /// promises at least one delivery, not one.
    ///
    /// # Panics
    /// Unless it is from 0 to 1.
    #[must_use]
    pub fn duplicates(mut self, share: f64) -> Self {
        assert!((0.0..=1.0).contains(&share), "a share of {share}");
        self.duplicates = share;
        self
    }

    /// Mixes the order of up to 1,024 events: OpenMail promises none.
    #[must_use]
    pub fn shuffle(mut self) -> Self {
        self.shuffle = true;
        self
    }

    /// Makes duplicates and order the same in every run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = fastrand::Rng::with_seed(seed);
        self
    }

    /// Where the timestamps come from. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// Is told of each attempt as it ends, the delivery including it.
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
            .field("time_limit", &self.time_limit)
            .field("concurrency", &self.concurrency)
            .field("rate", &self.rate)
            .field("duplicates", &self.duplicates)
            .field("shuffle", &self.shuffle)
            .finish_non_exhaustive()
    }
}
