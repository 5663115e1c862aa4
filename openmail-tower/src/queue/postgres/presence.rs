//! Tracks which workers are alive, by advisory locks that the server releases when their sessions
//! end.

use sqlx::{PgConnection, Row};

use super::database::Database;

/// Registers a worker. Returns its id.
pub(super) async fn add(database: &Database) -> sqlx::Result<i64> {
    let mut work = database.begin("").await?;
    let row = sqlx::query("INSERT INTO openmail_workers DEFAULT VALUES RETURNING id")
        .fetch_one(&mut *work)
        .await?;
    let id = row.try_get(0)?;
    work.commit().await?;
    Ok(id)
}

/// Selects the workers whose locks are free.
macro_rules! dead {
    () => {
        "SELECT id FROM openmail_workers AS worker WHERE NOT EXISTS (
           SELECT 1 FROM pg_locks
           WHERE locktype = 'advisory' AND granted AND objsubid = 2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND classid = 'openmail_workers'::regclass::oid AND objid::bigint = worker.id)"
    };
}

/// Finds dead workers other than this one.
pub(super) async fn dead(database: &Database, worker: i64) -> sqlx::Result<Vec<i64>> {
    let mut work = database.begin("").await?;
    let rows =
        sqlx::query(concat!(dead!(), " AND id <> $1")).bind(worker).fetch_all(&mut *work).await?;
    work.commit().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Takes over the leases of those `workers` that are still dead. Returns the number of leases.
pub(super) async fn take_over(connection: &mut PgConnection, workers: &[i64]) -> sqlx::Result<u64> {
    let rows = sqlx::query(concat!(
        "DELETE FROM openmail_workers WHERE id = ANY($1) AND id IN (",
        dead!(),
        ") RETURNING id"
    ))
    .bind(workers)
    .fetch_all(&mut *connection)
    .await?;
    let dead = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    let taken = sqlx::query(
        "UPDATE openmail_events SET due_at = least(due_at,
           (extract(epoch FROM statement_timestamp()) * 1000)::bigint)
         WHERE leased = 1 AND worker = ANY($1)",
    )
    .bind(dead)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected())
}

/// Returns the number of live workers.
pub(super) async fn alive(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let row = sqlx::query(concat!(
        "SELECT (SELECT count(*) FROM openmail_workers) - (SELECT count(*) FROM (",
        dead!(),
        ") AS dead)"
    ))
    .fetch_one(connection)
    .await?;
    row.try_get::<i64, _>(0).map(i64::unsigned_abs)
}
