//! Leases: who may run what.

use std::time::Duration;

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::queue::{
    entry::EntryId,
    lease::{Claimed, Claims, Lease},
    request::ClaimRequest,
    row::{claimed, claimed_columns},
};

use super::{settle::promote, write::millis};

/// How many candidates are looked at in one statement.
const PAGE: i64 = 256;

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
) -> sqlx::Result<Claims> {
    back_into_lanes(connection).await?;
    let (ids, limited) = choose(connection, request).await?;
    let mut entries = Vec::new();
    if !ids.is_empty() {
        let rows = sqlx::query(concat!(
            "UPDATE openmail_events
             SET leased = 1, worker = ?1, token = token + 1,
               attempts = attempts + (leased = 0), losses = min(losses + leased, 3),
               due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
             WHERE id IN (SELECT value FROM json_each(?3)) AND state = 'ready'
             RETURNING ",
            claimed_columns!(),
            ", CAST(unixepoch('subsec') * 1000 AS INTEGER)"
        ))
        .bind(request.worker.0)
        .bind(millis(request.lease))
        .bind(json(ids.iter()))
        .fetch_all(&mut *connection)
        .await?;
        entries = rows.iter().map(claimed).collect::<sqlx::Result<Vec<Claimed>>>()?;
        entries.sort_by_key(|entry| entry.lease.id);
    }
    let suspects = !request.suspects && has_suspects(connection, request).await?;
    let next_due = next_due(connection).await?;
    Ok(Claims { entries, next_due, limited, suspects })
}

/// Which entries are to be claimed, and whether others are due that do not fit.
async fn choose(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
) -> sqlx::Result<(Vec<EntryId>, bool)> {
    let held = json(request.held.iter());
    let mut choice = request.choice();
    let (mut due_at, mut id) = (i64::MIN, i64::MIN);
    loop {
        let full = serde_json::Value::from_iter(choice.full_inboxes()).to_string();
        let left_out = full.len() > 2;
        let rows: Vec<SqliteRow> = sqlx::query(
            "SELECT id, inbox_id, weight, due_at FROM openmail_events
             WHERE state = 'ready' AND due_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
               AND (due_at, id) > (?1, ?2) AND (losses + leased >= 2) = ?3 AND (?4 OR role = 1)
               AND (inbox_id IS NULL OR inbox_id NOT IN (SELECT value FROM json_each(?5)))
               AND NOT (leased AND id IN (SELECT value FROM json_each(?6)))
             ORDER BY due_at, id LIMIT ?7",
        )
        .bind(due_at)
        .bind(id)
        .bind(request.suspects)
        .bind(request.replies)
        .bind(full)
        .bind(&held)
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            (id, due_at) = (row.try_get(0)?, row.try_get(3)?);
            let weight = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0);
            choice.offer(EntryId(id), row.try_get(1)?, weight);
        }
        if choice.is_full() || rows.len() < usize::try_from(PAGE).unwrap_or(0) {
            let limited = choice.is_limited() || left_out;
            return Ok((choice.into_ids(), limited));
        }
    }
}

fn json<'a>(ids: impl Iterator<Item = &'a EntryId>) -> String {
    serde_json::Value::from_iter(ids.map(|id| id.0)).to_string()
}

async fn has_suspects(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM openmail_events
           WHERE state = 'ready' AND due_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
             AND losses + leased >= 2 AND NOT (leased AND id IN (SELECT value FROM json_each(?1)))
             AND (?2 OR role = 1))",
    )
    .bind(json(request.held.iter()))
    .bind(request.replies)
    .fetch_one(connection)
    .await
}

/// Those that were set aside and are due take their place in their lanes again.
async fn back_into_lanes(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let lanes = sqlx::query(
        "UPDATE openmail_events SET state = 'blocked'
         WHERE state = 'aside' AND due_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
         RETURNING lane",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in lanes {
        promote(connection, row.try_get(0)?).await?;
    }
    Ok(())
}

async fn next_due(connection: &mut SqliteConnection) -> sqlx::Result<Option<Duration>> {
    let row = sqlx::query(
        "WITH now AS (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms)
         SELECT min(due_at) - ms FROM now, (
           SELECT (SELECT min(due_at) FROM openmail_events, now
                   WHERE state = 'ready' AND due_at > ms) AS due_at
           UNION ALL
           SELECT (SELECT min(due_at) FROM openmail_events WHERE state = 'aside'))",
    )
    .fetch_one(connection)
    .await?;
    let wait: Option<i64> = row.try_get(0)?;
    Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    leases: &[Lease],
    lease: i64,
) -> sqlx::Result<Vec<EntryId>> {
    let mut lost = Vec::new();
    for held in leases {
        let renewed = sqlx::query(
            "UPDATE openmail_events SET due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1
             WHERE id = ?2 AND token = ?3 AND state = 'ready' AND leased > 0",
        )
        .bind(lease)
        .bind(held.id.0)
        .bind(held.token)
        .execute(&mut *connection)
        .await?;
        if renewed.rows_affected() == 0 {
            lost.push(held.id);
        }
    }
    Ok(lost)
}
