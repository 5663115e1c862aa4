//! Leases: who may run what.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};

use crate::queue::{
    entry::EntryId,
    lease::{Claimed, Claims, Lease},
    request::ClaimRequest,
    row::{claimed, claimed_columns},
};

use super::{
    lanes::{lock, promote},
    store::millis,
};

/// How many candidates are looked at in one statement.
const PAGE: i64 = 256;

pub(super) async fn claim(pool: &PgPool, request: ClaimRequest) -> sqlx::Result<Claims> {
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
    let (ids, limited) = choose(&mut connection, &request).await?;
    let mut entries = Vec::new();
    if !ids.is_empty() {
        let rows = sqlx::query(concat!(
            "WITH due AS (
               SELECT id AS due FROM openmail_events
               WHERE id = ANY($3) AND state = 'ready' AND due_at <= openmail_now()
               ORDER BY id FOR UPDATE SKIP LOCKED)
             UPDATE openmail_events
             SET leased = 1, worker = $1, token = token + 1,
               attempts = attempts + (leased = 0)::int, losses = least(losses + leased, 3),
               due_at = openmail_now() + $2
             FROM due WHERE id = due
             RETURNING ",
            claimed_columns!(),
            ", openmail_now()"
        ))
        .bind(request.worker.0)
        .bind(millis(request.lease))
        .bind(ids)
        .fetch_all(&mut *connection)
        .await?;
        entries = rows.iter().map(claimed).collect::<sqlx::Result<Vec<Claimed>>>()?;
        entries.sort_by_key(|entry| entry.lease.id);
    }
    let suspects = !request.suspects && has_suspects(&mut connection, &request).await?;
    let more = entries.len() >= request.limit;
    let next_due = if more { None } else { next_due(&mut connection).await? };
    Ok(Claims { entries, next_due, limited, suspects })
}

/// Which entries are to be claimed, and whether others are due that do not fit.
async fn choose(
    connection: &mut PgConnection,
    request: &ClaimRequest,
) -> sqlx::Result<(Vec<i64>, bool)> {
    let held: Vec<i64> = request.held.iter().map(|id| id.0).collect();
    let mut choice = request.choice();
    let (mut due_at, mut id) = (i64::MIN, i64::MIN);
    loop {
        let full: Vec<String> = choice.full_inboxes().map(ToOwned::to_owned).collect();
        let left_out = !full.is_empty();
        let rows: Vec<PgRow> = sqlx::query(
            "SELECT id, inbox_id, weight, due_at FROM openmail_events
             WHERE state = 'ready' AND due_at <= openmail_now()
               AND (due_at, id) > ($1, $2) AND (losses + leased >= 2) = $3 AND ($4 OR role = 1)
               AND (inbox_id IS NULL OR inbox_id <> ALL($5)) AND NOT (leased = 1 AND id = ANY($6))
             ORDER BY due_at, id LIMIT $7",
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
            return Ok((choice.into_ids().iter().map(|id| id.0).collect(), limited));
        }
    }
}

async fn has_suspects(connection: &mut PgConnection, request: &ClaimRequest) -> sqlx::Result<bool> {
    let held: Vec<i64> = request.held.iter().map(|id| id.0).collect();
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM openmail_events
           WHERE state = 'ready' AND due_at <= openmail_now() AND losses + leased >= 2
             AND NOT (leased = 1 AND id = ANY($1)) AND ($2 OR role = 1))",
    )
    .bind(held)
    .bind(request.replies)
    .fetch_one(connection)
    .await
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
        "SELECT least((SELECT min(due_at) FROM openmail_events
                       WHERE state = 'ready' AND due_at > openmail_now()),
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
