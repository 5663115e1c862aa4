//! Processes and databases that are killed.
//!
//! `OPENMAIL_TEST_KILLS` is the number of receivers that a test kills; the test that kills workers
//! kills half as many. Default: 20.

use std::{
    collections::HashSet,
    env, fs,
    path::Path,
    process::Command,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openmail_tests::{PostgresSchema, PostgresServer, Receiver, clock, receiver_at, secret};
use openmail_tower::{
    queue::{PostgresStore, QueueStore, SqliteStore},
    testing::{Emulator, Report, TestEvent},
};
use sqlx::Row;
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_receiver");

fn kills() -> usize {
    env::var("OPENMAIL_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Delivers events to the receiver's current address by OpenMail's rules, 200 times as fast, until
/// it is stopped.
async fn deliver(address: Arc<RwLock<String>>, stop: Arc<AtomicBool>) -> Vec<Report> {
    let service = receiver_at(address);
    let mut reports = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let events = (number..number + 40).map(|number| {
            TestEvent::message_received()
                .event_id(format!("evt_{number}"))
                .thread(format!("thr_{}", number % 17))
        });
        number += 40;
        let emulator = Emulator::new(secret()).clock(clock(0)).speed(200.0).concurrency(16);
        let emulator = emulator.duplicates(0.2).shuffle().timeout(Duration::from_secs(10));
        reports.push(emulator.deliver(service.clone(), events).await);
    }
    reports
}

/// Delivers on a thread of its own, so that deliveries continue while a receiver is started.
fn delivering(address: &Arc<RwLock<String>>, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Report>> {
    let (address, stop, runtime) = (Arc::clone(address), Arc::clone(stop), Handle::current());
    spawn_blocking(move || runtime.block_on(deliver(address, stop)))
}

/// Asserts that every accepted event is done, that none is stored twice, and that every event that
/// is done has run.
fn check(reports: &[Report], done: &[String], runs: &Path) {
    let deliveries = || reports.iter().flat_map(|report| &report.deliveries);
    let id = |delivery: &openmail_tower::testing::Delivery| delivery.event_id.clone().unwrap();
    let accepted: HashSet<_> = deliveries().filter(|it| it.is_accepted()).map(id).collect();
    let sent: HashSet<_> = deliveries().map(id).collect();
    let distinct: HashSet<_> = done.iter().cloned().collect();
    assert_eq!(done.len(), distinct.len(), "an event is stored once");
    let missing: Vec<_> = accepted.difference(&distinct).collect();
    assert!(missing.is_empty(), "answered with 2xx but lost: {missing:?}");
    assert!(distinct.is_subset(&sent));
    assert!(accepted.len() > 50, "too few events to tell");
    let text = fs::read_to_string(runs).unwrap();
    let begun: Vec<_> = text.lines().filter_map(|line| line.strip_suffix(" begun")).collect();
    let ran: HashSet<_> = begun.iter().map(|id| (*id).to_owned()).collect();
    assert!(distinct.is_subset(&ran), "done but never run");
    let failed = text.lines().filter(|line| line.ends_with(" failed")).count();
    println!(
        "{} events sent, {} accepted, {} done; {} runs: {failed} failed, {} repeated after a crash",
        sent.len(),
        accepted.len(),
        done.len(),
        begun.len(),
        begun.len() - failed - ran.len(),
    );
}

async fn until_done<St: QueueStore>(store: &St) {
    let reached = async {
        while !store.counts().await.is_ok_and(|counts| counts.open() + counts.dead == 0) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(Duration::from_secs(60), reached).await.is_err() {
        panic!("left: {:?}, {:?}", store.counts().await, store.dead_letters(None, 9).await);
    }
}

const DONE: &str = "SELECT event_id FROM openmail_events WHERE state = 'done'";

/// Kills receivers on one SQLite file, one after another.
async fn kill_receivers(prepare: impl Fn(&mut Command)) {
    let folder = tempfile::tempdir().unwrap();
    let (file, runs) = (folder.path().join("inbox.db"), folder.path().join("runs"));
    let start = || {
        let mut command = Command::new(PROGRAM);
        prepare(&mut command);
        Receiver::run(command.arg(&file).arg(&runs))
    };
    let mut receiver = start();
    let address = Arc::new(RwLock::new(receiver.address().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let delivering = delivering(&address, &stop);
    for _ in 0..kills() {
        sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        receiver.kill();
        receiver = start();
        *address.write().unwrap() = receiver.address().to_owned();
    }
    stop.store(true, Ordering::Relaxed);
    let reports = delivering.await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    until_done(&store).await;
    receiver.stop();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let done = sqlx::query(DONE).fetch_all(&pool).await.unwrap();
    let done: Vec<String> = done.iter().map(|row| row.get(0)).collect();
    check(&reports, &done, &runs);
    let sound = sqlx::query("PRAGMA integrity_check").fetch_one(&pool).await.unwrap();
    assert_eq!(sound.get::<String, _>(0), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_receiver_loses_nothing() {
    kill_receivers(|_| {}).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_receiver_loses_nothing_on_a_file_system_without_locks() {
    let locks = openmail_tests::FileLocks::failing("ENOSYS");
    kill_receivers(|command| locks.load_into(command)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn worker_takes_over_from_a_killed_one() {
    let schema = PostgresSchema::new().await;
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let receiver = Receiver::start(PROGRAM, schema.url(), &runs, &[]);
    let address = Arc::new(RwLock::new(receiver.address().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let delivering = delivering(&address, &stop);
    for _ in 0..kills() / 2 {
        let worker = Receiver::start(PROGRAM, schema.url(), &runs, &["worker"]);
        sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        worker.kill();
    }
    stop.store(true, Ordering::Relaxed);
    let reports = delivering.await.unwrap();
    assert!(reports.iter().all(Report::all_accepted), "the receiver was never down");
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    until_done(&store).await;
    store.close().await;
    receiver.stop();
    let pool = schema.pool().await;
    let done = sqlx::query(DONE).fetch_all(&pool).await.unwrap();
    let done: Vec<String> = done.iter().map(|row| row.get(0)).collect();
    pool.close().await;
    check(&reports, &done, &runs);
    schema.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn survives_database_restarts_under_load() {
    let mut server = PostgresServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let receiver = Receiver::start(PROGRAM, &server.url(), &runs, &[]);
    let address = Arc::new(RwLock::new(receiver.address().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let delivering = delivering(&address, &stop);
    for _ in 0..3 {
        sleep(Duration::from_millis(fastrand::u64(300..1000))).await;
        server.stop();
        sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        server.restart().await;
    }
    stop.store(true, Ordering::Relaxed);
    let reports = delivering.await.unwrap();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    until_done(&store).await;
    store.close().await;
    receiver.stop();
    let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
    let done = sqlx::query(DONE).fetch_all(&pool).await.unwrap();
    let done: Vec<String> = done.iter().map(|row| row.get(0)).collect();
    pool.close().await;
    check(&reports, &done, &runs);
}
