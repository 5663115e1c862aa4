//! Tests that check the contract of a [`DedupeStore`] (feature `test-util`).

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::seam::BoxError;

use super::store::{Claim, ClaimToken, DedupeStore};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

/// Checks a store against the contract of [`DedupeStore`]. It uses new keys each time, so the store
/// may be in use and may remember earlier runs.
///
/// ```
/// # #[cfg(feature = "dedupe-memory")]
/// # #[tokio::main]
/// # async fn main() {
/// use openmail_tower::layers::dedupe::{MemoryStore, contract};
///
/// contract::check(MemoryStore::new(10_000)).await;
/// # }
/// # #[cfg(not(feature = "dedupe-memory"))]
/// # fn main() {}
/// ```
///
/// # Panics
/// If the store breaks the contract, or fails.
pub async fn check<St: DedupeStore>(store: St) {
    let store = Arc::new(store);
    free_keys_can_be_completed(&Key::new(&store), &Key::new(&store)).await;
    token_repeats_its_claim(&Key::new(&store)).await;
    claim_excludes_other_tokens(&Key::new(&store)).await;
    done_stays_done(&Key::new(&store)).await;
    stale_token_changes_nothing(&Key::new(&store)).await;
    expired_claim_can_be_taken_back(&Key::new(&store)).await;
    claiming_again_renews_the_lease(&Key::new(&store)).await;
    done_is_kept_for_its_retention(&Key::new(&store)).await;
    keys_are_independent(&Key::new(&store), &Key::new(&store)).await;
    keys_and_times_of_any_length(&store).await;
    one_of_many_claims_wins(&store).await;
}

/// A key without a claim can be completed, whether it is unused or was released.
async fn free_keys_can_be_completed<St: DedupeStore>(unused: &Key<St>, released: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(released.claim(theirs, LONG).await, Claim::Claimed);
    released.release(theirs).await;
    for key in [unused, released] {
        assert!(key.complete(ours, LONG).await, "a free key was not completed");
        assert_eq!(key.claim(theirs, LONG).await, Claim::Done);
    }
}

/// A token can repeat its claim and its release, after which another token can claim the key.
async fn token_repeats_its_claim<St: DedupeStore>(key: &Key<St>) {
    let ours = ClaimToken::random();
    for _ in 0..3 {
        assert_eq!(key.claim(ours, LONG).await, Claim::Claimed, "again by the same token");
    }
    key.release(ours).await;
    key.release(ours).await;
    assert_eq!(key.claim(ClaimToken::random(), LONG).await, Claim::Claimed, "after a release");
}

/// Another token can neither claim, complete nor release a claimed key.
async fn claim_excludes_other_tokens<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(theirs, LONG).await, Claim::Claimed);
    for _ in 0..2 {
        let Claim::InFlight(remaining) = key.claim(ours, LONG).await else {
            panic!("claimed twice");
        };
        assert!(!remaining.is_zero() && remaining <= LONG, "{remaining:?} of {LONG:?}");
        key.release(ours).await;
    }
    assert!(!key.complete(ours, LONG).await, "completed by another");
    assert!(matches!(key.claim(ours, LONG).await, Claim::InFlight(_)), "completed by another");
    assert!(key.complete(theirs, LONG).await);
}

/// A key that is done stays done, whichever token claims, completes or releases it.
async fn done_stays_done<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, LONG).await, Claim::Claimed);
    assert!(key.complete(ours, LONG).await);
    assert!(key.complete(ours, LONG).await, "a repeated completion failed");
    assert!(!key.complete(theirs, LONG).await, "done by another");
    key.release(ours).await;
    key.release(theirs).await;
    assert_eq!(key.claim(ours, LONG).await, Claim::Done);
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done);
}

/// A token whose claim has expired can no longer change anything once another token has claimed the
/// key.
async fn stale_token_changes_nothing<St: DedupeStore>(key: &Key<St>) {
    let (stale, ours) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(stale, SHORT).await, Claim::Claimed);
    key.claim_in_time(ours).await;
    assert!(matches!(key.claim(stale, LONG).await, Claim::InFlight(_)), "renewed by a stale token");
    assert!(!key.complete(stale, LONG).await, "completed by a stale token");
    key.release(stale).await;
    assert!(
        matches!(key.claim(ClaimToken::random(), LONG).await, Claim::InFlight(_)),
        "completed or released by a stale token"
    );
    assert!(key.complete(ours, LONG).await);
    assert_eq!(key.claim(stale, LONG).await, Claim::Done);
}

