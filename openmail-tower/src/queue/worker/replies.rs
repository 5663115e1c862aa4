//! [`Replies`]: how a worker obtains the replies in an outcome, and sends them.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;

use crate::{
    queue::{entry::NewReply, lease::Claimed},
    seam::{HandlerError, Outcome, VerifiedEvent},
};

/// Prepares replies for the store, and sends stored ones. A worker without this leaves replies to
/// other workers.
pub(crate) trait Replies: Send + Sync + 'static {
    /// Returns the replies in an outcome, to be stored with the completion of the event.
    fn written(
        &self,
        event: &VerifiedEvent,
        outcome: &Outcome,
    ) -> Result<Vec<NewReply>, HandlerError>;

    /// Returns the id of the mail that a stored reply answers. `None` if it cannot be read.
    fn answered(&self, written: &Bytes) -> Option<String>;

    /// Sends a stored reply.
    fn send(&self, reply: Claimed) -> Pin<Box<dyn Future<Output = Sent> + Send>>;
}

/// The result of sending a reply.
#[allow(dead_code, reason = "only a sender of replies constructs it")]
pub(crate) enum Sent {
    /// It was sent, or another reply with its key was sent before.
    Done,
    /// It was not sent. The error says whether and when to retry.
    Failed(HandlerError),
    /// It waits until it is released.
    Held { reason: String },
}

impl fmt::Debug for dyn Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
