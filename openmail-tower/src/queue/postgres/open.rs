//! Connections and tables.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::queue::error::{QueueError, QueueErrorKind};

/// How long to wait for the database at a time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// One text a version, the first is 1. Those that were released never change.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// "openmail", of which the locks are.
pub(super) const LOCKS: i64 = 0x6f70_656e_6d61_696c;

pub(super) async fn connect(url: &str) -> Result<PgPool, QueueError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(failed)?
        .application_name("openmail")
        .disable_statement_logging();
    PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(PATIENCE / 2)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect_with(options)
        .await
        .map_err(failed)
}

/// What is answered as written must be on the disk, whatever the server's settings; and nothing
/// waits for ever.
async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection
        .execute(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local');
             SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'",
        )
        .await?;
    Ok(())
}

/// Brings the tables to this version; several processes may do so at once.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), QueueError> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCKS)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS openmail_migrations
           (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
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
        sqlx::query("INSERT INTO openmail_migrations (version) VALUES ($1)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

pub(super) fn failed(error: sqlx::Error) -> QueueError {
    // Data exceptions, constraints, limits of the program, a full disk: another entry may do.
    const REFUSED: [&str; 4] = ["22", "23", "54", "53100"];
    let code = error.as_database_error().and_then(|error| error.code());
    let refused = code.is_some_and(|code| REFUSED.iter().any(|class| code.starts_with(class)));
    let kind = if refused { QueueErrorKind::Refused } else { QueueErrorKind::Unavailable };
    QueueError::new(kind, error)
}
