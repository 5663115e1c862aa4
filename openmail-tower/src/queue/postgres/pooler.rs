//! Detects poolers such as PgBouncer that are in transaction mode.
//!
//! In transaction mode, each transaction of a connection may run in a different session of the
//! server. The locks of workers and the notifications belong to sessions, so they would be lost
//! silently. The store therefore refuses to connect through such a pooler.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};

use crate::queue::error::{QueueError, QueueErrorKind};

/// The number of tries: a pooler does not always hand out the session that was used last.
const ROUNDS: usize = 3;

/// Checks that a session belongs to its connection: while another connection is in a transaction,
/// the first one must still see the setting that it made, and the other must not.
pub(super) async fn check(pool: &PgPool) -> sqlx::Result<Result<(), QueueError>> {
    let mut first = pool.acquire().await?;
    // The pool may have only one connection.
    let mut other = pool.connect_options().connect().await?;
    let mark = format!("{:016x}", fastrand::u64(..));
    let mut torn = false;
    for _ in 0..ROUNDS {
        let set = format!("SET openmail.session = '{mark}'");
        first.execute(AssertSqlSafe(set)).await?;
        other.execute("BEGIN").await?;
        torn |= marked(&mut other).await? == mark;
        if !torn {
            torn |= marked(&mut first).await? != mark;
        }
        other.execute("ROLLBACK").await?;
    }
    first.execute("RESET openmail.session").await?;
    other.close().await?;
    if !torn {
        return Ok(Ok(()));
    }
    let text =
        "the pooler in front of the database is in transaction mode; it must be in session mode";
    Ok(Err(QueueError::new(QueueErrorKind::Unsuitable, text)))
}

async fn marked(connection: &mut PgConnection) -> sqlx::Result<String> {
    let row =
        connection.fetch_one("SELECT coalesce(current_setting('openmail.session', true), '')");
    row.await?.try_get(0)
}
