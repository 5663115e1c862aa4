//! What a [`DedupeStore`] promises, as tests (feature `test-util`).

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::seam::BoxError;

use super::store::{Claim, ClaimToken, DedupeStore};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

/// Checks a store against its contract. The keys it uses are new ones each time, so the store may be
/// one that others use and that remembers former runs.
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
/// When the store does not keep it, or fails.
pub async fn check<St: DedupeStore>(store: St) {
    let store = Arc::new(store);
    of_one_claim(&Key::new(&store)).await;
    of_two_claims(&Key::new(&store)).await;
    once_done(&Key::new(&store)).await;
    fenced_off(&Key::new(&store)).await;
    run_out(&Key::new(&store)).await;
    renewed(&Key::new(&store)).await;
    kept_for_a_time(&Key::new(&store)).await;
    keys_are_apart(&Key::new(&store), &Key::new(&store)).await;
    of_any_length(&store).await;
    one_of_many(&store).await;
}

/// A claim is given again to the token that has it, until it gives it back.
async fn of_one_claim<St: DedupeStore>(key: &Key<St>) {
    let ours = ClaimToken::random();
    for _ in 0..3 {
        assert_eq!(key.claim(ours, LONG).await, Claim::Claimed, "again by the same token");
    }
    key.release(ours).await;
    key.release(ours).await;
    assert_eq!(key.claim(ClaimToken::random(), LONG).await, Claim::Claimed, "after a release");
}

/// What one has claimed, another neither gets nor gives back.
async fn of_two_claims<St: DedupeStore>(key: &Key<St>) {
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

/// What is done stays so, whoever asks, completes or releases.
async fn once_done<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, LONG).await, Claim::Claimed);
    assert!(key.complete(ours, LONG).await);
    assert!(key.complete(ours, LONG).await, "the answer was lost, so it is asked again");
    assert!(!key.complete(theirs, LONG).await, "done by another");
    key.release(ours).await;
    key.release(theirs).await;
    assert_eq!(key.claim(ours, LONG).await, Claim::Done);
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done);
}

/// Whose claim ran out and went to another can do nothing any more.
async fn fenced_off<St: DedupeStore>(key: &Key<St>) {
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

/// A claim that ran out, and that nobody took, can be taken back or completed.
async fn run_out<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    sleep(SHORT * 3).await;
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed, "nobody else had it");
    sleep(SHORT * 3).await;
    assert!(key.complete(ours, LONG).await, "nobody else had it");
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done);
}

/// Claiming again begins a new lease, be it longer or shorter.
async fn renewed<St: DedupeStore>(key: &Key<St>) {
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

/// What is done is forgotten after its time and not, with the claim, before.
async fn kept_for_a_time<St: DedupeStore>(key: &Key<St>) {
    let (ours, theirs) = (ClaimToken::random(), ClaimToken::random());
    assert_eq!(key.claim(ours, SHORT).await, Claim::Claimed);
    assert!(key.complete(ours, LONG).await);
    sleep(SHORT * 3).await;
    assert_eq!(key.claim(theirs, LONG).await, Claim::Done, "forgotten with the lease");
    assert!(key.complete(ours, SHORT).await);
    key.claim_in_time(theirs).await;
}

async fn keys_are_apart<St: DedupeStore>(one: &Key<St>, other: &Key<St>) {
    let ours = ClaimToken::random();
    assert_eq!(one.claim(ours, LONG).await, Claim::Claimed);
    assert_eq!(other.claim(ClaimToken::random(), LONG).await, Claim::Claimed);
    assert!(one.complete(ours, LONG).await);
    assert!(matches!(other.claim(ours, LONG).await, Claim::InFlight(_)));
}

/// Times and keys of any length.
async fn of_any_length<St: DedupeStore>(store: &Arc<St>) {
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

/// Of many that claim at once, one gets it.
async fn one_of_many<St: DedupeStore>(store: &Arc<St>) {
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

/// A key nobody has used, and its store.
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

    /// Claims for long as soon as what is in the way has run out.
    async fn claim_in_time(&self, token: ClaimToken) {
        let claim = async {
            while self.claim(token, LONG).await != Claim::Claimed {
                sleep(SHORT / 5).await;
            }
        };
        timeout(Duration::from_secs(30), claim).await.expect("it never runs out");
    }
}

#[track_caller]
fn works<T, E: Into<BoxError>>(answer: Result<T, E>) -> T {
    answer.unwrap_or_else(|error| panic!("the store failed: {}", error.into()))
}
