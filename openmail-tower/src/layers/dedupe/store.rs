//! [`DedupeStore`]: stores claims.

use std::{fmt, future::Future, time::Duration};

use uuid::Uuid;

use crate::seam::BoxError;

/// Stores which events are claimed and which are done.
///
/// Each key has one of three states: free, claimed by a token until its lease ends, or done by a
/// token until its retention ends. When a lease or a retention ends, the key is free again. Each
/// method reads and changes the state of one key atomically: no other call on that key may run in
/// between, whether from this process or from another one that uses the same store.
///
/// | state of the key | [`claim`](Self::claim) | [`complete`](Self::complete) | [`release`](Self::release) |
/// |---|---|---|---|
/// | free | claimed → `Claimed` | done → true | |
/// | claimed by this token | new lease → `Claimed` | done → true | free |
/// | claimed by another token | `InFlight` | false | |
/// | done by this token | `Done` | new retention → true | |
/// | done by another token | `Done` | false | |
///
/// Each cell shows the new state, if the state changes, and the result, if the method has one. So
/// every method may be repeated if its answer was lost, and a claim is renewed by claiming again.
/// An expired claim can be claimed again or completed if no other token has taken it. If one has,
/// the old claim can no longer change anything, since the token is a fencing token.
///
/// The future of a method may be dropped at any `.await`: [`DedupeLayer`](super::DedupeLayer)
/// limits how long it waits. `dedupe::contract::check` (feature `test-util`) checks an
/// implementation against all of this, as far as one process can, except that it drops no future.
///
/// ```
/// use std::{collections::HashMap, convert::Infallible, sync::Mutex, time::{Duration, Instant}};
///
/// use openmail_tower::layers::dedupe::{Claim, ClaimToken, DedupeStore};
///
/// struct Entry {
///     token: ClaimToken,
///     done: bool,
///     until: Instant,
/// }
///
/// /// Never removes expired entries, so it is not for production.
/// #[derive(Default)]
/// struct NaiveStore(Mutex<HashMap<String, Entry>>);
///
/// impl NaiveStore {
///     fn put(entries: &mut HashMap<String, Entry>, key: &str, token: ClaimToken, done: bool, time: Duration) {
///         let until = Instant::now() + time.min(Duration::from_secs(1 << 30));
///         entries.insert(key.to_owned(), Entry { token, done, until });
///     }
/// }
///
/// impl DedupeStore for NaiveStore {
///     type Error = Infallible;
///
///     async fn claim(&self, key: &str, token: ClaimToken, lease: Duration) -> Result<Claim, Infallible> {
///         let mut entries = self.0.lock().unwrap();
///         let now = Instant::now();
///         match entries.get(key).filter(|entry| entry.until > now) {
///             Some(entry) if entry.done => return Ok(Claim::Done),
///             Some(entry) if entry.token != token => return Ok(Claim::InFlight(entry.until - now)),
///             _ => Self::put(&mut entries, key, token, false, lease),
///         }
///         Ok(Claim::Claimed)
///     }
///
///     async fn complete(&self, key: &str, token: ClaimToken, keep: Duration) -> Result<bool, Infallible> {
///         let mut entries = self.0.lock().unwrap();
///         let now = Instant::now();
///         let held = entries.get(key).filter(|entry| entry.until > now);
///         let ours = held.is_none_or(|entry| entry.token == token);
///         if ours {
///             Self::put(&mut entries, key, token, true, keep);
///         }
///         Ok(ours)
///     }
///
///     async fn release(&self, key: &str, token: ClaimToken) -> Result<(), Infallible> {
///         let mut entries = self.0.lock().unwrap();
///         if entries.get(key).is_some_and(|entry| entry.token == token && !entry.done) {
///             entries.remove(key);
///         }
///         Ok(())
///     }
/// }
///
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main]
/// # async fn main() {
/// openmail_tower::layers::dedupe::contract::check(NaiveStore::default()).await;
/// # }
/// # #[cfg(not(feature = "test-util"))]
/// # fn main() {}
/// ```
pub trait DedupeStore: Send + Sync + 'static {
    /// The error of a failed call. The state of the key is then unknown.
    type Error: Into<BoxError>;

    /// Claims the key for `lease`, unless it is claimed by another token or done. If this token has
    /// claimed it already, a new lease begins.
    fn claim(
        &self,
        key: &str,
        token: ClaimToken,
        lease: Duration,
    ) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Marks the key as done for the duration `keep`. Returns `false` if it belongs to another
    /// token.
    fn complete(
        &self,
        key: &str,
        token: ClaimToken,
        keep: Duration,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Frees the key if this token has claimed it and it is not done.
    fn release(
        &self,
        key: &str,
        token: ClaimToken,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The result of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key is claimed by this token.
    Claimed,
    /// Held by another token; expires after this duration unless renewed.
    InFlight(Duration),
    /// The event needs no further run.
    Done,
}

/// The fencing token that distinguishes a claim from every other.
///
/// It is created by the claimant, not by the store, so that a claim whose answer was lost can still
/// be released. Its text is 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken(Uuid);

impl ClaimToken {
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}
