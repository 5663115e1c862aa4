//! A clock on which all processes that share a file agree.
//!
//! Back-offs and leases must not depend on the machine's clock, which a person or NTP may move by
//! an hour. So the store's time is the machine's clock plus an offset stored in the file. A process
//! notices a jump of the clock by comparing it with its steady clock, and adjusts the offset so
//! that the store's time continues as before. Other processes see that the offset has a new
//! revision, and use it. So each jump is compensated for once, not once by each process.
//!
//! If the clock jumps while no process runs, that period seems longer or shorter than it was. The
//! store's time never starts before the latest time stored in the file, so no entry waits until a
//! clock that was set back has caught up.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sqlx::{Row, SqliteConnection};

use crate::telemetry::store as telemetry;

/// The smallest difference between the machine's clock and the steady clock, in milliseconds, that
/// means that somebody set the machine's clock. A smaller difference comes from gradual
/// corrections, as by NTP.
const JUMP: i64 = 1_000;

/// The interval at which the offset is read and the time is stored.
const CHECK: Duration = Duration::from_secs(1);

/// If a process has not read the time for longer than this, and others have stored a later time, it
/// accepts theirs instead of deciding whether the clock was set. No worker runs in such a process,
/// since a worker reads the time every few seconds.
const IDLE: Duration = Duration::from_secs(10);

/// The machine's clock in Unix milliseconds, and a steady clock that cannot be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) wall: i64,
    pub(super) steady: Duration,
}

pub(super) type Source = Arc<dyn Fn() -> Reading + Send + Sync>;

pub(super) struct Clock {
    source: Source,
    known: Option<Known>,
    /// The latest time returned. Time does not go backwards, unless another process has adjusted
    /// the offset.
    latest: i64,
}

/// The offset as last read, and the store's time then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    offset: i64,
    revision: i64,
    time: i64,
    steady: Duration,
}

impl Clock {
    pub(super) fn new(source: Source) -> Self {
        Self { source, known: None, latest: i64::MIN }
    }

