//! [`QueueError`].

use std::{error::Error, fmt, sync::Arc};

use crate::seam::BoxError;

/// The store could not do it.
///
/// Whether it was written all the same is then unknown: a connection may break after the commit.
#[derive(Debug, Clone)]
pub struct QueueError {
    kind: QueueErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueErrorKind {
    /// The store cannot be reached, or not in time, or not be written: try again later.
    Unavailable,
    /// The store refuses this entry, and would refuse it again.
    Refused,
    /// The store's disk is full: try again later. A smaller entry may still fit.
    Full,
    /// The tables are of a newer version of this crate.
    Newer,
    /// The tables are not there, or of an older version of this crate: call the store's `migrate`.
    Unmigrated,
    /// There is no such store, or it cannot keep its promises: the URL names another kind, a database
    /// is in memory, or a pooler between takes sessions apart.
    Unsuitable,
    /// The store was closed.
    Closed,
}

impl QueueError {
    /// An error of this sort, from its source.
    pub fn new(kind: QueueErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into().into() }
    }

    #[cfg(any(test, feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn closed() -> Self {
        Self::new(QueueErrorKind::Closed, "the store was closed")
    }

    /// The store did not answer in time.
    pub(super) fn late() -> Self {
        Self::new(QueueErrorKind::Unavailable, "no answer in time")
    }

    /// What sort of error it is.
    pub fn kind(&self) -> QueueErrorKind {
        self.kind
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            QueueErrorKind::Unavailable => "the queue's store cannot be used",
            QueueErrorKind::Refused => "the queue's store refuses the entry",
            QueueErrorKind::Full => "the queue's store is full",
            QueueErrorKind::Newer => "the queue's tables are newer than this program",
            QueueErrorKind::Unmigrated => "the queue's tables must be migrated first",
            QueueErrorKind::Unsuitable => "this cannot be the queue's store",
            QueueErrorKind::Closed => "the queue's store was closed",
        })
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
