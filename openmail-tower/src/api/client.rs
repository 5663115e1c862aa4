//! [`OpenMail`]: the client.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{ACCEPT, AUTHORIZATION, USER_AGENT},
};
use http_body::Body;
use http_body_util::Full;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use url::Url;

use crate::seam::BoxError;

use super::{
    answer::refusal,
    config::{API_URL, ApiKey, Base, ConfigError},
    error::{ApiError, ApiErrorKind},
    http::{Answer, Http, Over, deadline, late, read, unreachable},
    stack::Client,
};

const USER: &str = concat!("openmail-tower/", env!("CARGO_PKG_VERSION"));
/// Maximum size of an error response's body, in bytes.
const REFUSAL: usize = 64 * 1024;

/// A client of OpenMail's REST API.
///
/// Cheap to clone; clones share connections. The API key is sent to the API's host only. Once
/// another host has redirected a download, the download no longer sends the key, unless it begins
/// again. Responses are bounded in size and time. No request is retried, except that a download
/// whose URL has expired begins again with a new one. See [`ApiError`] for what an error means in a
/// handler.
#[derive(Clone)]
pub struct OpenMail {
    http: Arc<dyn Http>,
    key: ApiKey,
    base: Base,
    timeout: Duration,
}

impl OpenMail {
    /// Creates a client from the environment: the key from `OPENMAIL_API_KEY`, and the API's URL
    /// from `OPENMAIL_API_URL` (default: `https://api.openmail.sh`; plain `http` to loopback only).
    ///
    /// # Errors
    /// If the key is missing or malformed, the URL is not valid, or the system has no trusted
    /// certificates and the URL is not on loopback.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::connect(ApiKey::from_env()?, Base::from_env()?)
    }

    /// Creates a client for `https://api.openmail.sh`.
    ///
    /// # Errors
    /// If the system has no trusted certificates.
    pub fn new(key: ApiKey) -> Result<Self, ConfigError> {
        Self::connect(key, Base::new(API_URL)?)
    }

    fn connect(key: ApiKey, base: Base) -> Result<Self, ConfigError> {
        let client = if base.is_loopback() { Client::local() } else { Client::new()? };
        Ok(Self::over(Arc::new(Over::new(client)), key, base))
    }

    /// Creates a client that sends its requests through a tower service, such as a hyper-util
    /// client with your own layers.
    ///
    /// The service should not follow redirects. For requests whose extensions contain
    /// [`Untrusted`](super::Untrusted), it should connect to public addresses only.
    ///
    /// # Errors
    /// If `url` is neither an `https` URL nor plain `http` to loopback, or contains credentials or
    /// a query.
    ///
    /// ```
    /// use openmail_tower::api::{ApiKey, Client, OpenMail};
    /// use tower::ServiceBuilder;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = ServiceBuilder::new()
    ///     .map_err(|error| {
    ///         eprintln!("OpenMail: {error}");
    ///         error
    ///     })
    ///     .service(Client::new()?);
    /// let key = ApiKey::from_env()?;
    /// let openmail = OpenMail::with_client(client, key, "https://api.openmail.sh")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_client<C, B>(client: C, key: ApiKey, url: &str) -> Result<Self, ConfigError>
    where
        C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Ok(Self::over(Arc::new(Over::new(client)), key, Base::new(url)?))
    }

    /// Creates a client for the API at another URL, such as a local one for tests.
    ///
    /// # Errors
    /// If `url` is neither an `https` URL nor plain `http` to loopback, if it contains credentials
    /// or a query, or if the system has no trusted certificates and `url` is not on loopback.
    pub fn at(key: ApiKey, url: &str) -> Result<Self, ConfigError> {
        Self::connect(key, Base::new(url)?)
    }

    fn over(http: Arc<dyn Http>, key: ApiKey, base: Base) -> Self {
        Self { http, key, base, timeout: Duration::from_secs(30) }
    }

    /// Sets the maximum time for a request and its response, except for downloads. Sending a mail
    /// adds 1 s for each 256 KiB. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.timeout
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, ApiError> {
        self.base.at(segments).ok_or_else(|| {
            ApiError::new(ApiErrorKind::Invalid, "an id or a file name is empty, `.` or `..`")
        })
    }

    /// Sends a request to a URL. The key is included only if the URL belongs to the API and no
    /// other host named it.
    pub(super) async fn answer(
        &self,
        mut request: Request<Full<Bytes>>,
        url: &Url,
        named_by: Named,
        until: Instant,
    ) -> Result<Answer, ApiError> {
        *request.uri_mut() = url.as_str().parse::<Uri>().map_err(|error| {
            ApiError::new(ApiErrorKind::Invalid, "its URL is not valid").caused_by(error)
        })?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(USER));
        if named_by == Named::ByApi && self.base.owns(url) {
            headers.insert(AUTHORIZATION, self.key.authorization());
        }
        match timeout_at(until, self.http.call(request)).await {
            Err(_) => Err(late()),
            Ok(Err(error)) => Err(unreachable(error)),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    /// Sends a request to the API, and reads a JSON response of at most `limit` bytes.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
        url: &Url,
        limit: usize,
    ) -> Result<T, ApiError> {
        self.json_within(self.timeout, request, url, limit).await
    }

    /// Like [`json`](Self::json), with a separate time limit.
    pub(super) async fn json_within<T: DeserializeOwned>(
        &self,
        time_limit: Duration,
        mut request: Request<Full<Bytes>>,
        url: &Url,
        limit: usize,
    ) -> Result<T, ApiError> {
        let until = deadline(time_limit);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.answer(request, url, Named::ByApi, until).await?;
        if !answer.status().is_success() {
            return Err(refused(answer, until).await);
        }
        let (head, body) = answer.into_parts();
        let body = read(body, limit, until).await?;
        serde_json::from_slice(&body).map_err(|error| {
            // A captive portal or a proxy may answer 200 with a page. A body that is not JSON at
            // all did not come from OpenMail.
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            let (kind, what) = match is_json {
                false => (ApiErrorKind::Unavailable, "a response that is not OpenMail's"),
                true => (ApiErrorKind::UnexpectedAnswer, "JSON of an unexpected form"),
            };
            ApiError::new(kind, format!("{}, with {what}", head.status))
                .answered(head.status, "", "")
                .caused_by(Shapeless { line: error.line(), column: error.column() })
                .maybe_sent(true)
        })
    }
}

/// Who named a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// OpenMail or this client.
    ByApi,
    /// Another host, which redirects to it.
    ByAnotherHost,
}

/// The position at which a response cannot be parsed. The parser's own message may quote mail.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be parsed at line {line}, column {column}")]
struct Shapeless {
    line: usize,
    column: usize,
}

/// Reads a response whose status is not the expected one.
pub(super) async fn refused(answer: Answer, until: Instant) -> ApiError {
    let (head, body) = answer.into_parts();
    // A body that cannot be read is treated as not OpenMail's.
    let body = read(body, REFUSAL, until).await.unwrap_or_default();
    refusal(head.status, &head.headers, &body)
}

impl fmt::Debug for OpenMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMail")
            .field("url", &self.base)
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
