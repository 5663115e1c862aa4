//! The handlers.

use openmail_tower::{
    EventRouter, HandlerError, MessageReceived, VerifiedEvent, handler::Attempt, openmail_handler,
};

/// Registers the handlers.
pub fn events() -> EventRouter {
    EventRouter::new().handler(received).fallback(fallback)
}

/// An agent's work begins here. It may fail, take a long time, and run again.
#[openmail_handler(event = "message.received")]
async fn received(mail: &MessageReceived, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
    if mail.message.sender().is_none() {
        return Err(HandlerError::permanent("there is nobody to answer"));
    }
    tracing::info!(inbox = %mail.inbox_id, message_id = %mail.message.id, ?attempt, "mail");
    Ok(())
}

/// Handles every other event. One that does not fit its type, such as a mail without an id, is
/// given up.
#[openmail_handler]
async fn fallback(event: &VerifiedEvent) -> Result<(), HandlerError> {
    if let Some(misfit) = event.event().misfit() {
        return Err(HandlerError::permanent(misfit.to_string()));
    }
    tracing::info!(event = %event.kind(), "nothing to do");
    Ok(())
}
