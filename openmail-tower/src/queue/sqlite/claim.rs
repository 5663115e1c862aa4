//! Leases: which worker may run which entry.

use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use crate::queue::{
    entry::EntryId,
    lease::{Claimed, Claims, Lease, WorkerId},
    request::ClaimRequest,
    settlement::Settlement,
    sql::{
        many, millis,
        row::{self, claimed, claimed_columns},
    },
};

use super::{insert::json, lanes::back_into_lanes, settle::settle};

/// Maximum number of candidates examined in one statement.
const PAGE: usize = 256;

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    now: i64,
) -> sqlx::Result<Claims> {
    if request.after_failure {
        give_back(connection, request, now).await?;
    }
    let ahead = look_ahead(connection, request, now).await?;
    if ahead.aside {
        back_into_lanes(connection, now).await?;
    }
    let (ids, limited) = choose(connection, request, now).await?;
    let mut entries = Vec::new();
    if !ids.is_empty() {
        let rows = sqlx::query(concat!(
            "UPDATE openmail_events
             SET leased = 1, worker = ?1, token = token + 1,
               attempts = attempts + (leased = 0), losses = min(losses + leased, 3),
               due_at = ?4 + ?2
             WHERE id IN (SELECT value FROM json_each(?3)) AND +state = 'ready'
             RETURNING ",
            claimed_columns!(""),
            ", ?4"
        ))
        .bind(request.worker.0)
        .bind(millis(request.lease))
        .bind(numbers(&ids)?)
        .bind(now)
        .fetch_all(&mut *connection)
        .await?;
        entries = rows.iter().map(claimed).collect::<sqlx::Result<Vec<Claimed>>>()?;
        entries.sort_by_key(|entry| entry.lease.id);
    }
    let suspects = ahead.suspects && !request.suspects;
    Ok(Claims { entries, next_due: ahead.next_due, limited, suspects })
}

/// Gives back the entries that are leased to the worker without its knowledge.
async fn give_back(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    now: i64,
) -> sqlx::Result<()> {
    let rows = sqlx::query(
        "SELECT id, token FROM openmail_events
         WHERE leased = 1 AND worker = ?1 AND id NOT IN (SELECT value FROM json_each(?2))",
    )
    .bind(request.worker.0)
    .bind(numbers(&request.held)?)
    .fetch_all(&mut *connection)
    .await?;
    let leases = rows.iter().map(row::lease).collect::<sqlx::Result<Vec<_>>>()?;
    let ended: Vec<_> = leases.iter().map(|lease| (lease, &Settlement::GiveBack)).collect();
    settle(connection, &ended, now).await.map(drop)
}

/// Information about the entries that the claim leaves in the queue.
struct Ahead {
    next_due: Option<Duration>,
    suspects: bool,
    aside: bool,
}

async fn look_ahead(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    now: i64,
) -> sqlx::Result<Ahead> {
    let row = sqlx::query(
        "SELECT (SELECT min(due_at) FROM openmail_events WHERE state = 'ready' AND due_at > ?1),
           (SELECT min(due_at) FROM openmail_events WHERE state = 'aside'),
           EXISTS (SELECT 1 FROM openmail_events INDEXED BY openmail_events_lost
             WHERE losses > 0 AND state = 'ready' AND due_at <= ?1 AND losses + leased >= 2
               AND NOT (leased AND id IN (SELECT value FROM json_each(?2)))
               AND (?3 OR role = 1))",
    )
    .bind(now)
    .bind(numbers(&request.held)?)
    .bind(request.replies)
    .fetch_one(connection)
    .await?;
    let (ready, aside): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let next = [ready, aside.filter(|at| *at > now)].into_iter().flatten().min();
    let wait = next.map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or(0));
    Ok(Ahead {
        next_due: wait.map(Duration::from_millis),
        suspects: row.try_get(2)?,
        aside: aside.is_some_and(|at| at <= now),
    })
}

/// Chooses the entries to claim. Also returns whether other due entries may have been left out.
async fn choose(
    connection: &mut SqliteConnection,
    request: &ClaimRequest,
    now: i64,
) -> sqlx::Result<(Vec<EntryId>, bool)> {
    let held = numbers(&request.held)?;
    let mut choice = request.choice();
    let (mut due_at, mut id) = (i64::MIN, i64::MIN);
    let mut page = request.limit.clamp(1, PAGE);
    loop {
        let full: Vec<&str> = choice.full_inboxes().filter(|_| request.thorough).collect();
        let leaves_out = !full.is_empty();
        let rows = sqlx::query(
            "SELECT id, inbox_id, weight, due_at FROM openmail_events
               INDEXED BY openmail_events_due
             WHERE state = 'ready' AND due_at <= ?8
               AND (due_at, id) > (?1, ?2) AND (losses + leased >= 2) = ?3 AND (?4 OR role = 1)
               AND (inbox_id IS NULL OR inbox_id NOT IN (SELECT value FROM json_each(?5)))
               AND NOT (leased AND id IN (SELECT value FROM json_each(?6)))
             ORDER BY due_at, id LIMIT ?7",
        )
        .bind(due_at)
        .bind(id)
        .bind(request.suspects)
        .bind(request.replies)
        .bind(json(&full)?)
        .bind(&held)
        .bind(many(page))
        .bind(now)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            (id, due_at) = (row.try_get(0)?, row.try_get(3)?);
            let weight = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0);
            choice.offer(EntryId(id), row.try_get(1)?, weight);
        }
        let has_more = !choice.is_full() && rows.len() == page;
        if !has_more || !request.thorough {
            let limited = choice.is_limited() || leaves_out || has_more;
            return Ok((choice.into_ids(), limited));
        }
        page = PAGE;
    }
}

fn numbers(ids: &[EntryId]) -> sqlx::Result<String> {
    json(&ids.iter().map(|id| id.0).collect::<Vec<_>>())
}

/// Extends leases. Returns those that were lost.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    leases: &[Lease],
    lease: i64,
    now: i64,
) -> sqlx::Result<Vec<EntryId>> {
    let held: Vec<_> = leases.iter().map(|lease| (lease.id.0, lease.token)).collect();
    let rows = sqlx::query(
        "UPDATE openmail_events SET due_at = ?1 FROM json_each(?2) AS held
         WHERE openmail_events.id = held.value ->> 0 AND token = held.value ->> 1
           AND +state = 'ready' AND +leased = 1
         RETURNING openmail_events.id, token",
    )
    .bind(now.saturating_add(lease))
    .bind(json(&held)?)
    .fetch_all(connection)
    .await?;
    let renewed = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<Vec<(i64, i64)>>>()?;
    let lost = leases.iter().filter(|lease| !renewed.contains(&(lease.id.0, lease.token)));
    Ok(lost.map(|lease| lease.id).collect())
}

/// Makes due the entries that are leased to dead workers. Returns how many.
pub(super) async fn take_over(
    connection: &mut SqliteConnection,
    workers: &[WorkerId],
    now: i64,
) -> sqlx::Result<u64> {
    let workers: Vec<_> = workers.iter().map(|worker| worker.0).collect();
    let taken = sqlx::query(
        "UPDATE openmail_events SET due_at = min(due_at, ?2)
         WHERE leased = 1 AND worker IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&workers)?)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected())
}
