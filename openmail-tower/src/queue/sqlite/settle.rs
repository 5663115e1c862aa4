//! What became of events.

use sqlx::{Row, SqliteConnection};

use crate::queue::{
    entry::{EntryId, Lease, Settlement},
    text,
};

use super::write::millis;

/// Which dead letters.
#[derive(Debug)]
pub(super) enum Which {
    One(EntryId),
    Inbox(String),
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    lease: &Lease,
    settlement: &Settlement,
) -> sqlx::Result<u64> {
    let (state, after, error, returned) = match settlement {
        Settlement::Done => ("done", None, None, false),
        Settlement::Bury { error } => ("dead", None, Some(error), false),
        Settlement::Release { after } => ("ready", Some(after), None, true),
        Settlement::Retry { after, error, holds_lane } => {
            let state = if *holds_lane || lease.lane.is_none() { "ready" } else { "aside" };
            (state, Some(after), Some(error), false)
        }
    };
    let changed = sqlx::query(
        "UPDATE openmail_events SET
           state = ?1, leased = 0, token = token + 1, attempts = attempts - (?2 AND leased = 1),
           due_at = now.ms + coalesce(?3, 0), last_error = coalesce(?4, last_error),
           ended_at = CASE WHEN ?3 IS NULL THEN now.ms END
         FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) AS now
         WHERE id = ?5 AND token = ?6 AND state = 'ready' AND leased > 0",
    )
    .bind(state)
    .bind(returned)
    .bind(after.copied().map(millis))
    .bind(error.map(|error| text::error(error)))
    .bind(lease.id.0)
    .bind(lease.token)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if let Some(lane) = lease.lane.as_deref().filter(|_| changed > 0 && state != "ready") {
        promote(connection, lane).await?;
    }
    Ok(changed)
}

/// Has the next event of a lane take its turn, if no other has it.
pub(super) async fn promote(connection: &mut SqliteConnection, lane: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE openmail_events SET state = 'ready'
         WHERE id = (SELECT id FROM openmail_events INDEXED BY openmail_events_blocked
                     WHERE lane = ?1 AND state = 'blocked' ORDER BY id LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM openmail_events WHERE lane = ?1 AND state = 'ready')",
    )
    .bind(lane)
    .execute(connection)
    .await?;
    Ok(())
}

macro_rules! requeue {
    () => {
        "UPDATE openmail_events SET
           state = CASE WHEN lane IS NULL THEN 'ready' ELSE 'blocked' END,
           attempts = 0, token = token + 1, ended_at = NULL,
           due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
         WHERE state = 'dead'"
    };
}

pub(super) async fn requeue(connection: &mut SqliteConnection, which: &Which) -> sqlx::Result<u64> {
    // One statement for both would look at every dead letter.
    let requeue = match which {
        Which::One(id) => {
            sqlx::query(concat!(requeue!(), " AND id = ?1 RETURNING lane")).bind(id.0)
        }
        Which::Inbox(inbox) => {
            sqlx::query(concat!(requeue!(), " AND inbox_id = ?1 RETURNING lane"))
                .bind(text::column(inbox))
        }
    };
    let rows = requeue.fetch_all(&mut *connection).await?;
    for row in &rows {
        if let Some(lane) = row.try_get(0)? {
            promote(connection, lane).await?;
        }
    }
    Ok(rows.len() as u64)
}

pub(super) async fn drop_dead(connection: &mut SqliteConnection, id: EntryId) -> sqlx::Result<u64> {
    let dropped = sqlx::query("DELETE FROM openmail_events WHERE id = ? AND state = 'dead'")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected())
}

pub(super) async fn prune(
    connection: &mut SqliteConnection,
    age: i64,
    limit: i64,
) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_done
           WHERE state = 'done' AND ended_at < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1
           ORDER BY ended_at LIMIT ?2)",
    )
    .bind(age)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}
