//! [`VerifyLayer`].

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;

use crate::webhook::{
    secret::{SecretError, Secrets},
    signature::DEFAULT_TOLERANCE,
};

use super::{budget::Budget, pace::Limits, rejection::Rejection, service::Verify};

/// Wraps services in [`Verify`], which lets through only requests that OpenMail signed.
///
/// ```no_run
/// use openmail_tower::{VerifiedEvent, VerifyLayer};
/// use axum::{Extension, Router, routing::post};
///
/// async fn webhook(Extension(event): Extension<VerifiedEvent>) {
///     println!("{} for {:?}", event.kind(), event.inbox_id());
/// }
///
/// let app: Router = Router::new().route("/webhooks", post(webhook).layer(VerifyLayer::from_env()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VerifyLayer<K = Secrets> {
    settings: Settings<K>,
}

pub(super) type Respond = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

/// Default limit on the size of a body, in bytes: the largest known events are about 6 MB.
pub(super) const DEFAULT_BODY_LIMIT: usize = 8 << 20;

/// The settings with which every request is verified.
#[derive(Clone)]
pub(super) struct Settings<K> {
    pub(super) keyring: K,
    pub(super) tolerance: Duration,
    pub(super) body_limit: usize,
    pub(super) limits: Limits,
    pub(super) keys_timeout: Duration,
    pub(super) budget: Budget,
    pub(super) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    pub(super) respond: Respond,
}

impl VerifyLayer {
    /// Creates a layer that verifies with the secrets in `OPENMAIL_WEBHOOK_SECRET` and, during a
    /// rotation, `OPENMAIL_WEBHOOK_SECRET_PREVIOUS`.
    ///
    /// # Errors
    /// As for [`Secrets::from_env`].
    pub fn from_env() -> Result<Self, SecretError> {
        Secrets::from_env().map(Self::new)
    }

    /// Creates a layer that verifies with one account's [`Secret`](crate::Secret) or [`Secrets`].
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        Self::with_keyring(secrets.into())
    }
}

impl<K> VerifyLayer<K> {
    /// Creates a layer that verifies with the secrets of a [`Keyring`](crate::webhook::Keyring),
    /// such as those of individual inboxes.
    pub fn with_keyring(keyring: K) -> Self {
        Self {
            settings: Settings {
                keyring,
                tolerance: DEFAULT_TOLERANCE,
                body_limit: DEFAULT_BODY_LIMIT,
                limits: Limits::default(),
                keys_timeout: Duration::from_secs(2),
                budget: Budget::new(64 << 20),
                clock: Arc::new(SystemTime::now),
                respond: Arc::new(Rejection::to_response),
            },
        }
    }

    /// Sets how far `X-Timestamp` may be from now, in either direction. Default: 300 s, as
    /// OpenMail's guide says.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.settings.tolerance = tolerance;
        self
    }

    /// Sets the maximum size of a body, in bytes. Default: 8 MiB, which holds the largest known
    /// events.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_limit = bytes;
        self
    }

    /// Sets the maximum time for a body to arrive. Default: 10 s.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.timeout = timeout;
        self
    }

    /// Sets the minimum average rate at which a body must arrive, in bytes per second; 0 for none.
    /// A slower body is answered with 408, but never before 2 s have passed. Default: 16 KiB/s.
    #[must_use]
    pub fn body_minimum_rate(mut self, bytes_per_second: u64) -> Self {
        self.settings.limits.minimum_rate = bytes_per_second;
        self
    }

    /// Sets the maximum time for the keyring to find the secrets. After that, the response is 503
    /// `unavailable`. Default: 2 s.
    #[must_use]
    pub fn keys_timeout(mut self, timeout: Duration) -> Self {
        self.settings.keys_timeout = timeout;
        self
    }

    /// Sets the maximum number of bytes that all bodies and events may use together: a body from
    /// its first byte, an event for as long as any clone of it lives. Everything that this layer
    /// and its clones wrap shares one budget. Default: 64 MiB.
    ///
    /// An eighth is reserved for small bodies (at most 64 KiB). Events and larger bodies share the
    /// other seven eighths; if these have no room, the event of a small body may use the eighth.
    /// Verified events take precedence over bodies that are still arriving, and younger bodies over
    /// older ones. A body that is evicted, or finds no room within 2 s, is answered with 503
    /// `overloaded`.
    ///
    /// A mail counts twice, once as a body and once as an event, and a large one must fit into the
    /// seven eighths. So with a budget of less than 16/7 of `body_limit`, the largest mails are
    /// always rejected. An event of very many small parts (`[{},{},…]`) counts as the most memory
    /// that such parts can take, which may be hundreds of times the size of its body. If that
    /// exceeds the seven eighths, it is always rejected as well. Such an event that counts as more
    /// than 1 MiB, including its body, does not wait for room: it is rejected at once if there is
    /// none.
    #[must_use]
    pub fn body_budget(mut self, bytes: usize) -> Self {
        self.settings.budget = Budget::new(bytes);
        self
    }

    /// Sets the clock, for tests. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.settings.clock = Arc::new(now);
        self
    }

    /// Sets how a rejection is answered. Default: [`Rejection::to_response`].
    #[must_use]
    pub fn on_rejection(
        mut self,
        respond: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.settings.respond = Arc::new(respond);
        self
    }
}

impl<K> VerifyLayer<K> {
    pub(super) fn settings(&self) -> &Settings<K> {
        &self.settings
    }
}

impl<S, K: Clone> Layer<S> for VerifyLayer<K> {
    type Service = Verify<S, K>;

    fn layer(&self, inner: S) -> Verify<S, K> {
        Verify::new(inner, self.settings.clone())
    }
}

impl<K: fmt::Debug> fmt::Debug for VerifyLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyLayer").field(&self.settings).finish()
    }
}

impl<K: fmt::Debug> fmt::Debug for Settings<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("keyring", &self.keyring)
            .field("tolerance", &self.tolerance)
            .field("body_limit", &self.body_limit)
            .field("body_timeout", &self.limits.timeout)
            .field("body_minimum_rate", &self.limits.minimum_rate)
            .field("keys_timeout", &self.keys_timeout)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
