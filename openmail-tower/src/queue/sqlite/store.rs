//! [`SqliteStore`].

use std::{path::Path, time::Duration};

use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use tokio::sync::watch;

use crate::{
    queue::{
        batch::Batcher,
        enqueue::Enqueue,
        entry::{Counts, DeadLetter, EntryId, NewEntry, Retention},
        error::QueueError,
        lease::{Claims, DeadReport, Lease, Registration, WorkerId},
        request::ClaimRequest,
        settlement::Settlement,
        store::{Changes, QueueStore},
        text,
    },
    seam::StoredEvent,
};

use super::{
    open::{self, failed},
    read,
    settle::Which,
    write::{Answer, Op, Writer, millis},
};

/// A queue in a file of SQLite.
///
/// Any number of processes of one machine may open it, workers and others; the file must be on a
/// local disk. It is in write-ahead mode and flushed to the disk with every commit
/// (`synchronous=FULL`); what is asked for at the same time shares a commit. Its times are those of
/// the machine's clock.
///
/// Only its own tables are touched: `openmail_events` and `openmail_migrations`. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Batcher<Writer>,
    readers: SqlitePool,
    changes: watch::Sender<()>,
}

impl SqliteStore {
    /// Opens a file; one that is not there, and its tables, are made.
    ///
    /// # Errors
    /// When it cannot be opened, or is of a newer version of this crate.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        let options = open::options(path.as_ref());
        let mut connection = open::connect(&options).await?;
        open::migrate(&mut connection).await?;
        // Each has a thread of its own, so few, and none that idles for long.
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.clone().create_if_missing(false));
        let writer = Batcher::new(Writer { options, connection: Some(connection) });
        Ok(Self { writer, readers, changes: watch::Sender::new(()) })
    }

    /// Writes what was asked for, and closes the file. It and its clones then refuse everything.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn change(&self, op: Op) -> Result<u64, QueueError> {
        match self.writer.ask(op).await? {
            Answer::Changed(count) => Ok(count),
            _ => Err(QueueError::closed()),
        }
    }

    /// As `change`, for what may make an event due.
    async fn change_and_wake(&self, op: Op) -> Result<u64, QueueError> {
        let count = self.change(op).await?;
        if count > 0 {
            self.changes.send_replace(());
        }
        Ok(count)
    }
}

impl Enqueue<SqliteStore> {
    /// Takes events over into a file of SQLite, which is made when it is not there.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn sqlite(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        SqliteStore::open(path).await.map(Self::new)
    }
}

/// Tells when to look: after the changes that this process has made.
#[derive(Debug)]
pub struct SqliteChanges(watch::Receiver<()>);

impl Changes for SqliteChanges {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and nothing will ever change again.
            std::future::pending::<()>().await;
        }
    }
}

impl QueueStore for SqliteStore {
    type Changes = SqliteChanges;

    async fn register(&self) -> Result<Registration, QueueError> {
        Ok(Registration::new(WorkerId(fastrand::i64(1..)), ()))
    }

    async fn recover(&self, _worker: WorkerId) -> Result<u64, QueueError> {
        Ok(0)
    }

    async fn enqueue(&self, entry: NewEntry) -> Result<bool, QueueError> {
        Ok(self.change_and_wake(Op::Insert(entry)).await? > 0)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, QueueError> {
        match self.writer.ask(Op::Claim(request)).await? {
            Answer::Claimed(claims) => Ok(claims),
            _ => Err(QueueError::closed()),
        }
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<EntryId>, QueueError> {
        let op = Op::Renew { leases: leases.to_vec(), lease: millis(lease) };
        match self.writer.ask(op).await? {
            Answer::Lost(lost) => Ok(lost),
            _ => Err(QueueError::closed()),
        }
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<bool, QueueError> {
        let wakes = settlement.wakes(lease);
        let op = Op::Settle { lease: lease.clone(), settlement };
        let changed = if wakes { self.change_and_wake(op).await } else { self.change(op).await };
        Ok(changed? > 0)
    }

    fn changes(&self) -> SqliteChanges {
        SqliteChanges(self.changes.subscribe())
    }

    async fn prune(&self, retention: Retention, limit: usize) -> Result<u64, QueueError> {
        self.change(Op::Prune { retention, limit: many(limit) }).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        // It takes the way that every change takes, and changes nothing.
        let retention = Retention::new(Duration::MAX, Duration::MAX);
        self.change(Op::Prune { retention, limit: 0 }).await.map(drop)
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        read::counts(&self.readers).await.map_err(failed)
    }

    async fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let after = after.map_or(i64::MIN, |id| id.0);
        read::dead_letters(&self.readers, after, many(limit)).await.map_err(failed)
    }

    async fn dead_letter(
        &self,
        id: EntryId,
    ) -> Result<Option<(DeadLetter, StoredEvent)>, QueueError> {
        read::dead_letter(&self.readers, id).await.map_err(failed)
    }

    async fn release_held(&self, inbox_id: Option<&str>) -> Result<u64, QueueError> {
        let inbox_id = inbox_id.map(text::column);
        self.change_and_wake(Op::Release { inbox_id, id: None }).await
    }

    async fn release_entry(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.change_and_wake(Op::Release { inbox_id: None, id: Some(id) }).await? > 0)
    }

    async fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<DeadReport>, QueueError> {
        let op = Op::Unreported { limit: many(limit), lease: millis(lease) };
        match self.writer.ask(op).await? {
            Answer::Reports(reports) => Ok(reports),
            _ => Err(QueueError::closed()),
        }
    }

    async fn reported(&self, lease: &Lease) -> Result<bool, QueueError> {
        Ok(self.change(Op::Reported(lease.clone())).await? > 0)
    }

    async fn requeue(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.change_and_wake(Op::Requeue(Which::One(id))).await? > 0)
    }

    async fn requeue_inbox(&self, inbox_id: &str) -> Result<u64, QueueError> {
        self.change_and_wake(Op::Requeue(Which::Inbox(inbox_id.to_owned()))).await
    }

    async fn drop_dead_letter(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.change(Op::Drop(id)).await? > 0)
    }
}

fn many(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
        contract::check(store.clone()).await;
        store.close().await;
    }
}
