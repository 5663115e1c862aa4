//! The API key and the API's URL.

use std::{env, ffi::OsString, fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;
use url::Url;
use zeroize::Zeroizing;

/// The environment variable that holds the API key.
pub const API_KEY_VARIABLE: &str = "OPENMAIL_API_KEY";
/// The environment variable that holds the API's URL. Default: `https://api.openmail.sh`.
pub const API_URL_VARIABLE: &str = "OPENMAIL_API_URL";

pub(super) const API_URL: &str = "https://api.openmail.sh";

/// An API key of OpenMail, such as `om_…`.
///
/// Cheap to clone. `Debug` does not show the key, and dropping the last clone wipes it from memory.
///
/// ```
/// use openmail_tower::api::{ApiKey, ConfigErrorKind};
///
/// let key = ApiKey::new("om_0123456789")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(..)");
/// assert_eq!(ApiKey::new("om_0123\n").unwrap_err().kind(), ConfigErrorKind::KeyMalformed);
/// # Ok::<(), openmail_tower::api::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ApiKey {
    authorization: HeaderValue,
}

/// The memory of a header value, wiped when the last clone of the value is dropped.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ApiKey {
    /// Creates a key from its text.
    ///
    /// # Errors
    /// If the key is empty, or contains a space, a quote or a character other than visible ASCII.
    pub fn new(text: impl AsRef<str>) -> Result<Self, ConfigError> {
        let text = text.as_ref();
        if text.trim().is_empty() {
            return Err(ConfigErrorKind::KeyMissing.into());
        }
        // Quotes come from an env file whose reader does not remove them.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`".contains(&byte)) {
            return Err(ConfigErrorKind::KeyMalformed.into());
        }
        let mut header = Zeroizing::new(Vec::with_capacity("Bearer ".len() + text.len()));
        header.extend_from_slice(b"Bearer ");
        header.extend_from_slice(text.as_bytes());
        let mut authorization = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(header)))
            .map_err(|_| ConfigErrorKind::KeyMalformed)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization })
    }

    /// Reads the key from `OPENMAIL_API_KEY`.
    ///
    /// # Errors
    /// If the variable is not set or is not Unicode, and as for [`ApiKey::new`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variable(env::var_os(API_KEY_VARIABLE))
    }

    fn from_variable(value: Option<OsString>) -> Result<Self, ConfigError> {
        let text = value.ok_or(ConfigErrorKind::KeyMissing)?;
        let text = Zeroizing::new(text.into_string().map_err(|_| ConfigErrorKind::KeyMalformed)?);
        Self::new(&*text)
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The URL of the API.
#[derive(Clone)]
pub(super) struct Base {
    url: Arc<Url>,
}

impl Base {
    /// Parses a URL: `https`, or plain `http` to this machine only.
    pub(super) fn new(text: &str) -> Result<Self, ConfigError> {
        let mut url = Url::parse(text.trim()).map_err(|_| ConfigErrorKind::UrlInvalid)?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if url.host().is_none() || has_credentials || url.query().is_some() {
            return Err(ConfigErrorKind::UrlInvalid.into());
        }
        match url.scheme() {
            "https" => {}
            "http" if super::address::is_loopback(&url) => {}
            "http" => return Err(ConfigErrorKind::UrlNotSecure.into()),
            _ => return Err(ConfigErrorKind::UrlInvalid.into()),
        }
        url.set_fragment(None);
        Ok(Self { url: Arc::new(url) })
    }

    pub(super) fn from_env() -> Result<Self, ConfigError> {
        Self::from_variable(env::var_os(API_URL_VARIABLE))
    }

    fn from_variable(value: Option<OsString>) -> Result<Self, ConfigError> {
        match value {
            None => Self::new(API_URL),
            Some(text) if text.is_empty() => Self::new(API_URL),
            Some(text) => Self::new(text.to_str().ok_or(ConfigErrorKind::UrlInvalid)?),
        }
    }

    pub(super) fn is_loopback(&self) -> bool {
        super::address::is_loopback(&self.url)
    }

    /// Returns whether a URL belongs to the API itself, so that the key may be sent there.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.url.origin()
    }

    /// Returns the URL of a path. Its segments are encoded; returns `None` if a segment is empty or
    /// would lead to another path.
    pub(super) fn at(&self, segments: &[&str]) -> Option<Url> {
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return None;
        }
        let mut url = Url::clone(&self.url);
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
        Some(url)
    }

    /// Resolves a URL from a response: absolute, or relative to the API.
    pub(super) fn resolve(&self, text: &str) -> Option<Url> {
        self.url.join(text).ok()
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Why an [`OpenMail`](super::OpenMail) cannot be created. Its `Debug` output equals its `Display`
/// output, since a `main` that returns the error prints the former.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ConfigError {
    kind: ConfigErrorKind,
}

