//! [`Outcome`]: the result of an event that did not fail.

use super::replies::Replies;

/// The result of an event that did not fail; a failure is a [`HandlerError`](crate::HandlerError).
///
/// The event need not be delivered again, with two exceptions: [`Unrouted`](Self::Unrouted) if the
/// endpoint refuses such an event, and [`Replies`](Self::Replies) if nothing sends them.
///
/// A layer can act on the outcome of the services inside it:
///
/// ```
/// use openmail_tower::{EventRouter, Outcome};
/// use tower::ServiceBuilder;
///
/// let router: EventRouter = EventRouter::new();
/// let events = ServiceBuilder::new()
///     .map_response(|outcome: Outcome| {
///         if outcome == Outcome::Unrouted {
///             println!("an event was ignored");
///         }
///         outcome
///     })
///     .service(router);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A handler has handled it.
    Done,
    /// A queue has stored the event and will run it later.
    Queued,
    /// A handler has handled it and returned replies, which have not been sent yet. The event is
    /// done once [`ReplyLayer`](crate::reply::ReplyLayer) has sent them or a worker has stored
    /// them. If neither does, the event fails and is retried, so that the replies are not lost: an
    /// endpoint answers with 500 `missing_layer`, and a worker settles the run as failed.
    Replies(Replies),
    /// This delivery is a duplicate: the event was handled, or stored by a queue, before.
    Duplicate,
    /// No handler matches it.
    Unrouted,
    /// A guard refused it: no handler ran.
    Refused {
        /// The rule that fired, as one word.
        rule: &'static str,
    },
    /// A handler has handled it, but a guard withheld its replies.
    Muted {
        /// The rule that fired, as one word.
        rule: &'static str,
    },
}

impl Outcome {
    /// Returns the outcome as one word, for logs and metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            // The outcome of sending the replies is reported separately.
            Self::Done | Self::Replies(_) => "done",
            Self::Queued => "queued",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "unrouted",
            Self::Refused { .. } => "refused",
            Self::Muted { .. } => "muted",
        }
    }
}
