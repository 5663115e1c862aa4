//! Inserts events. Those that arrive at the same time share one transaction.

use std::{borrow::Cow, collections::HashSet};

use sqlx::Row;

use crate::queue::{
    entry::NewEntry,
    error::QueueError,
    sql::{batch::Apply, many},
};

use super::{
    database::{Database, in_time, patience},
    lanes::{lock, promote},
    store::Bell,
};

#[derive(Debug)]
pub(super) struct Inserter {
    pub(super) database: Database,
    pub(super) bell: Bell,
}

impl Apply for Inserter {
    type Op = NewEntry;
    type Answer = bool;

    async fn apply(&mut self, entries: &[NewEntry]) -> Result<Vec<bool>, QueueError> {
        let size: usize = entries.iter().map(Self::size).sum();
        in_time(patience(size), insert(&self.database, &self.bell, entries)).await
    }

    fn size(entry: &NewEntry) -> usize {
        entry.stored.raw_body.len()
    }

    async fn close(self) {}
}

macro_rules! insert {
    () => {
        "INSERT INTO openmail_events
           (dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
            trace_context, weight, state, due_at, queued_at)
         SELECT dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
           trace_context, weight,
           CASE WHEN lane IS NULL OR (place = 1 AND (
                  SELECT first.id FROM openmail_events AS first
                  WHERE first.lane = new.lane AND first.state = 'ready') IS NULL)
             THEN 'ready' ELSE 'blocked' END,
           now, now
         FROM (
           SELECT *, row_number() OVER (PARTITION BY lane ORDER BY number) AS place,
             (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                       $7::bigint[], $8::bytea[], $9::text[], $10::bigint[]) WITH ORDINALITY
             AS entry (dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
                       trace_context, weight, number)) AS new
         ORDER BY number
         ON CONFLICT (dedupe_key) DO NOTHING
         RETURNING dedupe_key"
    };
}

async fn insert(database: &Database, bell: &Bell, entries: &[NewEntry]) -> sqlx::Result<Vec<bool>> {
    let facts = database.facts().await?;
    let texts = |column: fn(&NewEntry) -> Option<&str>| {
        let text = |entry| column(entry).map(|text| facts.held(text));
        entries.iter().map(text).collect()
    };
    let keys: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.key.as_deref());
    let lanes: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.lane.as_deref());
    let event_ids: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.event_id.as_deref());
    let kinds: Vec<Option<Cow<'_, str>>> = texts(|entry| Some(&entry.kind));
    let inbox_ids: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.inbox_id.as_deref());
    let thread_ids: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.thread_id.as_deref());
    let traces: Vec<Option<Cow<'_, str>>> = texts(|entry| entry.trace_context.as_deref());
    let signed_at: Vec<i64> = entries.iter().map(|entry| many(entry.stored.timestamp)).collect();
    let weights: Vec<i64> = entries.iter().map(|entry| many(entry.weight)).collect();
    let bodies: Vec<&[u8]> = entries.iter().map(|entry| &*entry.stored.raw_body).collect();

    // Without a common order, two processes that add the same events could wait for each other.
    // Deliveries of one event have the same lane or, without one, the same key.
    let names =
        lanes.iter().zip(&keys).filter_map(|(lane, key)| lane.as_deref().or(key.as_deref()));
    let mut work = database.begin(&lock(names)).await?;
    let rows = sqlx::query(insert!())
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
        .fetch_all(&mut *work)
        .await?;
    if rows.len() < entries.len() {
        // The first entry of a lane may have been a duplicate, so the lane may still need a ready
        // entry.
        let lanes: Vec<_> = lanes.iter().filter_map(Option::as_deref).collect();
        promote(&mut work, &lanes).await?;
    }
    if rows.is_empty() {
        work.commit().await?;
    } else {
        work.commit_with(bell.others()).await?;
        bell.ring();
    }

    let inserted: Vec<Option<String>> =
        rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    let mut inserted: HashSet<&str> = inserted.iter().flatten().map(String::as_str).collect();
    // If a key appears twice, the first entry is the new one.
    Ok(keys.iter().map(|key| key.as_deref().is_none_or(|key| inserted.remove(key))).collect())
}
