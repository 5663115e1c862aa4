//! [`PostgresStore`].

use std::{future::pending, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{sync::watch, time::sleep};

#[cfg(feature = "guard")]
use crate::seam::CountStore;
use crate::{
    queue::{
        enqueue::Enqueue,
        entry::{Counts, DeadLetter, EntryId, NewEntry, Retention},
        error::QueueError,
        lease::{Claims, DeadReport, Lease, Registration, WorkerId},
        request::ClaimRequest,
        settlement::Settlement,
        sql::{batch::Batcher, many, millis, sweep::Sweep},
        store::{Changes, QueueStore},
    },
    seam::StoredEvent,
    telemetry::store as telemetry,
};

use super::{
    claim,
    database::{Database, LONG, PATIENCE, in_time},
    dead,
    insert::Inserter,
    lanes, open,
    options::PostgresOptions,
    presence, read,
    session::{CHANNEL, Session},
    settle::{Settler, give_back},
};

/// Maximum number of dead letters requeued, or held entries released, in one transaction.
const PAGE: i64 = 500;
/// The time that a worker is given to reconnect if only its session broke.
const GRACE: Duration = Duration::from_millis(500);

/// A queue in PostgreSQL, for any number of processes on any number of machines.
///
/// Events that one process stores at the same time share a commit, and so do those that it settles.
/// Each commit is flushed to disk, even if the server's default for `synchronous_commit` is `off`,
/// and transactions set the isolation level that they need. Workers claim with `SKIP LOCKED` and
/// are woken by `NOTIFY`. Each worker holds an advisory lock: when its process dies, another worker
/// takes over its entries at once. (After a restart or a failover of the server, workers first have
/// 5 s to reconnect.) Locks and notifications need a session, so a connection pooler in front of
/// the database must be in session mode. The store has a pool of at most 8 connections by default,
/// and one more for its session. All times are read from the database's clock.
///
/// Only the store's own tables are used: `openmail_events`, `openmail_counts`, `openmail_workers`
/// and `openmail_migrations`, in the first schema of the connection's search path or in the
/// [given](PostgresOptions::schema) one. Clones share the store.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(super) database: Database,
    inserter: Batcher<Inserter>,
    settler: Batcher<Settler>,
    session: Session,
    bell: Bell,
    sweep: Arc<Sweep>,
}

/// Announces changes: directly to the workers of this store, and through the database to all
/// others.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    session: Session,
    others: Arc<str>,
}

impl Bell {
    /// Returns the statement that notifies the others once the transaction is committed.
    pub(super) fn others(&self) -> &str {
        &self.others
    }

    pub(super) fn ring(&self) {
        self.session.tell();
    }
}

