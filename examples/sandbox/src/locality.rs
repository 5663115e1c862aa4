//! Rejects requests from other machines, and harmful requests that a page of another origin makes
//! in a browser on this machine.
//!
//! Such a page can make its host name resolve to this machine (DNS rebinding), which the `Host`
//! header reveals. It can also submit a form to this machine, which `Sec-Fetch-Site` and `Origin`
//! reveal. Its other requests only read, and the browser does not let it see the responses.

use std::net::IpAddr;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::HOST, uri::Authority};
use tower_http::csrf::CsrfLayer;

use crate::server::Peer;

/// Rejects requests from elsewhere. With `allow_remote`, only cross-origin requests that could
/// change something are rejected.
pub(crate) fn guard(router: Router, allow_remote: bool) -> Router {
    let router = router.layer(CsrfLayer::new());
    if allow_remote {
        return router;
    }
    router.layer(middleware::from_fn(local_only))
}

async fn local_only(request: Request<Body>, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    if !peer.is_some_and(|Peer(peer)| peer.ip().to_canonical().is_loopback()) {
        return refuse(
            "this sandbox answers only requests from its own machine (see --allow-remote)",
        );
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() || !host.is_some_and(is_local) {
        return refuse("open the sandbox as localhost or by its IP address");
    }
    next.run(request).await
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    match ip.parse::<IpAddr>() {
        // An address cannot be rebound.
        Ok(_) => true,
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.ends_with(".localhost"),
    }
}

fn refuse(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_name_that_dns_could_rebind_is_not_local() {
        for host in ["localhost", "localhost:4010", "127.0.0.1:4010", "[::1]:4010", "a.localhost"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "", "a b"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
