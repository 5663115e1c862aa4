//! Dead letters, entries on hold, and finished entries past their retention.

use sqlx::{Row, postgres::PgRow};

use crate::queue::{
    entry::{EntryId, Retention},
    lease::{DeadReport, Lease},
    sql::{
        millis,
        row::{self, letter_columns},
    },
};

use super::{
    database::Database,
    lanes::{lock, promote},
    store::Bell,
};

/// Requeues dead letters: the one with this id or, given an inbox, up to `limit` of its dead
/// letters with higher ids. Returns their ids.
pub(super) async fn requeue(
    database: &Database,
    bell: &Bell,
    id: i64,
    inbox: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    let find = match inbox {
        None => sqlx::query(
            "SELECT id, lane FROM openmail_events WHERE state = 'dead' AND id = $1 LIMIT $2",
        ),
        Some(_) => sqlx::query(
            "SELECT id, lane FROM openmail_events
             WHERE state = 'dead' AND id > $1 AND inbox_id = $3 ORDER BY id LIMIT $2",
        ),
    };
    let find = find.bind(id).bind(limit);
    let find = match inbox {
        None => find,
        Some(inbox) => find.bind(inbox),
    };
    let mut work = database.begin("").await?;
    let rows = find.fetch_all(&mut *work).await?;
    work.commit().await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    let lane = |row: &PgRow| row.try_get::<Option<String>, _>(1);
    let lanes = rows.iter().map(lane).collect::<sqlx::Result<Vec<_>>>()?;
    let lanes: Vec<&str> = lanes.iter().flatten().map(String::as_str).collect();
    let mut work = database.begin(&lock(lanes.iter().copied())).await?;
    let rows = sqlx::query(
        "UPDATE openmail_events SET
           state = CASE WHEN lane IS NULL THEN 'ready' ELSE 'blocked' END,
           attempts = 0, losses = 0, releases = 0, released_at = NULL, put_off_at = NULL, held = 0,
           token = token + 1, ended_at = NULL, report_at = NULL,
           due_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint
         WHERE state = 'dead' AND id = ANY($1) RETURNING id",
    )
    .bind(&ids)
    .fetch_all(&mut *work)
    .await?;
    promote(&mut work, &lanes).await?;
    work.commit_with(bell.others()).await?;
    bell.ring();
    rows.iter().map(|row| row.try_get(0)).collect()
}

pub(super) async fn drop_dead(database: &Database, id: EntryId) -> sqlx::Result<bool> {
    let mut work = database.begin("").await?;
    let dropped = sqlx::query("DELETE FROM openmail_events WHERE id = $1 AND state = 'dead'")
        .bind(id.0)
        .execute(&mut *work)
        .await?;
    work.commit().await?;
    Ok(dropped.rows_affected() > 0)
}

/// Releases up to `limit` held entries, of one inbox or of all. Entries that are leased now cannot
/// be put on hold by their current run, since the reason for the hold may be gone.
pub(super) async fn release_held(
    database: &Database,
    bell: &Bell,
    inbox_id: Option<&str>,
    limit: i64,
) -> sqlx::Result<u64> {
    let mut work = database.begin("").await?;
    sqlx::query(
        "UPDATE openmail_events SET held = 2
         WHERE id IN (
           SELECT id FROM openmail_events
           WHERE leased = 1 AND ($1::text IS NULL OR inbox_id = $1) ORDER BY id FOR UPDATE)",
    )
    .bind(inbox_id)
    .execute(&mut *work)
    .await?;
    let released = sqlx::query(
        "UPDATE openmail_events
         SET held = 0, due_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint
         WHERE id IN (
           SELECT id FROM openmail_events
           WHERE held = 1 AND leased = 0 AND ($1::text IS NULL OR inbox_id = $1)
           ORDER BY id LIMIT $2 FOR UPDATE)",
    )
    .bind(inbox_id)
    .bind(limit)
    .execute(&mut *work)
    .await?;
    work.commit_with(bell.others()).await?;
    bell.ring();
    Ok(released.rows_affected())
}

/// Releases an entry that is held or waits for its next attempt.
pub(super) async fn release_entry(
    database: &Database,
    bell: &Bell,
    id: EntryId,
) -> sqlx::Result<bool> {
    let mut work = database.begin("").await?;
    let released = sqlx::query(
        "UPDATE openmail_events
         SET held = 0, due_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint
         WHERE id = $1 AND state IN ('ready', 'aside') AND leased = 0",
    )
    .bind(id.0)
    .execute(&mut *work)
    .await?;
    work.commit_with(bell.others()).await?;
    bell.ring();
    Ok(released.rows_affected() > 0)
}

pub(super) async fn unreported(
    database: &Database,
    limit: i64,
    lease: i64,
) -> sqlx::Result<Vec<DeadReport>> {
    let mut work = database.begin("").await?;
    let rows = sqlx::query(concat!(
        "UPDATE openmail_events
         SET report_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint + $1
         WHERE id IN (
           SELECT id FROM openmail_events
           WHERE report_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
           ORDER BY report_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING ",
        letter_columns!("0"),
        ", token"
    ))
    .bind(lease)
    .bind(limit)
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    rows.iter().map(row::report).collect()
}

pub(super) async fn reported(database: &Database, lease: &Lease) -> sqlx::Result<bool> {
    let mut work = database.begin("").await?;
    let reported = sqlx::query(
        "UPDATE openmail_events SET report_at = NULL
         WHERE id = $1 AND token = $2 AND state = 'dead'",
    )
    .bind(lease.id.0)
    .bind(lease.token)
    .execute(&mut *work)
    .await?;
    work.commit().await?;
    Ok(reported.rows_affected() > 0)
}

pub(super) async fn prune(
    database: &Database,
    retention: Retention,
    limit: i64,
) -> sqlx::Result<u64> {
    let mut work = database.begin("").await?;
    let pruned = sqlx::query(
        "WITH done AS (
           SELECT id FROM openmail_events
           WHERE state = 'done'
             AND ended_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1
           ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED),
         died AS (
           SELECT id FROM openmail_events
           WHERE state = 'dead'
             AND ended_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $2
           ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM done UNION ALL SELECT id FROM died LIMIT $3)",
    )
    .bind(millis(retention.done))
    .bind(millis(retention.dead))
    .bind(limit)
    .execute(&mut *work)
    .await?;
    #[cfg(feature = "guard")]
    super::counts::prune(&mut work, crate::queue::sql::counts::PAGE).await?;
    work.commit().await?;
    Ok(pruned.rows_affected())
}
