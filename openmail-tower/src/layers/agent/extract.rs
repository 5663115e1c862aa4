//! What a resolver leaves for the handler and the router.

use crate::{
    handler::FromEvent,
    seam::{ForFallback, HandlerError, VerifiedEvent},
};

/// The agent of the event's inbox, as [`AgentResolver`](crate::layers::AgentResolver) has found it.
///
/// A handler that takes it runs only behind a resolver for the same `T`.
///
/// | where there is none to take | the event |
/// |---|---|
/// | the event names no inbox | fails for good: [`Permanent`](crate::HandlerErrorKind::Permanent) |
/// | no resolver for `T` stands before the handler | fails: [`Failed`](crate::HandlerErrorKind::Failed), and the error says what is missing |
/// | the resolver has found none, and the handler is the router's fallback | fails likewise |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent<T>(pub T);

impl<'e, S, T: Clone + Send + Sync + 'static> FromEvent<'e, S> for Agent<T> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        event.extensions().get::<Self>().cloned().ok_or_else(|| {
            let agent = std::any::type_name::<T>();
            if event.inbox_id().is_none() {
                let text = format!("the event names no inbox, so it has no Agent<{agent}>");
                return HandlerError::permanent(text);
            }
            // Counted by a queue, unlike what is unavailable: nothing says that it will pass.
            HandlerError::failed(match event.extensions().get::<ForFallback>() {
                Some(ForFallback) => format!("the inbox has no Agent<{agent}>"),
                None => {
                    format!("the event has no Agent<{agent}>: is there an AgentResolver for it?")
                }
            })
        })
    }
}
