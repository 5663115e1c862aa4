//! The URLs that a download may follow.

use url::{Host, Url};

use super::{
    address::{is_loopback, is_public},
    config::Base,
    error::{ApiError, ApiErrorKind},
};

/// Where a URL leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To the API itself.
    Api,
    /// To this machine, where the API also is.
    Local,
    /// To another host on the internet.
    Elsewhere,
}

/// Checks a URL by its text. The client checks the addresses that its host resolves to.
pub(super) fn judge(url: &Url, base: &Base) -> Result<Place, ApiError> {
    let forbidden = |kind, what| Err(ApiError::new(kind, what));
    if !matches!(url.scheme(), "http" | "https") {
        return forbidden(ApiErrorKind::InsecureRedirect, "its scheme is not https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return forbidden(ApiErrorKind::InsecureRedirect, "it contains credentials");
    }
    if base.owns(url) {
        return Ok(Place::Api);
    }
    let is_local = is_loopback(url);
    if is_local && base.is_loopback() {
        return Ok(Place::Local);
    }
    let is_forbidden = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(_)) => is_local,
        None => true,
    };
    if is_forbidden {
        return forbidden(ApiErrorKind::ForbiddenAddress, "its host is not on the public internet");
    }
    if url.scheme() != "https" {
        return forbidden(ApiErrorKind::InsecureRedirect, "its scheme is not https");
    }
    Ok(Place::Elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ApiErrorKind::{ForbiddenAddress, InsecureRedirect};

    fn judged(base: &str, url: &str) -> Result<Place, ApiErrorKind> {
        judge(&url.parse().unwrap(), &Base::new(base).unwrap()).map_err(|error| error.kind())
    }

    #[test]
    fn public_api_redirects_only_to_public_https() {
        let from = |url| judged("https://api.openmail.sh", url);
        assert_eq!(from("https://api.openmail.sh/v1/x"), Ok(Place::Api));
        assert_eq!(from("https://files.example/x"), Ok(Place::Elsewhere));
        assert_eq!(from("https://1.1.1.1/x"), Ok(Place::Elsewhere));
        for url in [
            "http://files.example/x",
            "http://api.openmail.sh/v1/x",
            "ftp://files.example",
            "file:///etc/passwd",
            "https://user:password@files.example",
        ] {
            assert_eq!(from(url), Err(InsecureRedirect), "{url}");
        }
        for url in [
            "https://127.0.0.1/",
            "http://127.0.0.1:1/",
            "http://localhost/",
            "https://localhost./",
            "https://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fe80::1]/",
            "https://2130706433/",
        ] {
            assert_eq!(from(url), Err(ForbiddenAddress), "{url}");
        }
    }

    #[test]
    fn local_api_may_redirect_to_this_machine_but_not_to_its_network() {
        let from = |url| judged("http://127.0.0.1:4000", url);
        assert_eq!(from("http://127.0.0.1:4000/v1/x"), Ok(Place::Api));
        assert_eq!(from("http://127.0.0.1:4001/x"), Ok(Place::Local));
        assert_eq!(from("http://localhost:4001/x"), Ok(Place::Local));
        assert_eq!(from("http://10.0.0.1/"), Err(ForbiddenAddress));
        assert_eq!(from("http://files.example/"), Err(InsecureRedirect));
    }
}