    /// Returns the store's time in milliseconds, close to Unix time. The connection must be in a
    /// write transaction.
    pub(super) async fn now(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<i64> {
        let reading = (self.source)();
        let time = match self.known {
            Some(known) if known.holds(reading) => reading.wall + known.offset,
            _ => self.agree(connection, reading).await?,
        };
        self.latest = self.latest.max(time);
        Ok(self.latest)
    }

    /// Reads the offset, and adjusts it if the clock was set.
    async fn agree(
        &mut self,
        connection: &mut SqliteConnection,
        reading: Reading,
    ) -> sqlx::Result<i64> {
        let row = sqlx::query("SELECT ahead, revision, seen_at FROM openmail_clock")
            .fetch_one(&mut *connection)
            .await?;
        let (offset, revision, seen): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let by_wall = reading.wall.saturating_add(offset);
        let time = match self.known {
            // The offset is unchanged, so the steady clock decides whether to adjust it.
            Some(known) if known.revision == revision => {
                let expected = known.expects(reading);
                let is_steady = by_wall.abs_diff(expected) < JUMP.unsigned_abs();
                let is_idle = reading.steady.saturating_sub(known.steady) > IDLE;
                match seen > expected.saturating_add(JUMP) && is_idle {
                    true => by_wall.max(seen),
                    false if is_steady => by_wall,
                    false => expected,
                }
            }
            // Another process has adjusted the offset, so the new offset determines the time.
            Some(_) => {
                self.latest = i64::MIN;
                by_wall.max(seen)
            }
            None => by_wall.max(seen),
        };
        let offset = offset.saturating_add(time - by_wall);
        let revision = revision + i64::from(time != by_wall);
        sqlx::query("UPDATE openmail_clock SET ahead = ?1, revision = ?2, seen_at = ?3")
            .bind(offset)
            .bind(revision)
            .bind(time)
            .execute(connection)
            .await?;
        if time != by_wall {
            telemetry::clock_set(by_wall - time);
        }
        self.known = Some(Known { offset, revision, time, steady: reading.steady });
        Ok(time)
    }

    /// Returns what is known, to restore it if the transaction fails.
    pub(super) fn known(&self) -> Option<Known> {
        self.known
    }

    pub(super) fn restore(&mut self, known: Option<Known>) {
        self.known = known;
    }

    /// Returns the offset between the store's time and the machine's, as last read.
    pub(super) fn offset(&self) -> i64 {
        self.known.map_or(0, |known| known.offset)
    }
}

impl Known {
    fn expects(&self, reading: Reading) -> i64 {
        let passed = reading.steady.saturating_sub(self.steady).as_millis();
        self.time.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn holds(&self, reading: Reading) -> bool {
        let by_wall = reading.wall.saturating_add(self.offset);
        reading.steady.saturating_sub(self.steady) < CHECK
            && by_wall.abs_diff(self.expects(reading)) < JUMP.unsigned_abs()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Returns the machine's own clocks.
pub(super) fn system() -> Source {
    let begun = Instant::now();
    Arc::new(move || {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading {
            wall: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
            steady: begun.elapsed(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        queue::{
            entry::NewEntry,
            lease::{Claimed, WorkerId},
            request::ClaimRequest,
            settlement::Settlement,
            sqlite::{SqliteOptions, SqliteStore},
            store::QueueStore,
        },
        seam::StoredEvent,
    };

    const HOUR: i64 = 3_600_000;
    const LEASE: Duration = Duration::from_secs(10);

    /// A machine whose clock can be set.
    #[derive(Clone)]
    struct Machine(Arc<Mutex<Reading>>);

    impl Machine {
        fn new() -> Self {
            let reading = Reading { wall: 1_800_000_000_000, steady: Duration::from_secs(100) };
            Self(Arc::new(Mutex::new(reading)))
        }

        fn set(&self, by: i64) {
            self.0.lock().unwrap().wall += by;
        }

        fn passes(&self, millis: u64) {
            let mut reading = self.0.lock().unwrap();
            reading.wall += i64::try_from(millis).unwrap();
            reading.steady += Duration::from_millis(millis);
        }

        async fn open(&self, folder: &tempfile::TempDir) -> SqliteStore {
            let reading = Arc::clone(&self.0);
            let options = SqliteOptions::new().clock(Arc::new(move || *reading.lock().unwrap()));
            options.open(folder.path().join("inbox.db")).await.unwrap()
        }
    }

    async fn add(store: &SqliteStore) {
        let stored = StoredEvent { raw_body: "{}".into(), timestamp: 1, inbox_id: None };
        let entry = NewEntry {
            key: None,
            lane: None,
            event_id: None,
            kind: "message.received".into(),
            inbox_id: None,
            thread_id: None,
            trace_context: None,
            weight: 2,
            stored,
        };
        assert!(store.enqueue(entry).await.unwrap());
    }

    async fn claim(store: &SqliteStore) -> Option<Claimed> {
        let request = ClaimRequest::new(WorkerId(1), 10, LEASE);
        store.claim(request).await.unwrap().entries.pop()
    }

    async fn retry_in_5_s(store: &SqliteStore, claimed: &Claimed) {
        let after = Duration::from_secs(5);
        let retry = Settlement::Retry { after, error: "failed".into(), holds_lane: true };
        assert!(store.settle(&claimed.lease, retry).await.unwrap());
    }

    #[tokio::test]
    async fn setting_the_clock_changes_no_delay() {
        for by in [-HOUR, HOUR] {
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine::new();
            let store = machine.open(&folder).await;
            add(&store).await;
            retry_in_5_s(&store, &claim(&store).await.unwrap()).await;
            machine.set(by);
            assert!(claim(&store).await.is_none(), "it is not due yet");
            machine.passes(5_000);
            let again = claim(&store).await.expect("it is due");
            machine.set(-by);
            machine.passes(9_000);
            assert!(claim(&store).await.is_none(), "the lease holds");
            machine.passes(1_000);
            assert_eq!(claim(&store).await.expect("it has expired").lease.id, again.lease.id);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn clock_set_back_while_no_process_runs_delays_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let store = machine.open(&folder).await;
        add(&store).await;
        retry_in_5_s(&store, &claim(&store).await.unwrap()).await;
        store.close().await;
        machine.set(-HOUR);
        let store = machine.open(&folder).await;
        assert!(claim(&store).await.is_none());
        machine.passes(4_000);
        assert!(claim(&store).await.is_none(), "it is not due yet");
        // The time is stored once a second.
        machine.passes(2_000);
        assert!(claim(&store).await.is_some());
        store.close().await;
    }

    #[tokio::test]
    async fn processes_adjust_for_a_jump_once() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let stores = [machine.open(&folder).await, machine.open(&folder).await];
        add(&stores[0]).await;
        assert!(claim(&stores[0]).await.is_some());
        assert!(claim(&stores[1]).await.is_none());
        for by in [HOUR, -HOUR, -HOUR, HOUR] {
            machine.set(by);
            machine.passes(1_500);
            for store in [&stores[1], &stores[0], &stores[1]] {
                assert!(claim(store).await.is_none(), "the lease holds for both");
            }
        }
        // A process that opens the file right after a jump uses the offset that the others have
        // adjusted.
        machine.set(HOUR);
        let third = machine.open(&folder).await;
        assert!(claim(&stores[0]).await.is_none());
        machine.passes(1_500);
        assert!(claim(&third).await.is_none());
        machine.passes(3_000);
        assert!(claim(&third).await.is_some(), "10 s have passed");
        for store in stores.into_iter().chain([third]) {
            store.close().await;
        }
    }

    #[tokio::test]
    async fn idle_process_accepts_the_time_that_others_use() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let idle = machine.open(&folder).await;
        add(&idle).await;
        machine.set(HOUR);
        machine.passes(60_000);
        let busy = machine.open(&folder).await;
        let claimed = claim(&busy).await.unwrap();
        add(&idle).await;
        retry_in_5_s(&busy, &claimed).await;
        assert_eq!(claim(&busy).await.expect("it is due").attempt, 1);
        machine.passes(6_000);
        assert_eq!(claim(&busy).await.expect("it is due").attempt, 2);
        for store in [idle, busy] {
            store.close().await;
        }
    }

    #[tokio::test]
    async fn dead_letters_show_the_machines_time() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let store = machine.open(&folder).await;
        add(&store).await;
        machine.set(-HOUR);
        let claimed = claim(&store).await.unwrap();
        let bury = Settlement::Bury { error: "failed".into() };
        assert!(store.settle(&claimed.lease, bury).await.unwrap());
        let letter = store.dead_letters(None, 1).await.unwrap().remove(0);
        let wall = machine.0.lock().unwrap().wall.unsigned_abs();
        assert_eq!(letter.buried_at, UNIX_EPOCH + Duration::from_millis(wall));
        store.close().await;
    }
}
