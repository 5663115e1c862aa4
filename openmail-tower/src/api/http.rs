//! HTTP over a service of any type: requests, bounded responses, time limits.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::seam::BoxError;

use super::error::{ApiError, ApiErrorKind};

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
pub(super) type Call = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

/// An HTTP client of any type.
pub(super) trait Http: Send + Sync {
    fn call(&self, request: Request<Full<Bytes>>) -> Call;
}

/// A tower service as a client. It is cloned for each request; the lock is for services that are
/// not `Sync`.
pub(super) struct Over<C>(Mutex<C>);

impl<C> Over<C> {
    pub(super) fn new(client: C) -> Self {
        Self(Mutex::new(client))
    }
}

impl<C, B> Http for Over<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Full<Bytes>>) -> Call {
        let mut client = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            poll_fn(|cx| client.poll_ready(cx)).await.map_err(Into::into)?;
            let answer = client.call(request).await.map_err(Into::into)?;
            Ok(answer.map(|body| {
                let bytes = body.map_frame(|frame| {
                    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
                });
                bytes.map_err(Into::into).boxed_unsync()
            }))
        })
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    body: UnsyncBoxBody<Bytes, BoxError>,
    limit: usize,
    until: Instant,
) -> Result<Bytes, ApiError> {
    let mut body = body;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = match timeout_at(until, body.frame()).await {
            Err(_) => return Err(late()),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(unreachable(error)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            let detail = format!("it is larger than {limit} bytes");
            return Err(ApiError::new(ApiErrorKind::UnexpectedAnswer, detail).maybe_sent(true));
        }
        // Most responses are one frame, which needs no copy.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Returns the end of a time limit; a year from now if the limit is too long for an [`Instant`].
pub(super) fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}

pub(super) fn late() -> ApiError {
    ApiError::new(ApiErrorKind::TimedOut, "the request's time limit has passed").maybe_sent(true)
}

/// Converts an error of the client.
pub(super) fn unreachable(error: BoxError) -> ApiError {
    let kind = if super::guarded::refused(&*error) {
        ApiErrorKind::ForbiddenAddress
    } else {
        ApiErrorKind::Unavailable
    };
    let maybe = !super::stack::never_connected(&*error);
    ApiError::new(kind, "no complete response").caused_by(error).maybe_sent(maybe)
}
