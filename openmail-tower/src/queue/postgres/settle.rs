//! What became of events.

use std::{borrow::Cow, collections::HashSet};

use sqlx::{Acquire, PgConnection, PgPool, Row, postgres::PgRow};

use crate::queue::{
    batch::Apply,
    entry::{EntryId, NewReply, Retention},
    error::QueueError,
    lease::{DeadReport, Lease},
    row::{self, letter_columns},
    settlement::Settlement,
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
        errors.push(settlement.reason().map(text::error));
        lanes.extend(lane(lease, settlement).filter(|_| state != "ready"));
        wakes |= settlement.wakes(lease);
    }
    let lanes: Vec<&str> = lanes.iter().map(|lane| &**lane).collect();
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, &lanes).await?;
    let rows = sqlx::query(
        "WITH ended AS (
           SELECT event.id, new.name, new.state, new.after, new.error
           FROM openmail_events AS event
           JOIN unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                       $6::text[]) AS new (id, token, name, state, after, error)
             ON event.id = new.id
           WHERE event.token = new.token AND event.state = 'ready' AND event.leased > 0
           ORDER BY event.id FOR UPDATE OF event)
         UPDATE openmail_events AS event SET
           state = ended.state, leased = 0, worker = NULL, token = token + 1,
           attempts = attempts
             - (name = 'back' OR (name IN ('release', 'hold') AND losses < 3))::int,
           losses = CASE WHEN name = 'back' THEN losses WHEN losses >= 3 THEN 2 ELSE 0 END,
           releases = CASE name WHEN 'release' THEN releases + 1 WHEN 'retry' THEN 0
             ELSE releases END,
           released_at = CASE name WHEN 'release' THEN coalesce(released_at, openmail_now())
             WHEN 'retry' THEN NULL ELSE released_at END,
           held = CASE name WHEN 'hold' THEN 1 WHEN 'back' THEN held ELSE 0 END,
           due_at = openmail_now() + coalesce(ended.after, 0),
           last_error = coalesce(ended.error, last_error),
           ended_at = CASE WHEN ended.after IS NULL THEN openmail_now() END,
           report_at = CASE WHEN ended.state = 'dead' THEN openmail_now() END,
           body = CASE WHEN ended.state = 'done' THEN ''::bytea ELSE body END
         FROM ended WHERE event.id = ended.id
         RETURNING event.id, event.token - 1",
    )
    .bind(&ids)
    .bind(&tokens)
    .bind(names)
    .bind(states)
    .bind(after)
    .bind(errors)
    .fetch_all(&mut *transaction)
    .await?;
    let mut changed = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<HashSet<(i64, i64)>>>()?;
    for (lease, settlement) in ended {
        if let Settlement::Done { replies } = settlement
            && changed.contains(&(lease.id.0, lease.token))
            && let Some(lane) = lane(lease, settlement)
        {
            add_replies(&mut transaction, lease.id, &lane, replies).await?;
        }
    }
    promote(&mut transaction, &lanes).await?;
    if wakes {
        notify(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(ids.into_iter().zip(tokens).map(|held| changed.remove(&held)).collect())
}

/// The lane of an entry and its replies. Without one, the replies still go in their order.
fn lane<'a>(lease: &'a Lease, settlement: &Settlement) -> Option<Cow<'a, str>> {
    let has_replies = matches!(settlement, Settlement::Done { replies } if !replies.is_empty());
    match &lease.lane {
        Some(lane) => Some(lane.into()),
        None => has_replies.then(|| format!("entry:{}", lease.id).into()),
    }
}

async fn add_replies(
    connection: &mut PgConnection,
    event: EntryId,
    lane: &str,
    replies: &[NewReply],
) -> sqlx::Result<()> {
    let keys: Vec<&str> = replies.iter().map(|reply| &*reply.key).collect();
    let kinds: Vec<&str> = replies.iter().map(|reply| &*reply.kind).collect();
    let bodies: Vec<&[u8]> = replies.iter().map(|reply| &*reply.body).collect();
    sqlx::query(
        "INSERT INTO openmail_events
           (role, dedupe_key, lane, event_id, kind, inbox_id, thread_id, trace_context,
            state, due_at, queued_at, signed_at, weight, body)
         SELECT 0, new.key, $2, event_id, new.kind, inbox_id, thread_id, trace_context,
           'blocked', openmail_now(), openmail_now(), signed_at, octet_length(new.body), new.body
         FROM openmail_events AS event,
           unnest($3::text[], $4::text[], $5::bytea[]) WITH ORDINALITY
             AS new (key, kind, body, number)
         WHERE event.id = $1 ORDER BY number
         ON CONFLICT (dedupe_key) DO NOTHING",
    )
    .bind(event.0)
    .bind(lane)
    .bind(keys)
    .bind(kinds)
    .bind(bodies)
    .execute(connection)
    .await?;
    Ok(())
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
           attempts = 0, losses = 0, releases = 0, released_at = NULL, held = 0,
           token = token + 1, ended_at = NULL, report_at = NULL, due_at = openmail_now()
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

/// Releases what is held or waits: of an inbox, of all, or one entry.
pub(super) async fn release(
    pool: &PgPool,
    inbox_id: Option<&str>,
    id: Option<EntryId>,
) -> sqlx::Result<u64> {
    let mut transaction = pool.begin().await?;
    let released = sqlx::query(
        "UPDATE openmail_events SET held = 0, due_at = openmail_now()
         WHERE state IN ('ready', 'aside') AND leased = 0
           AND CASE WHEN $1::bigint IS NOT NULL THEN id = $1
             ELSE held = 1 AND ($2::text IS NULL OR inbox_id = $2) END",
    )
    .bind(id.map(|id| id.0))
    .bind(inbox_id)
    .execute(&mut *transaction)
    .await?;
    notify(&mut transaction).await?;
    transaction.commit().await?;
    Ok(released.rows_affected())
}

pub(super) async fn unreported(
    pool: &PgPool,
    limit: i64,
    lease: i64,
) -> sqlx::Result<Vec<DeadReport>> {
    let rows = sqlx::query(concat!(
        "UPDATE openmail_events SET report_at = openmail_now() + $1
         WHERE id IN (
           SELECT id FROM openmail_events WHERE report_at <= openmail_now()
           ORDER BY report_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING ",
        letter_columns!(),
        ", token"
    ))
    .bind(lease)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(row::report).collect()
}

pub(super) async fn reported(pool: &PgPool, lease: &Lease) -> sqlx::Result<bool> {
    let reported = sqlx::query(
        "UPDATE openmail_events SET report_at = NULL
         WHERE id = $1 AND token = $2 AND state = 'dead'",
    )
    .bind(lease.id.0)
    .bind(lease.token)
    .execute(pool)
    .await?;
    Ok(reported.rows_affected() > 0)
}

pub(super) async fn prune(pool: &PgPool, retention: Retention, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query(
        "DELETE FROM openmail_events WHERE id IN (
           SELECT id FROM (
             SELECT id FROM openmail_events
             WHERE state = 'done' AND ended_at <= openmail_now() - $1
             ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS done
           UNION ALL
           SELECT id FROM (
             SELECT id FROM openmail_events
             WHERE state = 'dead' AND ended_at <= openmail_now() - $2
             ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS dead
           LIMIT $3)",
    )
    .bind(millis(retention.done))
    .bind(millis(retention.dead))
    .bind(limit)
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
