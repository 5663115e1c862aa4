//! One JSON line on stdout for each reply: what became of it.
//!
//! [`Watch`] sees the sends to OpenMail, [`Report`] knows the event that they are for.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tower::{BoxError, HandlerError, Outcome, VerifiedEvent};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tower::Service;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

tokio::task_local! {
    /// The sends of the event that is being handled.
    static SENDS: RefCell<Vec<Sending>>;
}

/// A send, and whether OpenMail took it.
struct Sending {
    key: String,
    taken: bool,
}

/// Notes the `Idempotency-Key` of each send, and whether it was taken.
#[derive(Debug, Clone)]
pub(crate) struct Watch<C>(pub(crate) C);

impl<C, B> Service<Request<Full<Bytes>>> for Watch<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>>,
    C::Future: Send + 'static,
    C::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = C::Error;
    type Future = BoxFuture<Result<Response<B>, C::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let key = request.headers().get("idempotency-key");
        let key = key.and_then(|key| key.to_str().ok()).map(str::to_owned);
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Some(key) = key {
                let taken = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
                // Outside of an event there is nothing to report.
                let _ = SENDS.try_with(|sends| sends.borrow_mut().push(Sending { key, taken }));
            }
            answer
        })
    }
}

/// Writes a line for each send of an event, once the event has been handled.
#[derive(Debug, Clone)]
pub(crate) struct Report<S>(pub(crate) S);

impl<S> Service<VerifiedEvent> for Report<S>
where
    S: Service<VerifiedEvent, Response = Outcome> + Clone,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = BoxFuture<Result<Outcome, HandlerError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.0.poll_ready(cx).map_err(|error| HandlerError::from_boxed(error.into()))
    }

    fn call(&mut self, event: VerifiedEvent) -> Self::Future {
        let clone = self.0.clone();
        let handled = mem::replace(&mut self.0, clone).call(event.clone());
        Box::pin(SENDS.scope(RefCell::default(), async move {
            let outcome = handled.await.map_err(|error| HandlerError::from_boxed(error.into()));
            let sends = SENDS.with(RefCell::take);
            for Sending { key, taken } in sends {
                let reply = if taken { "sent" } else { "failed" };
                if let Err(error) = write(&event, reply, &key).await {
                    tracing::warn!(error = %error, "cannot write to stdout");
                }
            }
            outcome
        }))
    }
}

async fn write(event: &VerifiedEvent, reply: &str, key: &str) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        event_id: Option<&'a str>,
        inbox_id: Option<&'a str>,
        message_id: Option<&'a str>,
        reply: &'a str,
        key: &'a str,
    }

    let mail = event.event().message_received();
    let mut line = serde_json::to_vec(&Line {
        event_id: event.event_id().map(|id| id.as_str()),
        inbox_id: event.inbox_id().map(|id| id.as_str()),
        message_id: mail.map(|mail| mail.message.id.as_str()),
        reply,
        key,
    })?;
    line.push(b'\n');
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&line).await?;
    stdout.flush().await
}
