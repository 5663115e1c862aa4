//! Workers that die, and workers that only seem dead.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use openmail_tests::FileLocks;
use openmail_tests::{PostgresSchema, Receiver, mail, until_settled};
use openmail_tower::queue::{Enqueue, PostgresStore, QueueStore, SqliteStore};
use tempfile::TempDir;
use tokio::time::sleep;
use tower::ServiceExt;

const PROGRAM: &str = env!("CARGO_BIN_EXE_receiver");

/// Shorter than a default lease, so that an expired lease cannot be the reason why an event runs
/// again; longer than a slow machine needs.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Workers on one database, whose handlers never end. Unless a test sets the lease, they have the
/// default settings.
struct Workers {
    database: String,
    runs: PathBuf,
    _folder: TempDir,
}

impl Workers {
    fn on(database: &str, folder: TempDir) -> Self {
        let runs = folder.path().join("runs");
        fs::write(&runs, "").unwrap();
        Self { database: database.to_owned(), runs, _folder: folder }
    }

    fn start(&self) -> Receiver {
        Receiver::run(&mut self.command())
    }

    /// Returns the command that starts a worker, which logs to a file.
    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        command.arg(&self.database).arg(&self.runs).arg("stuck").stderr(log);
        command
    }

    fn log(&self) -> PathBuf {
        self.runs.with_extension("log")
    }

    fn begun(&self) -> usize {
        fs::read_to_string(&self.runs).unwrap().lines().count()
    }

    /// Waits until this many runs have begun. Returns how long that took.
    async fn until_begun(&self, runs: usize) -> Duration {
        let since = Instant::now();
        while self.begun() < runs {
            assert!(since.elapsed() < AT_ONCE, "{} of {runs} runs have begun", self.begun());
            sleep(Duration::from_millis(5)).await;
        }
        since.elapsed()
    }
}

async fn add<St: QueueStore>(store: &St, event_id: &str) {
    Enqueue::new(store.clone()).oneshot(mail(event_id)).await.unwrap();
}

async fn another_worker_takes_over_at_once<St: QueueStore>(store: St, workers: Workers) {
    let first = workers.start();
    add(&store, "evt_1").await;
    workers.until_begun(1).await;
    let second = workers.start();
    first.kill();
    println!("another worker took over after {:?}", workers.until_begun(2).await);
    second.kill();
}

async fn restarted_worker_takes_over_at_once<St: QueueStore>(store: St, workers: Workers) {
    let first = workers.start();
    add(&store, "evt_1").await;
    workers.until_begun(1).await;
    first.kill();
    let since = Instant::now();
    let second = workers.start();
    workers.until_begun(2).await;
    println!("a restarted worker took over after {:?}", since.elapsed());
    second.kill();
}

/// The suspended worker still holds its lock, so its entry is due only once its lease has expired.
async fn suspended_worker_loses_nothing_before_its_lease_ends<St: QueueStore>(
    store: St,
    workers: Workers,
) {
    let first = workers.start();
    add(&store, "evt_1").await;
    workers.until_begun(1).await;
    let second = workers.start();
    first.signal("-STOP");
    // Time for the second worker to look for dead workers a few times.
    sleep(Duration::from_secs(4)).await;
    assert_eq!(workers.begun(), 1);
    first.signal("-CONT");
    first.kill();
    second.kill();
}

async fn sqlite() -> (SqliteStore, Workers) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let database = Path::to_str(&path).unwrap().to_owned();
    (store, Workers::on(&database, folder))
}

#[tokio::test]
async fn sqlite_notices_a_dead_worker() {
    let (store, workers) = sqlite().await;
    another_worker_takes_over_at_once(store, workers).await;
    let (store, workers) = sqlite().await;
    restarted_worker_takes_over_at_once(store, workers).await;
}

/// Other workers cannot see whether a worker without a lock lives, so they wait until its leases
/// expire.
#[cfg(target_os = "linux")]
async fn worker_without_a_lock_keeps_its_leases(locks: FileLocks) {
    const LEASE: Duration = Duration::from_secs(10);
    const MAILS: usize = 8;
    let (store, workers) = sqlite().await;
    let start = || {
        let mut command = workers.command();
        locks.load_into(&mut command);
        Receiver::run(command.arg(LEASE.as_secs().to_string()))
    };
    let first = start();
    let since = Instant::now();
    for number in 0..MAILS {
        add(&store, &format!("evt_{number}")).await;
    }
    workers.until_begun(MAILS).await;
    let second = start();
    // Time for the second worker to look for dead workers a few times.
    sleep(Duration::from_secs(4)).await;
    assert_eq!(workers.begun(), MAILS, "both live");
    first.kill();
    workers.until_begun(2 * MAILS).await;
    let waited = since.elapsed();
    assert!(waited >= LEASE, "they ran again after {waited:?}, before their leases expired");
    second.kill();
    let runs = fs::read_to_string(&workers.runs).unwrap();
    for number in 0..MAILS {
        let line = format!("evt_{number} begun");
        assert_eq!(runs.lines().filter(|it| *it == line).count(), 2, "{line}");
    }
    let log = fs::read_to_string(workers.log()).unwrap();
    assert_eq!(log.matches("a worker could not lock its file").count(), 2, "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sqlite_waits_for_leases_on_a_file_system_without_locks() {
    worker_without_a_lock_keeps_its_leases(FileLocks::failing("ENOLCK")).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sqlite_waits_for_leases_on_a_file_system_that_grants_every_lock() {
    worker_without_a_lock_keeps_its_leases(FileLocks::ignored()).await;
}

#[tokio::test]
async fn sqlite_leaves_a_suspended_worker_its_lease() {
    let (store, workers) = sqlite().await;
    suspended_worker_loses_nothing_before_its_lease_ends(store, workers).await;
}

async fn postgres() -> (PostgresSchema, PostgresStore, Workers) {
    let schema = PostgresSchema::new().await;
    until_settled(schema.url()).await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    let workers = Workers::on(schema.url(), tempfile::tempdir().unwrap());
    (schema, store, workers)
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn postgres_notices_a_dead_worker() {
    let (schema, store, workers) = postgres().await;
    another_worker_takes_over_at_once(store, workers).await;
    schema.drop().await;
    let (schema, store, workers) = postgres().await;
    restarted_worker_takes_over_at_once(store, workers).await;
    schema.drop().await;
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn postgres_leaves_a_suspended_worker_its_lease() {
    let (schema, store, workers) = postgres().await;
    suspended_worker_loses_nothing_before_its_lease_ends(store, workers).await;
    schema.drop().await;
}

/// A session also ends in a failover, or when an administrator terminates it.
#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn worker_whose_session_is_cut_loses_nothing() {
    let (schema, store, workers) = postgres().await;
    let first = workers.start();
    add(&store, "evt_1").await;
    workers.until_begun(1).await;
    let second = workers.start();
    let pool = schema.pool().await;
    for _ in 0..3 {
        // The schema is in the URL's options, which no query shows, so the store's sessions are
        // found by their locks on its workers' table.
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE locktype = 'advisory' AND classid = 'openmail_workers'::regclass::oid",
        )
        .execute(&pool)
        .await
        .unwrap();
        // Time for both workers to reconnect and to take their locks again.
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(store.counts().await.unwrap().workers, 2, "they have registered again");
    }
    assert_eq!(workers.begun(), 1);
    // The locks of the new sessions work as before.
    first.kill();
    workers.until_begun(2).await;
    second.kill();
    pool.close().await;
    schema.drop().await;
}
