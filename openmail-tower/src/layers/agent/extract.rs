//! [`Agent`]: the agent that a resolver found, as an argument of a handler.

use crate::{
    handler::FromEvent,
    seam::{ForFallback, HandlerError, VerifiedEvent},
};

/// The agent of the event's inbox, as found by [`AgentResolver`](crate::layers::AgentResolver).
///
/// A handler that takes it needs a resolver for the same `T` around it. If the event has no agent,
/// the handler does not run:
///
/// | because | the event |
/// |---|---|
/// | it belongs to no inbox | fails permanently: [`Permanent`](crate::HandlerErrorKind::Permanent) |
/// | there is no resolver for `T` around the handler | fails: [`Failed`](crate::HandlerErrorKind::Failed), and the error says what is missing |
/// | the resolver found no agent, and the handler is the router's fallback | fails in the same way |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent<T>(pub T);

impl<'e, S, T: Clone + Send + Sync + 'static> FromEvent<'e, S> for Agent<T> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        event.extensions().get::<Self>().cloned().ok_or_else(|| {
            let agent = std::any::type_name::<T>();
            if event.inbox_id().is_none() {
                let text = format!("the event belongs to no inbox, so it has no Agent<{agent}>");
                return HandlerError::permanent(text);
            }
            // `Failed`, so that a queue counts the attempt: nothing suggests that the problem will
            // pass.
            HandlerError::failed(match event.extensions().get::<ForFallback>() {
                Some(ForFallback) => format!("the inbox has no Agent<{agent}>"),
                None => {
                    format!("the event has no Agent<{agent}>: its AgentResolver is missing")
                }
            })
        })
    }
}
