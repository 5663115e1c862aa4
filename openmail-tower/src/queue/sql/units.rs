//! Numbers as columns hold them.

use std::time::Duration;

/// The most milliseconds that a duration counts for: a thousand years. No sum of it and a time
/// overflows.
const MOST: i64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;

pub(in crate::queue) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

pub(in crate::queue) fn many(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
