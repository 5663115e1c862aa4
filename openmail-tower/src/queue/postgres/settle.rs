//! Settles leases.

use std::{borrow::Cow, collections::HashSet};

use sqlx::{PgConnection, Row};

use crate::queue::{
    error::{QueueError, QueueErrorKind},
    lease::Lease,
    settlement::Settlement,
    sql::{batch::Apply, error_text, millis},
};

use super::{
    database::{Database, in_time, patience},
    lanes::{lock, promote},
    store::Bell,
};

#[derive(Debug)]
pub(super) struct Settler {
    pub(super) database: Database,
    pub(super) bell: Bell,
}

impl Apply for Settler {
    type Op = (Lease, Settlement);
    type Answer = bool;

    async fn apply(&mut self, ended: &[(Lease, Settlement)]) -> Result<Vec<bool>, QueueError> {
        let limit = patience(ended.iter().map(Self::size).sum());
        let settle = |reason| settle(&self.database, &self.bell, ended, reason);
        match in_time(limit, settle(error_text::stored)).await {
            // An error text that the database cannot represent must not prevent the settlement.
            Err(error) if error.kind() == QueueErrorKind::Refused && ended.len() == 1 => {
                in_time(limit, settle(error_text::stored_in_ascii)).await
            }
            settled => settled,
        }
    }

    fn size((_, settlement): &(Lease, Settlement)) -> usize {
        settlement.size()
    }

    async fn close(self) {}
}

/// Gives back leases of entries that were not run.
pub(super) async fn give_back(
    database: &Database,
    bell: &Bell,
    leases: Vec<Lease>,
) -> sqlx::Result<()> {
    let ended: Vec<_> = leases.into_iter().map(|lease| (lease, Settlement::GiveBack)).collect();
    settle(database, bell, &ended, error_text::stored).await.map(drop)
}

async fn settle(
    database: &Database,
    bell: &Bell,
    ended: &[(Lease, Settlement)],
    reason: fn(&str) -> String,
) -> sqlx::Result<Vec<bool>> {
    let (mut ids, mut tokens, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut states, mut after, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lanes, mut wakes) = (Vec::new(), false);
    for (lease, settlement) in ended {
        let (state, wait) = settlement.state(lease);
        ids.push(lease.id.0);
        tokens.push(lease.token);
        names.push(settlement.name());
        states.push(state);
        after.push(wait.map(millis));
        errors.push(settlement.reason().map(reason));
        lanes.extend(lane(lease, settlement).filter(|_| state != "ready"));
        wakes |= wait.is_some() || settlement.has_replies();
    }
    let facts = database.facts().await?;
    let replies = ended.iter().filter_map(|(lease, settlement)| match settlement {
        Settlement::Done { replies } => Some((lease, settlement, replies)),
        _ => None,
    });
    let lanes: Vec<&str> = lanes.iter().map(|lane| &**lane).collect();
    let mut work = database.begin(&lock(lanes.iter().copied())).await?;
    let changed = end(&mut work, &ids, &tokens, names, states, after, errors).await?;
    let mut new = Replies::default();
    for (lease, settlement, replies) in replies {
        if let Some(lane) = lane(lease, settlement)
            && changed.contains(&(lease.id.0, lease.token))
        {
            for (place, reply) in replies.iter().enumerate() {
                new.events.push(lease.id.0);
                new.lanes.push(lane.clone());
                new.keys.push(facts.column(&reply.key));
                new.kinds.push(facts.column(&reply.kind));
                new.bodies.push(&*reply.body);
                new.are_first.push(place == 0);
            }
        }
    }
    add_replies(&mut work, new).await?;
    let promoted = promote(&mut work, &lanes).await?;
    if wakes || promoted > 0 {
        work.commit_with(bell.others()).await?;
        bell.ring();
    } else {
        work.commit().await?;
    }
    let mut changed = changed;
    // A lease that appears twice was settled only once.
    Ok(ids.into_iter().zip(tokens).map(|held| changed.remove(&held)).collect())
}

