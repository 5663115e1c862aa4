//! [`CountStore`]: counts that outlive a run, for limits that replicas share.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use super::error::BoxError;

/// Counts what happened under a key within a window of time.
///
/// A guard counts in the memory of its process by default. To have replicas count together, and a
/// restart forget nothing, implement this over a database they share.
pub trait CountStore: fmt::Debug + Send + Sync + 'static {
    /// Checks and counts in one step: no other call comes between.
    fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a>;
}

/// The future of [`CountStore::count`].
pub type CountFuture<'a> = Pin<Box<dyn Future<Output = Result<Counted, BoxError>> + Send + 'a>>;

/// What to check and count.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CountRequest {
    /// What is counted. The same id is counted once under a key.
    pub id: String,
    /// Limits under which `id` is counted: under all of them, or under none if one is full.
    pub take: Vec<CountLimit>,
    /// Limits that are only looked at.
    pub check: Vec<CountLimit>,
    /// A note to keep under a key, if nothing in `take` is full.
    pub note: Option<CountNote>,
}

/// At most `most` ids under `key` within `window`.
#[derive(Debug, Clone)]
pub struct CountLimit {
    /// The key, at most 255 bytes long.
    pub key: String,
    /// The most ids.
    pub most: u32,
    /// The length of the window, which ends now.
    pub window: Duration,
}

/// A short text to keep under a key.
#[derive(Debug, Clone)]
pub struct CountNote {
    /// The key, at most 255 bytes long.
    pub key: String,
    /// The text, at most 255 bytes long. The same text is kept once under a key.
    pub text: String,
    /// How long it is kept.
    pub window: Duration,
}

/// The answer to a [`CountRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The first limit of `take` that is full, and the time until it has room. Nothing was counted.
    pub full: Option<(usize, Duration)>,
    /// The first limit of `check` that is full.
    pub over: Option<usize>,
    /// The notes under the note's key within its window, the new one not included.
    pub notes: Vec<String>,
}
