//! Transactions, and the connections they run on.

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Postgres, Row, pool::PoolConnection,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use crate::{
    queue::{
        error::{QueueError, QueueErrorKind},
        text,
    },
    seam::within,
};

/// Maximum time of a single wait for the database by a claim, a settlement or a delivery. After a
/// failover, the old primary may leave its connections open and silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// The slowest expected transfer rate, in bytes per second. It determines how much more time large
/// bodies get.
const SLOWEST: usize = 4 << 20;
/// Maximum time for operations that delay neither claims nor settlements nor deliveries.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Maximum number of idle connections kept outside the pool. The pool tests each connection that is
/// returned to it, which costs a round trip.
const SPARE: usize = 3;

/// Runs transactions. Clones share the connections.
#[derive(Clone)]
pub(super) struct Database(Arc<Inner>);

struct Inner {
    pool: PgPool,
    /// The statement that begins a transaction. It sets the isolation level, since the default of a
    /// database or a role may be different: with `REPEATABLE READ`, a transaction would not see
    /// what was committed while it waited for a lane. It also sets the access mode, since the
    /// default may be read-only.
    begin: String,
    sessions: Sessions,
    is_closed: AtomicBool,
    spare: Mutex<Vec<PoolConnection<Postgres>>>,
    facts: OnceCell<Facts>,
    /// When a transaction last failed, or was abandoned, after a long wait. The server may have
    /// been silent.
    silent_at: Mutex<Option<Instant>>,
}

/// For this long after a connection was silent, each connection is tested before it is used: a
/// failover may have left all of them silent.
const DOUBT: Duration = Duration::from_secs(10);
/// Maximum time of that test.
const ANSWER: Duration = Duration::from_millis(300);

/// Facts that do not change while a store is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The oid of the workers' table, which is the first number of their advisory locks.
    pub(super) class: i32,
    /// Whether the database's encoding can represent every character.
    holds_unicode: bool,
}

impl Facts {
    /// Replaces a text that the database's encoding may not represent.
    pub(super) fn held(self, text: &str) -> Cow<'_, str> {
        if self.holds_unicode || text.is_ascii() { text.into() } else { text::hashed(text).into() }
    }

    /// Returns an id or a name as it is stored in this database.
    pub(super) fn column(self, text: &str) -> String {
        self.held(&text::column(text)).into_owned()
    }
}

/// How sessions are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sessions {
    /// By the store, when it connected.
    Ours,
    /// By the program, so each transaction sets everything that it needs.
    Theirs,
}

impl Database {
    pub(super) fn new(pool: PgPool, schema: Option<&str>, sessions: Sessions) -> Self {
        let mut begin = String::from("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;");
        if sessions == Sessions::Theirs {
            begin.push_str(
                "SET LOCAL statement_timeout = '30s';
                 SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;
                 SELECT set_config('synchronous_commit', 'on', true)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local');",
            );
            if let Some(schema) = schema {
                begin.push_str(&format!("SET LOCAL search_path = {};", quoted(schema)));
            }
        }
        Self(Arc::new(Inner {
            pool,
            begin,
            sessions,
            is_closed: AtomicBool::new(false),
            spare: Mutex::default(),
            facts: OnceCell::new(),
            silent_at: Mutex::default(),
        }))
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Begins a transaction, and runs the statement `first` in it. `first` has no parameters.
    pub(super) async fn begin(&self, first: &str) -> sqlx::Result<Work> {
        let begin = format!("{}{first}", self.0.begin);
        // A failover may have left this many dead connections behind.
        for _ in 0..self.0.pool.size() {
            let mut work = self.work().await?;
            if self.is_in_doubt() && !work.answers().await {
                continue;
            }
            match work.execute(AssertSqlSafe(&*begin)).await {
                Ok(_) => return Ok(work),
                Err(error) if is_stale(&error) => drop(work),
                Err(error) => return Err(error),
            }
        }
        let mut work = self.work().await?;
        work.execute(AssertSqlSafe(&*begin)).await?;
        Ok(work)
    }

    async fn work(&self) -> sqlx::Result<Work> {
        if self.0.is_closed.load(Ordering::Acquire) {
            return Err(sqlx::Error::PoolClosed);
        }
        let spare = self.spare().pop();
        let connection = match spare {
            Some(connection) => connection,
            None => self.0.pool.acquire().await?,
        };
        Ok(Work { connection: Some(connection), database: self.clone(), since: Instant::now() })
    }

    fn silent_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.silent_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_doubt(&self) -> bool {
        self.silent_at().is_some_and(|at| at.elapsed() < DOUBT)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PoolConnection<Postgres>>> {
        self.0.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn facts(&self) -> sqlx::Result<Facts> {
        self.0.facts.get_or_try_init(|| self.find_facts()).await.copied()
    }

    async fn find_facts(&self) -> sqlx::Result<Facts> {
        let mut work = self.begin("").await?;
        let row = sqlx::query(
            "SELECT 'openmail_workers'::regclass::oid::bigint,
               current_setting('server_encoding') = 'UTF8'",
        )
        .fetch_one(&mut *work)
        .await?;
        let class = u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0).cast_signed();
        let facts = Facts { class, holds_unicode: row.try_get(1)? };
        work.commit().await?;
        Ok(facts)
    }

    /// Makes every later transaction fail. Closes the pool, unless it is the program's.
    pub(super) async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        if self.0.sessions == Sessions::Theirs {
            return;
        }
        // The pool counts as closed from here on, so no commit keeps its connection any more.
        let closed = self.0.pool.close();
        self.spare().clear();
        closed.await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let spare = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner);
        for connection in spare.drain(..) {
            // Returning it to the pool would need a runtime, which may be gone.
            drop(connection.leak());
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// A transaction. Unless it is committed, its connection is closed, which rolls it back: after an
/// error or an abandoned wait, the state of the connection is unknown.
pub(super) struct Work {
    connection: Option<PoolConnection<Postgres>>,
    database: Database,
    since: Instant,
}

impl Work {
    /// Returns whether the server answers at all.
    async fn answers(&mut self) -> bool {
        timeout(ANSWER, self.ping()).await.is_ok_and(|answer| answer.is_ok())
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        self.commit_with("").await
    }

    /// Runs a statement without parameters, and commits.
    pub(super) async fn commit_with(mut self, last: &str) -> sqlx::Result<()> {
        let commit = format!("{last}COMMIT");
        self.execute(AssertSqlSafe(commit)).await?;
        let connection = self.connection.take();
        let Inner { pool, sessions, .. } = &*self.database.0;
        let mut spare = self.database.spare();
        if *sessions == Sessions::Ours && spare.len() < SPARE && !pool.is_closed() {
            spare.extend(connection);
        }
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
            if self.since.elapsed() >= PATIENCE / 2 {
                *self.database.silent_at() = Some(Instant::now());
            }
        }
    }
}

const COMMITTED: &str = "a transaction has a connection until it is committed";

impl Deref for Work {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(COMMITTED)
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(COMMITTED)
    }
}

/// Returns whether another connection may succeed: this one is broken, or its server is a replica,
/// is shutting down or is starting.
fn is_stale(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // 0A000: a replica in recovery refuses READ WRITE. 25006: it is read-only.
            code.starts_with("57P") || code.starts_with("08") || code == "0A000" || code == "25006"
        }),
        _ => false,
    }
}

