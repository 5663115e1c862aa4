//! [`Settlement`]: how a lease ends.

use std::time::Duration;

use super::{entry::NewReply, lease::Lease};

/// What becomes of an entry at the end of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// It is done. Its key and its metadata are kept, its body is not.
    Done {
        /// The replies to it, in the order in which they are to be sent. They are written in the
        /// same transaction, and run before the other waiting entries of the lane.
        replies: Vec<NewReply>,
    },
    /// A run failed: it runs again.
    Retry {
        /// The delay before the next run.
        after: Duration,
        /// Why the run failed.
        error: String,
        /// Whether its lane waits for it. If not, other entries of the lane may run before it.
        holds_lane: bool,
    },
    /// A run could not take place, which is not the entry's fault: it runs again, and no attempt
    /// is used. Its lane waits for it.
    Release {
        /// The delay before the next run.
        after: Duration,
        /// Why it could not run.
        reason: String,
    },
    /// It waits for a limit that ends with time or by a person's doing: it runs again, and no attempt
    /// is used. Its lane waits for it. Releases in a row end with this.
    PutOff {
        /// The delay before the next run.
        after: Duration,
        /// What it waits for.
        reason: String,
    },
    /// It was claimed and not run: the lease is given back as if it had not been taken.
    GiveBack,
    /// It is on hold, and with it its lane, until it is released
    /// ([`release_held`](super::QueueStore::release_held)). No attempt is used.
    Hold {
        /// Why it is on hold.
        reason: String,
        /// The time after which it is claimed all the same, as
        /// [`was_held`](super::Claimed::was_held).
        at_most: Duration,
    },
    /// It failed for good: it becomes a dead letter.
    Bury {
        /// Why it failed.
        error: String,
    },
}

impl Settlement {
    /// Returns a settlement of an entry that is done and has no replies.
    pub fn done() -> Self {
        Self::Done { replies: Vec::new() }
    }

    /// Whether the entry does not run again by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Bury { .. })
    }

    /// Whether it may make an entry due.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn wakes(&self, lease: &Lease) -> bool {
        // What ends an entry without a lane makes no other due.
        lease.lane.is_some() || !self.is_final() || self.has_replies()
    }

    /// Whether there are replies to be queued.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn has_replies(&self) -> bool {
        matches!(self, Self::Done { replies } if !replies.is_empty())
    }

    /// About how many bytes it writes.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Done { replies } => replies.iter().map(|reply| reply.body.len()).sum(),
            _ => 0,
        }
    }

    /// Which change it is, for SQL.
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

    /// The state that the entry is in afterwards, and the delay until it is due; none where it is
    /// not due again.
    #[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
    pub(super) fn state(&self, lease: &Lease) -> (&'static str, Option<Duration>) {
        match self {
            Self::Done { .. } => ("done", None),
            Self::Bury { .. } => ("dead", None),
            Self::Release { after, .. } | Self::PutOff { after, .. } => ("ready", Some(*after)),
            Self::Hold { at_most, .. } => ("ready", Some(*at_most)),
            Self::GiveBack => ("ready", Some(Duration::ZERO)),
            Self::Retry { after, holds_lane, .. } => {
                let state = if *holds_lane || lease.lane.is_none() { "ready" } else { "aside" };
                (state, Some(*after))
            }
        }
    }

    /// Why the entry was not done, where the settlement says so.
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