async fn end(
    connection: &mut PgConnection,
    ids: &[i64],
    tokens: &[i64],
    names: Vec<&str>,
    states: Vec<&str>,
    after: Vec<Option<i64>>,
    errors: Vec<Option<String>>,
) -> sqlx::Result<HashSet<(i64, i64)>> {
    let rows = sqlx::query(
        "WITH ended AS (
           SELECT event.id, new.name, new.state, new.after, new.error,
             (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS ms
           FROM openmail_events AS event
           JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                       $6::text[]) AS new (id, token, name, state, after, error)
             ON event.id = new.id
           WHERE event.token = new.token AND event.state || '' = 'ready' AND event.leased <> 0
           ORDER BY event.id FOR UPDATE OF event)
         UPDATE openmail_events AS event SET
           state = ended.state, leased = 0, worker = NULL, token = token + 1,
           attempts = attempts
             - (name = 'back' OR (name IN ('release', 'put_off', 'hold') AND losses < 3))::int,
           losses = CASE WHEN name = 'back' THEN losses WHEN losses >= 3 THEN 2 ELSE 0 END,
           releases = CASE WHEN name IN ('release', 'put_off') THEN releases + 1
             WHEN name = 'retry' THEN 0 ELSE releases END,
           released_at = CASE WHEN name = 'release' THEN coalesce(released_at, ms)
             WHEN name IN ('retry', 'put_off') THEN NULL ELSE released_at END,
           put_off_at = CASE WHEN name IN ('put_off', 'hold') THEN coalesce(put_off_at, ms)
             ELSE put_off_at END,
           held = CASE name WHEN 'hold' THEN (held <> 2)::int WHEN 'back' THEN held % 2 ELSE 0 END,
           due_at = ms
             + CASE WHEN name = 'hold' AND held = 2 THEN 0 ELSE coalesce(ended.after, 0) END,
           last_error = coalesce(ended.error, last_error),
           ended_at = CASE WHEN ended.after IS NULL THEN ms END,
           report_at = CASE WHEN ended.state = 'dead' THEN ms END,
           body = CASE WHEN ended.state = 'done' THEN ''::bytea ELSE body END
         FROM ended WHERE event.id = ended.id
         RETURNING event.id, event.token - 1",
    )
    .bind(ids)
    .bind(tokens)
    .bind(names)
    .bind(states)
    .bind(after)
    .bind(errors)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Returns the lane of an entry and of its replies. If the entry has none, its replies share a lane
/// of their own, which keeps their order.
fn lane<'a>(lease: &'a Lease, settlement: &Settlement) -> Option<Cow<'a, str>> {
    match &lease.lane {
        Some(lane) => Some(lane.into()),
        None => settlement.has_replies().then(|| format!("entry:{}", lease.id).into()),
    }
}

/// The replies to be added, by column.
#[derive(Default)]
struct Replies<'a> {
    events: Vec<i64>,
    lanes: Vec<Cow<'a, str>>,
    keys: Vec<String>,
    kinds: Vec<String>,
    bodies: Vec<&'a [u8]>,
    are_first: Vec<bool>,
}

async fn add_replies(connection: &mut PgConnection, new: Replies<'_>) -> sqlx::Result<()> {
    if new.events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO openmail_events
           (role, dedupe_key, lane, event_id, kind, inbox_id, thread_id, trace_context,
            state, due_at, queued_at, signed_at, weight, body)
         SELECT 0, new.key, new.lane, event_id, new.kind, inbox_id, thread_id, trace_context,
           -- The event has just left its lane. Its replies follow earlier ones.
           CASE WHEN new.is_first AND NOT EXISTS (
               SELECT 1 FROM openmail_events
               WHERE lane = new.lane AND state = 'blocked' AND role = 0)
             THEN 'ready' ELSE 'blocked' END,
           ms, ms, signed_at, octet_length(new.body), new.body
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bool[])
             WITH ORDINALITY AS new (event, lane, key, kind, body, is_first, number)
           JOIN openmail_events AS event ON event.id = new.event,
           (SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS ms) AS now
         ORDER BY number
         ON CONFLICT (dedupe_key) DO NOTHING",
    )
    .bind(new.events)
    .bind(new.lanes)
    .bind(new.keys)
    .bind(new.kinds)
    .bind(new.bodies)
    .bind(new.are_first)
    .execute(connection)
    .await?;
    Ok(())
}
