//! [`CountStore`]: counts that replicas share and that survive a restart.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::error::BoxError;

/// Counts ids under keys, each count within a window of time.
///
/// Inside a queue's worker, a guard counts in the queue's database. (A `QueueStore` of your own
/// returns the store for counts from `count_store`.) Elsewhere, it counts in the memory of the
/// process. To count in another store, implement this trait and pass it to `GuardLayer::counts`.
///
/// The future of a call may be dropped at any `.await`: a guard limits how long it waits.
/// `guard::contract::check` (feature `test-util`) checks an implementation against the rules of
/// this trait and its types, as far as one process can, except that it drops no future.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex, time::{Duration, Instant}};
///
/// use openmail_tower::layers::guard::{CountFuture, CountLimit, CountRequest, CountStore, Counted};
///
/// type Counts = HashMap<String, Vec<(String, Instant)>>;
///
/// /// Never removes expired counts, so it is not for production.
/// #[derive(Debug, Default)]
/// struct NaiveStore(Mutex<Counts>);
///
/// fn within<'c>(counts: &'c Counts, key: &str, window: Duration) -> Vec<&'c (String, Instant)> {
///     let all = counts.get(key).into_iter().flatten();
///     all.filter(|(_, at)| at.elapsed() < window).collect()
/// }
///
/// fn full(counts: &Counts, limit: &CountLimit, id: &str) -> Option<Duration> {
///     let within = within(counts, &limit.key, limit.window);
///     if within.len() < limit.most as usize || within.iter().any(|(other, _)| other == id) {
///         return None;
///     }
///     let oldest = within.first().map_or(Duration::ZERO, |(_, at)| at.elapsed());
///     Some(limit.window.saturating_sub(oldest))
/// }
///
/// fn add(counts: &mut Counts, key: &str, id: &str, window: Duration) {
///     if within(counts, key, window).iter().all(|(other, _)| other != id) {
///         counts.entry(key.to_owned()).or_default().push((id.to_owned(), Instant::now()));
///     }
/// }
///
/// impl CountStore for NaiveStore {
///     fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a> {
///         Box::pin(async {
///             let CountRequest { id, take, check, check_id, note, .. } = request;
///             let mut counts = self.0.lock().unwrap();
///             let mut counted = Counted::default();
///             counted.over = check.iter().position(|it| full(&counts, it, check_id).is_some());
///             let mut limits = take.iter().enumerate();
///             counted.full = limits.find_map(|(at, it)| Some((at, full(&counts, it, id)?)));
///             if counted.full.is_some() {
///                 return Ok(counted);
///             }
///             for limit in take {
///                 add(&mut counts, &limit.key, id, limit.window);
///             }
///             if let Some(note) = note {
///                 let notes = within(&counts, &note.key, note.window);
///                 counted.notes = notes.into_iter().map(|(text, _)| text.clone()).collect();
///                 add(&mut counts, &note.key, &note.text, note.window);
///             }
///             Ok(counted)
///         })
///     }
/// }
///
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main]
/// # async fn main() {
/// openmail_tower::layers::guard::contract::check(NaiveStore::default()).await;
/// # }
/// # #[cfg(not(feature = "test-util"))]
/// # fn main() {}
/// ```
pub trait CountStore: fmt::Debug + Send + Sync + 'static {
    /// Checks the limits and counts the id in one atomic step: no other call may run in between.
    ///
    /// # Errors
    /// If the store failed. A call that has not returned after 5 s counts as failed, too. Before a
    /// run, the event is then retried later as
    /// [`Unavailable`](crate::HandlerErrorKind::Unavailable); before a reply, the reply is counted
    /// in memory instead.
    fn count<'a>(&'a self, request: &'a CountRequest) -> CountFuture<'a>;
}

/// The future of [`CountStore::count`].
pub type CountFuture<'a> = Pin<Box<dyn Future<Output = Result<Counted, BoxError>> + Send + 'a>>;

/// What to check and count.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CountRequest {
    /// The id to count, at most 255 bytes long. Under a key, the same id is counted only once
    /// within a window, at the time of its first request.
    pub id: String,
    /// The limits under which `id` is counted: under all of them, or under none if one is full. A
    /// limit under which `id` is already counted does not count as full.
    pub take: Vec<CountLimit>,
    /// Limits that are only checked.
    pub check: Vec<CountLimit>,
    /// The id for which the limits in `check` are checked, at most 255 bytes long. A limit under
    /// which this id is already counted does not count as full.
    pub check_id: String,
    /// A note to keep under a key, unless a limit in `take` is full.
    pub note: Option<CountNote>,
}

/// At most `most` ids under `key` within `window`.
#[derive(Debug, Clone)]
pub struct CountLimit {
    /// The key, at most 255 bytes long.
    pub key: String,
    /// The maximum number of ids.
    pub most: u32,
    /// The length of the window, which ends now. Requests with the same key may have different
    /// windows; an id is kept at least as long as the window of the request that counted it.
    pub window: Duration,
}

/// A short text to keep under a key.
#[derive(Debug, Clone)]
pub struct CountNote {
    /// The key, at most 255 bytes long.
    pub key: String,
    /// The text, at most 255 bytes long. The same text is kept once under a key.
    pub text: String,
    /// How long it is kept.
    pub window: Duration,
}

/// The answer to a [`CountRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The index in `take` of the first limit that is full, and the time until it has room, or its
    /// window if it never has room. `Some` means that nothing was counted, and that no note was
    /// kept.
    pub full: Option<(usize, Duration)>,
    /// The index in `check` of the first limit that is full.
    pub over: Option<usize>,
    /// The notes under the note's key within its window, as they were before this call. A store may
    /// return only the latest 256, and none if a limit in `take` is full.
    pub notes: Vec<String>,
}

/// A worker's count store. The worker adds it to each event's extensions, for the guards inside the
/// worker.
#[derive(Debug, Clone)]
pub(crate) struct OfferedCounts(pub(crate) Arc<dyn CountStore>);
