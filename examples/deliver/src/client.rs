//! The HTTP client, similar to OpenMail's: it follows no redirects.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Legacy, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

pub(crate) type Client<B = Full<Bytes>> = Legacy<HttpsConnector<HttpConnector>, B>;

/// Creates a client that trusts the same certificates as this machine and keeps up to `idle`
/// connections open.
pub(crate) fn client<B>(idle: usize) -> Client<B>
where
    B: Body<Data: Send> + Send,
{
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still reach plain HTTP.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Legacy::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle)
        .build(connector)
}
