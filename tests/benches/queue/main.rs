//! Measures how many events per second a queue accepts and runs, with an empty table and with a
//! million finished rows, and how many a `Dedupe` lets through.
//!
//! `cargo bench -p openmail-tests --bench queue [-- FINISHED]`; FINISHED replaces the million.
//! PostgreSQL is measured if `OPENMAIL_TEST_POSTGRES` is set, Redis with synced writes if
//! `OPENMAIL_TEST_REDIS_SERVER` is, and Redis in memory if `OPENMAIL_TEST_REDIS` is.
//! `. .ci/services && start_services` sets all three.

mod dedupe;
mod disk;
mod finished;
mod load;

use std::{env, process};

use load::Figures;
use openmail_tests::{PostgresSchema, RedisServer, measure::resident};
use openmail_tower::{
    layers::dedupe::{MemoryStore, RedisStore},
    queue::{Enqueue, PostgresStore, QueueStore},
};

/// The number of measurements of each side.
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() {
    // This is measured first, before the process has freed memory that it could reuse.
    let before = resident(process::id());
    let store = MemoryStore::new(10_000_000);
    let memory = dedupe::rounds(store.clone()).await;
    let bytes = resident(process::id()).saturating_sub(before) / dedupe::KEPT as u64;
    drop(store);
    let mut dedupe = dedupe::table();
    dedupe::row(&mut dedupe, "memory", &memory);

    let count = env::args().skip(1).find_map(|it| it.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");

    let paths = ["empty.db", "full.db"].map(|name| folder.path().join(name));
    let empty = Enqueue::sqlite(&paths[0]).await.expect("a database");
    let full = Enqueue::sqlite(&paths[1]).await.expect("a database");
    finished::in_sqlite(&paths[1], count).await;
    compare("SQLite", count, &empty, &full, || disk::flushes(folder.path())).await;
    for queue in [empty, full] {
        queue.store().close().await;
    }

    if env::var_os("OPENMAIL_TEST_POSTGRES").is_some() {
        let schemas = [PostgresSchema::new().await, PostgresSchema::new().await];
        let [empty, full] = schemas.each_ref().map(|schema| PostgresStore::connect(schema.url()));
        let empty = Enqueue::new(empty.await.expect("a database"));
        let full = Enqueue::new(full.await.expect("a database"));
        finished::in_postgres(&schemas[1].pool().await, count).await;
        compare("PostgreSQL", count, &empty, &full, || disk::flushes(folder.path())).await;
        for queue in [empty, full] {
            queue.store().close().await;
        }
        for schema in schemas {
            schema.drop().await;
        }
    }

    if env::var_os("OPENMAIL_TEST_REDIS_SERVER").is_some() {
        let server = RedisServer::start();
        let rounds = dedupe::rounds(RedisStore::connect(&server.url()).expect("a URL")).await;
        dedupe::row(&mut dedupe, "Redis, each write synced", &rounds);
    }
    if let Ok(url) = env::var("OPENMAIL_TEST_REDIS") {
        let rounds = dedupe::rounds(RedisStore::connect(&url).expect("a URL")).await;
        dedupe::row(&mut dedupe, "Redis, in memory", &rounds);
    }
    dedupe.print("dedupe, 64 at once");
    println!("\nAn event that `MemoryStore` keeps takes {bytes} bytes of resident memory.");
}

/// Measures a store with and without finished rows, in turn.
async fn compare<St: QueueStore>(
    name: &str,
    count: u32,
    empty: &Enqueue<St>,
    full: &Enqueue<St>,
    flushes: impl Fn() -> f64,
) {
    let mut sides = [Figures::default(), Figures::default()];
    let mut disk = Vec::new();
    // The first round is a warm-up.
    for round in 0..=ROUNDS {
        for place in [round % 2, (round + 1) % 2] {
            let queue = [empty, full][place];
            disk::settle();
            disk.push(flushes());
            let figures = load::round(queue).await;
            if round > 0 {
                sides[place].add(figures);
            }
        }
    }
    load::report(name, count, &sides, &disk);
}
