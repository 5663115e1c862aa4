//! Leases: who may run what.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};

use crate::{
    queue::entry::{Claimed, Claims, EntryId, Lease},
    seam::StoredEvent,
};

use super::lanes::{lock, promote};

pub(super) async fn claim(pool: &PgPool, limit: i64, lease: i64) -> sqlx::Result<Claims> {
    let mut connection = pool.acquire().await?;
    let aside = sqlx::query(
        "SELECT lane FROM openmail_events
         WHERE state = 'aside' AND due_at <= openmail_now() ORDER BY due_at LIMIT 256",
    )
    .fetch_all(&mut *connection)
    .await?;
    if !aside.is_empty() {
        back_into_lanes(&mut connection, &aside).await?;
    }
    let rows = sqlx::query(
        "WITH due AS (
           SELECT id FROM openmail_events
           WHERE state = 'ready' AND due_at <= openmail_now()
           ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
         UPDATE openmail_events AS event
         SET leased = least(leased + 1, 2), token = token + 1,
           attempts = attempts + (leased = 0)::int, due_at = openmail_now() + $1
         FROM due WHERE event.id = due.id
         RETURNING event.id, token, lane, attempts, leased = 2, signed_at, body",
    )
    .bind(lease)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut events = rows.iter().map(claimed).collect::<sqlx::Result<Vec<_>>>()?;
    events.sort_by_key(|event| event.lease.id);
    let more = i64::try_from(events.len()).is_ok_and(|count| count >= limit);
    let next_due = if more { None } else { next_due(&mut connection).await? };
    Ok(Claims { events, next_due })
}

fn claimed(row: &PgRow) -> sqlx::Result<Claimed> {
    let lease = Lease::new(EntryId(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?);
    let attempt = u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX);
    let timestamp = u64::try_from(row.try_get::<i64, _>(5)?).unwrap_or(0);
    let raw_body = row.try_get::<Vec<u8>, _>(6)?.into();
    Ok(Claimed::new(lease, attempt, row.try_get(4)?, StoredEvent { raw_body, timestamp }))
}

/// Those that were set aside and are due take their place in their lanes again.
async fn back_into_lanes(connection: &mut PgConnection, rows: &[PgRow]) -> sqlx::Result<()> {
    let lanes = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<&str>>>()?;
    let mut transaction = sqlx::Acquire::begin(connection).await?;
    lock(&mut transaction, &lanes).await?;
    sqlx::query(
        "UPDATE openmail_events SET state = 'blocked'
         WHERE state = 'aside' AND due_at <= openmail_now() AND lane = ANY($1)",
    )
    .bind(&lanes)
    .execute(&mut *transaction)
    .await?;
    promote(&mut transaction, &lanes).await?;
    transaction.commit().await
}

async fn next_due(connection: &mut PgConnection) -> sqlx::Result<Option<Duration>> {
    let row = sqlx::query(
        "SELECT least((SELECT min(due_at) FROM openmail_events WHERE state = 'ready'),
                      (SELECT min(due_at) FROM openmail_events WHERE state = 'aside'))
                - openmail_now()",
    )
    .fetch_one(connection)
    .await?;
    let wait: Option<i64> = row.try_get(0)?;
    Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
}

pub(super) async fn renew(
    pool: &PgPool,
    leases: &[Lease],
    lease: i64,
) -> sqlx::Result<Vec<EntryId>> {
    let (ids, tokens): (Vec<_>, Vec<_>) = leases.iter().map(|it| (it.id.0, it.token)).unzip();
    // The rows are locked in order, so that two who renew or settle never wait for each other.
    let rows = sqlx::query(
        "WITH held AS (
           SELECT event.id, event.token FROM openmail_events AS event
           JOIN unnest($2::bigint[], $3::bigint[]) AS held (id, token) ON event.id = held.id
           WHERE event.token = held.token AND state = 'ready' AND leased > 0
           ORDER BY event.id FOR UPDATE OF event)
         UPDATE openmail_events AS event SET due_at = openmail_now() + $1
         FROM held WHERE event.id = held.id
         RETURNING event.id, event.token",
    )
    .bind(lease)
    .bind(ids)
    .bind(tokens)
    .fetch_all(pool)
    .await?;
    let renewed = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<Vec<(i64, i64)>>>()?;
    let lost = leases.iter().filter(|lease| !renewed.contains(&(lease.id.0, lease.token)));
    Ok(lost.map(|lease| lease.id).collect())
}
