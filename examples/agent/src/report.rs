//! One JSON line on stdout for each reply: what became of it.
//!
//! [`Report`] sees which event returned a reply, [`Watch`] sees it being sent. What joins the two is
//! the thread: a reply is sent before the next mail of its thread is handled.

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use openmail_tower::{BoxError, HandlerError, Outcome, VerifiedEvent};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tower::Service;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How many replies on their way are remembered.
const REMEMBERED: usize = 10_000;

/// The mail that a reply answers. After a restart nothing is known of it.
#[derive(Debug, Clone, Default, Serialize)]
struct Answered {
    event_id: Option<String>,
    inbox_id: Option<String>,
    message_id: Option<String>,
}

/// The mails whose replies are on their way, by thread. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<String, Answered>>>);

impl Ledger {
    fn begin(&self, thread: &str, answered: Answered) {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() < REMEMBERED {
            threads.insert(thread.to_owned(), answered);
        }
    }

    fn get(&self, thread: &str, is_over: bool) -> Answered {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = if is_over { threads.remove(thread) } else { threads.get(thread).cloned() };
        found.unwrap_or_default()
    }
}

/// Writes "queued" for each event whose handler returned a reply.
#[derive(Debug, Clone)]
pub(crate) struct Report<S> {
    pub(crate) inner: S,
    pub(crate) ledger: Ledger,
}

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
        self.inner.poll_ready(cx).map_err(|error| HandlerError::from_boxed(error.into()))
    }

    fn call(&mut self, event: VerifiedEvent) -> Self::Future {
        let clone = self.inner.clone();
        let handled = mem::replace(&mut self.inner, clone).call(event.clone());
        let ledger = self.ledger.clone();
        Box::pin(async move {
            let outcome = handled.await.map_err(|error| HandlerError::from_boxed(error.into()))?;
            if let (Outcome::Replies(_), Some(mail)) = (&outcome, event.event().message_received())
            {
                let answered = Answered {
                    event_id: event.event_id().map(ToString::to_string),
                    inbox_id: event.inbox_id().map(ToString::to_string),
                    message_id: Some(mail.message.id.to_string()),
                };
                write(&answered, "queued", None).await;
                if let Some(thread) = &mail.thread_id {
                    ledger.begin(thread.as_str(), answered);
                }
            }
            Ok(outcome)
        })
    }
}

/// Writes what OpenMail answered to each send. An answer after which it is sent again writes nothing.
#[derive(Debug, Clone)]
pub(crate) struct Watch<C> {
    pub(crate) inner: C,
    pub(crate) ledger: Ledger,
}

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
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let key = request.headers().get("idempotency-key");
        let key = key.and_then(|key| key.to_str().ok()).map(str::to_owned);
        let body = key.is_some().then(|| request.body().clone());
        let ledger = self.ledger.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let reply = answer.as_ref().ok().and_then(|answer| fate(answer.status()));
            if let (Some(key), Some(body), Some(reply)) = (key, body, reply) {
                let thread = thread_of(body).await.unwrap_or_default();
                write(&ledger.get(&thread, reply != "held"), reply, Some(&key)).await;
            }
            answer
        })
    }
}

/// What an answer to a send means for the reply. `None` where it is tried again.
fn fate(status: StatusCode) -> Option<&'static str> {
    match status.as_u16() {
        200..=299 => Some("sent"),
        403 => Some("held"),
        400 | 404 | 422 => Some("failed"),
        _ => None,
    }
}

async fn thread_of(body: Full<Bytes>) -> Option<String> {
    #[derive(Deserialize)]
    struct Mail {
        #[serde(rename = "threadId")]
        thread_id: String,
    }

    let body = body.collect().await.ok()?.to_bytes();
    serde_json::from_slice::<Mail>(&body).ok().map(|mail| mail.thread_id)
}

async fn write(answered: &Answered, reply: &str, key: Option<&str>) {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        answered: &'a Answered,
        reply: &'a str,
        key: Option<&'a str>,
    }

    let line = async {
        let mut line = serde_json::to_vec(&Line { answered, reply, key })?;
        line.push(b'\n');
        let mut stdout = tokio::io::stdout();
        stdout.write_all(&line).await?;
        stdout.flush().await
    };
    if let Err(error) = line.await {
        tracing::warn!(error = %error, "cannot write to stdout");
    }
}
