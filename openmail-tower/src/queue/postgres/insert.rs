//! What is enqueued at the same time is written in one transaction.

use std::{collections::HashSet, future::Future};

use crate::{
    queue::{batch::Apply, entry::NewEntry, error::QueueError},
    seam::within,
};
use sqlx::{Acquire, PgConnection, PgPool, Row};

use super::{
    lanes::{lock, promote},
    open::{PATIENCE, failed},
};

#[derive(Debug)]
pub(super) struct Inserter(pub(super) PgPool);

impl Apply for Inserter {
    type Op = NewEntry;
    type Answer = bool;

    async fn apply(&mut self, entries: &[NewEntry]) -> Result<Vec<bool>, QueueError> {
        in_time(async {
            let mut connection = self.0.acquire().await?;
            insert(&mut connection, entries).await
        })
        .await
    }

    fn size(entry: &NewEntry) -> usize {
        entry.stored.raw_body.len()
    }

    async fn close(self) {}
}

/// A connection may be cut without a sign.
pub(super) async fn in_time<T>(
    written: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, QueueError> {
    within(PATIENCE, async { written.await.map_err(failed) }, QueueError::late).await
}

async fn insert(connection: &mut PgConnection, entries: &[NewEntry]) -> sqlx::Result<Vec<bool>> {
    let texts = |column: fn(&NewEntry) -> Option<&str>| entries.iter().map(column).collect();
    let keys: Vec<Option<&str>> = texts(|entry| entry.key.as_deref());
    let lanes: Vec<Option<&str>> = texts(|entry| entry.lane.as_deref());
    let event_ids: Vec<Option<&str>> = texts(|entry| entry.event_id.as_deref());
    let kinds: Vec<Option<&str>> = texts(|entry| Some(&entry.kind));
    let inbox_ids: Vec<Option<&str>> = texts(|entry| entry.inbox_id.as_deref());
    let thread_ids: Vec<Option<&str>> = texts(|entry| entry.thread_id.as_deref());
    let signed_at: Vec<i64> =
        entries.iter().map(|entry| entry.stored.timestamp.try_into().unwrap_or(i64::MAX)).collect();
    let bodies: Vec<&[u8]> = entries.iter().map(|entry| &*entry.stored.raw_body).collect();
    let traces: Vec<Option<&str>> = texts(|entry| entry.trace_context.as_deref());
    let weights: Vec<i64> =
        entries.iter().map(|entry| entry.weight.try_into().unwrap_or(i64::MAX)).collect();

    let names: Vec<&str> = keys.iter().chain(&lanes).copied().flatten().collect();
    let mut transaction = connection.begin().await?;
    // Of two processes that add the same keys in another order, each would wait for the other.
    lock(&mut transaction, &names).await?;
    let rows = sqlx::query(
        "INSERT INTO openmail_events
           (dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
            trace_context, weight, state, due_at, queued_at)
         SELECT dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
           trace_context, weight,
           CASE WHEN lane IS NULL OR (place = 1 AND NOT EXISTS (
                  SELECT 1 FROM openmail_events AS first
                  WHERE first.lane = new.lane AND first.state = 'ready'))
             THEN 'ready' ELSE 'blocked' END,
           openmail_now(), openmail_now()
         FROM (
           SELECT *, row_number() OVER (PARTITION BY lane ORDER BY number) AS place
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                       $7::bigint[], $8::bytea[], $9::text[], $10::bigint[]) WITH ORDINALITY
             AS entry (dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
                       trace_context, weight, number)) AS new
         ORDER BY number
         ON CONFLICT (dedupe_key) DO NOTHING
         RETURNING dedupe_key",
    )
    .bind(&keys)
    .bind(&lanes)
    .bind(event_ids)
    .bind(kinds)
    .bind(inbox_ids)
    .bind(thread_ids)
    .bind(signed_at)
    .bind(bodies)
    .bind(traces)
    .bind(weights)
    .fetch_all(&mut *transaction)
    .await?;
    if rows.len() < entries.len() {
        // The first of a lane may have been a duplicate.
        let lanes: Vec<_> = lanes.iter().copied().flatten().collect();
        promote(&mut transaction, &lanes).await?;
    }
    notify(&mut transaction).await?;
    transaction.commit().await?;

    let inserted: Vec<Option<String>> =
        rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    let mut inserted: HashSet<&str> = inserted.iter().flatten().map(String::as_str).collect();
    // Of a key that is there twice, the first is the new one.
    Ok(keys.iter().map(|key| key.is_none_or(|key| inserted.remove(key))).collect())
}

/// Wakes the workers, once the transaction is committed.
pub(super) async fn notify(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_notify('openmail_events', current_schema())")
        .execute(connection)
        .await?;
    Ok(())
}
