//! [`SqliteStore`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::SqlitePool;
use tokio::{sync::watch, task::spawn_blocking};

#[cfg(feature = "guard")]
use crate::seam::CountStore;
use crate::{
    queue::{
        enqueue::Enqueue,
        entry::{Counts, DeadLetter, EntryId, NewEntry, Retention},
        error::{QueueError, QueueErrorKind},
        lease::{Claims, DeadReport, Lease, Registration, WorkerId},
        request::ClaimRequest,
        settlement::Settlement,
        sql::{batch::Batcher, many, millis, sweep::Sweep},
        store::QueueStore,
        text,
    },
    seam::StoredEvent,
    telemetry::store as telemetry,
};

use super::{
    changes::SqliteChanges,
    dead::Which,
    open::failed,
    options::{SqliteOptions, Whose},
    presence::{Dead, Presence},
    read,
    write::{Answer, Op, Page, Writer},
};

/// Maximum number of dead letters requeued, or held entries released, in one transaction, during
/// which no event can be acknowledged.
const PAGE: i64 = 500;

/// A queue in an SQLite file.
///
/// Any number of processes on one machine may open it; the file must be on a local disk. It is in
/// write-ahead mode and flushed to disk with every commit (`synchronous=FULL`). Concurrent changes
/// share a commit.
///
/// On Unix, a file that [`open`](Self::open) creates is readable only by its owner. If the file is
/// deleted or replaced while it is open, no further event is acknowledged; those already
/// acknowledged still run. While a process has the file open, back-offs and leases do not depend on
/// the machine's clock, which may be set back or forward. Each worker locks a file in a directory
/// next to the database, `inbox.db-workers` for `inbox.db`, so that another worker takes over its
/// entries at once when its process dies. On a file system without locks, a dead worker's entries
/// wait until their leases expire.
///
/// Only the store's own tables are used: `openmail_events`, `openmail_counts`, `openmail_clock` and
/// `openmail_migrations`. Clones share the store.
///
/// A program that also uses `rusqlite` must choose a version of it with the same `libsqlite3-sys`
/// as sqlx.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Batcher<Writer>,
    pool: SqlitePool,
    whose: Whose,
    changes: watch::Sender<()>,
    workers: Arc<Workers>,
}

#[derive(Debug)]
struct Workers {
    folder: PathBuf,
    /// Whether this store has had a worker.
    had_one: AtomicBool,
    sweep: Sweep,
}

impl SqliteStore {
    /// Opens a file, which is created if it is missing, and creates or migrates its tables if
    /// necessary.
    ///
    /// # Errors
    /// As for [`SqliteOptions::open`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        SqliteOptions::new().open(path).await
    }

    /// Opens a store that reads through the program's pool, and creates or migrates the tables if
    /// necessary. It writes through one connection of its own with the pool's options, in
    /// write-ahead mode and with `synchronous=FULL`.
    ///
    /// # Errors
    /// As for [`SqliteOptions::over`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn new(pool: SqlitePool) -> Result<Self, QueueError> {
        SqliteOptions::new().over(pool).await
    }

    /// Returns the default options.
    pub fn options() -> SqliteOptions {
        SqliteOptions::new()
    }

    pub(super) fn over(writer: Writer, pool: SqlitePool, whose: Whose, path: &Path) -> Self {
        let mut folder = path.as_os_str().to_owned();
        folder.push("-workers");
        let workers = Arc::new(Workers {
            folder: folder.into(),
            had_one: AtomicBool::new(false),
            sweep: Sweep::new(),
        });
        let (writer, changes) = (Batcher::new(writer), watch::Sender::new(()));
        Self { writer, pool, whose, changes, workers }
    }

    /// Creates the tables, or migrates them to this version. Several processes may do so
    /// concurrently.
    ///
    /// # Errors
    /// If the file cannot be written, or its tables belong to a newer version of this crate.
    pub async fn migrate(&self) -> Result<(), QueueError> {
        self.change(Op::Migrate).await.map(drop)
    }

    /// Finishes pending writes, removes the lock files of its workers that have ended, and closes
    /// the database. Afterwards, every operation of the store and its clones that uses the database
    /// fails. If the store uses the program's pool, that pool stays open.
    pub async fn close(&self) {
        // A worker must not remove its own file: without the file, nobody would take over the
        // leases that it left behind before they expire. So the store does both here. If that
        // fails, another worker does it.
        if self.workers.had_one.load(Ordering::Relaxed) {
            let _ = self.take_over().await;
        }
        self.writer.close().await;
        if self.whose == Whose::Ours {
            self.pool.close().await;
        }
    }

    /// Returns the pool for reading, unless the store was closed.
    fn readers(&self) -> Result<&SqlitePool, QueueError> {
        if self.writer.is_closed() { Err(QueueError::closed()) } else { Ok(&self.pool) }
    }

    pub(super) async fn ask(&self, op: Op) -> Result<Answer, QueueError> {
        match self.writer.ask(op).await? {
            Answer::Failed(error) => Err(error),
            answer => Ok(answer),
        }
    }

    async fn change(&self, op: Op) -> Result<u64, QueueError> {
        match self.ask(op).await? {
            Answer::Changed(count) => Ok(count),
            _ => Err(QueueError::closed()),
        }
    }

    /// Like `change`, for operations that may make entries due.
    async fn change_and_wake(&self, op: Op) -> Result<u64, QueueError> {
        let count = self.change(op).await?;
        if count > 0 {
            self.changes.send_replace(());
        }
        Ok(count)
    }

    async fn requeue_page(&self, which: Which, limit: i64) -> Result<Page, QueueError> {
        match self.ask(Op::Requeue { which, limit }).await? {
            Answer::Page(page) => {
                if page.count > 0 {
                    self.changes.send_replace(());
                }
                Ok(page)
            }
            _ => Err(QueueError::closed()),
        }
    }

    /// Calls a function with the directory of the workers' locks, without blocking the runtime.
    async fn locks<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let folder = self.workers.folder.clone();
        let looked = spawn_blocking(move || look(&folder)).await;
        let failed = |error: io::Error| QueueError::new(QueueErrorKind::Unavailable, error);
        looked.map_err(|error| failed(error.into()))?.map_err(failed)
    }

    /// Takes over from dead workers.
    async fn take_over(&self) -> Result<u64, QueueError> {
        // On a file system without locks, or if the directory cannot be read, entries of dead
        // workers wait until their leases expire.
        let Ok(dead) = self.locks(Dead::find).await else { return Ok(0) };
        let workers = dead.workers();
        if workers.is_empty() {
            return Ok(0);
        }
        let count = self.change_and_wake(Op::TakeOver(workers)).await?;
        self.locks(move |_| {
            dead.remove();
            Ok(())
        })
        .await?;
        Ok(count)
    }

    /// Resumes stalled lanes, a page at a time.
    async fn sweep(&self) -> Result<u64, QueueError> {
        let Some(after) = self.workers.sweep.begin() else { return Ok(0) };
        let Answer::Swept(last, promoted) = self.ask(Op::Sweep(after)).await? else {
            return Err(QueueError::closed());
        };
        self.workers.sweep.end(last);
        if promoted > 0 {
            telemetry::stalled(promoted);
            self.changes.send_replace(());
        }
        Ok(promoted)
    }
}

