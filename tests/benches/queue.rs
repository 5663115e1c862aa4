//! How many events a queue takes over and runs in a second.
//!
//! `cargo bench -p openmail-tests --bench queue [-- FINISHED]`: with so many finished rows in the
//! table beforehand. PostgreSQL is measured where `OPENMAIL_TEST_POSTGRES` is set.

#![allow(clippy::unwrap_used, reason = "a program to be watched")]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use openmail_tests::{PostgresSchema, event};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, PostgresStore, QueueStore},
};
use tokio::{sync::Notify, task::JoinSet};
use tower::{Service, service_fn};

const EVENTS: usize = 40_000;
const AT_A_TIME: usize = 64;

fn mail(number: usize) -> VerifiedEvent {
    event(format!(
        r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_1",
            "thread_id":"thr_{number}","message":{{"id":"msg_1","from":"a@example.com",
            "body_text":"{}"}}}}"#,
        "lorem ipsum ".repeat(60)
    ))
}

async fn enqueue<St: QueueStore>(queue: &Enqueue<St>, first: usize) -> Duration {
    let next = Arc::new(AtomicUsize::new(first));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (mut queue, next) = (queue.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= first + EVENTS {
                    return;
                }
                assert_eq!(queue.call(mail(number)).await.unwrap(), Outcome::Done);
            }
        });
    }
    tasks.join_all().await;
    begun.elapsed()
}

async fn work<St: QueueStore>(queue: &Enqueue<St>) -> Duration {
    let (count, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let begun = Instant::now();
    let events = {
        let (count, all) = (Arc::clone(&count), Arc::clone(&all));
        service_fn(move |_: VerifiedEvent| {
            if count.fetch_add(1, Ordering::Relaxed) + 1 == EVENTS {
                all.notify_one();
            }
            async { Ok::<_, HandlerError>(Outcome::Done) }
        })
    };
    queue.worker(events).concurrency(AT_A_TIME).run(all.notified()).await;
    assert_eq!(queue.store().counts().await.unwrap(), Default::default());
    begun.elapsed()
}

async fn measure<St: QueueStore>(name: &str, queue: &Enqueue<St>) {
    for round in 0..3 {
        let rate = |took: Duration| EVENTS as f64 / took.as_secs_f64();
        let acks = rate(enqueue(queue, round * EVENTS).await);
        let runs = rate(work(queue).await);
        println!("{name}: {acks:.0} acks/s, {runs:.0} runs/s");
    }
}

#[tokio::main]
async fn main() {
    let finished: u32 = env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("inbox.db");
    let queue = Enqueue::sqlite(&path).await.unwrap();
    if finished > 0 {
        let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::query(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO openmail_events (dedupe_key, lane, kind, state, due_at, queued_at,
               ended_at, signed_at, body)
             SELECT 'event:' || hex(randomblob(16)), 'thread:' || i, 'message.received', 'done', i,
               i, unixepoch() * 1000, i, zeroblob(900) FROM n",
        )
        .bind(finished)
        .execute(&pool)
        .await
        .unwrap();
        pool.close().await;
    }
    measure("SQLite", &queue).await;
    queue.store().close().await;
    if env::var_os("OPENMAIL_TEST_POSTGRES").is_some() {
        let schema = PostgresSchema::new().await;
        let store = PostgresStore::connect(schema.url()).await.unwrap();
        if finished > 0 {
            sqlx::query(
                "INSERT INTO openmail_events (dedupe_key, lane, kind, state, due_at, queued_at,
                   ended_at, signed_at, body)
                 SELECT 'event:' || md5(i::text), 'thread:' || i, 'message.received', 'done', i, i,
                   openmail_now(), i, decode(repeat('00', 900), 'hex')
                 FROM generate_series(1, $1) AS i",
            )
            .bind(i64::from(finished))
            .execute(&schema.pool().await)
            .await
            .unwrap();
        }
        let queue = Enqueue::new(store);
        measure("PostgreSQL", &queue).await;
        queue.store().close().await;
        schema.drop().await;
    }
}
