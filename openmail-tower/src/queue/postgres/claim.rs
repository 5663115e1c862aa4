//! Leases: which worker may run which entry.

use std::time::Duration;

use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::queue::{
    entry::EntryId,
    error::QueueError,
    lease::{Claimed, Claims, Lease},
    request::ClaimRequest,
    sql::{
        many, millis,
        row::{self, claimed, claimed_columns},
    },
};

use super::{
    database::{Database, PATIENCE, in_time, patience},
    lanes::{self, lock, promote},
};

/// Maximum number of candidates examined in one statement.
const PAGE: usize = 256;

pub(super) async fn claim(
    database: &Database,
    request: ClaimRequest,
) -> Result<Claims, QueueError> {
    let (mut work, ahead, chosen) = in_time(PATIENCE, async {
        let mut work = database.begin("").await?;
        let mut ahead = look_ahead(&mut work, &request).await?;
        if ahead.aside {
            work.commit().await?;
            back_into_lanes(database).await?;
            work = database.begin("").await?;
            ahead = look_ahead(&mut work, &request).await?;
        }
        let chosen = choose(&mut work, &request).await?;
        Ok((work, ahead, chosen))
    })
    .await?;
    let entries = in_time(patience(chosen.bytes), async {
        let entries = lease(&mut work, &request, chosen.ids).await?;
        work.commit().await?;
        Ok(entries)
    })
    .await?;
    let suspects = ahead.suspects && !request.suspects;
    Ok(Claims { entries, next_due: ahead.next_due, limited: chosen.limited, suspects })
}

/// Leases the chosen entries, and reads them. Rows that another worker has chosen in the meantime,
/// or locked, are left to that worker.
async fn lease(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    ids: Vec<i64>,
) -> sqlx::Result<Vec<Claimed>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(concat!(
        "WITH due AS (
           SELECT id FROM openmail_events
           WHERE id = ANY($3) AND state || '' = 'ready'
             AND due_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
           ORDER BY id FOR UPDATE SKIP LOCKED)
         UPDATE openmail_events AS event
         SET leased = 1, worker = $1, token = token + 1,
           attempts = attempts + (leased = 0)::int, losses = least(losses + leased, 3),
           due_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint + $2
         FROM due WHERE event.id = due.id
         RETURNING ",
        claimed_columns!("event."),
        ", (extract(epoch FROM statement_timestamp()) * 1000)::bigint"
    ))
    .bind(request.worker.0)
    .bind(millis(request.lease))
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut entries = rows.iter().map(claimed).collect::<sqlx::Result<Vec<Claimed>>>()?;
    entries.sort_by_key(|entry| entry.lease.id);
    Ok(entries)
}

/// Returns the leases that the store has given to the worker without its knowledge.
pub(super) async fn unheld(
    database: &Database,
    request: &ClaimRequest,
) -> sqlx::Result<Vec<Lease>> {
    let mut work = database.begin("").await?;
    let rows = sqlx::query(
        "SELECT id, token FROM openmail_events
         WHERE leased = 1 AND worker = $1 AND id <> ALL($2)",
    )
    .bind(request.worker.0)
    .bind(numbers(&request.held))
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    rows.iter().map(row::lease).collect()
}

/// Information about the entries that the claim leaves in the queue.
struct Ahead {
    next_due: Option<Duration>,
    suspects: bool,
    aside: bool,
}

async fn look_ahead(connection: &mut PgConnection, request: &ClaimRequest) -> sqlx::Result<Ahead> {
    let row = sqlx::query(
        "SELECT (SELECT min(due_at) FROM openmail_events
             WHERE state = 'ready' AND due_at >= 0 AND due_at > ms) - ms,
           (SELECT min(due_at) FROM openmail_events WHERE state = 'aside') - ms,
           EXISTS (SELECT 1 FROM openmail_events
             WHERE losses > 0 AND state = 'ready' AND due_at <= ms AND losses + leased >= 2
               AND NOT (leased = 1 AND id = ANY($1)) AND ($2 OR role = 1))
         FROM (SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS ms) AS now",
    )
    .bind(numbers(&request.held))
    .bind(request.replies)
    .fetch_one(connection)
    .await?;
    let (ready, aside): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let next = [ready, aside.filter(|wait| *wait > 0)].into_iter().flatten().min();
    let next = next.map(|wait| Duration::from_millis(wait.unsigned_abs()));
    Ok(Ahead {
        next_due: next,
        suspects: row.try_get(2)?,
        aside: aside.is_some_and(|wait| wait <= 0),
    })
}

