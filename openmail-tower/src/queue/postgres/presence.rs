//! Tracks which workers are alive, by advisory locks that the server releases when their sessions
//! end.

use sqlx::{PgConnection, Row};

use super::database::Database;

/// Whether the lock of `worker.id` is held.
macro_rules! is_alive {
    () => {
        "EXISTS (
           SELECT 1 FROM pg_locks
           WHERE locktype = 'advisory' AND granted AND objsubid = 2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND classid = 'openmail_workers'::regclass::oid AND objid::bigint = worker.id)"
    };
}

/// Selects the workers whose locks are free.
macro_rules! dead {
    () => {
        concat!("SELECT id FROM openmail_workers AS worker WHERE NOT ", is_alive!())
    };
}

/// Reserves the id of a new worker. The new row itself is rolled back, so that others never see it:
/// they would find its lock free. (The sequence cannot be used directly, since a role that may only
/// change rows has no right to it.)
pub(super) async fn reserve(database: &Database) -> sqlx::Result<i64> {
    let mut work = database.begin("SAVEPOINT reserved;").await?;
    let row = sqlx::query("INSERT INTO openmail_workers DEFAULT VALUES RETURNING id")
        .fetch_one(&mut *work)
        .await?;
    let id = row.try_get(0)?;
    work.commit_with("ROLLBACK TO reserved;").await?;
    Ok(id)
}

/// Lists a worker, unless it is listed already or does not hold its lock.
pub(super) async fn list(database: &Database, worker: i64) -> sqlx::Result<()> {
    let mut work = database.begin("").await?;
    sqlx::query(concat!(
        "INSERT INTO openmail_workers (id) OVERRIDING SYSTEM VALUE
         SELECT id FROM (SELECT $1::bigint AS id) AS worker WHERE ",
        is_alive!(),
        " ON CONFLICT (id) DO NOTHING"
    ))
    .bind(worker)
    .execute(&mut *work)
    .await?;
    work.commit().await
}

/// What a worker sees of the others and of itself.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) dead: Vec<i64>,
    /// Whether it is listed. Another worker may have taken it for dead while its session was being
    /// replaced.
    pub(super) is_listed: bool,
}

/// Looks for dead workers other than this one.
pub(super) async fn look(database: &Database, worker: i64) -> sqlx::Result<Seen> {
    let mut work = database.begin("").await?;
    let rows = sqlx::query(concat!(
        "SELECT id FROM (",
        dead!(),
        ") AS dead WHERE id <> $1 UNION ALL SELECT id FROM openmail_workers WHERE id = $1"
    ))
    .bind(worker)
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    let mut dead = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    let found = dead.len();
    dead.retain(|id| *id != worker);
    Ok(Seen { is_listed: dead.len() < found, dead })
}

/// Takes over the leases of those `workers` whose locks are still free. Returns the number of
/// leases.
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
