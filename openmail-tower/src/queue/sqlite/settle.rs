//! What became of events.

use sqlx::{Row, SqliteConnection};

use crate::queue::{
    entry::{EntryId, NewReply, Retention},
    lease::{DeadReport, Lease},
    row::{self, letter_columns},
    settlement::Settlement,
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
    let (state, after) = settlement.state(lease);
    let changed = sqlx::query(
        "UPDATE openmail_events SET
           state = ?1, leased = 0, worker = NULL, token = token + 1,
           attempts = attempts - (?2 = 'back' OR (?2 IN ('release', 'hold') AND losses < 3)),
           losses = CASE WHEN ?2 = 'back' THEN losses WHEN losses >= 3 THEN 2 ELSE 0 END,
           releases = CASE ?2 WHEN 'release' THEN releases + 1 WHEN 'retry' THEN 0
             ELSE releases END,
           released_at = CASE ?2 WHEN 'release' THEN coalesce(released_at, now.ms)
             WHEN 'retry' THEN NULL ELSE released_at END,
           held = CASE ?2 WHEN 'hold' THEN 1 WHEN 'back' THEN held ELSE 0 END,
           due_at = now.ms + coalesce(?3, 0), last_error = coalesce(?4, last_error),
           ended_at = CASE WHEN ?3 IS NULL THEN now.ms END,
           report_at = CASE WHEN ?1 = 'dead' THEN now.ms END,
           body = CASE WHEN ?1 = 'done' THEN x'' ELSE body END
         FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) AS now
         WHERE id = ?5 AND token = ?6 AND state = 'ready' AND leased > 0",
    )
    .bind(state)
    .bind(settlement.name())
    .bind(after.map(millis))
    .bind(settlement.reason().map(text::error))
    .bind(lease.id.0)
    .bind(lease.token)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if changed == 0 {
        return Ok(0);
    }
    let mut lane = lease.lane.clone();
    if let Settlement::Done { replies } = settlement {
        for reply in replies {
            // Without a lane, the replies of one event still go in their order.
            let lane = lane.get_or_insert_with(|| format!("entry:{}", lease.id));
            add_reply(connection, lease.id, lane, reply).await?;
        }
    }
    if let Some(lane) = lane.filter(|_| state != "ready") {
        promote(connection, &lane).await?;
    }
    Ok(changed)
}

async fn add_reply(
    connection: &mut SqliteConnection,
    event: EntryId,
    lane: &str,
    reply: &NewReply,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO openmail_events
           (role, dedupe_key, lane, event_id, kind, inbox_id, thread_id, trace_context,
            state, due_at, queued_at, signed_at, weight, body)
         SELECT 0, ?1, ?2, event_id, ?3, inbox_id, thread_id, trace_context,
           'blocked', now.ms, now.ms, signed_at, length(?4), ?4
         FROM openmail_events,
           (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) AS now
         WHERE id = ?5
         ON CONFLICT (dedupe_key) DO NOTHING",
    )
    .bind(&*reply.key)
    .bind(lane)
    .bind(&*reply.kind)
    .bind(&*reply.body)
    .bind(event.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Has the next event of a lane take its turn, if no other has it.
pub(super) async fn promote(connection: &mut SqliteConnection, lane: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE openmail_events SET state = 'ready'
         WHERE id = (SELECT id FROM openmail_events INDEXED BY openmail_events_blocked
                     WHERE lane = ?1 AND state = 'blocked' ORDER BY role, id LIMIT 1)
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
           attempts = 0, losses = 0, releases = 0, released_at = NULL, held = 0,
           token = token + 1, ended_at = NULL, report_at = NULL,
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

/// Releases what is held or waits: of an inbox, of all, or one entry.
pub(super) async fn release(
    connection: &mut SqliteConnection,
    inbox_id: Option<&str>,
    id: Option<EntryId>,
) -> sqlx::Result<u64> {
    let released = sqlx::query(
        "UPDATE openmail_events SET held = 0, due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
         WHERE state IN ('ready', 'aside') AND leased = 0
           AND CASE WHEN ?1 IS NOT NULL THEN id = ?1
             ELSE held = 1 AND (?2 IS NULL OR inbox_id = ?2) END",
    )
    .bind(id.map(|id| id.0))
    .bind(inbox_id)
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

pub(super) async fn unreported(
    connection: &mut SqliteConnection,
    limit: i64,
    lease: i64,
) -> sqlx::Result<Vec<DeadReport>> {
    let rows = sqlx::query(concat!(
        "UPDATE openmail_events SET report_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1
         WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_report
           WHERE report_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
           ORDER BY report_at LIMIT ?2)
         RETURNING ",
        letter_columns!(),
        ", token"
    ))
    .bind(lease)
    .bind(limit)
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
         WHERE id = ? AND token = ? AND state = 'dead'",
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
) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM (
             SELECT id, ended_at FROM openmail_events INDEXED BY openmail_events_done
             WHERE state = 'done' AND ended_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1
             ORDER BY ended_at LIMIT ?3)
           UNION ALL
           SELECT id FROM (
             SELECT id, ended_at FROM openmail_events INDEXED BY openmail_events_died
             WHERE state = 'dead' AND ended_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2
             ORDER BY ended_at LIMIT ?3)
           LIMIT ?3)",
    )
    .bind(millis(retention.done))
    .bind(millis(retention.dead))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}
