//! What became of an event, told from the next delivery's point of view.

/// An event that need not be delivered again. The other case is a [`HandlerError`](crate::HandlerError).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A handler has done its work.
    Done,
    /// A queue has taken the event over: it is written down, and runs later.
    Queued,
    /// Its work was done before: this delivery is a duplicate.
    Duplicate,
    /// No handler asks for it.
    Unrouted,
}

impl Outcome {
    /// The outcome in one word, for logs and metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Queued => "queued",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "unrouted",
        }
    }
}
