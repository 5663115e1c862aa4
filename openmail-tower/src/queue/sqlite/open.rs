//! Opens connections and migrates tables.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::queue::{
    error::{QueueError, QueueErrorKind},
    sql::migrate,
};

use super::file;

/// Maximum time that a connection waits for another one that writes.
const BUSY: Duration = Duration::from_secs(5);

/// One script for each version, starting with 1. Released ones never change.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("counts.sql")];

/// Refuses paths that do not name a file.
pub(super) fn check_path(path: &Path) -> Result<(), QueueError> {
    let text = path.to_string_lossy();
    let lower = text.to_ascii_lowercase();
    let what = if lower.contains(":memory:") || lower.contains("mode=memory") || lower.is_empty() {
        "an in-memory database would lose acknowledged events: give the path of a file"
    } else if lower.starts_with("postgres:") || lower.starts_with("postgresql:") {
        "this is a PostgreSQL URL, not a path: use `PostgresStore`"
    } else if lower.starts_with("sqlite:") || lower.starts_with("file:") || lower.contains("://") {
        "expected a path, not a URL: parse a `sqlite:` URL as a `StoreUrl`"
    } else {
        return Ok(());
    };
    Err(QueueError::new(QueueErrorKind::Unsuitable, what))
}

/// Sets what every writing connection needs, regardless of the options of the program's pool.
pub(super) fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // A statement that changes many rows keeps a journal of its own. By default, that is a
        // file, created and deleted each time.
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    writing(SqliteConnectOptions::new().filename(path).create_if_missing(true))
}

/// Opens a connection. SQLite does not wait if two connections switch a new file to write-ahead
/// mode at the same time, so this retries.
pub(super) async fn connect(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, QueueError> {
    let limit = Instant::now() + BUSY;
    let mut connection = loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < limit => {
                sleep(Duration::from_millis(10)).await;
            }
            other => break other.map_err(failed)?,
        }
    };
    let file: Option<String> =
        sqlx::query("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed)?;
    if file.is_none_or(|file| file.is_empty()) {
        let text = "an in-memory database would lose acknowledged events: give the path of a file";
        return Err(QueueError::new(QueueErrorKind::Unsuitable, text));
    }
    Ok(connection)
}

/// Creates the file if it is missing.
pub(super) async fn create(path: &Path) -> Result<(), QueueError> {
    let path = path.to_owned();
    let created = spawn_blocking(move || file::create(&path)).await;
    let created = created.map_err(|error| QueueError::new(QueueErrorKind::Unavailable, error))?;
    created.map_err(|error| QueueError::new(QueueErrorKind::Unavailable, error))
}

/// Migrates the tables to this version. Several processes may do so concurrently.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), QueueError> {
    if check(connection).await.is_ok() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS openmail_migrations
           (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    for (number, migration) in migrate::pending(version(&mut transaction).await?, MIGRATIONS)? {
        sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query("INSERT INTO openmail_migrations VALUES (?, unixepoch() * 1000)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Checks that the tables have this version.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<(), QueueError> {
    migrate::check(version(connection).await?, MIGRATIONS)
}

/// Returns the version of the tables, 0 if there are none.
async fn version(connection: &mut SqliteConnection) -> Result<i64, QueueError> {
    let there = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = 'openmail_migrations'");
    if there.fetch_optional(&mut *connection).await.map_err(failed)?.is_none() {
        return Ok(0);
    }
    sqlx::query("SELECT coalesce(max(version), 0) FROM openmail_migrations")
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)
}

/// Returns SQLite's primary result code.
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
    const SQLITE_FULL: i32 = 13;
    const SQLITE_TOOBIG: i32 = 18;
    const SQLITE_CONSTRAINT: i32 = 19;
    let kind = match code(&error) {
        Some(SQLITE_FULL) => QueueErrorKind::Full,
        Some(SQLITE_TOOBIG | SQLITE_CONSTRAINT) => QueueErrorKind::Refused,
        None if matches!(error, sqlx::Error::PoolClosed) => QueueErrorKind::Closed,
        _ => QueueErrorKind::Unavailable,
    };
    QueueError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_files() {
        check_path(Path::new("data/inbox.db")).unwrap();
        for path in ["", ":memory:", "file::memory:?cache=shared", "file:x?mode=memory"] {
            let error = check_path(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::Unsuitable, "{path}");
        }
        for path in ["sqlite:inbox.db", "postgres://localhost/x", "mysql://localhost/x"] {
            check_path(Path::new(path)).unwrap_err();
        }
    }
}
