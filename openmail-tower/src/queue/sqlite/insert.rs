//! Inserts events. Those that arrive at the same time share one statement.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use crate::queue::{entry::NewEntry, sql::many};

/// An entry without its body. JSON cannot hold bytes, so the bodies are passed concatenated.
#[derive(Serialize)]
struct Added<'a>(
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    i64,
    i64,
    &'static str,
    usize,
    usize,
);

/// Adds the entries whose keys are new. Returns for each entry whether it was added.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entries: &[&NewEntry],
    now: i64,
) -> sqlx::Result<Vec<bool>> {
    let mut taken = taken(connection, entries).await?;
    let (mut rows, mut bodies, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let is_new = entry.key.as_deref().is_none_or(|key| taken.keys.insert(key.to_owned()));
        new.push(is_new);
        if is_new {
            let is_first =
                entry.lane.as_deref().is_none_or(|lane| taken.lanes.insert(lane.to_owned()));
            rows.push(Added(
                entry.key.as_deref(),
                entry.lane.as_deref(),
                entry.event_id.as_deref(),
                &entry.kind,
                entry.inbox_id.as_deref(),
                entry.thread_id.as_deref(),
                entry.trace_context.as_deref(),
                many(entry.weight),
                many(entry.stored.timestamp),
                if is_first { "ready" } else { "blocked" },
                bodies.len() + 1,
                entry.stored.raw_body.len(),
            ));
            bodies.extend_from_slice(&entry.stored.raw_body);
        }
    }
    if rows.is_empty() {
        return Ok(new);
    }
    // In SQLite, `substr` of an empty blob is NULL.
    bodies.push(0);
    sqlx::query(
        "INSERT INTO openmail_events
           (dedupe_key, lane, event_id, kind, inbox_id, thread_id, trace_context, weight,
            signed_at, state, due_at, queued_at, body)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8, value ->> 9, ?3, ?3,
           substr(?2, value ->> 10, value ->> 11)
         FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .bind(bodies)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(new)
}

/// The keys that already have an entry, and the lanes whose next entry must wait.
#[derive(Default)]
struct Taken {
    keys: HashSet<String>,
    lanes: HashSet<String>,
}

async fn taken(connection: &mut SqliteConnection, entries: &[&NewEntry]) -> sqlx::Result<Taken> {
    let keys: Vec<_> = entries.iter().filter_map(|entry| entry.key.as_deref()).collect();
    let lanes: HashSet<_> = entries.iter().filter_map(|entry| entry.lane.as_deref()).collect();
    let rows = sqlx::query(
        "SELECT value, 0 FROM json_each(?1)
         WHERE EXISTS (SELECT 1 FROM openmail_events WHERE dedupe_key = value)
         UNION ALL
         SELECT value, 1 FROM json_each(?2)
         WHERE EXISTS (SELECT 1 FROM openmail_events WHERE lane = value AND state = 'ready')",
    )
    .bind(json(&keys)?)
    .bind(json(&lanes)?)
    .fetch_all(connection)
    .await?;
    let mut taken = Taken::default();
    for row in &rows {
        let into = if row.try_get(1)? { &mut taken.lanes } else { &mut taken.keys };
        into.insert(row.try_get(0)?);
    }
    Ok(taken)
}

pub(super) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
