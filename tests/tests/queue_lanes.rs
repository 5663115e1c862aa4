//! A thousand threads through two workers, with random failures and delays.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use openmail_tests::{PostgresDatabase, PostgresSchema, States, event, states};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Backoff, Enqueue, PostgresStore, QueueStore},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceExt, service_fn};

const THREADS: usize = 1000;
const EACH: usize = 5;

#[derive(Default)]
struct Log {
    running: HashSet<String>,
    done: HashMap<String, Vec<String>>,
    failed: usize,
}

/// The two queues have the same database, as in two processes.
async fn order_holds<St: QueueStore>(queues: [Enqueue<St>; 2], threads: usize) {
    let log = Arc::new(Mutex::new(Log::default()));
    let handler = {
        let log = Arc::clone(&log);
        service_fn(move |event: VerifiedEvent| {
            let log = Arc::clone(&log);
            async move {
                let thread = event.thread_id().unwrap().to_string();
                assert!(log.lock().unwrap().running.insert(thread.clone()), "one at a time");
                if fastrand::u8(..) < 64 {
                    sleep(Duration::from_millis(fastrand::u64(0..10))).await;
                }
                let mut log = log.lock().unwrap();
                log.running.remove(&thread);
                if fastrand::u8(..) < 40 {
                    log.failed += 1;
                    return Err(HandlerError::failed("by chance"));
                }
                let id = event.event_id().unwrap().to_string();
                log.done.entry(thread).or_default().push(id);
                Ok(Outcome::Done)
            }
        })
    };
    let mut workers = JoinSet::new();
    for queue in &queues {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(20));
        let worker = queue.worker(handler.clone()).concurrency(32).backoff(backoff.attempts(99));
        workers.spawn(worker.run(pending()));
    }
    // The mails of a thread are sent one after another, alternately through the two queues.
    let mut senders = JoinSet::new();
    for thread in 0..threads {
        let queues = queues.clone();
        senders.spawn(async move {
            for number in 0..EACH {
                let mail = event(format!(
                    r#"{{"event":"message.received","event_id":"{thread}.{number}","inbox_id":"i",
                        "thread_id":"{thread}","message":{{"id":"m","from":"a@example.com"}}}}"#
                ));
                let outcome = queues[number % 2].clone().timeout(Duration::from_secs(60));
                assert_eq!(outcome.oneshot(mail).await.unwrap(), Outcome::Queued);
            }
        });
    }
    senders.join_all().await;
    let store = queues[0].store();
    let all_done = async {
        while states(store).await != States::default() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(120), all_done).await.unwrap();
    workers.shutdown().await;
    let log = log.lock().unwrap();
    assert_eq!(log.done.len(), threads);
    for (thread, done) in &log.done {
        let expected: Vec<_> = (0..EACH).map(|number| format!("{thread}.{number}")).collect();
        assert_eq!(*done, expected, "in order of arrival, each once");
    }
    assert!(log.failed > threads / 10, "too few failures to tell");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let queues = [Enqueue::sqlite(&path).await.unwrap(), Enqueue::sqlite(&path).await.unwrap()];
    order_holds(queues, THREADS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn order_holds_in_postgres() {
    let schema = PostgresSchema::new().await;
    let connect = async || Enqueue::new(PostgresStore::connect(schema.url()).await.unwrap());
    let queues = [connect().await, connect().await];
    order_holds(queues.clone(), THREADS).await;
    for queue in queues {
        queue.store().close().await;
    }
    schema.drop().await;
}

/// The defaults are set for the database or the role: an isolation level, read-only transactions,
/// and commits that do not wait for the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn order_holds_in_postgres_under_each_default_isolation_level() {
    let levels = ["read uncommitted", "read committed", "repeatable read", "serializable"];
    for (number, level) in levels.into_iter().enumerate() {
        let database = PostgresDatabase::new("").await;
        let whose = if number % 2 == 0 { "DATABASE" } else { "ROLE" };
        let role = database.role().await;
        let name = if whose == "ROLE" { role.name() } else { database.name() };
        for setting in [
            format!("default_transaction_isolation = '{level}'"),
            "default_transaction_read_only = on".to_owned(),
            "synchronous_commit = off".to_owned(),
        ] {
            database.run(&format!("ALTER {whose} {name} SET {setting}")).await;
        }
        PostgresStore::connect(database.url()).await.unwrap().close().await;
        role.grant_rows().await;
        let ours = PostgresStore::connect(role.url()).await.unwrap();
        let pool = sqlx::PgPool::connect(role.url()).await.unwrap();
        let theirs = PostgresStore::new(pool).await.unwrap();
        order_holds([Enqueue::new(ours.clone()), Enqueue::new(theirs.clone())], 150).await;
        ours.close().await;
        theirs.close().await;
        role.drop().await;
        database.drop().await;
    }
}
