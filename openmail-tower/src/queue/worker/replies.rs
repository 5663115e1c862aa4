//! What the queue knows of replies: that an event may have some, and who sends them.

use std::{fmt, future::Future, pin::Pin};

use crate::{
    queue::{entry::NewReply, lease::Claimed},
    seam::{HandlerError, Outcome, VerifiedEvent},
};

/// Writes replies down and sends them. A worker without one leaves replies to other workers.
pub(crate) trait Replies: Send + Sync + 'static {
    /// Returns the replies in an outcome, to be written down with the event's completion.
    fn written(
        &self,
        event: &VerifiedEvent,
        outcome: &Outcome,
    ) -> Result<Vec<NewReply>, HandlerError>;

    /// Sends a reply that was written down.
    fn send(&self, reply: Claimed) -> Pin<Box<dyn Future<Output = Sent> + Send>>;
}

/// The result of sending a reply.
#[allow(dead_code, reason = "a sender of replies says which")]
pub(crate) enum Sent {
    /// It was sent, now or before.
    Done,
    /// It was not sent; the error says when to try again, if ever.
    Failed(HandlerError),
    /// It waits until somebody releases it.
    Held { reason: String },
}

impl fmt::Debug for dyn Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
