//! The only writer: every change goes through its connection and shares its transactions.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::queue::{
    entry::{EntryId, NewEntry, Retention},
    error::QueueError,
    lease::{Claims, DeadReport, Lease, WorkerId},
    request::ClaimRequest,
    settlement::Settlement,
    sql::batch::Apply,
};

#[cfg(feature = "guard")]
use crate::{
    queue::sql::counts::PAGE,
    seam::{CountRequest, Counted},
};

#[cfg(feature = "guard")]
use super::counts;
use super::{
    claim,
    clock::{Clock, Source},
    dead::{self, Which},
    file::Watched,
    insert, lanes, open,
    open::failed,
    settle,
};

#[derive(Debug)]
pub(super) enum Op {
    Insert(NewEntry),
    Settle {
        lease: Lease,
        settlement: Settlement,
    },
    Claim(ClaimRequest),
    Renew {
        leases: Vec<Lease>,
        lease: i64,
    },
    TakeOver(Vec<WorkerId>),
    Sweep(String),
    Prune {
        retention: Retention,
        limit: i64,
    },
    Requeue {
        which: Which,
        limit: i64,
    },
    ReleaseHeld {
        inbox_id: Option<String>,
        limit: i64,
    },
    ReleaseEntry(EntryId),
    Unreported {
        limit: i64,
        lease: i64,
    },
    Reported(Lease),
    Drop(EntryId),
    Migrate,
    Ping,
    #[cfg(feature = "guard")]
    Count(CountRequest),
}

#[derive(Debug)]
pub(super) enum Answer {
    Changed(u64),
    Claimed(Claims),
    Lost(Vec<EntryId>),
    Page(Page),
    Swept(Option<String>, u64),
    Reports(Vec<DeadReport>),
    #[cfg(feature = "guard")]
    Counted(Counted),
    /// This operation failed. Others in the same batch may have succeeded.
    Failed(QueueError),
}

/// The result of one page of a change that is made page by page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) count: u64,
    pub(super) last: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    file: Watched,
    clock: Clock,
    is_migrated: bool,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        file: Watched,
        clock: Source,
    ) -> Self {
        let connection = Some(connection);
        Self { options, connection, file, clock: Clock::new(clock), is_migrated: false }
    }

    async fn connect(&mut self) -> Result<SqliteConnection, QueueError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let connection = open::connect(&self.options).await?;
        self.file.opened();
        self.is_migrated = false;
        Ok(connection)
    }

    async fn apply_to(
        &mut self,
        connection: &mut SqliteConnection,
        ops: &[Op],
    ) -> Result<Vec<Answer>, QueueError> {
        if ops.iter().any(|op| matches!(op, Op::Migrate)) {
            open::migrate(connection).await?;
        }
        if !self.is_migrated {
            open::check(connection).await?;
            self.is_migrated = true;
        }
        // While the file is gone, no event is added, but those that were acknowledged before still
        // run: the connection has the file open.
        let adds = ops.iter().any(|op| matches!(op, Op::Insert(_) | Op::Ping));
        if adds && self.file.is_gone() {
            self.file.look().await;
        }
        let gone = self.file.is_gone().then(|| self.file.gone());
        let known = self.clock.known();
        let written = write(connection, &mut self.clock, ops, gone.as_ref()).await;
        if written.is_err() {
            self.clock.restore(known);
        }
        let mut answers = written.map_err(failed)?;
        if adds && gone.is_none() {
            self.file.look().await;
            if self.file.is_gone() {
                for (op, answer) in ops.iter().zip(&mut answers) {
                    if matches!(op, Op::Insert(_) | Op::Ping) {
                        *answer = Answer::Failed(self.file.gone());
                    }
                }
            }
        }
        Ok(answers)
    }
}

impl Apply for Writer {
    type Op = Op;
    type Answer = Answer;

