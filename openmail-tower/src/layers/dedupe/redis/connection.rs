//! The connection, and when to have another.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    Client, FromRedisValue, IntoConnectionInfo, RedisError, RedisResult, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::socket2::TcpKeepalive,
};
use tokio::time::Instant;

/// How long to wait for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whoever gives a command up sooner than this may have had reasons of his own.
const GIVEN_UP: Duration = Duration::from_millis(100);

/// A silent connection should not be forgotten by what is between: those forget in minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// One connection for all clones. It is made when it is needed, and again by its manager when it
/// breaks; when it was cut without a sign, which its manager would wait for, it is dropped as soon
/// as an answer is late.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts the connections that were dropped.
    number: u64,
    manager: Option<ConnectionManager>,
}

impl Connection {
    pub(super) fn new(url: &str) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE);
        let tcp = info.tcp_settings().clone().set_keepalive(keep_alive);
        let client = Client::open(info.set_tcp_settings(tcp))?;
        Ok(Self(Arc::new(Shared { client, current: Mutex::default() })))
    }

    /// Runs what may be run twice.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let answer = self.once(call).await;
        match &answer {
            Err(error) if error.is_timeout() || error.is_unrecoverable_error() => {
                self.once(call).await
            }
            _ => answer,
        }
    }

    async fn once<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> RedisResult<T> {
        let (number, mut manager) = self.0.get()?;
        let mut waiting = Waiting { shared: &self.0, number, since: Instant::now(), late: true };
        let answer = call.invoke_async(&mut manager).await;
        waiting.late = answer.as_ref().is_err_and(RedisError::is_timeout);
        answer
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> RedisResult<(u64, ConnectionManager)> {
        let mut current = self.current();
        let manager = match &current.manager {
            Some(manager) => manager.clone(),
            None => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE))
                    // The next command tries again; meanwhile no event waits in vain.
                    .set_number_of_retries(0);
                let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
                current.manager.insert(manager).clone()
            }
        };
        Ok((current.number, manager))
    }

    /// Drops a connection, if that has not happened yet. Who still waits for it has it until then.
    fn drop_connection(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            *current = Current { number: number + 1, manager: None };
        }
    }
}

/// A command on its way. The store's user may wait for less time than we would, and drop it.
struct Waiting<'s> {
    shared: &'s Shared,
    number: u64,
    since: Instant,
    late: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.late && self.since.elapsed() >= GIVEN_UP {
            self.shared.drop_connection(self.number);
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
