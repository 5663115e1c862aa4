//! How many events a second a store claims and completes, and what one takes in memory.
//!
//! `cargo bench -p openmail-tests --bench dedupe`; with `OPENMAIL_TEST_REDIS`, in Redis as well.

use std::{
    env, fs,
    sync::Arc,
    time::{Duration, Instant},
};

use openmail_tests::mail;
use openmail_tower::{
    BoxError, HandlerError, Outcome, VerifiedEvent,
    dedupe::{DedupeLayer, DedupeStore, MemoryStore, RedisStore},
};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};

const EVENTS: usize = 200_000;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let before = resident()?;
    let store = MemoryStore::new(EVENTS as u64);
    events("memory", store.clone(), EVENTS, 1).await;
    println!("memory: {} bytes an event", (resident()? - before) / EVENTS);
    drop(store);
    events("memory", MemoryStore::new(EVENTS as u64), EVENTS, 64).await;
    if let Ok(url) = env::var("OPENMAIL_TEST_REDIS") {
        for (count, senders) in [(5_000, 1), (50_000, 64)] {
            events("redis", RedisStore::new(&url)?.prefix("openmail:bench:"), count, senders).await;
        }
    }
    Ok(())
}

/// Each of the senders delivers its share, one event after the other, to a handler that does nothing.
async fn events<St: DedupeStore>(name: &str, store: St, count: usize, senders: usize) {
    let handler =
        tower::service_fn(|_: VerifiedEvent| async { Ok::<_, HandlerError>(Outcome::Done) });
    let events = DedupeLayer::new(store).keep(Duration::from_secs(600)).layer(handler);
    let run = Arc::new(format!("{}-{senders}", std::process::id()));
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for sender in 0..senders {
        let (events, run) = (events.clone(), Arc::clone(&run));
        all.spawn(async move {
            for event in 0..count / senders {
                // As long as the ids that OpenMail sends.
                let event = mail(&format!("{run:>12}-{sender:08}-{event:014}"));
                let outcome = events.clone().oneshot(event).await;
                assert!(matches!(outcome, Ok(Outcome::Done)), "{outcome:?}");
            }
        });
    }
    all.join_all().await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{name}, {senders} at a time: {:.0} events/s", count as f64 / seconds);
}

/// This process's resident memory in bytes.
fn resident() -> Result<usize, BoxError> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
