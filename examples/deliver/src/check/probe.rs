//! One request of our own, and its result.

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, DATE},
};
use http_body_util::{BodyExt, Full, Limited};
use openmail_tower::{
    Secret,
    testing::{TIMEOUT, TestEvent},
    webhook::signature::sign,
};
use tokio::time::timeout;

use crate::{client::Client, output::error_code};

/// A delivery, valid until something in it is changed.
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

#[derive(Debug)]
pub(super) struct Prober {
    client: Client,
    url: Uri,
    secret: Secret,
}

impl Prober {
    pub(super) fn new(client: Client, url: Uri, secret: Secret) -> Self {
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

    /// Returns any bytes, signed with any time.
    pub(super) fn signed(&self, body: Bytes, timestamp: u64) -> Probe {
        Self::signed_with(&self.secret, body, timestamp)
    }

    pub(super) fn signed_with(secret: &Secret, body: Bytes, timestamp: u64) -> Probe {
        let signature = HeaderValue::try_from(sign(secret, timestamp, &body)).ok();
        Probe { timestamp: Some(timestamp.into()), signature, body }
    }

    pub(super) async fn send(&self, probe: Probe) -> Result<Answer, Silence> {
        let mut request = Request::new(Full::new(probe.body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_static("5d1f2f0c-9d55-4d0a-8f0b-6a3d0f6b7c11");
        headers.insert("x-event-id", id);
        for (name, value) in [("x-timestamp", probe.timestamp), ("x-signature", probe.signature)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        self.request(request).await
    }

    pub(super) async fn get(&self) -> Result<Answer, Silence> {
        self.request(Request::default()).await
    }

    async fn request(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Silence> {
        *request.uri_mut() = self.url.clone();
        let started = Instant::now();
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| told(&error))?;
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

/// Such as `401 (signature_mismatch)`.
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
            Self::Late => f.write_str("no answer within 15 s"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the text of an error and its sources, separated by colons.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
