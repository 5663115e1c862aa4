//! Connections and tables.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use crate::queue::error::{QueueError, QueueErrorKind};

/// How long a connection waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);

/// One text a version, the first is 1. Those that were released never change.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
}

/// Opens a connection. SQLite does not wait where two switch a new file to its write-ahead log at
/// the same time.
pub(super) async fn connect(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, QueueError> {
    let limit = Instant::now() + BUSY;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < limit => {
                sleep(Duration::from_millis(10)).await;
            }
            other => return other.map_err(failed),
        }
    }
}

/// Brings the tables to this version; several processes may do so at once.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), QueueError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS openmail_migrations
           (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let version: i64 = sqlx::query("SELECT coalesce(max(version), 0) FROM openmail_migrations")
        .fetch_one(&mut *transaction)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        let text = format!("version {version} is not known");
        return Err(QueueError::new(QueueErrorKind::Newer, text));
    }
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip(version) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query("INSERT INTO openmail_migrations VALUES (?, unixepoch() * 1000)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    const SQLITE_LOCKED: i32 = 6;
    matches!(code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

pub(super) fn failed(error: sqlx::Error) -> QueueError {
    // A full disk may still have room for a smaller entry.
    const SQLITE_FULL: i32 = 13;
    const SQLITE_TOOBIG: i32 = 18;
    const SQLITE_CONSTRAINT: i32 = 19;
    let kind = match code(&error) {
        Some(SQLITE_FULL | SQLITE_TOOBIG | SQLITE_CONSTRAINT) => QueueErrorKind::Refused,
        _ => QueueErrorKind::Unavailable,
    };
    QueueError::new(kind, error)
}
