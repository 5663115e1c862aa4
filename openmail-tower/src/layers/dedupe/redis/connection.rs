//! The connection, and when to replace it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisError, RedisFuture, RedisResult, ScriptInvocation, ServerErrorKind, Value,
    aio::ConnectionLike, io::tcp::socket2::TcpKeepalive,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// Maximum time to connect, and maximum time for an answer. Connections from
/// `RedisStore::connect_with` get twice as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// If a caller drops a command before this time has passed, that is no sign of a broken connection.
const GIVEN_UP: Duration = Duration::from_millis(100);

/// Firewalls and NAT devices forget an idle connection within minutes; keep-alive packets prevent
/// that.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

type Connecting = Pin<Box<dyn Future<Output = RedisResult<Shared>> + Send>>;

/// One connection, shared by all clones and opened when it is first needed.
///
/// It is replaced as soon as it breaks, an answer is late, or the server turns out to be a replica.
/// After a failover, the old primary may keep its connections open. A connection that was silently
/// cut cannot be told from one to a slow server.
#[derive(Clone)]
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    connect: Box<dyn Fn() -> Connecting + Send + Sync>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// The number of connections dropped so far.
    number: u64,
    made: Arc<OnceCell<Shared>>,
}

impl Connection {
    pub(super) fn from_url(url: &str) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE);
        let tcp = info.tcp_settings().clone().set_keepalive(keep_alive);
        let client = Client::open(info.set_tcp_settings(tcp))?;
        Ok(Self::from_connector(move || {
            let client = client.clone();
            async move {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE));
                client.get_multiplexed_async_connection_with_config(&config).await
            }
        }))
    }

    pub(super) fn from_connector<C, F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
        F: Future<Output = RedisResult<C>> + Send + 'static,
    {
        let connect = move || -> Connecting {
            let connecting = connect();
            Box::pin(async move { connecting.await.map(|made| Shared(Box::new(made))) })
        };
        Self(Arc::new(Inner { connect: Box::new(connect), current: Mutex::default() }))
    }

    /// Runs a script, and retries it once if the connection was at fault. The script must be safe
    /// to run twice.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        match self.once(call).await {
            Err(error) if is_stale(&error) => self.once(call).await,
            answer => answer,
        }
    }

    async fn once<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> RedisResult<T> {
        let (number, made) = {
            let current = self.0.current();
            (current.number, Arc::clone(&current.made))
        };
        let mut waiting = Waiting { inner: &self.0, number, since: Instant::now(), drops: true };
        let answer = async {
            let connecting =
                async { timeout(2 * PATIENCE, (self.0.connect)()).await.map_err(late)? };
            let mut connection = made.get_or_try_init(|| connecting).await?.clone();
            // A connection from `connect_with` may have no time limit of its own.
            timeout(2 * PATIENCE, call.invoke_async(&mut connection)).await.map_err(late)?
        };
        let answer = answer.await;
        waiting.drops = answer.as_ref().is_err_and(is_stale);
        if waiting.drops {
            // At once: the grace of `GIVEN_UP` is only for commands that their callers dropped.
            self.0.drop_connection(number);
        }
        answer
    }
}

fn late(_: tokio::time::error::Elapsed) -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Returns whether another connection may succeed.
fn is_stale(error: &RedisError) -> bool {
    let is_replica = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    is_replica || error.is_timeout() || error.is_unrecoverable_error()
}

impl Inner {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a connection, unless that has already happened. Commands in progress keep it until
    /// they end.
    fn drop_connection(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            *current = Current { number: number + 1, made: Arc::default() };
        }
    }
}

/// A command in progress. Its caller may wait for a shorter time than [`PATIENCE`], and drop the
/// command.
struct Waiting<'s> {
    inner: &'s Inner,
    number: u64,
    since: Instant,
    drops: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.drops && self.since.elapsed() >= GIVEN_UP {
            self.inner.drop_connection(self.number);
        }
    }
}

/// A connection of any type. Clones share the underlying connection.
struct Shared(Box<dyn AnyConnection>);

trait AnyConnection: ConnectionLike + Send + Sync {
    fn again(&self) -> Box<dyn AnyConnection>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> AnyConnection for C {
    fn again(&self) -> Box<dyn AnyConnection> {
        Box::new(self.clone())
    }
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        Self(self.0.again())
    }
}

impl ConnectionLike for Shared {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// Omits the URL, which may contain a password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