impl Enqueue<SqliteStore> {
    /// Queues events in an SQLite file, which is created if it is missing.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn sqlite(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        SqliteStore::open(path).await.map(Self::new)
    }
}

impl QueueStore for SqliteStore {
    type Changes = SqliteChanges;

    async fn register(&self) -> Result<Registration, QueueError> {
        let worker = WorkerId(fastrand::i64(1..));
        self.workers.had_one.store(true, Ordering::Relaxed);
        Ok(match self.locks(move |folder| Presence::take(folder, worker)).await {
            Ok(presence) => Registration::new(worker, presence),
            Err(error) => {
                telemetry::without_lock(&error);
                Registration::new(worker, ())
            }
        })
    }

    async fn recover(&self, _worker: WorkerId) -> Result<u64, QueueError> {
        Ok(self.take_over().await? + self.sweep().await?)
    }

    async fn enqueue(&self, entry: NewEntry) -> Result<bool, QueueError> {
        Ok(self.change_and_wake(Op::Insert(entry)).await? > 0)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, QueueError> {
        match self.ask(Op::Claim(request)).await? {
            Answer::Claimed(claims) => Ok(claims),
            _ => Err(QueueError::closed()),
        }
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<EntryId>, QueueError> {
        match self.ask(Op::Renew { leases: leases.to_vec(), lease: millis(lease) }).await? {
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
        self.change(Op::Ping).await.map(drop)
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        let mut counts = read::counts(self.readers()?).await.map_err(failed)?;
        counts.workers = self.locks(Dead::find).await.map_or(0, |dead| dead.alive);
        Ok(counts)
    }

    async fn release_held(&self, inbox_id: Option<&str>) -> Result<u64, QueueError> {
        let inbox_id = inbox_id.map(text::column);
        let mut count = 0;
        loop {
            let op = Op::ReleaseHeld { inbox_id: inbox_id.clone(), limit: PAGE };
            let page = self.change_and_wake(op).await?;
            count += page;
            if page < PAGE.unsigned_abs() {
                return Ok(count);
            }
        }
    }

    async fn release_entry(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.change_and_wake(Op::ReleaseEntry(id)).await? > 0)
    }

    async fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let after = after.map_or(i64::MIN, |id| id.0);
        read::dead_letters(self.readers()?, after, many(limit)).await.map_err(failed)
    }

    async fn dead_letter(
        &self,
        id: EntryId,
    ) -> Result<Option<(DeadLetter, StoredEvent)>, QueueError> {
        read::dead_letter(self.readers()?, id).await.map_err(failed)
    }

    async fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<DeadReport>, QueueError> {
        match self.ask(Op::Unreported { limit: many(limit), lease: millis(lease) }).await? {
            Answer::Reports(reports) => Ok(reports),
            _ => Err(QueueError::closed()),
        }
    }

    async fn reported(&self, lease: &Lease) -> Result<bool, QueueError> {
        Ok(self.change(Op::Reported(lease.clone())).await? > 0)
    }

    async fn requeue(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.requeue_page(Which::One(id), 1).await?.count > 0)
    }

    async fn requeue_inbox(&self, inbox_id: &str) -> Result<u64, QueueError> {
        let inbox = text::column(inbox_id);
        let (mut after, mut count) = (i64::MIN, 0);
        loop {
            let page = self.requeue_page(Which::Inbox(inbox.clone(), after), PAGE).await?;
            count += page.count;
            match page.last {
                Some(last) => after = last,
                None => return Ok(count),
            }
        }
    }

    #[cfg(feature = "guard")]
    fn count_store(&self) -> Option<Arc<dyn CountStore>> {
        Some(Arc::new(self.clone()))
    }

    async fn drop_dead_letter(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(self.change(Op::Drop(id)).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
        contract::check(store.clone()).await;
        store.close().await;
    }
}
