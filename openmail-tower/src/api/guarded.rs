//! Connections to public addresses only.

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use super::address::is_public;

/// A request extension that marks a request to a host that was named by an attachment's URL or a
/// redirect, not by the program.
///
/// Such a request carries no API key. For it, the [`Client`](super::Client) of this crate connects
/// to public addresses only. Another client should do the same: the text of the URL has been
/// checked, but not the addresses that its host name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Untrusted;

/// Resolves host names to public addresses only. The connection uses the checked addresses, so a
/// second look-up cannot return others.
#[derive(Clone)]
pub(super) struct PublicResolver {
    inner: GaiResolver,
}

impl PublicResolver {
    pub(super) fn new() -> Self {
        Self { inner: GaiResolver::new() }
    }
}

type Addresses = Pin<Box<dyn Future<Output = io::Result<vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for PublicResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Addresses;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Addresses {
        let all = self.inner.call(name);
        Box::pin(async move {
            let (public, other): (Vec<_>, Vec<_>) =
                all.await?.partition(|address| is_public(address.ip()));
            if public.is_empty() && !other.is_empty() {
                return Err(io::Error::other(NotPublic));
            }
            Ok(public.into_iter())
        })
    }
}

#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host resolves to addresses that are not public")
    }
}

impl Error for NotPublic {}

/// Returns whether an error of the client comes from [`PublicResolver`].
pub(super) fn refused(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let is_it = error.is::<NotPublic>()
            || error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
                .is_some_and(|it| it.is::<NotPublic>());
        if is_it {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn name_of_this_machine_is_refused() {
        let mut resolver = PublicResolver::new();
        let error = resolver.call("localhost".parse().unwrap()).await.unwrap_err();
        assert!(refused(&error));
        assert!(!refused(&io::Error::other("another")));
    }
}
