//! [`RedisStoreError`].

use std::{error::Error, fmt};

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The error of a malformed URL or of a failed Redis command.
#[derive(Debug)]
pub struct RedisStoreError(RedisError);

impl RedisStoreError {
    pub(super) fn new(error: RedisError) -> Self {
        Self(error)
    }

    /// Returns advice if the error shows that the store is misconfigured.
    fn hint(&self) -> Option<&'static str> {
        match self.0.kind() {
            ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::CrossSlot
                | ServerErrorKind::ClusterDown,
            ) => Some(
                "this server is a node of a Redis Cluster: \
                 give `RedisStore::new` a `redis::cluster_async::ClusterConnection`",
            ),
            // A sentinel supports neither scripts nor keys.
            _ if self.0.detail().is_some_and(|detail| detail.contains("unknown command")) => Some(
                "this server does not run scripts; if it is a Redis Sentinel, give \
                 `RedisStore::connect_with` a function that asks it for the primary",
            ),
            ErrorKind::InvalidClientConfig if self.0.to_string().contains("TLS") => Some(
                "to use rediss://, add `redis` to your dependencies with one of its TLS features, \
                 such as `tokio-rustls-comp`",
            ),
            ErrorKind::InvalidClientConfig => Some(
                "check the URL, for example its scheme: redis://, rediss:// or unix://; \
                 for a Redis Cluster or Sentinel, see `RedisStore::new` and `connect_with`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Redis store failed")?;
        match self.hint() {
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for RedisStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::layers::dedupe::RedisStore;

    #[test]
    fn error_of_a_url_says_what_to_change() {
        for (url, advice) in [
            ("redis+sentinel://127.0.0.1", "redis://, rediss:// or unix://"),
            ("redis://127.0.0.1/first", "check the URL"),
            // The crate's own build of `redis` has no TLS feature.
            ("rediss://127.0.0.1", "tokio-rustls-comp"),
        ] {
            let error = RedisStore::connect(url).unwrap_err().to_string();
            assert!(error.contains(advice), "{url}: {error}");
        }
    }
}