impl ConfigError {
    /// Returns what is wrong.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ConfigErrorKind> for ConfigError {
    fn from(kind: ConfigErrorKind) -> Self {
        Self { kind }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The API key is not set, or is empty or blank.
    #[error("the API key is missing; set OPENMAIL_API_KEY to a key from OpenMail's settings")]
    KeyMissing,
    /// The API key contains a space, a quote or a character other than visible ASCII.
    #[error("the OpenMail API key contains a space, a quote or another character that no key has")]
    KeyMalformed,
    /// The API's URL is not an `http` or `https` URL, or contains credentials or a query.
    #[error("the OpenMail API's URL is not valid; the default is https://api.openmail.sh")]
    UrlInvalid,
    /// The API's URL is plain `http`, and not on this machine.
    #[error("the OpenMail API's URL must be https; plain http is allowed to loopback only")]
    UrlNotSecure,
    /// The system has no trusted certificates, so no `https` URL can be reached.
    #[error("the system has no trusted certificates; install them (often `ca-certificates`)")]
    NoCertificates,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_keys_are_refused() {
        for (text, kind) in [
            ("", ConfigErrorKind::KeyMissing),
            (" \n", ConfigErrorKind::KeyMissing),
            ("om_1\n", ConfigErrorKind::KeyMalformed),
            ("\"om_1\"", ConfigErrorKind::KeyMalformed),
            ("om 1", ConfigErrorKind::KeyMalformed),
            ("öm_1", ConfigErrorKind::KeyMalformed),
        ] {
            assert_eq!(ApiKey::new(text).unwrap_err().kind(), kind, "{text:?}");
        }
        assert_eq!(ApiKey::from_variable(None).unwrap_err().kind(), ConfigErrorKind::KeyMissing);
    }

    #[test]
    fn debug_shows_no_key() {
        let key = ApiKey::new("om_secret").unwrap();
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("om_secret"));
        assert_eq!(key.authorization().to_str().unwrap(), "Bearer om_secret");
    }

    #[test]
    fn plain_http_is_allowed_only_to_loopback() {
        for text in [
            "https://api.openmail.sh",
            "http://127.0.0.1:4000",
            "http://localhost:1/om/",
            "http://[::1]:9",
        ] {
            assert!(Base::new(text).is_ok(), "{text}");
        }
        for text in ["http://api.openmail.sh", "http://10.0.0.1", "http://localhost.evil.example"] {
            assert_eq!(
                Base::new(text).unwrap_err().kind(),
                ConfigErrorKind::UrlNotSecure,
                "{text}"
            );
        }
        for text in [
            "",
            "api.openmail.sh",
            "ftp://a.example",
            "https://key@a.example",
            "https://a.example?x=1",
        ] {
            assert_eq!(Base::new(text).unwrap_err().kind(), ConfigErrorKind::UrlInvalid, "{text}");
        }
    }

    #[test]
    fn url_has_a_default() {
        assert_eq!((API_KEY_VARIABLE, API_URL_VARIABLE), ("OPENMAIL_API_KEY", "OPENMAIL_API_URL"));
        let url = |value: Option<&str>| {
            let base = Base::from_variable(value.map(OsString::from));
            base.map(|base| format!("{base:?}")).map_err(|error| error.kind())
        };
        for unset in [None, Some("")] {
            assert_eq!(url(unset), Ok("https://api.openmail.sh/".to_owned()));
        }
        assert_eq!(url(Some("http://localhost:4000")), Ok("http://localhost:4000/".to_owned()));
        assert_eq!(url(Some("http://a.example")), Err(ConfigErrorKind::UrlNotSecure));
    }

    #[test]
    fn ids_cannot_change_the_path() {
        let base = Base::new("https://api.openmail.sh/").unwrap();
        let at = |id: &str| base.at(&["v1", "threads", id, "messages"]).map(String::from);
        assert_eq!(
            at("a/../b?c#d").unwrap(),
            "https://api.openmail.sh/v1/threads/a%2F..%2Fb%3Fc%23d/messages"
        );
        for id in ["", ".", ".."] {
            assert_eq!(at(id), None, "{id:?}");
        }
        let under = Base::new("http://localhost:4000/om").unwrap();
        assert_eq!(String::from(under.at(&["v1", "x"]).unwrap()), "http://localhost:4000/om/v1/x");
    }
}
