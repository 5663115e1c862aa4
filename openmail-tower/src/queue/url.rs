//! [`StoreUrl`].

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;

use super::error::{QueueError, QueueErrorKind};

/// The store that a URL names, such as the one in `DATABASE_URL`. The scheme selects the kind of
/// store.
///
/// Parsing fails with [`Unsuitable`](QueueErrorKind::Unsuitable) if the scheme is not one of those
/// below, or if the path is empty or not UTF-8.
///
/// ```
/// use openmail_tower::queue::StoreUrl;
///
/// let url: StoreUrl = "sqlite:inbox.db".parse()?;
/// match url {
///     // For `SqliteStore::open`.
///     StoreUrl::Sqlite(path) => assert_eq!(path.to_str(), Some("inbox.db")),
///     // For `PostgresStore::connect`.
///     StoreUrl::Postgres(_url) => unreachable!(),
///     _ => unreachable!(),
/// }
/// # Ok::<(), openmail_tower::queue::QueueError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// `sqlite:path` or `sqlite://path`: the path of a file, which may be percent-encoded.
    /// Parameters after a `?` are ignored.
    Sqlite(PathBuf),
    /// `postgres://…` or `postgresql://…`: the URL unchanged.
    Postgres(String),
}

impl FromStr for StoreUrl {
    type Err = QueueError;

    fn from_str(url: &str) -> Result<Self, QueueError> {
        let unsuitable = |text: String| Err(QueueError::new(QueueErrorKind::Unsuitable, text));
        let expected = "expected `sqlite:` or `postgres://`";
        match url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                let path = path.split_once('?').map_or(path, |(path, _)| path);
                match percent_decode_str(path).decode_utf8() {
                    Ok(path) if path.is_empty() => unsuitable("expected `sqlite:FILE`".into()),
                    Ok(path) => Ok(Self::Sqlite(PathBuf::from(&*path))),
                    Err(_) => unsuitable("the path is not UTF-8".into()),
                }
            }
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.to_owned())),
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') => {
                unsuitable(format!("{expected}, not `{scheme}:`"))
            }
            _ => unsuitable(expected.into()),
        }
    }
}

/// Omits a PostgreSQL URL, which may contain a password.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.debug_tuple("Postgres").finish_non_exhaustive(),
        }
    }
}
