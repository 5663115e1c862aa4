//! [`Settlement`]: how a lease ends.

use std::time::Duration;

use super::entry::NewReply;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
use super::lease::Lease;

/// How an entry is settled at the end of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// It is done. Its key and its metadata are kept, its body is not.
    Done {
        /// Its replies, in the order in which they are to be sent. They are stored in the same
        /// transaction, and run before the waiting events of the lane, but after the replies that
        /// are already in the lane.
        replies: Vec<NewReply>,
    },
    /// A run failed, and is retried.
    Retry {
        /// The delay before the next run.
        after: Duration,
        /// Why the run failed.
        error: String,
        /// Whether its lane waits for it. If not, other entries of the lane may run before it.
        holds_lane: bool,
    },
    /// It could not run, which is not the entry's fault. It runs again without using an attempt,
    /// and its lane waits for it.
    Release {
        /// The delay before the next run.
        after: Duration,
        /// Why it could not run.
        reason: String,
    },
    /// A limit holds the entry back, until the limit ends or a person lifts it. The entry runs
    /// again without using an attempt. This also ends the current series of releases.
    PutOff {
        /// The delay before the next run.
        after: Duration,
        /// What it waits for.
        reason: String,
        /// Whether its lane waits for it. If not, other entries of the lane may run before it.
        holds_lane: bool,
    },
    /// Its run was not begun, or was cancelled by the worker. The lease is given back as if it had
    /// never been taken.
    GiveBack,
    /// It is on hold, and so is its lane, until
    /// [`release_held`](super::QueueStore::release_held) or
    /// [`release_entry`](super::QueueStore::release_entry) releases it. No attempt is used.
    Hold {
        /// Why it is on hold.
        reason: String,
        /// Maximum time on hold. After that it is claimed with
        /// [`was_held`](super::Claimed::was_held).
        at_most: Duration,
    },
    /// It is given up, and becomes a dead letter.
    Bury {
        /// Why it is given up.
        error: String,
    },
}

impl Settlement {
    /// Creates a settlement for an entry that is done and has no replies.
    pub fn done() -> Self {
        Self::Done { replies: Vec::new() }
    }

    /// Returns whether the entry is finished: done or a dead letter.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Bury { .. })
    }

    /// Returns whether this settlement may make an entry due, the settled one or another one.
    #[cfg(feature = "queue-sqlite")]
    pub(super) fn wakes(&self, lease: &Lease) -> bool {
        // Finishing an entry without a lane makes no other entry due.
        lease.lane.is_some() || !self.is_final() || self.has_replies()
    }

    /// Returns whether there are replies to queue.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn has_replies(&self) -> bool {
        matches!(self, Self::Done { replies } if !replies.is_empty())
    }

    /// Returns the approximate number of bytes that it writes.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Done { replies } => replies.iter().map(|reply| reply.body.len()).sum(),
            _ => 0,
        }
    }

    /// Returns the name by which the stores' SQL distinguishes it.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Retry { .. } => "retry",
            Self::Release { .. } => "release",
            Self::PutOff { .. } => "put_off",
            Self::GiveBack => "back",
            Self::Hold { .. } => "hold",
            Self::Bury { .. } => "bury",
        }
    }

    /// Returns the state of the entry afterwards, and the delay until it is due. `None` if it will
    /// not run again.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn state(&self, lease: &Lease) -> (&'static str, Option<Duration>) {
        match self {
            Self::Done { .. } => ("done", None),
            Self::Bury { .. } => ("dead", None),
            Self::Release { after, .. } => ("ready", Some(*after)),
            Self::Hold { at_most, .. } => ("ready", Some(*at_most)),
            Self::GiveBack => ("ready", Some(Duration::ZERO)),
            Self::Retry { after, holds_lane, .. } | Self::PutOff { after, holds_lane, .. } => {
                let state = if *holds_lane || lease.lane.is_none() { "ready" } else { "aside" };
                (state, Some(*after))
            }
        }
    }

    /// Returns why the entry is not done. `None` if it is done or given back.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Done { .. } | Self::GiveBack => None,
            Self::Retry { error: reason, .. }
            | Self::Release { reason, .. }
            | Self::PutOff { reason, .. }
            | Self::Hold { reason, .. }
            | Self::Bury { error: reason } => Some(reason),
        }
    }
}
