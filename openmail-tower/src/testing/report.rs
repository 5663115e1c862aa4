//! [`Report`]: the results of a delivery.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::seam::BoxError;

/// The results for all events, in the order in which they were first sent.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// One entry for each event, and for each duplicate.
    pub deliveries: Vec<Delivery>,
}

impl Report {
    /// Returns whether every event was accepted, including duplicates.
    pub fn all_accepted(&self) -> bool {
        self.deliveries.iter().all(Delivery::is_accepted)
    }

    /// Returns all attempts of all events.
    pub fn attempts(&self) -> impl Iterator<Item = &DeliveryAttempt> {
        self.deliveries.iter().flat_map(|delivery| &delivery.attempts)
    }
}

/// The result for one event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The event's name.
    pub event: String,
    /// The signed id, if it has one.
    pub event_id: Option<String>,
    /// Whether it was sent as a deliberate duplicate.
    pub duplicate: bool,
    /// The attempts so far.
    pub attempts: Vec<DeliveryAttempt>,
}

impl Delivery {
    /// Returns whether it was answered with 2xx, after which OpenMail does not send it again.
    pub fn is_accepted(&self) -> bool {
        self.attempts.last().is_some_and(DeliveryAttempt::is_accepted)
    }
}

/// One attempt to deliver an event.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryAttempt {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// When it was stamped and signed, by the emulator's clock.
    pub sent_at: SystemTime,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
    /// The status of the response, or why there was none.
    pub status: Result<StatusCode, AttemptError>,
    /// The time from the start of the attempt to the head of the response or to the error. Includes
    /// waiting for the service to be ready.
    pub elapsed: Duration,
    /// The beginning of the response body, at most 4 KiB.
    pub response_body: Bytes,
    /// The wait before the next attempt. `None` after a success and after the last attempt.
    pub next_in: Option<Duration>,
}

impl DeliveryAttempt {
    /// Returns whether it was answered with 2xx.
    pub fn is_accepted(&self) -> bool {
        self.status.as_ref().is_ok_and(StatusCode::is_success)
    }
}

/// Shows the size of the request's body, not the mail in it.
impl fmt::Debug for DeliveryAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryAttempt")
            .field("number", &self.number)
            .field("status", &self.status)
            .field("elapsed", &self.elapsed)
            .field("response_body", &self.response_body)
            .field("next_in", &self.next_in)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there was no response.
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

    /// Returns whether the time limit passed. If not, the service failed.
    pub fn is_timeout(&self) -> bool {
        self.source.is_none()
    }
}

/// Writes the error's text and those of its sources, separated by colons.
impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(source) = &self.source else {
            return f.write_str("no response within the time limit");
        };
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
        // `Display` already contains its text.
        self.source.as_ref().and_then(|error| error.source())
    }
}
