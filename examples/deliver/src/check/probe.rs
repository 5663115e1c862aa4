//! A single request and its result.

use std::{
    convert::Infallible,
    error::Error,
    future::pending,
    pin::pin,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_LENGTH, CONTENT_TYPE, DATE},
};
use http_body_util::{BodyExt, Either, Full, Limited, channel::Channel};
use openmail_tower::{
    Secret,
    testing::{TIMEOUT, TestEvent},
    webhook::signature::sign,
};
use tokio::time::{sleep, timeout};

use crate::{client::Client, output::error_code};

/// The parts of a delivery. A check can change them to make the delivery invalid.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) timestamp: Option<HeaderValue>,
    pub(super) signature: Option<HeaderValue>,
    pub(super) body: Bytes,
}

/// The response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The `error` in the body, if it is JSON and has one.
    pub(super) code: Option<String>,
    pub(super) elapsed: Duration,
}

/// Why there was no response.
#[derive(Debug)]
pub(super) enum Silence {
    Late,
    Failed(String),
}

/// The result of a request whose last byte was held back.
#[derive(Debug)]
pub(super) struct Held {
    /// Whether the response, or the end of the connection, came before the last byte was sent.
    pub(super) early: bool,
    pub(super) answer: Result<Answer, Silence>,
}

/// A whole body, or one that is sent in parts.
pub(super) type Payload = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// The size of a part.
const PART: usize = 64 << 10;
/// The time between the headers and the body: short, since an endpoint may reject a body that does
/// not begin within seconds.
const HEAD_START: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Prober {
    client: Client<Payload>,
    url: Uri,
    secret: Secret,
}

impl Prober {
    pub(super) fn new(client: Client<Payload>, url: Uri, secret: Secret) -> Self {
        Self { client, url, secret }
    }

    /// Returns a `setup.test`, signed now.
    pub(super) fn test_event(&self) -> Probe {
        self.event(&TestEvent::new("setup.test"))
    }

    /// Returns an event, signed now.
    pub(super) fn event(&self, event: &TestEvent) -> Probe {
        self.signed(event.to_bytes(), now())
    }

    /// Returns these bytes, signed with this time.
    pub(super) fn signed(&self, body: Bytes, timestamp: u64) -> Probe {
        Self::signed_with(&self.secret, body, timestamp)
    }

    pub(super) fn signed_with(secret: &Secret, body: Bytes, timestamp: u64) -> Probe {
        let signature = HeaderValue::try_from(sign(secret, timestamp, &body)).ok();
        Probe { timestamp: Some(timestamp.into()), signature, body }
    }

    pub(super) async fn send(&self, probe: Probe) -> Result<Answer, Silence> {
        let body = Either::Left(Full::new(probe.body.clone()));
        self.request(Self::delivery(Method::POST, probe, body)).await
    }

    /// Sends everything but the last byte of the body, and that byte after a pause.
    pub(super) async fn hold(&self, method: Method, probe: Probe, pause: Duration) -> Held {
        let mut body = probe.body.clone();
        let last = body.split_off(body.len().saturating_sub(1));
        let (mut parts, payload) = Channel::new(1);
        let mut request = Self::delivery(method, probe, Either::Right(payload));
        request.headers_mut().insert(CONTENT_LENGTH, (body.len() + last.len()).into());
        let mut answer = pin!(self.request(request));
        let send = async {
            // An endpoint that answers the headers and hangs up while the body is written may cut
            // off its own response.
            sleep(HEAD_START).await;
            while !body.is_empty() {
                let part = body.split_to(PART.min(body.len()));
                // This fails if the connection is closed; then `answer` completes and reports it.
                let _ = parts.send_data(part).await;
            }
            sleep(pause).await;
        };
        tokio::select! {
            // An endpoint that neither reads nor answers is late, not early.
            answer = &mut answer => {
                return Held { early: !matches!(answer, Err(Silence::Late)), answer };
            }
            () = send => {}
        }
        // Only the response has a time limit, since an endpoint that has stopped reading never
        // takes the last byte.
        let rest = async move {
            let _ = parts.send_data(last).await;
            drop(parts);
            pending::<Infallible>().await
        };
        tokio::select! {
            answer = answer => Held { early: false, answer },
            never = rest => match never {},
        }
    }

    fn delivery(method: Method, probe: Probe, body: Payload) -> Request<Payload> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_static("5d1f2f0c-9d55-4d0a-8f0b-6a3d0f6b7c11");
        headers.insert("x-event-id", id);
        for (name, value) in [("x-timestamp", probe.timestamp), ("x-signature", probe.signature)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        request
    }

    pub(super) async fn get(&self) -> Result<Answer, Silence> {
        self.request(Request::new(Either::Left(Full::default()))).await
    }

    async fn request(&self, mut request: Request<Payload>) -> Result<Answer, Silence> {
        *request.uri_mut() = self.url.clone();
        let started = Instant::now();
        let answer = async {
            let response =
                self.client.request(request).await.map_err(|error| with_sources(&error))?;
            let elapsed = started.elapsed();
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, 1 << 16).collect().await;
            let code = body.ok().and_then(|body| error_code(&body.to_bytes()));
            Ok(Answer { status: parts.status, headers: parts.headers, code, elapsed })
        };
        match timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(Silence::Failed),
            Err(_) => Err(Silence::Late),
        }
    }
}

impl Answer {
    pub(super) fn is_accepted(&self) -> bool {
        self.status.is_success()
    }

    /// Returns by how many seconds the endpoint's clock is ahead of ours, according to its `Date`
    /// header.
    pub(super) fn ahead(&self) -> Option<i64> {
        let date = httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()?;
        let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        i64::try_from(seconds).ok()?.checked_sub(i64::try_from(now()).ok()?)
    }
}

/// Writes the status and the code, such as `401 (signature_mismatch)`.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status.as_str())?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late => f.write_str("no response within 15 s"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the text of an error and its sources, separated by colons.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
