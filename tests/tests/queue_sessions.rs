//! The sessions and locks by which a PostgreSQL store notices dead workers.

use std::time::{Duration, Instant};

use openmail_tests::{PostgresDatabase, PostgresServer, mail, until_settled};
use openmail_tower::queue::{ClaimRequest, Enqueue, PostgresStore, QueueStore, WorkerId};
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Adds an event, and leases it to a worker for an hour.
async fn lease(store: &PostgresStore, worker: WorkerId, id: &str) {
    Enqueue::new(store.clone()).oneshot(mail(id)).await.unwrap();
    let claims = store.claim(ClaimRequest::new(worker, 1, HOUR)).await.unwrap();
    assert_eq!(claims.entries.len(), 1);
}

async fn number(session: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(session).await.unwrap()
}

/// Waits until a query returns this number.
async fn until(session: &mut PgConnection, query: &'static str, expected: i64) {
    let reached = async {
        while number(session, query).await != expected {
            // The server does not announce what its views show; the timeout limits the wait.
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect(query);
}

/// The sessions of the store.
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'openmail'";
/// The sessions that hold the lock of the first worker.
const HOLDERS: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 'openmail_workers'::regclass
      AND objid = 1 AND application_name = 'openmail'";
/// The sessions that wait for a worker's lock.
const WAITING: &str = "SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND classid = 'openmail_workers'::regclass";
const LOCK: &str = "SELECT pg_advisory_lock('openmail_workers'::regclass::oid::int, 1)";

/// The old session holds the lock, as if the server had not noticed yet that its connection is
/// lost.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn worker_waits_for_the_lock_of_its_old_session_without_piling_up_sessions() {
    let database = PostgresDatabase::new("").await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let registration = store.register().await.unwrap();
    assert_eq!(registration.worker(), WorkerId(1));
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    let mut old = PgConnection::connect(database.url()).await.unwrap();
    let old = tokio::spawn(async move {
        sqlx::query(LOCK).execute(&mut old).await.unwrap();
        old
    });
    until(&mut admin, WAITING, 1).await;
    let before = number(&mut admin, SESSIONS).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
               WHERE locktype = 'advisory' AND granted
                 AND classid = 'openmail_workers'::regclass AND objid = 1";
    assert_eq!(number(&mut admin, cut).await, 1);
    let old = old.await.unwrap();
    let since = Instant::now();
    // Longer than three attempts to reconnect take.
    while since.elapsed() < Duration::from_secs(7) {
        // One may be closing while the next connects.
        let sessions = number(&mut admin, SESSIONS).await;
        assert!(sessions <= before + 1, "{sessions} sessions after {:?}", since.elapsed());
        assert_eq!(number(&mut admin, HOLDERS).await, 0);
        sleep(Duration::from_millis(20)).await;
    }
    old.close().await.unwrap();
    until(&mut admin, HOLDERS, 1).await;
    assert_eq!(store.counts().await.unwrap().workers, 1);
    lease(&store, registration.worker(), "evt_1").await;
    until(&mut admin, SESSIONS, before).await;
    drop(registration);
    store.close().await;
    database.drop().await;
}

const LISTED: &str = "SELECT count(*) FROM openmail_workers";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn worker_is_listed_only_once_it_holds_its_lock() {
    let database = PostgresDatabase::new("").await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    let mut holder = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query(LOCK).execute(&mut holder).await.unwrap();
    timeout(Duration::from_secs(1), store.register()).await.expect_err("its lock is taken");
    assert_eq!(number(&mut admin, LISTED).await, 0);
    holder.close().await.unwrap();
    let registration = timeout(PATIENCE, store.register()).await.expect("a lock").unwrap();
    assert_ne!(registration.worker(), WorkerId(1), "no id is used twice");
    assert_eq!(number(&mut admin, LISTED).await, 1);
    assert_eq!(store.counts().await.unwrap().workers, 1);
    drop(registration);
    store.close().await;
    database.drop().await;
}

/// Another worker may have found the lock free while the session was being replaced.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn live_worker_that_was_taken_for_dead_is_listed_again() {
    let database = PostgresDatabase::new("").await;
    let first = PostgresStore::connect(database.url()).await.unwrap();
    let second = PostgresStore::connect(database.url()).await.unwrap();
    let (worker, other) = (first.register().await.unwrap(), second.register().await.unwrap());
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    sqlx::query("DELETE FROM openmail_workers WHERE id = $1")
        .bind(worker.worker().0)
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(second.counts().await.unwrap().workers, 1);
    assert_eq!(first.recover(worker.worker()).await.unwrap(), 0);
    assert_eq!(second.counts().await.unwrap().workers, 2);

    lease(&first, worker.worker(), "evt_1").await;
    assert_eq!(second.recover(other.worker()).await.unwrap(), 0);
    first.close().await;
    // Its lock is free once the server has ended its session.
    until(&mut admin, HOLDERS, 0).await;
    assert_eq!(second.recover(other.worker()).await.unwrap(), 1, "its death is noticed");
    assert_eq!(number(&mut admin, LISTED).await, 1);
    second.close().await;
    database.drop().await;
}

/// Leaves an event leased to a worker that no longer has a session.
async fn strand(url: &str, id: &str) {
    let store = PostgresStore::connect(url).await.unwrap();
    let registration = store.register().await.unwrap();
    lease(&store, registration.worker(), id).await;
    store.close().await;
}

/// Connects, and returns how long it takes to recover the stranded event.
async fn recovered_after(url: &str) -> Duration {
    let store = PostgresStore::connect(url).await.unwrap();
    let registration = store.register().await.unwrap();
    let since = Instant::now();
    let recovered = async {
        while store.recover(registration.worker()).await.unwrap() == 0 {
            // A worker also repeats this; the timeout limits the wait.
            sleep(Duration::from_millis(20)).await;
        }
        since.elapsed()
    };
    let after = timeout(PATIENCE, recovered).await.expect("it is recovered");
    drop(registration);
    store.close().await;
    after
}

/// The time that other workers are given to reconnect after a restart or a failover.
const MOMENT: Duration = Duration::from_secs(5);

/// A process that has just started sees only that the locks of others are free.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn new_process_gives_the_others_time_after_a_restart_or_a_failover() {
    let mut server = PostgresServer::start().await;
    strand(&server.url(), "evt_1").await;
    let after = recovered_after(&server.url()).await;
    assert!(after >= MOMENT, "recovered after {after:?}");

    strand(&server.url(), "evt_2").await;
    server.follow();
    server.restart().await;
    // A replica has usually been up for a while when it is promoted.
    sleep(2 * MOMENT).await;
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("SELECT pg_promote()").execute(&mut admin).await.unwrap();
    let after = recovered_after(&server.url()).await;
    assert!(after >= MOMENT, "recovered after {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn new_process_recovers_at_once_if_the_server_has_been_up() {
    let database = PostgresDatabase::new("").await;
    until_settled(database.url()).await;
    strand(database.url(), "evt_1").await;
    let after = recovered_after(database.url()).await;
    println!("recovered after {after:?}");
    assert!(after < MOMENT, "recovered after {after:?}");
    database.drop().await;
}
