//! Dead letters, entries on hold, and finished entries past their retention.

use sqlx::{Row, SqliteConnection};

use crate::queue::{
    entry::{EntryId, Retention},
    lease::{DeadReport, Lease},
    sql::{
        millis,
        row::{self, letter_columns},
    },
};

use super::{lanes::promote, write::Page};

/// Which dead letters to requeue.
#[derive(Debug)]
pub(super) enum Which {
    /// This one.
    One(EntryId),
    /// Those of this inbox with ids above this one.
    Inbox(String, i64),
}

macro_rules! requeue {
    ($which:literal) => {
        concat!(
            "UPDATE openmail_events SET
               state = iif(lane IS NULL, 'ready', 'blocked'),
               attempts = 0, losses = 0, releases = 0, released_at = NULL, put_off_at = NULL, held = 0,
               token = token + 1, ended_at = NULL, report_at = NULL, due_at = ?1
             WHERE id IN (SELECT id FROM openmail_events WHERE state = 'dead' AND ",
            $which,
            " ORDER BY id LIMIT ?2) RETURNING id, lane"
        )
    };
}

pub(super) async fn requeue(
    connection: &mut SqliteConnection,
    which: &Which,
    limit: i64,
    now: i64,
) -> sqlx::Result<Page> {
    // A single statement for both cases would scan all dead letters.
    let requeue = match which {
        Which::One(_) => sqlx::query(requeue!("id = ?3")),
        Which::Inbox(..) => sqlx::query(requeue!("id > ?3 AND inbox_id = ?4")),
    };
    let requeue = requeue.bind(now).bind(limit);
    let requeue = match which {
        Which::One(id) => requeue.bind(id.0),
        Which::Inbox(inbox, after) => requeue.bind(*after).bind(inbox),
    };
    let rows = requeue.fetch_all(&mut *connection).await?;
    let lanes =
        rows.iter().map(|row| row.try_get(1)).collect::<sqlx::Result<Vec<Option<&str>>>>()?;
    let lanes: Vec<&str> = lanes.into_iter().flatten().collect();
    promote(connection, &lanes).await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    Ok(Page { count: ids.len() as u64, last: ids.into_iter().max() })
}

pub(super) async fn drop_dead(connection: &mut SqliteConnection, id: EntryId) -> sqlx::Result<u64> {
    let dropped = sqlx::query("DELETE FROM openmail_events WHERE id = ? AND state = 'dead'")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected())
}

/// Releases up to `limit` held entries, of one inbox or of all. Entries that are leased now cannot
/// be put on hold by their current run, since the reason for the hold may be gone.
pub(super) async fn release_held(
    connection: &mut SqliteConnection,
    inbox_id: Option<&str>,
    limit: i64,
    now: i64,
) -> sqlx::Result<u64> {
    sqlx::query(
        "UPDATE openmail_events INDEXED BY openmail_events_leased SET held = 2
         WHERE leased = 1 AND (?1 IS NULL OR inbox_id = ?1)",
    )
    .bind(inbox_id)
    .execute(&mut *connection)
    .await?;
    let released = sqlx::query(
        "UPDATE openmail_events SET held = 0, due_at = ?3 WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_held
           WHERE held = 1 AND +leased = 0 AND (?1 IS NULL OR inbox_id = ?1) LIMIT ?2)",
    )
    .bind(inbox_id)
    .bind(limit)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

/// Releases an entry that is held or waits for its next attempt.
pub(super) async fn release_entry(
    connection: &mut SqliteConnection,
    id: EntryId,
    now: i64,
) -> sqlx::Result<u64> {
    let released = sqlx::query(
        "UPDATE openmail_events SET held = 0, due_at = ?2
         WHERE id = ?1 AND +state IN ('ready', 'aside') AND +leased = 0",
    )
    .bind(id.0)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

pub(super) async fn unreported(
    connection: &mut SqliteConnection,
    limit: i64,
    lease: i64,
    now: i64,
    offset: i64,
) -> sqlx::Result<Vec<DeadReport>> {
    let rows = sqlx::query(concat!(
        "UPDATE openmail_events SET report_at = ?3 + ?1
         WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_report
           WHERE report_at <= ?3 ORDER BY report_at LIMIT ?2)
         RETURNING ",
        letter_columns!("?4"),
        ", token"
    ))
    .bind(lease)
    .bind(limit)
    .bind(now)
    .bind(offset)
    .fetch_all(connection)
    .await?;
    rows.iter().map(row::report).collect()
}

pub(super) async fn reported(
    connection: &mut SqliteConnection,
    lease: &Lease,
) -> sqlx::Result<u64> {
    let reported = sqlx::query(
        "UPDATE openmail_events SET report_at = NULL
         WHERE id = ? AND token = ? AND +state = 'dead'",
    )
    .bind(lease.id.0)
    .bind(lease.token)
    .execute(connection)
    .await?;
    Ok(reported.rows_affected())
}

pub(super) async fn prune(
    connection: &mut SqliteConnection,
    retention: Retention,
    limit: i64,
    now: i64,
) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM (
             SELECT id FROM openmail_events INDEXED BY openmail_events_done
             WHERE state = 'done' AND ended_at <= ?4 - ?1 ORDER BY ended_at LIMIT ?3)
           UNION ALL
           SELECT id FROM (
             SELECT id FROM openmail_events INDEXED BY openmail_events_died
             WHERE state = 'dead' AND ended_at <= ?4 - ?2 ORDER BY ended_at LIMIT ?3)
           LIMIT ?3)",
    )
    .bind(millis(retention.done))
    .bind(millis(retention.dead))
    .bind(limit)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}
