//! [`RedisStore`].

use std::{fmt, sync::LazyLock, time::Duration};

use redis::{FromRedisValue, RedisError, Script};

use crate::layers::dedupe::store::{Claim, ClaimToken, DedupeStore};

use super::connection::Connection;

/// Keeps claims in Redis: for as many processes and machines as share it.
///
/// It connects when it is first needed and again when it must, over one connection that all clones
/// share; a command whose connection breaks, or does not answer, is sent once more on a new one. Each
/// wait has a limit: 1 s to connect, 1 s for an answer.
///
/// An event is one key, `openmail:dedupe:` and then its id, which expires by itself. Let Redis keep
/// them: with an eviction policy other than `noeviction` it may drop a key when memory is short, and
/// without `appendonly yes` a restart forgets which events are done. Running events are claimed
/// again by their next renewal.
///
/// For `rediss://` add `redis` to your own dependencies with one of its TLS features, such as
/// `tokio-rustls-comp`.
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    prefix: String,
}

impl RedisStore {
    /// A store at a `redis://[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    /// When it is no such URL. Whether Redis can be reached turns out at the first claim.
    pub fn new(url: &str) -> Result<Self, RedisStoreError> {
        let connection = Connection::new(url).map_err(RedisStoreError)?;
        Ok(Self { connection, prefix: "openmail:dedupe:".to_owned() })
    }

    /// What its keys begin with, for several applications in one Redis. Default:
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
        // All three may be repeated, as the contract says.
        self.connection.run(&call).await.map_err(RedisStoreError)
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

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why Redis could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the command to Redis failed")]
pub struct RedisStoreError(#[source] RedisError);

fn running(token: ClaimToken) -> String {
    format!("run:{token}")
}

fn done(token: ClaimToken) -> String {
    format!("done:{token}")
}

/// As Redis takes a time: at least 1, and not so much that adding the time of day overflows.
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