impl PostgresStore {
    /// Connects to the database at a URL such as `postgres://user@host/database`, and creates or
    /// migrates the tables if necessary.
    ///
    /// # Errors
    /// As for [`PostgresOptions::connect`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        PostgresOptions::new().connect(url).await
    }

    /// Opens a store that uses the program's pool, and creates or migrates the tables if necessary.
    ///
    /// # Errors
    /// As for [`PostgresOptions::over`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn new(pool: PgPool) -> Result<Self, QueueError> {
        PostgresOptions::new().over(pool).await
    }

    /// Returns the default options.
    pub fn options() -> PostgresOptions {
        PostgresOptions::new()
    }

    pub(super) fn on(database: Database) -> Self {
        let name = format!("{:016x}", fastrand::u64(..));
        let others = format!("SELECT pg_notify('{CHANNEL}', '{name}');").into();
        let session = Session::new(database.pool(), name);
        let bell = Bell { session: session.clone(), others };
        let inserter = Inserter { database: database.clone(), bell: bell.clone() };
        let settler = Settler { database: database.clone(), bell: bell.clone() };
        let (inserter, settler) = (Batcher::new(inserter), Batcher::new(settler));
        let sweep = Arc::new(Sweep::new());
        Self { database, inserter, settler, session, bell, sweep }
    }

    /// Creates the tables, or migrates them to this version. Several processes may do so
    /// concurrently.
    ///
    /// # Errors
    /// If the database cannot be reached, its tables belong to a newer version of this crate, or
    /// tables are missing and the role may not create them.
    pub async fn migrate(&self) -> Result<(), QueueError> {
        open::migrate(&self.database).await
    }

    /// Finishes pending writes, and disconnects. Afterwards, every operation of the store and its
    /// clones fails. If the store uses the program's pool, that pool stays open.
    pub async fn close(&self) {
        self.inserter.close().await;
        self.settler.close().await;
        self.session.close().await;
        self.database.close().await;
    }

    /// Takes over from dead workers, and lists this one again if it was taken for dead.
    async fn take_over(&self, worker: WorkerId) -> Result<u64, QueueError> {
        let seen = in_time(PATIENCE, presence::look(&self.database, worker.0)).await?;
        if !seen.is_listed {
            in_time(PATIENCE, presence::list(&self.database, worker.0)).await?;
        }
        if seen.dead.is_empty() || !self.session.is_settled() {
            return Ok(0);
        }
        // A live worker takes its lock again within this time.
        sleep(GRACE).await;
        if !self.session.is_settled() {
            return Ok(0);
        }
        let count = in_time(PATIENCE, async {
            let mut work = self.database.begin("").await?;
            let count = presence::take_over(&mut work, &seen.dead).await?;
            work.commit_with(self.bell.others()).await?;
            Ok(count)
        });
        let count = count.await?;
        if count > 0 {
            self.bell.ring();
        }
        Ok(count)
    }

    /// Resumes stalled lanes, a page at a time.
    async fn sweep(&self) -> Result<u64, QueueError> {
        let Some(after) = self.sweep.begin() else { return Ok(0) };
        let swept = in_time(PATIENCE, async {
            let mut work = self.database.begin("").await?;
            let (free, last) = lanes::standstills(&mut work, &after).await?;
            work.commit().await?;
            if free.is_empty() {
                return Ok((last, 0));
            }
            let free: Vec<&str> = free.iter().map(String::as_str).collect();
            let mut work = self.database.begin(&lanes::lock(free.iter().copied())).await?;
            let promoted = lanes::promote(&mut work, &free).await?;
            work.commit_with(self.bell.others()).await?;
            Ok((last, promoted))
        });
        let (last, promoted) = swept.await?;
        self.sweep.end(last);
        if promoted > 0 {
            telemetry::stalled(promoted);
            self.bell.ring();
        }
        Ok(promoted)
    }
}

impl Enqueue<PostgresStore> {
    /// Queues events in a PostgreSQL database.
    ///
    /// # Errors
    /// As for [`PostgresStore::connect`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn postgres(url: &str) -> Result<Self, QueueError> {
        PostgresStore::connect(url).await.map(Self::new)
    }
}

/// Notifications of changes made by any process.
#[derive(Debug)]
pub struct PostgresChanges(watch::Receiver<()>);

impl Changes for PostgresChanges {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, so there will be no further changes.
            pending::<()>().await;
        }
    }
}

impl QueueStore for PostgresStore {
    type Changes = PostgresChanges;

    async fn register(&self) -> Result<Registration, QueueError> {
        let facts = in_time(PATIENCE, self.database.facts()).await?;
        let id = in_time(PATIENCE, presence::reserve(&self.database)).await?;
        let worker = WorkerId(id);
        // After two billion workers, an id no longer fits into a lock's number. If such a worker
        // dies, its entries wait until their leases expire.
        let Ok(number) = i32::try_from(id) else { return Ok(Registration::new(worker, ())) };
        let held = self.session.lock((facts.class, number)).await.ok_or_else(QueueError::closed)?;
        in_time(PATIENCE, presence::list(&self.database, id)).await?;
        Ok(Registration::new(worker, held))
    }

    async fn recover(&self, worker: WorkerId) -> Result<u64, QueueError> {
        Ok(self.take_over(worker).await? + self.sweep().await?)
    }

