//! [`MemoryStore`].

use std::{convert::Infallible, fmt, time::Duration};

use moka::{Expiry, ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use super::store::{Claim, ClaimToken, DedupeStore};

/// Keeps claims in memory: for a single process, and only until it restarts.
///
/// It holds at most `capacity` events, usually in less than 1 KiB each, and each only until its
/// lease or retention ends. When it is full, the least recently touched event is evicted; if that
/// event is delivered again, it runs again. So choose a capacity for at least as many events as
/// arrive in 10 min; OpenMail gives up after about 7.5 min. The claim of a running event is touched
/// whenever it is renewed, every 10 s by default, so it is evicted only if `capacity` other events
/// are touched between two renewals. In that case, a delivery that arrives before the next renewal
/// runs the event a second time, concurrently.
///
/// Clones share their events.
#[derive(Clone)]
pub struct MemoryStore {
    entries: Cache<String, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    token: ClaimToken,
    done: bool,
    until: Instant,
}

impl Entry {
    fn new(token: ClaimToken, done: bool, time: Duration) -> Self {
        const LONG: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        Self { token, done, until: Instant::now() + time.min(LONG) }
    }
}

impl MemoryStore {
    /// Creates a store that holds `capacity` events.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn new(capacity: u64) -> Self {
        assert!(capacity > 0, "the capacity must not be 0");
        // The default policy prefers frequently used entries over new ones.
        let entries = Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilEnd)
            .build();
        Self { entries }
    }

    /// Calls `decide` with an entry and applies the result, as one atomic step.
    fn decide<T>(&self, key: &str, decide: impl FnOnce(Option<Entry>) -> (Op<Entry>, T)) -> T {
        let mut answer = None;
        self.entries.entry_by_ref(key).and_compute_with(|entry| {
            let entry = entry.map(moka::Entry::into_value);
            let (op, decided) = decide(entry.filter(|entry| entry.until > Instant::now()));
            answer = Some(decided);
            op
        });
        answer.expect("the closure was called")
    }
}

impl DedupeStore for MemoryStore {
    type Error = Infallible;

    async fn claim(
        &self,
        key: &str,
        token: ClaimToken,
        lease: Duration,
    ) -> Result<Claim, Infallible> {
        Ok(self.decide(key, |entry| match entry {
            Some(entry) if entry.done => (Op::Nop, Claim::Done),
            Some(entry) if entry.token != token => {
                (Op::Nop, Claim::InFlight(entry.until - Instant::now()))
            }
            _ => (Op::Put(Entry::new(token, false, lease)), Claim::Claimed),
        }))
    }

    async fn complete(
        &self,
        key: &str,
        token: ClaimToken,
        keep: Duration,
    ) -> Result<bool, Infallible> {
        Ok(self.decide(key, |entry| match entry {
            Some(entry) if entry.token != token => (Op::Nop, false),
            _ => (Op::Put(Entry::new(token, true, keep)), true),
        }))
    }

    async fn release(&self, key: &str, token: ClaimToken) -> Result<(), Infallible> {
        self.decide(key, |entry| match entry {
            Some(entry) if entry.token == token && !entry.done => (Op::Remove, ()),
            _ => (Op::Nop, ()),
        });
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("entries", &self.entries.entry_count()).finish()
    }
}

/// Frees an entry's memory after it has expired. Only `until` decides whether it has: moka has its
/// own clock.
struct UntilEnd;

impl Expiry<String, Entry> for UntilEnd {
    fn expire_after_create(
        &self,
        _: &String,
        entry: &Entry,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(Instant::now()))
    }

    fn expire_after_update(
        &self,
        key: &String,
        entry: &Entry,
        now: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::dedupe::contract;

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::check(MemoryStore::new(10_000)).await;
    }

    #[tokio::test]
    async fn full_store_keeps_new_and_renewed_entries() {
        const HOUR: Duration = Duration::from_secs(3600);
        let store = MemoryStore::new(10);
        let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
        for i in 0..1000 {
            assert_eq!(store.claim("running", ours, HOUR).await, Ok(Claim::Claimed));
            assert_eq!(store.complete(&i.to_string(), ours, HOUR).await, Ok(true));
            store.entries.run_pending_tasks();
            assert!(store.entries.entry_count() <= 10);
        }
        assert_eq!(store.claim("999", theirs, HOUR).await, Ok(Claim::Done));
        assert!(matches!(store.claim("running", theirs, HOUR).await, Ok(Claim::InFlight(_))));
        assert_eq!(store.claim("0", theirs, HOUR).await, Ok(Claim::Claimed));
    }

    #[tokio::test]
    async fn expired_entries_free_their_memory() {
        let store = MemoryStore::new(1000);
        for i in 0..100 {
            let (ours, short) = (ClaimToken::random(), Duration::from_millis(1));
            assert_eq!(store.claim(&i.to_string(), ours, short).await, Ok(Claim::Claimed));
        }
        let freed = async {
            while store.entries.entry_count() > 0 {
                // The cache does not announce that an entry has expired, and its clock is not the
                // runtime's, which a test could advance.
                tokio::time::sleep(Duration::from_millis(10)).await;
                store.entries.run_pending_tasks();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), freed).await.expect("it is never freed");
    }
}
