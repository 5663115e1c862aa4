//! Transactions, and the connections they run on.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    queue::error::{QueueError, QueueErrorKind},
    seam::within,
};

/// How long a worker or a delivery waits for the database at a time. After a failover, the old primary
/// may leave its connections open and silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long what nobody waits for may take.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Connections that wait for the next transaction, besides those in the pool. The pool asks the
/// server about each connection that comes back, which costs as much as a commit.
const SPARE: usize = 3;

/// What transactions are made with. Clones share it.
#[derive(Clone)]
pub(super) struct Database(Arc<Inner>);

struct Inner {
    pool: PgPool,
    /// What a transaction begins with. The default isolation level of a database or a role may be
    /// another; with `REPEATABLE READ` a transaction does not see what was committed while it waited
    /// for a lane. And the default may be to read only.
    begin: String,
    keeps: usize,
    spare: Mutex<Vec<PoolConnection<Postgres>>>,
    facts: OnceCell<Facts>,
    /// When a transaction was given up last because the server was silent.
    silent_at: Mutex<Option<Instant>>,
}

/// How long connections are asked whether they live before they are used, once one was silent: a
/// failover may have left all of them so. And how long they have for their answer.
const DOUBT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_millis(300);

/// What does not change while a store is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The oid of the workers' table, of which their locks are, as a lock's first number.
    pub(super) class: i32,
    /// Whether the database holds every character.
    pub(super) holds_unicode: bool,
}

/// How sessions are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sessions {
    /// By the store, when it connected.
    Ours,
    /// By the program: everything that is needed is set for each transaction.
    Theirs,
}

impl Database {
    pub(super) fn new(pool: PgPool, schema: Option<&str>, sessions: Sessions) -> Self {
        let mut begin = String::from("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;");
        if sessions == Sessions::Theirs {
            begin.push_str(
                "SET LOCAL statement_timeout = '30s';
                 SELECT set_config('synchronous_commit', 'on', true)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local');",
            );
            if let Some(schema) = schema {
                begin.push_str(&format!("SET LOCAL search_path = {};", quoted(schema)));
            }
        }
        let keeps = if sessions == Sessions::Ours { SPARE } else { 0 };
        let (spare, facts, silent_at) = (Mutex::default(), OnceCell::new(), Mutex::default());
        Self(Arc::new(Inner { pool, begin, keeps, spare, facts, silent_at }))
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Begins a transaction, and runs a statement without parameters at its start.
    pub(super) async fn begin(&self, first: &str) -> sqlx::Result<Work> {
        let begin = format!("{}{first}", self.0.begin);
        // As many as there may be of those that a failover has left behind.
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

    pub(super) async fn close(&self) {
        self.spare().clear();
        self.0.pool.close().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let spare = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner);
        for connection in spare.drain(..) {
            // To give it back would take a runtime, which may be gone.
            drop(connection.leak());
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// A transaction. Unless it is committed, its connection is closed, which takes back what was done:
/// after an error or a wait that was given up, nobody knows what state the connection is in.
pub(super) struct Work {
    connection: Option<PoolConnection<Postgres>>,
    database: Database,
    since: Instant,
}

impl Work {
    /// Whether the server answers at all.
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
        let mut spare = self.database.spare();
        if spare.len() < self.database.0.keeps && !self.database.pool().is_closed() {
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

/// Whether another connection may do better: this one is broken, or its server is a replica, shuts
/// down or starts.
fn is_stale(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // 0A000: a replica in recovery refuses READ WRITE. 25006: it is read only.
            code.starts_with("57P") || code.starts_with("08") || code == "0A000" || code == "25006"
        }),
        _ => false,
    }
}

/// Runs something with a limit: a connection may be cut without a sign. What is run is boxed, since
/// sqlx's futures are large, and those who wait for them are held in tasks by the thousand.
pub(super) async fn in_time<T, F>(limit: Duration, work: F) -> Result<T, QueueError>
where
    F: Future<Output = sqlx::Result<T>> + Send,
{
    let work = Box::pin(work);
    within(limit, async { work.await.map_err(failed) }, QueueError::late).await
}

pub(super) fn failed(error: sqlx::Error) -> QueueError {
    // Data exceptions, constraints, limits of the program.
    const REFUSED: [&str; 3] = ["22", "23", "54"];
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.as_deref().unwrap_or_default();
    let kind = if code == "42P01" {
        QueueErrorKind::Unmigrated
    } else if code == "53100" {
        QueueErrorKind::Full
    } else if REFUSED.iter().any(|class| code.starts_with(class)) {
        QueueErrorKind::Refused
    } else {
        QueueErrorKind::Unavailable
    };
    QueueError::new(kind, error)
}

/// A name as an identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