    async fn apply(&mut self, ops: &[Op]) -> Result<Vec<Answer>, QueueError> {
        // Kept only if the transaction succeeds, or the file is gone.
        let mut connection = self.connect().await?;
        let answers = self.apply_to(&mut connection, ops).await;
        if answers.is_ok() || self.file.is_gone() {
            // If the file is gone, this connection may be the last one to have it open.
            self.connection = Some(connection);
        } else {
            // Closing it rolls back what was not committed.
            drop(connection.close().await);
        }
        answers
    }

    fn size(op: &Op) -> usize {
        match op {
            Op::Insert(entry) => entry.stored.raw_body.len(),
            Op::Settle { settlement, .. } => settlement.size(),
            _ => 0,
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// Performs the operations in one transaction: all inserts and settlements with a few statements,
/// the others one by one.
async fn write(
    connection: &mut SqliteConnection,
    clock: &mut Clock,
    ops: &[Op],
    gone: Option<&QueueError>,
) -> sqlx::Result<Vec<Answer>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let now = clock.now(&mut transaction).await?;
    let (mut entries, mut ended) = (Vec::new(), Vec::new());
    for op in ops {
        match op {
            Op::Insert(entry) if gone.is_none() => entries.push(entry),
            Op::Settle { lease, settlement } => ended.push((lease, settlement)),
            _ => {}
        }
    }
    let changed = |changed| Answer::Changed(u64::from(changed));
    let settled = match &*ended {
        [] => Vec::new(),
        ended => settle::settle(&mut transaction, ended, now).await?,
    };
    let mut settled = settled.into_iter().map(changed);
    let added = match &*entries {
        [] => Vec::new(),
        entries => insert::insert(&mut transaction, entries, now).await?,
    };
    let mut added = added.into_iter().map(changed);

    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        let answer = match (op, gone) {
            (Op::Insert(_) | Op::Ping, Some(gone)) => Some(Answer::Failed(gone.clone())),
            (Op::Insert(_), None) => added.next(),
            (Op::Settle { .. }, _) => settled.next(),
            (op, _) => Some(run(&mut transaction, op, now, clock.offset()).await?),
        };
        answers.push(answer.unwrap_or(Answer::Changed(0)));
    }
    transaction.commit().await?;
    Ok(answers)
}

async fn run(
    connection: &mut SqliteConnection,
    op: &Op,
    now: i64,
    offset: i64,
) -> sqlx::Result<Answer> {
    Ok(match op {
        Op::Insert(_) | Op::Settle { .. } | Op::Migrate | Op::Ping => Answer::Changed(0),
        Op::Claim(request) => Answer::Claimed(claim::claim(connection, request, now).await?),
        Op::Renew { leases, lease } => {
            Answer::Lost(claim::renew(connection, leases, *lease, now).await?)
        }
        Op::TakeOver(workers) => Answer::Changed(claim::take_over(connection, workers, now).await?),
        Op::Sweep(lane) => {
            let (last, promoted) = lanes::sweep(connection, lane).await?;
            Answer::Swept(last, promoted)
        }
        Op::Prune { retention, limit } => {
            #[cfg(feature = "guard")]
            counts::prune(connection, PAGE, now).await?;
            Answer::Changed(dead::prune(connection, *retention, *limit, now).await?)
        }
        Op::Requeue { which, limit } => {
            Answer::Page(dead::requeue(connection, which, *limit, now).await?)
        }
        Op::ReleaseHeld { inbox_id, limit } => {
            Answer::Changed(dead::release_held(connection, inbox_id.as_deref(), *limit, now).await?)
        }
        Op::ReleaseEntry(id) => Answer::Changed(dead::release_entry(connection, *id, now).await?),
        Op::Unreported { limit, lease } => {
            Answer::Reports(dead::unreported(connection, *limit, *lease, now, offset).await?)
        }
        Op::Reported(lease) => Answer::Changed(dead::reported(connection, lease).await?),
        Op::Drop(id) => Answer::Changed(dead::drop_dead(connection, *id).await?),
        #[cfg(feature = "guard")]
        Op::Count(request) => Answer::Counted(counts::count(connection, request, now).await?),
    })
}