/// Returns the maximum time of a wait for the database while bodies of this size are transferred.
pub(super) fn patience(bytes: usize) -> Duration {
    PATIENCE + Duration::from_secs_f64(bytes as f64 / SLOWEST as f64)
}

/// Runs an operation with a time limit, since a connection may be cut silently. The operation is
/// boxed, since sqlx's futures are large and there may be thousands of them.
pub(super) async fn in_time<T, F>(limit: Duration, work: F) -> Result<T, QueueError>
where
    F: Future<Output = sqlx::Result<T>> + Send,
{
    let work = Box::pin(work);
    within(limit, async { work.await.map_err(failed) }, QueueError::late).await
}

pub(super) fn failed(error: sqlx::Error) -> QueueError {
    QueueError::new(kind(&error), error)
}

/// Returns what an error means for the caller of the store.
pub(super) fn kind(error: &sqlx::Error) -> QueueErrorKind {
    // Classes: data exception, integrity constraint violation, program limit exceeded.
    const REFUSED: [&str; 3] = ["22", "23", "54"];
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.as_deref().unwrap_or_default();
    if code == "42P01" {
        QueueErrorKind::Unmigrated
    } else if code == "53100" {
        QueueErrorKind::Full
    } else if REFUSED.iter().any(|class| code.starts_with(class)) {
        QueueErrorKind::Refused
    } else if matches!(error, sqlx::Error::PoolClosed) {
        QueueErrorKind::Closed
    } else {
        QueueErrorKind::Unavailable
    }
}

/// Quotes a name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_get_more_time() {
        assert_eq!(patience(0), PATIENCE);
        assert_eq!(patience(2 * SLOWEST), PATIENCE + Duration::from_secs(2));
    }

    /// If a commit during `close` kept its connection, the connection would never be closed, and
    /// the pool would wait for it forever.
    #[test]
    fn pool_is_closed_before_the_spare_connections_are() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let entered = runtime.enter();
        let pool = PgPool::connect_lazy("postgres://user@127.0.0.1:1/none").unwrap();
        let database = Database::new(pool.clone(), None, Sessions::Ours);
        // While this lock is held, as by a commit, the spare connections cannot be cleared.
        let commit = database.spare();
        let closing = runtime.spawn({
            let database = database.clone();
            async move { database.close().await }
        });
        drop(entered);
        let closed = async { timeout(Duration::from_secs(60), pool.close_event()).await };
        runtime.block_on(closed).expect("the pool is closed first");
        drop(commit);
        runtime.block_on(closing).unwrap();
    }
}
