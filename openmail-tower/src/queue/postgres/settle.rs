//! What became of events.

use std::collections::HashSet;

use sqlx::{Acquire, PgConnection, PgPool, Row, postgres::PgRow};

use crate::queue::{
    batch::Apply,
    entry::{EntryId, Lease, Settlement},
    error::QueueError,
    text,
};

use super::{
    insert::{in_time, notify},
    lanes::{lock, promote},
    store::millis,
};

#[derive(Debug)]
pub(super) struct Settler(pub(super) PgPool);

impl Apply for Settler {
    type Op = (Lease, Settlement);
    type Answer = bool;

    async fn apply(&mut self, ended: &[(Lease, Settlement)]) -> Result<Vec<bool>, QueueError> {
        in_time(async {
            let mut connection = self.0.acquire().await?;
            settle(&mut connection, ended).await
        })
        .await
    }

    fn size(_: &(Lease, Settlement)) -> usize {
        0
    }

    async fn close(self) {}
}

async fn settle(
    connection: &mut PgConnection,
    ended: &[(Lease, Settlement)],
) -> sqlx::Result<Vec<bool>> {
    let (mut ids, mut tokens, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let (mut after, mut errors, mut returned) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lanes, mut wakes) = (Vec::new(), false);
    for (lease, settlement) in ended {
        let lane = lease.lane.as_deref();
        let (state, wait, error, back) = match settlement {
            Settlement::Done => ("done", None, None, false),
            Settlement::Bury { error } => ("dead", None, Some(error), false),
            Settlement::Release { after } => ("ready", Some(after), None, true),
            Settlement::Retry { after, error, holds_lane } => {
                let state = if *holds_lane || lane.is_none() { "ready" } else { "aside" };
                (state, Some(after), Some(error), false)
            }
        };
        ids.push(lease.id.0);
        tokens.push(lease.token);
        states.push(state);
        after.push(wait.copied().map(millis));
        errors.push(error.map(|error| text::error(error)));
        returned.push(back);
        lanes.extend(lane.filter(|_| state != "ready"));
        // What ends an event without a lane makes no other due.
        wakes |= lane.is_some() || !settlement.is_final();
    }
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, &lanes).await?;
    let rows = sqlx::query(
        "WITH ended AS (
           SELECT event.id, new.state, new.after, new.error, new.returned
           FROM openmail_events AS event
           JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[],
                       $6::boolean[]) AS new (id, token, state, after, error, returned)
             ON event.id = new.id
           WHERE event.token = new.token AND event.state = 'ready' AND event.leased > 0
           ORDER BY event.id FOR UPDATE OF event)
         UPDATE openmail_events AS event SET
           state = ended.state, leased = 0, token = token + 1,
           attempts = attempts - (ended.returned AND leased = 1)::int,
           due_at = openmail_now() + coalesce(ended.after, 0),
           last_error = coalesce(ended.error, last_error),
           ended_at = CASE WHEN ended.after IS NULL THEN openmail_now() END
         FROM ended WHERE event.id = ended.id
         RETURNING event.id, event.token - 1",
    )
    .bind(&ids)
    .bind(&tokens)
    .bind(states)
    .bind(after)
    .bind(errors)
    .bind(returned)
    .fetch_all(&mut *transaction)
    .await?;
    promote(&mut transaction, &lanes).await?;
    if wakes {
        notify(&mut transaction).await?;
    }
    transaction.commit().await?;
    let mut changed = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<HashSet<(i64, i64)>>>()?;
    Ok(ids.into_iter().zip(tokens).map(|held| changed.remove(&held)).collect())
}

/// Has dead letters run again: the one, or up to `limit` of those of the inbox with ids above `id`.
/// Gives their ids.
pub(super) async fn requeue(
    pool: &PgPool,
    id: i64,
    inbox: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    let mut connection = pool.acquire().await?;
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
    let rows = find.fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    let lane = |row: &PgRow| row.try_get::<Option<String>, _>(1);
    let lanes = rows.iter().map(lane).collect::<sqlx::Result<Vec<_>>>()?;
    let lanes: Vec<&str> = lanes.iter().flatten().map(String::as_str).collect();
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, &lanes).await?;
    let rows = sqlx::query(
        "UPDATE openmail_events SET
           state = CASE WHEN lane IS NULL THEN 'ready' ELSE 'blocked' END,
           attempts = 0, token = token + 1, ended_at = NULL, due_at = openmail_now()
         WHERE state = 'dead' AND id = ANY($1) RETURNING id",
    )
    .bind(&ids)
    .fetch_all(&mut *transaction)
    .await?;
    promote(&mut transaction, &lanes).await?;
    notify(&mut transaction).await?;
    transaction.commit().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

pub(super) async fn drop_dead(pool: &PgPool, id: EntryId) -> sqlx::Result<bool> {
    let dropped = sqlx::query("DELETE FROM openmail_events WHERE id = $1 AND state = 'dead'")
        .bind(id.0)
        .execute(pool)
        .await?;
    Ok(dropped.rows_affected() > 0)
}

pub(super) async fn prune(pool: &PgPool, age: i64, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM openmail_events
           WHERE state = 'done' AND ended_at < openmail_now() - $1
           ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(age)
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