    async fn enqueue(&self, entry: NewEntry) -> Result<bool, QueueError> {
        self.inserter.ask(entry).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, QueueError> {
        if request.after_failure {
            in_time(PATIENCE, async {
                let leases = claim::unheld(&self.database, &request).await?;
                give_back(&self.database, &self.bell, leases).await
            })
            .await?;
        }
        claim::claim(&self.database, request).await
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<EntryId>, QueueError> {
        in_time(PATIENCE, claim::renew(&self.database, leases, millis(lease))).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<bool, QueueError> {
        self.settler.ask((lease.clone(), settlement)).await
    }

    fn changes(&self) -> PostgresChanges {
        PostgresChanges(self.session.subscribe())
    }

    async fn prune(&self, retention: Retention, limit: usize) -> Result<u64, QueueError> {
        in_time(LONG, dead::prune(&self.database, retention, many(limit))).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        let ping = async {
            let mut work = self.database.begin("").await?;
            sqlx::query("SELECT FROM openmail_migrations LIMIT 1").execute(&mut *work).await?;
            work.commit().await
        };
        in_time(PATIENCE, ping).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        in_time(LONG, read::counts(&self.database)).await
    }

    async fn release_held(&self, inbox_id: Option<&str>) -> Result<u64, QueueError> {
        let facts = in_time(PATIENCE, self.database.facts()).await?;
        let inbox_id = inbox_id.map(|id| facts.column(id));
        let mut count = 0;
        loop {
            let released =
                dead::release_held(&self.database, &self.bell, inbox_id.as_deref(), PAGE);
            let page = in_time(LONG, released).await?;
            count += page;
            if page < PAGE.unsigned_abs() {
                return Ok(count);
            }
        }
    }

    async fn release_entry(&self, id: EntryId) -> Result<bool, QueueError> {
        in_time(LONG, dead::release_entry(&self.database, &self.bell, id)).await
    }

    async fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let after = after.map_or(i64::MIN, |id| id.0);
        in_time(LONG, read::dead_letters(&self.database, after, many(limit))).await
    }

    async fn dead_letter(
        &self,
        id: EntryId,
    ) -> Result<Option<(DeadLetter, StoredEvent)>, QueueError> {
        in_time(LONG, read::dead_letter(&self.database, id)).await
    }

    async fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<DeadReport>, QueueError> {
        in_time(LONG, dead::unreported(&self.database, many(limit), millis(lease))).await
    }

    async fn reported(&self, lease: &Lease) -> Result<bool, QueueError> {
        in_time(LONG, dead::reported(&self.database, lease)).await
    }

    async fn requeue(&self, id: EntryId) -> Result<bool, QueueError> {
        let requeued = dead::requeue(&self.database, &self.bell, id.0, None, 1);
        Ok(!in_time(LONG, requeued).await?.is_empty())
    }

    async fn requeue_inbox(&self, inbox_id: &str) -> Result<u64, QueueError> {
        let inbox = in_time(PATIENCE, self.database.facts()).await?.column(inbox_id);
        let (mut last, mut count) = (i64::MIN, 0);
        loop {
            let requeued = dead::requeue(&self.database, &self.bell, last, Some(&inbox), PAGE);
            let ids = in_time(LONG, requeued).await?;
            count += ids.len() as u64;
            match ids.into_iter().max() {
                Some(id) => last = id,
                None => return Ok(count),
            }
        }
    }

    #[cfg(feature = "guard")]
    fn count_store(&self) -> Option<Arc<dyn CountStore>> {
        Some(Arc::new(self.clone()))
    }

    async fn drop_dead_letter(&self, id: EntryId) -> Result<bool, QueueError> {
        in_time(LONG, dead::drop_dead(&self.database, id)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs OPENMAIL_TEST_POSTGRES"]
    async fn keeps_the_contract() {
        let url = std::env::var("OPENMAIL_TEST_POSTGRES").unwrap();
        let schema = format!("contract_{:016x}", fastrand::u64(..));
        let admin = PgPool::connect(&url).await.unwrap();
        let run = async |sql: String| {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&admin).await.unwrap();
        };
        run(format!("CREATE SCHEMA {schema}")).await;
        let store = PostgresStore::options().schema(&schema).connect(&url).await.unwrap();
        contract::check(store.clone()).await;
        store.close().await;
        run(format!("DROP SCHEMA {schema} CASCADE")).await;
    }
}
