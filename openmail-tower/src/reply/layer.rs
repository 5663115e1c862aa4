//! [`ReplyLayer`]: sends replies before their event counts as done.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    api::OpenMail,
    seam::{BoxError, HandlerError, Outcome, OutcomeFuture, Replies, VerifiedEvent},
    telemetry::{self, Fields, Next, Run},
};

use super::{
    deliver::{Failure, Fate, deliver},
    written::{Keyed, write},
};

/// Sends the replies that a handler returns, before its event counts as done. This is for receivers
/// without a queue; with a queue, use `queue::Worker::replies`, which also survives restarts and
/// waits for limits to end.
///
/// | OpenMail | the event |
/// |---|---|
/// | accepts the reply, or accepted it before | is done |
/// | cannot be reached, gives no usable response, does not have the mail to answer yet (in the first three attempts), does not accept the reply yet, has suspended the inbox or its pod, or has banned the account | fails, so that OpenMail delivers it again and the handler runs again; the reply keeps its key |
/// | refuses the reply permanently; or the reply cannot be addressed, or the event is not a mail | is done; the reply is lost, and the error is logged |
///
/// OpenMail delivers an event at most five times, over about 7.5 minutes. If a limit lasts longer,
/// the mail is lost, as after any lasting failure of a receiver without a queue.
///
/// Put this layer inside a [`DedupeLayer`](crate::layers::DedupeLayer), so that the claim also
/// covers the sending.
///
/// ```
/// use openmail_tower::{EventRouter, api::OpenMail, reply::ReplyLayer};
/// use tower::Layer;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let handlers: EventRouter = EventRouter::new();
/// let events = ReplyLayer::new(OpenMail::from_env()?).layer(handlers);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ReplyLayer {
    openmail: OpenMail,
}

impl ReplyLayer {
    /// Creates a layer that sends replies through this client.
    #[must_use]
    pub fn new(openmail: OpenMail) -> Self {
        Self { openmail }
    }
}

impl<S> Layer<S> for ReplyLayer {
    type Service = ReplyService<S>;

    fn layer(&self, inner: S) -> ReplyService<S> {
        ReplyService { inner, openmail: self.openmail.clone() }
    }
}

/// The service of [`ReplyLayer`].
#[derive(Debug, Clone)]
pub struct ReplyService<S> {
    inner: S,
    openmail: OpenMail,
}

impl<S> Service<VerifiedEvent> for ReplyService<S>
where
    S: Service<VerifiedEvent, Response = Outcome> + Clone,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.inner.poll_ready(cx).map_err(|error| HandlerError::from_boxed(error.into()))
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let openmail = self.openmail.clone();
        let run = inner.call(event.clone());
        OutcomeFuture::new(async move {
            let outcome = run.await.map_err(|error| HandlerError::from_boxed(error.into()))?;
            match outcome {
                Outcome::Replies(replies) => send_all(&openmail, &event, &replies).await,
                other => Ok(other),
            }
        })
    }
}

async fn send_all(
    openmail: &OpenMail,
    event: &VerifiedEvent,
    replies: &Replies,
) -> Result<Outcome, HandlerError> {
    let Some(replies) = write(event, replies) else {
        let error = HandlerError::from(Failure::NoMail);
        Run::of_reply(Fields::from(event), None).end("permanent", Some(&error), Next::Unlogged);
        return Ok(Outcome::Done);
    };
    let tries = event.attempt().unwrap_or(1).saturating_sub(1);
    for Keyed { key, written, .. } in &replies {
        let mut sending = Run::of_reply(Fields::from(event), None);
        // OpenMail's attempts end long before it forgets a key, so the age does not matter.
        let fate = sending.scope(deliver(openmail, key, written, tries, Duration::ZERO)).await;
        let outcome = fate.label();
        match fate {
            Fate::Sent | Fate::SentBefore => sending.end(outcome, None, Next::Unlogged),
            Fate::Failed(failure) => {
                sending.end(outcome, Some(&HandlerError::from(failure)), Next::Unlogged);
            }
            Fate::Retry(failure) | Fate::Wait(failure) | Fate::Hold(failure) => {
                let is_key = failure.is_key();
                let mut error = HandlerError::from(failure);
                sending.end(outcome, Some(&error), Next::Unknown);
                error.set_logged();
                if is_key {
                    telemetry::reply_unauthorized(&error);
                }
                return Err(error);
            }
        }
    }
    Ok(Outcome::Done)
}
