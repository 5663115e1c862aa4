//! Leases: who may run what.

use std::time::Duration;

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    queue::entry::{Claimed, Claims, EntryId, Lease},
    seam::StoredEvent,
};

use super::settle::promote;

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    limit: i64,
    lease: i64,
) -> sqlx::Result<Claims> {
    back_into_lanes(connection).await?;
    let rows = sqlx::query(
        "UPDATE openmail_events
         SET leased = min(leased + 1, 2), token = token + 1, attempts = attempts + (leased = 0),
             due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1
         WHERE id IN (
           SELECT id FROM openmail_events INDEXED BY openmail_events_due
           WHERE state = 'ready' AND due_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER)
           ORDER BY due_at, id LIMIT ?2)
         RETURNING id, token, lane, attempts, leased = 2, signed_at, body",
    )
    .bind(lease)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut events = rows.iter().map(claimed).collect::<sqlx::Result<Vec<_>>>()?;
    events.sort_by_key(|event| event.lease.id);
    let next_due = next_due(connection).await?;
    Ok(Claims { events, next_due })
}

fn claimed(row: &SqliteRow) -> sqlx::Result<Claimed> {
    let lease = Lease::new(EntryId(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?);
    let attempt = u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX);
    let timestamp = u64::try_from(row.try_get::<i64, _>(5)?).unwrap_or(0);
    let raw_body = row.try_get::<Vec<u8>, _>(6)?.into();
    Ok(Claimed::new(lease, attempt, row.try_get(4)?, StoredEvent { raw_body, timestamp }))
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
        "SELECT min(due_at) - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM (
           SELECT (SELECT min(due_at) FROM openmail_events WHERE state = 'ready') AS due_at
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
