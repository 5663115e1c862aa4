//! [`Forward`].

use std::{
    fmt, mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderName},
};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tower_service::Service;

use crate::{
    seam::{BoxError, HandlerError, Outcome, OutcomeFuture, VerifiedEvent},
    webhook::{Secret, signature::sign},
};

use super::verdict::{DEFAULT_PERMANENT, unanswered, verdict};

static EVENT_ID: HeaderName = HeaderName::from_static("x-event-id");
static ATTEMPT: HeaderName = HeaderName::from_static("x-openmail-attempt");
static TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
static SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

/// Maximum length of an id in a header, in bytes. Servers reject requests whose headers are too
/// large.
const LONGEST_ID: usize = 255;

/// Maximum number of frames of a response's body to read. The body is not used, but its connection
/// is reused only once the body has been read.
const FRAMES: usize = 16;
/// Maximum time for reading them.
const READ_FOR: Duration = Duration::from_millis(200);

/// Posts each event to a URL, to an agent that runs elsewhere, in any language.
///
/// The body is the event's raw body, unchanged. `X-Event-Id` is the signed id; it is missing if the
/// id has more than 255 bytes or contains a line break or another byte that no header may contain.
/// `X-OpenMail-Attempt` is the attempt, from 1 (1 for an event that states none). With
/// [`sign_with`](Self::sign_with), the request also has `X-Timestamp` and `X-Signature`, new for
/// each attempt, so that the agent can verify events as if they came from OpenMail.
///
/// | response | the event |
/// |---|---|
/// | 2xx | is done |
/// | one of [`permanent_statuses`](Self::permanent_statuses), by default 400 and 422 | has failed permanently |
/// | 409 with `Retry-After` | is in flight: the agent is already handling it (its own `Dedupe` answers like this). The event is retried after that time (at least 1 s, at most 24 h); a queue does not count this as an attempt |
/// | any other | has failed: retried, after `Retry-After` if present (at least 1 s, at most 24 h) |
/// | none, since the connection was refused | has not been received, and is retried: [`Unavailable`](crate::HandlerErrorKind::Unavailable); a queue does not count this as an attempt |
/// | none for another reason, or not in time | has failed |
///
/// By default, an event is retried after a 401, 403, 404, 410 or 413, since proxies and tunnels
/// answer like that during a deployment or a token rotation.
///
/// The client is any tower service that takes HTTP requests. It should not follow redirects, since
/// the mail would go wherever they lead; hyper-util's client does not follow them.
///
/// ```
/// use std::time::Duration;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use openmail_tower::{EventRouter, Secret, layers::Forward};
///
/// let client = Client::builder(TokioExecutor::new()).build_http();
/// let agent = Forward::new(client, "http://127.0.0.1:4001/mail".parse()?)
///     .sign_with(Secret::new("whsec_of_the_agent")?)
///     .timeout(Duration::from_secs(30));
///
/// let router: EventRouter = EventRouter::new();
/// router.inboxes().replace_service("inb_support", agent)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Forward<C> {
    client: C,
    url: Uri,
    secret: Option<Secret>,
    timeout: Duration,
    permanent: Arc<[StatusCode]>,
}

impl<C> Forward<C> {
    /// Creates a service that posts events to `url`, which needs a scheme and a host.
    pub fn new(client: C, url: Uri) -> Self {
        let permanent = Arc::new(DEFAULT_PERMANENT);
        Self { client, url, secret: None, timeout: Duration::from_secs(30), permanent }
    }

    /// Signs forwarded events with this secret, as OpenMail does. Default: none, so that they are
    /// not signed.
    #[must_use]
    pub fn sign_with(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sets the maximum time to wait for the head of the response. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the statuses after which the event is not retried, because it would fail again. A 2xx
    /// among them still means done. Default: 400 and 422.
    #[must_use]
    pub fn permanent_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.permanent = statuses.into_iter().collect();
        self
    }

    fn request(&self, event: &VerifiedEvent) -> Request<Full<Bytes>> {
        let body = event.raw_body();
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(&ATTEMPT, event.attempt().unwrap_or(1).into());
        let id = event.event_id().map(|id| id.as_str().as_bytes());
        let id = id.filter(|id| id.len() <= LONGEST_ID).map(HeaderValue::from_bytes);
        // An id is opaque, and may contain bytes that no header may contain, such as line breaks.
        if let Some(Ok(id)) = id {
            headers.insert(&EVENT_ID, id);
        }
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
            let signature = sign(secret, now, body);
            headers.insert(&TIMESTAMP, now.into());
            headers.insert(&SIGNATURE, HeaderValue::try_from(signature).expect("hex digits"));
        }
        request
    }
}

impl<C, B> Service<VerifiedEvent> for Forward<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body + Send,
    B::Data: Send,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.client.poll_ready(cx).map_err(|error| unanswered(error.into()))
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let request = self.request(&event);
        let clone = self.client.clone();
        let mut client = mem::replace(&mut self.client, clone);
        let (limit, permanent) = (self.timeout, Arc::clone(&self.permanent));
        OutcomeFuture::new(async move {
            let answer = timeout(limit, client.call(request)).await.map_err(|_| {
                HandlerError::failed(format!("the agent did not answer within {limit:?}"))
            })?;
            let answer = answer.map_err(|error| unanswered(error.into()))?;
            let (head, body) = answer.into_parts();
            let _ = timeout(READ_FOR, skim(body)).await;
            verdict(head.status, &head.headers, &permanent, SystemTime::now())
        })
    }
}

/// Reads a short body to its end. Reading a long one costs more than a new connection.
async fn skim(body: impl Body) {
    let mut body = pin!(body);
    for _ in 0..FRAMES {
        if !matches!(body.as_mut().frame().await, Some(Ok(_))) {
            break;
        }
    }
}

impl<C> fmt::Debug for Forward<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("url", &format_args!("{}", Shown(&self.url)))
            .field("secret", &self.secret)
            .field("timeout", &self.timeout)
            .field("permanent", &self.permanent)
            .finish_non_exhaustive()
    }
}

/// Shows a URL without the parts that may be secret: the user info and the query.
struct Shown<'u>(&'u Uri);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        if let Some(scheme) = url.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = url.authority() {
            let all = authority.as_str();
            f.write_str(all.rsplit_once('@').map_or(all, |(_, host)| host))?;
        }
        f.write_str(url.path())?;
        if url.query().is_some() { f.write_str("?…") } else { Ok(()) }
    }
}
