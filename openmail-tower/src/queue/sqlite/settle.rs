//! Settles leases.

use std::{borrow::Cow, collections::HashSet};

use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use crate::queue::{
    lease::Lease,
    settlement::Settlement,
    sql::{error_text, millis},
};

use super::{insert::json, lanes::promote};

/// The id, the token, the settlement's name, the state that it leads to, the delay, and the error.
#[derive(Serialize)]
struct Ended<'a>(i64, i64, &'a str, &'a str, Option<i64>, Option<String>);

/// Settles leases. Returns for each whether it was settled: `false` if it was lost.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    ended: &[(&Lease, &Settlement)],
    now: i64,
) -> sqlx::Result<Vec<bool>> {
    let (mut done, mut others) = (Vec::new(), Vec::new());
    for (lease, settlement) in ended {
        let (state, after) = settlement.state(lease);
        let error = settlement.reason().map(error_text::stored);
        let (name, after) = (settlement.name(), after.map(millis));
        let into = if state == "done" { &mut done } else { &mut others };
        into.push(Ended(lease.id.0, lease.token, name, state, after, error));
    }
    let mut changed = HashSet::new();
    finish(connection, &done, now, &mut changed).await?;
    put_back(connection, &others, now, &mut changed).await?;

    // A lease that appears twice was settled only once.
    let settled: Vec<bool> =
        ended.iter().map(|(lease, _)| changed.remove(&(lease.id.0, lease.token))).collect();
    let ended = || ended.iter().zip(&settled).filter(|(_, settled)| **settled).map(|(it, _)| *it);
    add_replies(connection, ended(), now).await?;
    let lanes: Vec<Cow<'_, str>> = ended()
        .filter(|(lease, settlement)| settlement.state(lease).0 != "ready")
        .filter_map(|(lease, settlement)| lane(lease, settlement))
        .collect();
    let lanes: Vec<&str> = lanes.iter().map(|lane| &**lane).collect();
    promote(connection, &lanes).await?;
    Ok(settled)
}

type Changed = HashSet<(i64, i64)>;

/// Finishes entries that are done, which removes their bodies.
async fn finish(
    connection: &mut SqliteConnection,
    ended: &[Ended<'_>],
    now: i64,
    changed: &mut Changed,
) -> sqlx::Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "UPDATE openmail_events SET
           state = 'done', leased = 0, worker = NULL, token = token + 1, held = 0, losses = 0,
           due_at = ?2, ended_at = ?2, body = x''
         FROM json_each(?1) AS ended
         WHERE openmail_events.id = ended.value ->> 0 AND token = ended.value ->> 1
           AND +state = 'ready' AND +leased = 1
         RETURNING openmail_events.id, token - 1",
    )
    .bind(json(&ended)?)
    .bind(now)
    .fetch_all(connection)
    .await?;
    for row in &rows {
        changed.insert((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(())
}

/// Updates all other entries, which keep their bodies.
async fn put_back(
    connection: &mut SqliteConnection,
    ended: &[Ended<'_>],
    now: i64,
    changed: &mut Changed,
) -> sqlx::Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "UPDATE openmail_events SET
           state = ended.state, leased = 0, worker = NULL,
           token = openmail_events.token + 1,
           attempts = attempts - (name = 'back' OR (name IN ('release', 'put_off', 'hold') AND losses < 3)),
           losses = CASE WHEN name = 'back' THEN losses WHEN losses >= 3 THEN 2 ELSE 0 END,
           releases = CASE WHEN name IN ('release', 'put_off') THEN releases + 1
             WHEN name = 'retry' THEN 0 ELSE releases END,
           released_at = CASE WHEN name = 'release' THEN coalesce(released_at, ?2)
             WHEN name IN ('retry', 'put_off') THEN NULL ELSE released_at END,
           put_off_at = CASE WHEN name IN ('put_off', 'hold') THEN coalesce(put_off_at, ?2)
             ELSE put_off_at END,
           held = CASE name WHEN 'hold' THEN held <> 2 WHEN 'back' THEN held % 2 ELSE 0 END,
           due_at = ?2 + iif(name = 'hold' AND held = 2, 0, coalesce(after, 0)),
           last_error = coalesce(error, last_error),
           ended_at = iif(after IS NULL, ?2, NULL),
           report_at = iif(ended.state = 'dead', ?2, NULL)
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS name,
                 value ->> 3 AS state, value ->> 4 AS after, value ->> 5 AS error
               FROM json_each(?1)) AS ended
         WHERE openmail_events.id = ended.id AND openmail_events.token = ended.token
           AND +openmail_events.state = 'ready' AND +leased = 1
         RETURNING openmail_events.id, openmail_events.token - 1",
    )
    .bind(json(&ended)?)
    .bind(now)
    .fetch_all(connection)
    .await?;
    for row in &rows {
        changed.insert((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(())
}

/// Returns the lane of an entry and of its replies. If the entry has none, its replies share a lane
/// of their own, which keeps their order.
fn lane<'a>(lease: &'a Lease, settlement: &Settlement) -> Option<Cow<'a, str>> {
    match &lease.lane {
        Some(lane) => Some(lane.into()),
        None => settlement.has_replies().then(|| format!("entry:{}", lease.id).into()),
    }
}

/// The event, the lane, the key, the kind, the start and the length of the reply's body in the
/// concatenated bodies, and whether the reply is the first one of its event.
#[derive(Serialize)]
struct Reply<'a>(i64, Cow<'a, str>, &'a str, &'a str, usize, usize, bool);

async fn add_replies<'a>(
    connection: &mut SqliteConnection,
    ended: impl Iterator<Item = (&'a Lease, &'a Settlement)>,
    now: i64,
) -> sqlx::Result<()> {
    let (mut rows, mut bodies) = (Vec::new(), Vec::new());
    for (lease, settlement) in ended {
        let Settlement::Done { replies } = settlement else { continue };
        for (place, reply) in replies.iter().enumerate() {
            let Some(lane) = lane(lease, settlement) else { continue };
            let (at, length) = (bodies.len() + 1, reply.body.len());
            rows.push(Reply(lease.id.0, lane, &reply.key, &reply.kind, at, length, place == 0));
            bodies.extend_from_slice(&reply.body);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    // In SQLite, `substr` of an empty blob is NULL.
    bodies.push(0);
    sqlx::query(
        "INSERT INTO openmail_events
           (role, dedupe_key, lane, event_id, kind, inbox_id, thread_id, trace_context,
            state, due_at, queued_at, signed_at, weight, body)
         SELECT 0, value ->> 2, value ->> 1, event_id, value ->> 3, inbox_id, thread_id,
           trace_context,
           -- The event has just left its lane. Its replies follow earlier ones.
           iif(value ->> 6 AND NOT EXISTS (
               SELECT 1 FROM openmail_events
               WHERE lane = new.value ->> 1 AND state = 'blocked' AND role = 0),
             'ready', 'blocked'),
           ?3, ?3, signed_at, value ->> 5,
           substr(?2, value ->> 4, value ->> 5)
         FROM json_each(?1) AS new CROSS JOIN openmail_events AS event
         WHERE event.id = new.value ->> 0
         ORDER BY new.key
         ON CONFLICT (dedupe_key) DO NOTHING",
    )
    .bind(json(&rows)?)
    .bind(bodies)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}
