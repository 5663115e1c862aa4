//! What became of an event, told from the next delivery's point of view.

/// An event that need not be delivered again. The other case is a [`HandlerError`](crate::HandlerError).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A handler has done its work, or a queue has taken the event over.
    Done,
    /// Its work was done before: this delivery is a duplicate.
    Duplicate,
    /// No handler asks for it.
    Unrouted,
}
