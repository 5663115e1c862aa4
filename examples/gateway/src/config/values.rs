//! Values that have their own syntax. Mistakes are reported with their line.

use std::{fmt, path::PathBuf, time::Duration};

use axum::http::Uri;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de};

/// A duration longer than 0, such as `"1m 30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Length(pub(super) Duration);

impl Length {
    pub(super) fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(AsLength)
    }
}

struct AsLength;

impl de::Visitor<'_> for AsLength {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes, such as \"30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Length, E> {
        let length: SignedDuration = text
            .parse()
            .map_err(|_| E::custom("this is not a duration; write \"30s\" or \"1m 30s\""))?;
        match Duration::try_from(length) {
            Ok(length) if !length.is_zero() => Ok(Length(length)),
            _ => Err(E::custom("this must be longer than 0")),
        }
    }
}

/// A maximum number of attempts.
pub(crate) type Attempts = Count<{ u32::MAX }>;

/// A maximum number of concurrent events.
pub(crate) type Concurrency = Count<65_535>;

/// A whole number from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<const MAX: u32>(pub(super) u32);

impl<'de, const MAX: u32> Deserialize<'de> for Count<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_i64(AsCount)
    }
}

struct AsCount<const MAX: u32>;

impl<const MAX: u32> de::Visitor<'_> for AsCount<MAX> {
    type Value = Count<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 1 to {MAX}")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count<MAX>, E> {
        match u32::try_from(number) {
            Ok(count) if (1..=MAX).contains(&count) => Ok(Count(count)),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

/// `{ first = "2s", max = "1h" }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(crate) struct Times {
    pub(super) first: Length,
    pub(super) max: Length,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    first: Length,
    max: Length,
}

impl TryFrom<Unchecked> for Times {
    type Error = &'static str;

    fn try_from(Unchecked { first, max }: Unchecked) -> Result<Self, Self::Error> {
        if first > max { Err("`first` is longer than `max`") } else { Ok(Self { first, max }) }
    }
}

/// Which events run one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LaneName {
    #[default]
    Thread,
    Inbox,
    Sender,
    None,
}

/// Where the queue is stored.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Queue {
    /// A file.
    Sqlite(PathBuf),
    /// A URL, which may contain a password.
    Postgres(String),
}

impl TryFrom<String> for Queue {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text));
        }
        match text.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err("this is not sqlite://FILE or postgres://HOST/DATABASE"),
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

/// The URL of an agent.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Url(pub(crate) Uri);

/// Omits the query, which may contain a token.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        let scheme = url.scheme_str().unwrap_or_default();
        let host = url.authority().map_or("", |host| host.as_str());
        let query = if url.query().is_some() { "?…" } else { "" };
        write!(f, "Url({scheme}://{host}{}{query})", url.path())
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url: Uri = text.parse().map_err(|error| format!("this is not a URL: {error}"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err("a URL must begin with http:// or https://".into());
        }
        match url.authority() {
            Some(host) if !host.host().is_empty() && !host.as_str().contains('@') => Ok(Self(url)),
            _ => Err("a URL must contain a host, and must not contain a user".into()),
        }
    }
}

/// The address to listen on: `host:port`, where the host is an address or a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listen(pub(crate) String);

impl TryFrom<String> for Listen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self(text)),
            _ => Err("this is not host:port, such as 127.0.0.1:3000"),
        }
    }
}

/// `env:NAME`, `file:PATH`, or the text itself.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretSource(pub(super) String);

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_a_url_is_not_shown() {
        let shown = |url: &str| format!("{:?}", Url::try_from(url.to_owned()).unwrap());
        assert_eq!(shown("https://a.test:1/mail?token=x"), "Url(https://a.test:1/mail?…)");
        assert_eq!(shown("http://a.test"), "Url(http://a.test/)");
    }
}
