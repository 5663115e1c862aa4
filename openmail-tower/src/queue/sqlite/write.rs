//! The one writer: every change goes through its connection, and shares its transactions.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::queue::{
    batch::Apply,
    entry::{EntryId, NewEntry, Retention},
    error::QueueError,
    lease::{Claims, DeadReport, Lease},
    request::ClaimRequest,
    settlement::Settlement,
};

use super::{
    claim, open,
    open::failed,
    settle::{self, Which},
};

#[derive(Debug)]
pub(super) enum Op {
    Insert(NewEntry),
    Claim(ClaimRequest),
    Renew { leases: Vec<Lease>, lease: i64 },
    Settle { lease: Lease, settlement: Settlement },
    Prune { retention: Retention, limit: i64 },
    Requeue(Which),
    Release { inbox_id: Option<String>, id: Option<EntryId> },
    Unreported { limit: i64, lease: i64 },
    Reported(Lease),
    Drop(EntryId),
}

#[derive(Debug)]
pub(super) enum Answer {
    Changed(u64),
    Claimed(Claims),
    Lost(Vec<EntryId>),
    Reports(Vec<DeadReport>),
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) options: SqliteConnectOptions,
    pub(super) connection: Option<SqliteConnection>,
}

impl Apply for Writer {
    type Op = Op;
    type Answer = Answer;

    async fn apply(&mut self, ops: &[Op]) -> Result<Vec<Answer>, QueueError> {
        // It is gone until the transaction has come to a good end.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::connect(&self.options).await?,
        };
        let written = write(&mut connection, ops).await;
        match &written {
            Ok(_) => self.connection = Some(connection),
            // Whatever state it was in, closing it takes back what was not committed.
            Err(_) => drop(connection.close().await),
        }
        written.map_err(failed)
    }

    fn size(op: &Op) -> usize {
        match op {
            Op::Insert(entry) => entry.stored.raw_body.len(),
            Op::Settle { settlement: Settlement::Done { replies }, .. } => {
                replies.iter().map(|reply| reply.body.len()).sum()
            }
            _ => 0,
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

async fn write(connection: &mut SqliteConnection, ops: &[Op]) -> sqlx::Result<Vec<Answer>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        answers.push(run(&mut transaction, op).await?);
    }
    transaction.commit().await?;
    Ok(answers)
}

async fn run(connection: &mut SqliteConnection, op: &Op) -> sqlx::Result<Answer> {
    Ok(match op {
        Op::Insert(entry) => Answer::Changed(insert(connection, entry).await?),
        Op::Claim(request) => Answer::Claimed(claim::claim(connection, request).await?),
        Op::Renew { leases, lease } => {
            Answer::Lost(claim::renew(connection, leases, *lease).await?)
        }
        Op::Settle { lease, settlement } => {
            Answer::Changed(settle::settle(connection, lease, settlement).await?)
        }
        Op::Prune { retention, limit } => {
            Answer::Changed(settle::prune(connection, *retention, *limit).await?)
        }
        Op::Release { inbox_id, id } => {
            Answer::Changed(settle::release(connection, inbox_id.as_deref(), *id).await?)
        }
        Op::Unreported { limit, lease } => {
            Answer::Reports(settle::unreported(connection, *limit, *lease).await?)
        }
        Op::Reported(lease) => Answer::Changed(settle::reported(connection, lease).await?),
        Op::Requeue(which) => Answer::Changed(settle::requeue(connection, which).await?),
        Op::Drop(id) => Answer::Changed(settle::drop_dead(connection, *id).await?),
    })
}

/// Adds an entry, unless its key is there; behind the one of its lane that is ready, if there is.
async fn insert(connection: &mut SqliteConnection, entry: &NewEntry) -> sqlx::Result<u64> {
    let inserted = sqlx::query(
        "INSERT INTO openmail_events
           (dedupe_key, lane, event_id, kind, inbox_id, thread_id, signed_at, body,
            trace_context, weight, state, due_at, queued_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
           CASE WHEN EXISTS (SELECT 1 FROM openmail_events WHERE lane = ?2 AND state = 'ready')
             THEN 'blocked' ELSE 'ready' END,
           now, now
         FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now) WHERE true
         ON CONFLICT (dedupe_key) DO NOTHING",
    )
    .bind(entry.key.as_deref())
    .bind(entry.lane.as_deref())
    .bind(entry.event_id.as_deref())
    .bind(&*entry.kind)
    .bind(entry.inbox_id.as_deref())
    .bind(entry.thread_id.as_deref())
    .bind(i64::try_from(entry.stored.timestamp).unwrap_or(i64::MAX))
    .bind(&*entry.stored.raw_body)
    .bind(entry.trace_context.as_deref())
    .bind(i64::try_from(entry.weight).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

pub(super) fn millis(duration: Duration) -> i64 {
    // A thousand years: no sum of it and a time overflows.
    const MOST: i64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}
