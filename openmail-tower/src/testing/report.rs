//! What became of the events.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::seam::BoxError;

/// What became of all events, in the order in which they were first sent.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Each event, and each duplicate of one.
    pub deliveries: Vec<Delivery>,
}

impl Report {
    /// Whether every event was taken, duplicates included.
    pub fn all_taken(&self) -> bool {
        self.deliveries.iter().all(Delivery::taken)
    }

    /// Every attempt of every event.
    pub fn attempts(&self) -> impl Iterator<Item = &DeliveryAttempt> {
        self.deliveries.iter().flat_map(|delivery| &delivery.attempts)
    }
}

/// What became of one event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The event's name.
    pub event: String,
    /// The signed id, where it has one.
    pub event_id: Option<String>,
    /// Whether it was sent a second time on purpose.
    pub duplicate: bool,
    /// The attempts so far.
    pub attempts: Vec<DeliveryAttempt>,
}

impl Delivery {
    /// Whether it was answered with 2xx: OpenMail is done with it then.
    pub fn taken(&self) -> bool {
        self.attempts.last().is_some_and(DeliveryAttempt::taken)
    }
}

/// One attempt to deliver an event.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryAttempt {
    /// Which one, from 1.
    pub number: u32,
    /// The time of the emulator's clock at which it was stamped and signed.
    pub sent_at: SystemTime,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
    /// The answer's status, or why there was none.
    pub status: Result<StatusCode, AttemptError>,
    /// How long it took until then.
    pub elapsed: Duration,
    /// The answer's body, up to its first 4 KiB.
    pub answer: Bytes,
    /// The wait before the next attempt. `None` after a success and after the last attempt.
    pub next_in: Option<Duration>,
}

impl DeliveryAttempt {
    /// Whether it was answered with 2xx.
    pub fn taken(&self) -> bool {
        self.status.as_ref().is_ok_and(StatusCode::is_success)
    }
}

/// Shows sizes, not the mail that was sent.
impl fmt::Debug for DeliveryAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryAttempt")
            .field("number", &self.number)
            .field("status", &self.status)
            .field("elapsed", &self.elapsed)
            .field("answer", &self.answer)
            .field("next_in", &self.next_in)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there was no answer.
#[derive(Debug, Clone)]
pub struct AttemptError {
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl AttemptError {
    pub(super) fn timeout() -> Self {
        Self { source: None }
    }

    pub(super) fn failed(error: impl Into<BoxError>) -> Self {
        Self { source: Some(error.into().into()) }
    }

    /// Whether the time limit passed; else the service failed.
    pub fn is_timeout(&self) -> bool {
        self.source.is_none()
    }
}

/// The error's text, with those of its sources behind colons.
impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else { return f.write_str("no answer in time") };
        write!(f, "{source}")?;
        let mut cause = source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for AttemptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Its text is told already.
        self.source.as_ref().and_then(|error| error.source())
    }
}
