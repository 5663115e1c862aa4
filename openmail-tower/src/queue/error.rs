//! [`QueueError`].

use std::{error::Error, fmt, sync::Arc};

use crate::seam::BoxError;

/// The error of a store.
///
/// The change may have been made despite the error: a connection can break after the commit.
#[derive(Debug, Clone)]
pub struct QueueError {
    kind: QueueErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

/// The kind of a [`QueueError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueErrorKind {
    /// The store cannot be reached or written, or did not answer in time: try again later.
    Unavailable,
    /// The store refuses this entry, and would refuse it again.
    Refused,
    /// The store's disk is full: try again later. A smaller entry may still fit.
    Full,
    /// The tables belong to a newer version of this crate.
    Newer,
    /// The tables are missing, or belong to an older version of this crate: call the store's
    /// `migrate`.
    Unmigrated,
    /// The URL or the database cannot be used as a store, or cannot give a store's guarantees: the
    /// URL is malformed or has the wrong scheme, the database is in memory, or a connection pooler
    /// is in transaction mode.
    Unsuitable,
    /// The store was closed.
    Closed,
}

impl QueueError {
    /// Creates an error of this kind from its source.
    pub fn new(kind: QueueErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into().into() }
    }

    #[cfg(any(test, feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn closed() -> Self {
        Self::new(QueueErrorKind::Closed, "its background task has ended")
    }

    /// Creates the error of a store that did not answer in time.
    pub(super) fn late() -> Self {
        Self::new(QueueErrorKind::Unavailable, "the store did not answer in time")
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> QueueErrorKind {
        self.kind
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            QueueErrorKind::Unavailable => "the queue's store is unavailable",
            QueueErrorKind::Refused => "the queue's store refuses the entry",
            QueueErrorKind::Full => "the queue's store is full",
            QueueErrorKind::Newer => {
                "the queue's tables are newer than this program: update the program"
            }
            QueueErrorKind::Unmigrated => {
                "the queue's tables are missing or too old: call the store's `migrate`"
            }
            QueueErrorKind::Unsuitable => {
                "this URL or database cannot be used as the queue's store"
            }
            QueueErrorKind::Closed => "the queue's store was closed",
        })
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
