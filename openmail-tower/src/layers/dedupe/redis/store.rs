//! [`RedisStore`].

use std::{
    fmt,
    future::{Future, ready},
    sync::LazyLock,
    time::Duration,
};

use redis::{FromRedisValue, RedisResult, Script, aio::ConnectionLike};

use crate::layers::dedupe::store::{Claim, ClaimToken, DedupeStore};

use super::{connection::Connection, error::RedisStoreError};

/// Keeps claims in Redis, shared by any number of processes and machines.
///
/// [`connect`](Self::connect) connects when the store is first used, and again if the connection
/// breaks, an answer is late, or the server has become a replica. A command that fails for such a
/// reason is sent once more on the new connection. A store made by `connect` waits at most 1 s for
/// each connection and 1 s for each answer. Clones share the connection.
///
/// Each event is one key, `openmail:dedupe:` followed by the event's key, and expires in Redis. Use
/// the eviction policy `noeviction` and `appendonly yes`. Otherwise Redis may drop keys when memory
/// is short, and may forget on restart which events are done. The claims of running events come
/// back when they are next renewed.
///
/// For `rediss://`, add `redis` to your dependencies with one of its TLS features, such as
/// `tokio-rustls-comp`.
///
/// # Cluster and Sentinel
/// A Redis Cluster needs a connection that knows its nodes, which the crate `redis` provides with
/// its feature `cluster-async`: `RedisStore::new(cluster_client.get_async_connection().await?)`.
/// With Sentinel, use [`connect_with`](Self::connect_with) and ask a `SentinelClient` (feature
/// `sentinel`) for the primary. `connect` alone supports neither; claims then fail with an error
/// that says so. (A node of a cluster rejects only the keys that other nodes hold.)
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    prefix: String,
}

impl RedisStore {
    /// Creates a store for the Redis at a URL such as
    /// `redis://[user:password@]host[:port][/database]`. It connects when it is first used.
    ///
    /// # Errors
    /// If the URL is malformed or its scheme is not supported. Whether Redis can be reached shows
    /// only at the first claim.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        Connection::from_url(url).map(Self::over).map_err(RedisStoreError::new)
    }

    /// Creates a store that uses an existing connection, such as a `ConnectionManager` or a
    /// `ClusterConnection`. The connection itself is responsible for reconnecting, which a
    /// `MultiplexedConnection` does not do: create those with [`connect_with`](Self::connect_with).
    pub fn new<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self::connect_with(move || ready(Ok(connection.clone())))
    }

    /// Creates a store whose connections come from a function. The function is called when the
    /// store is first used, and whenever a connection has to be replaced, as in
    /// [`connect`](Self::connect). It may take at most 2 s, and so may each answer on its
    /// connections.
    ///
    /// ```
    /// use openmail_tower::layers::dedupe::RedisStore;
    ///
    /// # fn example(client: redis::Client) {
    /// let store = RedisStore::connect_with(move || {
    ///     let client = client.clone();
    ///     async move { client.get_multiplexed_async_connection().await }
    /// });
    /// # }
    /// ```
    pub fn connect_with<C, F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
        F: Future<Output = RedisResult<C>> + Send + 'static,
    {
        Self::over(Connection::from_connector(connect))
    }

    fn over(connection: Connection) -> Self {
        Self { connection, prefix: "openmail:dedupe:".to_owned() }
    }

    /// Sets the prefix of the keys, for several applications in one Redis. Default:
    /// `openmail:dedupe:`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, RedisStoreError> {
        let mut call = script.key(format!("{}{key}", self.prefix));
        for argument in arguments {
            call.arg(argument);
        }
        // All three commands may be repeated, as the contract says.
        self.connection.run(&call).await.map_err(RedisStoreError::new)
    }
}

impl DedupeStore for RedisStore {
    type Error = RedisStoreError;

    async fn claim(
        &self,
        key: &str,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<Claim, RedisStoreError> {
        let arguments = [&*running(token), &millis(lease)];
        let (state, left): (u8, i64) = self.run(&CLAIM, key, &arguments).await?;
        Ok(match state {
            0 => Claim::Claimed,
            1 => Claim::InFlight(Duration::from_millis(left.try_into().unwrap_or(0))),
            _ => Claim::Done,
        })
    }

    async fn complete(
        &self,
        key: &str,
        token: ClaimToken,
        keep: Duration,
    ) -> Result<bool, RedisStoreError> {
        self.run(&COMPLETE, key, &[&running(token), &done(token), &millis(keep)]).await
    }

    async fn release(&self, key: &str, token: ClaimToken) -> Result<(), RedisStoreError> {
        self.run(&RELEASE, key, &[&running(token)]).await
    }
}

/// Omits the URL, which may contain a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn running(token: ClaimToken) -> String {
    format!("run:{token}")
}

fn done(token: ClaimToken) -> String {
    format!("done:{token}")
}

/// Returns a time in milliseconds as Redis accepts it: at least 1 ms, and not so large that adding
/// it to the current time overflows.
fn millis(time: Duration) -> String {
    time.as_millis().clamp(1, i64::MAX as u128 / 2).to_string()
}

static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {0, 0} end
        local held = redis.call('GET', KEYS[1])
        if held == ARGV[1] then
            redis.call('PEXPIRE', KEYS[1], ARGV[2])
            return {0, 0}
        end
        if string.sub(held, 1, 5) == 'done:' then return {2, 0} end
        return {1, redis.call('PTTL', KEYS[1])}",
    )
});

static COMPLETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
        if held and held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});
