//! [`DedupeStore`]: where claims are kept.

use std::{fmt, future::Future, time::Duration};

use uuid::Uuid;

use crate::seam::BoxError;

/// Keeps claims on events, and which events are done.
///
/// Of every key it knows one of three states: nobody's, claimed by a token until its lease ends, or
/// done by a token until it has been kept long enough. A lease or a time to keep that has ended
/// leaves the key nobody's. Each method reads and changes the state of one key in one step that no
/// other comes between, in this process or any other that uses the same store.
///
/// | state of the key | [`claim`](Self::claim) | [`complete`](Self::complete) | [`release`](Self::release) |
/// |---|---|---|---|
/// | nobody's | claimed → `Claimed` | done → true | |
/// | claimed by this token | lease begins anew → `Claimed` | done → true | nobody's |
/// | claimed by another | `InFlight` | false | |
/// | done by this token | `Done` | kept anew → true | |
/// | done by another | `Done` | false | |
///
/// An empty field or no arrow means that the state stays as it is. So every method may be repeated
/// when its answer was lost; a claim is renewed by claiming again; a claim that ran out is taken
/// back, or completed, if nobody else has taken it in the meantime; and one that somebody else has
/// taken (fenced off by his token) changes nothing any more.
///
/// Whatever a method's future awaits, it may be dropped there. [`DedupeLayer`](super::DedupeLayer)
/// limits how long it waits for one. `dedupe::contract::check` (feature `test-util`) checks an
/// implementation against all of this.
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
/// /// Forgets nothing, so it is not for production.
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
    /// Why the store could not do it. What became of the key is then unknown.
    type Error: Into<BoxError>;

    /// Claims the key for `lease`, unless it is another's or done. To the token that has it already
    /// it gives a new lease.
    fn claim(
        &self,
        key: &str,
        token: ClaimToken,
        lease: Duration,
    ) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Marks the key as done for the time of `keep`; `false` says that it is another's.
    fn complete(
        &self,
        key: &str,
        token: ClaimToken,
        keep: Duration,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Gives the key back, if it is this token's and not done.
    fn release(
        &self,
        key: &str,
        token: ClaimToken,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Claimed,
    /// Another has it, and unless he renews it, for so long.
    InFlight(Duration),
    /// The event needs no other run.
    Done,
}

/// Tells one claim from every other: the fencing token.
///
/// It is made by who claims, not by the store, so that a claim whose answer was lost can still be
/// given back. Its text is 32 hexadecimal digits.
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