/// An expired claim that no other token took can be claimed again or completed.
async fn expired_claim_can_be_taken_back<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    sleep(SHORT * 3).await;
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed, "an expired claim was lost");
    sleep(SHORT * 3).await;
    assert!(key.complete(ours, LONG).await, "an expired claim was lost");
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done);
}

/// Claiming again starts a new lease, longer or shorter.
async fn claiming_again_renews_the_lease<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    assert_eq!(key.claim(ours, LONG).await, Claim::Claimed);
    sleep(SHORT * 3).await;
    let Claim::InFlight(remaining) = key.claim(theirs, LONG).await else {
        panic!("the lease was not renewed");
    };
    assert!(remaining > SHORT, "{remaining:?} of {LONG:?}");
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    key.claim_in_time(theirs).await;
}

/// A key that is done is forgotten after its retention, not when the lease ends.
async fn done_is_kept_for_its_retention<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    assert!(key.complete(ours, LONG).await);
    sleep(SHORT * 3).await;
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done, "forgotten with the lease");
    assert!(key.complete(ours, SHORT).await);
    key.claim_in_time(theirs).await;
}

/// A claim or a completion of one key does not change another.
async fn keys_are_independent<St: DedupeStore>(one: &Key<St>, other: &Key<St>) {
    let ours = ClaimToken::random();
    assert_eq!(one.claim(ours, LONG).await, Claim::Claimed);
    assert_eq!(other.claim(ClaimToken::random(), LONG).await, Claim::Claimed);
    assert!(one.complete(ours, LONG).await);
    assert!(matches!(other.claim(ours, LONG).await, Claim::InFlight(_)));
}

/// Keys and times may have any length.
async fn keys_and_times_of_any_length<St: DedupeStore>(store: &Arc<St>) {
    for key in ["\0 \r\n*{}:é\u{10ffff}".to_owned(), "k".repeat(10_000)] {
        let key = Key { key: format!("{}{key}", ClaimToken::random()), ..Key::new(store) };
        let ours = ClaimToken::random();
        assert_eq!(key.claim(ours, Duration::MAX).await, Claim::Claimed);
        assert!(matches!(key.claim(ClaimToken::random(), LONG).await, Claim::InFlight(_)));
        assert!(key.complete(ours, Duration::MAX).await);
        assert_eq!(key.claim(ours, LONG).await, Claim::Done);
        assert!(key.complete(ours, Duration::from_nanos(1)).await);
        key.claim_in_time(ClaimToken::random()).await;
    }
}

/// If many tokens claim a key at once, exactly one gets it.
async fn one_of_many_claims_wins<St: DedupeStore>(store: &Arc<St>) {
    for _ in 0..20 {
        let key = Key::new(store);
        let mut claims = JoinSet::new();
        for _ in 0..50 {
            let key = key.clone();
            claims.spawn(async move { key.claim(ClaimToken::random(), LONG).await });
        }
        let claims = claims.join_all().await;
        let claimed = claims.iter().filter(|claim| **claim == Claim::Claimed).count();
        assert_eq!(claimed, 1, "of {claims:?}");
    }
}

/// An unused key, and its store.
struct Key<St> {
    store: Arc<St>,
    key: String,
}

impl<St> Clone for Key<St> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), key: self.key.clone() }
    }
}

impl<St: DedupeStore> Key<St> {
    fn new(store: &Arc<St>) -> Self {
        Self { store: Arc::clone(store), key: format!("contract:{}", ClaimToken::random()) }
    }

    async fn claim(&self, token: ClaimToken, lease: Duration) -> Claim {
        works(self.store.claim(&self.key, token, lease).await)
    }

    async fn complete(&self, token: ClaimToken, keep: Duration) -> bool {
        works(self.store.complete(&self.key, token, keep).await)
    }

    async fn release(&self, token: ClaimToken) {
        works(self.store.release(&self.key, token).await);
    }

    /// Claims the key for `LONG` as soon as its current claim or its retention has expired.
    async fn claim_in_time(&self, token: ClaimToken) {
        let claim = async {
            while self.claim(token, LONG).await != Claim::Claimed {
                sleep(SHORT / 5).await;
            }
        };
        timeout(Duration::from_secs(30), claim).await.expect("the key never became free");
    }
}

#[track_caller]
fn works<T, E: Into<BoxError>>(answer: Result<T, E>) -> T {
    answer.unwrap_or_else(|error| panic!("the store failed: {}", error.into()))
}
