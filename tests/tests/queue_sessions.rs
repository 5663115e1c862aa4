//! The sessions and locks by which PostgreSQL stores notice dead workers.

use std::time::{Duration, Instant};

use openmail_tests::{PostgresDatabase, mail};
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
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect(query);
}

/// The sessions of the store.
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'openmail'";
/// Those that hold the lock of the first worker.
const HOLDERS: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 'openmail_workers'::regclass
      AND objid = 1 AND application_name = 'openmail'";
/// Sessions that wait for it.
const WAITING: &str = "SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND classid = 'openmail_workers'::regclass";
const LOCK: &str = "SELECT pg_advisory_lock('openmail_workers'::regclass::oid::int, 1)";

/// As if the server had not noticed yet that the worker's connection was lost.
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
