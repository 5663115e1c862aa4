//! What became of an event, told from the next delivery's point of view.

use super::replies::Replies;

/// An event that need not be delivered again. The other case is a
/// [`HandlerError`](crate::HandlerError).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A handler has done its work.
    Done,
    /// A queue has taken the event over: it is written down, and runs later.
    Queued,
    /// A handler has done its work and returned replies, which are not sent yet. The event is done
    /// once [`ReplyLayer`](crate::reply::ReplyLayer) has sent them or a worker has written them down.
    /// An endpoint that none of these has taken them from answers 500 `missing_layer`, so that they
    /// are not lost.
    Replies(Replies),
    /// Its work was done before: this delivery is a duplicate.
    Duplicate,
    /// No handler asks for it.
    Unrouted,
    /// A guard refused it: no handler ran.
    Refused {
        /// The rule that fired, in one word.
        rule: &'static str,
    },
    /// A handler has done its work, and a guard withheld its replies.
    Muted {
        /// The rule that fired, in one word.
        rule: &'static str,
    },
}

impl Outcome {
    /// The outcome in one word, for logs and metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            // The replies have outcomes of their own.
            Self::Done | Self::Replies(_) => "done",
            Self::Queued => "queued",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "unrouted",
            Self::Refused { .. } => "refused",
            Self::Muted { .. } => "muted",
        }
    }
}
