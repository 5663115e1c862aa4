//! Converts numbers for columns.

use std::time::Duration;

/// The longest stored duration, in milliseconds: a thousand years, so that adding it to a time
/// never overflows.
const MOST: i64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;

pub(in crate::queue) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

pub(in crate::queue) fn many(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
