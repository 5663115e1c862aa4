//! The default HTTP client: hyper-util over rustls.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client as Pooled, Error as PooledError, ResponseFuture,
        connect::{HttpConnector, dns::GaiResolver},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tower_service::Service;

use crate::seam::BoxError;

use super::{
    config::{ConfigError, ConfigErrorKind},
    guarded::{PublicResolver, Untrusted},
};

const CONNECT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);

/// The default client: HTTP/1.1, pooled connections, and TLS by rustls with the system's
/// certificates.
///
/// It does not follow redirects. For a request marked [`Untrusted`], it connects to public
/// addresses only. The timeout for connecting is 10 s; idle connections are closed after 30 s.
#[derive(Clone)]
pub struct Client {
    any: Pooled<HttpsConnector<HttpConnector<GaiResolver>>, Full<Bytes>>,
    public: Pooled<HttpsConnector<HttpConnector<PublicResolver>>, Full<Bytes>>,
}

impl Client {
    /// Creates a client with its own connections.
    ///
    /// # Errors
    /// If the system has no trusted certificates.
    pub fn new() -> Result<Self, ConfigError> {
        let client = Self::with_roots(&system_roots())?;
        Ok(client)
    }

    /// Creates a client for an API on this machine. If the system has no trusted certificates, it
    /// supports plain HTTP only.
    pub(super) fn local() -> Self {
        Self::over(system_roots())
    }

    fn with_roots(roots: &RootCertStore) -> Result<Self, ConfigError> {
        if roots.is_empty() {
            return Err(ConfigErrorKind::NoCertificates.into());
        }
        Ok(Self::over(roots.clone()))
    }

    fn over(roots: RootCertStore) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            any: pooled(HttpConnector::new(), tls.clone()),
            public: pooled(HttpConnector::new_with_resolver(PublicResolver::new()), tls),
        }
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn pooled<R>(
    mut http: HttpConnector<R>,
    tls: ClientConfig,
) -> Pooled<HttpsConnector<HttpConnector<R>>, Full<Bytes>>
where
    HttpConnector<R>: hyper_util::client::legacy::connect::Connect + Clone,
    HttpsConnector<HttpConnector<R>>: hyper_util::client::legacy::connect::Connect + Clone,
{
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Pooled::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector.wrap_connector(http))
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = ClientFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ClientFuture {
        ClientFuture(if request.extensions().get::<Untrusted>().is_some() {
            self.public.request(request)
        } else {
            self.any.request(request)
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The future of [`Client`].
#[derive(Debug)]
pub struct ClientFuture(ResponseFuture);

impl Future for ClientFuture {
    type Output = Result<Response<Incoming>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Into::into)
    }
}

/// Returns whether the request was never sent because connecting failed.
pub(super) fn never_connected(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<PooledError>().is_some_and(PooledError::is_connect)
}
