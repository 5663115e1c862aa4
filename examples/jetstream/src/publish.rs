//! Publishes events from the webhook to the stream.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::{
    connection::State,
    jetstream::{self, context::traits::Publisher as _},
};
use openmail_tower::{HandlerError, Outcome, VerifiedEvent};
use tokio::time::timeout;
use tower::Service;

use crate::message;

/// Maximum time to wait for the server's acknowledgement. `Endpoint` answers within 12 s.
const ACK_LIMIT: Duration = Duration::from_secs(5);

/// Publishes each event, and responds as soon as the stream has stored it ([`Outcome::Done`]) or
/// has recognised it as stored before ([`Outcome::Duplicate`]). If that fails, the error is
/// answered with 503, and OpenMail retries.
#[derive(Debug, Clone)]
pub struct Publish {
    context: jetstream::Context,
}

impl Publish {
    /// Creates a service that publishes through this connection.
    pub fn new(context: jetstream::Context) -> Self {
        Self { context }
    }
}

impl Service<VerifiedEvent> for Publish {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, HandlerError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: VerifiedEvent) -> Self::Future {
        let context = self.context.clone();
        Box::pin(async move {
            // Without a connection, the client would keep the message and send it later.
            if context.client().connection_state() != State::Connected {
                return Err(HandlerError::unavailable("there is no connection to NATS"));
            }
            let acked = async { context.publish_message(message::write(event)).await?.await };
            match timeout(ACK_LIMIT, acked).await {
                Ok(Ok(ack)) if ack.duplicate => Ok(Outcome::Duplicate),
                Ok(Ok(ack)) => {
                    // In the delivery's span, which has the event's id.
                    tracing::info!(sequence = ack.sequence, "stored in the stream");
                    Ok(Outcome::Done)
                }
                Ok(Err(error)) => Err(HandlerError::unavailable(error)),
                // It may still have been stored. The next delivery is then a duplicate.
                Err(_) => Err(HandlerError::unavailable(
                    "JetStream did not acknowledge the event in time",
                )),
            }
        })
    }
}
