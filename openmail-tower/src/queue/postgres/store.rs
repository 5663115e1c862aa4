//! [`PostgresStore`].

use std::{future::pending, time::Duration};

use sqlx::PgPool;
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
    claim,
    insert::{Inserter, in_time},
    listener::Listener,
    open, read, settle,
    settle::Settler,
};

/// A queue in PostgreSQL, for any number of processes on any number of machines.
///
/// What one process asks for at the same time shares a commit; `synchronous_commit` is on, whatever
/// the server's default. Workers claim with `SKIP LOCKED` and are woken by `NOTIFY`, which needs a
/// session: a pooler between must be in session mode. There are 8 connections at most, one of which
/// listens for all workers of the store. The times are the database's.
///
/// Only its own tables are touched, in the first schema of the connection's search path:
/// `openmail_events` and `openmail_migrations`, and the function `openmail_now`. Clones share it.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    inserter: Batcher<Inserter>,
    settler: Batcher<Settler>,
    listener: Listener,
}

impl PostgresStore {
    /// Connects to a database, as in `postgres://user@host/database`, and makes the tables where
    /// they are not there. What the URL may hold beyond that is listed at
    /// [`PgConnectOptions`](https://docs.rs/sqlx/latest/sqlx/postgres/struct.PgConnectOptions.html).
    /// TLS needs the feature `queue-postgres-tls`.
    ///
    /// # Errors
    /// When it cannot be reached, or is of a newer version of this crate.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        let pool = open::connect(url).await?;
        open::migrate(&pool).await?;
        let inserter = Batcher::new(Inserter(pool.clone()));
        let settler = Batcher::new(Settler(pool.clone()));
        let listener = Listener::new(pool.clone());
        Ok(Self { pool, inserter, settler, listener })
    }

    /// Writes what was asked for, and disconnects. It and its clones then refuse everything.
    pub async fn close(&self) {
        self.inserter.close().await;
        self.settler.close().await;
        self.listener.close().await;
        self.pool.close().await;
    }
}

impl Enqueue<PostgresStore> {
    /// Takes events over into a database.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn postgres(url: &str) -> Result<Self, QueueError> {
        PostgresStore::connect(url).await.map(Self::new)
    }
}

/// Tells when to look: after the changes that anybody has made.
#[derive(Debug)]
pub struct PostgresChanges(watch::Receiver<()>);

impl Changes for PostgresChanges {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and nobody listens for it.
            pending::<()>().await;
        }
    }
}

impl QueueStore for PostgresStore {
    type Changes = PostgresChanges;

    async fn register(&self) -> Result<Registration, QueueError> {
        Ok(Registration::new(WorkerId(fastrand::i64(1..)), ()))
    }

    async fn recover(&self, _worker: WorkerId) -> Result<u64, QueueError> {
        Ok(0)
    }

    async fn enqueue(&self, entry: NewEntry) -> Result<bool, QueueError> {
        self.inserter.ask(entry).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, QueueError> {
        in_time(claim::claim(&self.pool, request)).await
    }

    async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<EntryId>, QueueError> {
        in_time(claim::renew(&self.pool, leases, millis(lease))).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<bool, QueueError> {
        self.settler.ask((lease.clone(), settlement)).await
    }

    fn changes(&self) -> PostgresChanges {
        PostgresChanges(self.listener.subscribe())
    }

    async fn prune(&self, retention: Retention, limit: usize) -> Result<u64, QueueError> {
        in_time(settle::prune(&self.pool, retention, many(limit))).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        let ping = sqlx::query("SELECT FROM openmail_migrations LIMIT 1").execute(&self.pool);
        in_time(ping).await.map(drop)
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        in_time(read::counts(&self.pool)).await
    }

    async fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let after = after.map_or(i64::MIN, |id| id.0);
        in_time(read::dead_letters(&self.pool, after, many(limit))).await
    }

    async fn dead_letter(
        &self,
        id: EntryId,
    ) -> Result<Option<(DeadLetter, StoredEvent)>, QueueError> {
        in_time(read::dead_letter(&self.pool, id)).await
    }

    async fn release_held(&self, inbox_id: Option<&str>) -> Result<u64, QueueError> {
        let inbox_id = inbox_id.map(text::column);
        in_time(settle::release(&self.pool, inbox_id.as_deref(), None)).await
    }

    async fn release_entry(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(in_time(settle::release(&self.pool, None, Some(id))).await? > 0)
    }

    async fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<DeadReport>, QueueError> {
        in_time(settle::unreported(&self.pool, many(limit), millis(lease))).await
    }

    async fn reported(&self, lease: &Lease) -> Result<bool, QueueError> {
        in_time(settle::reported(&self.pool, lease)).await
    }

    async fn requeue(&self, id: EntryId) -> Result<bool, QueueError> {
        Ok(!in_time(settle::requeue(&self.pool, id.0, None, 1)).await?.is_empty())
    }

    async fn requeue_inbox(&self, inbox_id: &str) -> Result<u64, QueueError> {
        const FEW: i64 = 500;
        let inbox = text::column(inbox_id);
        let (mut last, mut count) = (i64::MIN, 0);
        loop {
            let ids = in_time(settle::requeue(&self.pool, last, Some(&inbox), FEW)).await?;
            count += ids.len() as u64;
            match ids.into_iter().max() {
                Some(id) => last = id,
                None => return Ok(count),
            }
        }
    }

    async fn drop_dead_letter(&self, id: EntryId) -> Result<bool, QueueError> {
        in_time(settle::drop_dead(&self.pool, id)).await
    }
}

fn many(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn millis(duration: Duration) -> i64 {
    // A thousand years: no sum of it and a time overflows.
    const MOST: i64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs OPENMAIL_TEST_POSTGRES"]
    async fn it_keeps_the_contract() {
        let url = std::env::var("OPENMAIL_TEST_POSTGRES").unwrap();
        let schema = format!("contract_{:016x}", fastrand::u64(..));
        let admin = PgPool::connect(&url).await.unwrap();
        let run = async |sql: String| {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&admin).await.unwrap();
        };
        run(format!("CREATE SCHEMA {schema}")).await;
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}options=-csearch_path%3D{schema}");
        let store = PostgresStore::connect(&url).await.unwrap();
        contract::check(store.clone()).await;
        store.close().await;
        run(format!("DROP SCHEMA {schema} CASCADE")).await;
    }
}
