//! What a resolver leaves for the handler and the router.

use crate::{
    router::{FromEvent, HandlerError},
    verified::VerifiedEvent,
};

/// The agent of the event's inbox, as [`AgentResolver`](crate::AgentResolver) has found it.
///
/// A handler that takes it runs only behind a resolver for the same `T`; without one, its events are
/// answered as "try again", and the log says what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent<T>(pub T);

impl<'e, K, S, T: Clone + Send + Sync + 'static> FromEvent<'e, K, S> for Agent<T> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        event.extensions().get::<Self>().cloned().ok_or_else(|| {
            let agent = std::any::type_name::<T>();
            HandlerError::unavailable(if event.inbox_id().is_some() {
                format!("the event has no Agent<{agent}>: is there an AgentResolver for it?")
            } else {
                format!("the event names no inbox, so it has no Agent<{agent}>")
            })
        })
    }
}

/// Left where an inbox has no agent: the router hands the event to its fallback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoAgent;
