//! Opens connections and migrates tables.

use std::{io, str::FromStr, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::queue::{
    error::{QueueError, QueueErrorKind},
    sql::migrate,
};

use super::{
    cause::Cause,
    database::{Database, PATIENCE, failed, kind, quoted},
};

/// One script for each version, starting with 1. Released ones never change.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("counts.sql")];

/// The key of the migration lock, "openmail" in ASCII. The keys of the lanes' locks follow it.
pub(super) const LOCKS: i64 = 0x6f70_656e_6d61_696c;

pub(super) async fn connect(
    url: &str,
    size: u32,
    schema: Option<&str>,
) -> Result<PgPool, QueueError> {
    check_scheme(url)?;
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| QueueError::new(QueueErrorKind::Unsuitable, Cause(error)))?
        .application_name("openmail")
        .disable_statement_logging();
    let mut prepare = String::from(
        "SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') IN ('off', 'local');
         SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s';
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;",
    );
    if let Some(schema) = schema {
        prepare.push_str(&format!("SET search_path = {};", quoted(schema)));
    }
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(Duration::from_secs(3))
        // A broken connection is noticed when a transaction begins on it.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let prepare = prepare.clone();
            Box::pin(prepare_session(connection, prepare))
        })
        .connect_with(options.clone())
        .await;
    match pool {
        Ok(pool) => Ok(pool),
        Err(error) => Err(unconnected(&options, error).await),
    }
}

/// Why there is no connection. The address contains no user and no password.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}")]
struct Unconnected {
    address: String,
    #[source]
    cause: Cause,
}

/// Names what keeps a pool from connecting. The pool itself retries a refused connection, since the
/// server may be starting, and then says only that its time is up.
async fn unconnected(options: &PgConnectOptions, error: sqlx::Error) -> QueueError {
    let cause = match error {
        sqlx::Error::PoolTimedOut => match timeout(PATIENCE, options.connect()).await {
            Ok(Ok(_)) => error,
            Ok(Err(cause)) => cause,
            Err(_) => io::Error::from(io::ErrorKind::TimedOut).into(),
        },
        _ => error,
    };
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let address = format!("{host}:{}", options.get_port());
    QueueError::new(kind(&cause), Unconnected { address, cause: Cause(cause) })
}

/// Sets up a session: an acknowledged event must be on disk regardless of the server's settings, no
/// statement may wait forever, and each must use the indexes that were made for it. A plan made
/// while the queue is empty, when reading the whole table costs nothing, would otherwise be kept
/// for the burst that follows.
async fn prepare_session(connection: &mut PgConnection, prepare: String) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(prepare)).await.map(drop)
}

fn check_scheme(url: &str) -> Result<(), QueueError> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let what = match scheme {
        "postgres" | "postgresql" => return Ok(()),
        "sqlite" => "`sqlite:` names a file: use `SqliteStore`".to_owned(),
        "" => "expected a URL that begins with `postgres://`".to_owned(),
        other => format!("expected a URL that begins with `postgres://`, not with `{other}:`"),
    };
    Err(QueueError::new(QueueErrorKind::Unsuitable, what))
}

/// Migrates the tables to this version. Several processes may do so concurrently. If the tables
/// have this version already, the role needs no right to create any.
pub(super) async fn migrate(database: &Database) -> Result<(), QueueError> {
    if check(database).await.is_ok() {
        return Ok(());
    }
    let lock = format!("SELECT pg_advisory_xact_lock({LOCKS});");
    let mut work = database.begin(&lock).await.map_err(failed)?;
    if version(&mut work).await?.is_none() {
        let create = "CREATE TABLE openmail_migrations
          (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())";
        sqlx::raw_sql(create).execute(&mut *work).await.map_err(failed)?;
    }
    let version = version(&mut work).await?.unwrap_or(0);
    for (number, migration) in migrate::pending(version, MIGRATIONS)? {
        sqlx::raw_sql(migration).execute(&mut *work).await.map_err(failed)?;
        sqlx::query("INSERT INTO openmail_migrations (version) VALUES ($1)")
            .bind(number)
            .execute(&mut *work)
            .await
            .map_err(failed)?;
    }
    work.commit().await.map_err(failed)
}

/// Checks that the tables have this version.
pub(super) async fn check(database: &Database) -> Result<(), QueueError> {
    let mut work = database.begin("").await.map_err(failed)?;
    let version = version(&mut work).await?.unwrap_or(0);
    work.commit().await.map_err(failed)?;
    migrate::check(version, MIGRATIONS)
}

async fn version(connection: &mut PgConnection) -> Result<Option<i64>, QueueError> {
    let there: bool = sqlx::query("SELECT to_regclass('openmail_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    if !there {
        return Ok(None);
    }
    sqlx::query("SELECT coalesce(max(version), 0) FROM openmail_migrations")
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0).map(Some))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_postgres_urls() {
        check_scheme("postgres://localhost/x").unwrap();
        check_scheme("postgresql:///x").unwrap();
        for (url, named) in [("sqlite:x.db", "SqliteStore"), ("mysql://x", "mysql"), ("x.db", "")] {
            let error = check_scheme(url).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::Unsuitable);
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(named), "{source}");
        }
    }
}