macro_rules! candidates {
    ($lock:literal) => {
        concat!(
            "SELECT id, inbox_id, weight, due_at FROM openmail_events
             WHERE state = 'ready' AND due_at >= 0
               AND due_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
               AND (due_at, id) > ($1, $2) AND (losses + leased >= 2) = $3 AND ($4 OR role = 1)
               AND (inbox_id IS NULL OR inbox_id <> ALL($5)) AND NOT (leased = 1 AND id = ANY($6))
             ORDER BY due_at, id LIMIT $7",
            $lock
        )
    };
}

/// The entries to claim.
struct Chosen {
    ids: Vec<i64>,
    /// Their total weight.
    bytes: usize,
    /// Whether other due entries may have been left out.
    limited: bool,
}

async fn choose(connection: &mut PgConnection, request: &ClaimRequest) -> sqlx::Result<Chosen> {
    let held = numbers(&request.held);
    let mut choice = request.choice();
    let (mut due_at, mut id) = (i64::MIN, i64::MIN);
    let mut page = request.limit.clamp(1, PAGE);
    // The first page is locked, so that workers which claim at the same time get different entries.
    // Further pages are only read: most of their entries do not fit, and each lock is a write to
    // disk.
    let mut find = candidates!(" FOR UPDATE SKIP LOCKED");
    loop {
        let full = choice.full_inboxes().filter(|_| request.thorough);
        let full: Vec<String> = full.map(ToOwned::to_owned).collect();
        let leaves_out = !full.is_empty();
        let rows: Vec<PgRow> = sqlx::query(find)
            .bind(due_at)
            .bind(id)
            .bind(request.suspects)
            .bind(request.replies)
            .bind(full)
            .bind(&held)
            .bind(many(page))
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
            let bytes = usize::try_from(choice.weight()).unwrap_or(usize::MAX);
            return Ok(Chosen { ids: numbers(&choice.into_ids()), bytes, limited });
        }
        (page, find) = (PAGE, candidates!(""));
    }
}

fn numbers(ids: &[EntryId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

/// Puts entries that stepped aside back into their lanes once they are due, a page at a time.
async fn back_into_lanes(database: &Database) -> sqlx::Result<()> {
    let mut work = database.begin("").await?;
    let rows = sqlx::query(
        "SELECT lane FROM openmail_events
         WHERE state = 'aside' AND due_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
         ORDER BY due_at LIMIT $1",
    )
    .bind(lanes::PAGE)
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    let lanes = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<&str>>>()?;
    let mut work = database.begin(&lock(lanes.iter().copied())).await?;
    sqlx::query(
        "UPDATE openmail_events SET state = 'blocked'
         WHERE state = 'aside' AND due_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
           AND lane = ANY($1)",
    )
    .bind(&lanes)
    .execute(&mut *work)
    .await?;
    promote(&mut work, &lanes).await?;
    work.commit().await
}

/// Extends leases. Returns those that were lost.
pub(super) async fn renew(
    database: &Database,
    leases: &[Lease],
    lease: i64,
) -> sqlx::Result<Vec<EntryId>> {
    let (ids, tokens): (Vec<_>, Vec<_>) = leases.iter().map(|it| (it.id.0, it.token)).unzip();
    let mut work = database.begin("").await?;
    // The rows are locked in order, so that two concurrent callers never wait for each other.
    let rows = sqlx::query(
        "WITH held AS (
           SELECT event.id, event.token FROM openmail_events AS event
           JOIN unnest($2::bigint[], $3::bigint[]) AS held (id, token) ON event.id = held.id
           WHERE event.token = held.token AND state || '' = 'ready' AND leased <> 0
           ORDER BY event.id FOR UPDATE OF event)
         UPDATE openmail_events AS event
         SET due_at = (extract(epoch FROM statement_timestamp()) * 1000)::bigint + $1
         FROM held WHERE event.id = held.id
         RETURNING event.id, event.token",
    )
    .bind(lease)
    .bind(ids)
    .bind(tokens)
    .fetch_all(&mut *work)
    .await?;
    work.commit().await?;
    let renewed = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<Vec<(i64, i64)>>>()?;
    let lost = leases.iter().filter(|lease| !renewed.contains(&(lease.id.0, lease.token)));
    Ok(lost.map(|lease| lease.id).collect())
}
