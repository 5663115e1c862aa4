//! Tests that check the contract of a [`CountStore`] (feature `test-util`).

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{error::Elapsed, sleep, timeout},
};

use crate::seam::{BoxError, CountLimit, CountNote, CountRequest, CountStore, Counted};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);
/// The maximum time for a short window to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum length of keys, ids and notes, in bytes.
const LONGEST: usize = 255;
/// The number of notes that a store must return.
const NOTES: usize = 256;
/// The number of simultaneous calls. It is small, since a guard does not wait long for a call.
const CALLERS: usize = 8;

/// Checks a store against the contract of [`CountStore`]. It uses new keys each time, so the store
/// may be in use and may remember earlier runs.
///
/// ```
/// # #[cfg(feature = "queue-sqlite")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openmail_tower::{layers::guard::contract, queue::SqliteStore};
///
/// let folder = tempfile::tempdir()?;
/// contract::check(SqliteStore::open(folder.path().join("inbox.db")).await?).await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "queue-sqlite"))]
/// # fn main() {}
/// ```
///
/// # Panics
/// If the store breaks the contract, or fails.
pub async fn check<St: CountStore>(store: St) {
    let store = Arc::new(store);
    id_counts_under_every_key_or_none(&Keys::new(&store)).await;
    limit_of_zero_has_no_room_for_a_new_id(&Keys::new(&store)).await;
    checks_count_nothing(&Keys::new(&store)).await;
    counted_id_has_room(&Keys::new(&store)).await;
    repeated_id_keeps_the_time_of_its_count(&Keys::new(&store)).await;
    each_request_has_its_own_window(&Keys::new(&store)).await;
    similar_keys_and_ids_are_different(&Keys::new(&store)).await;
    each_note_is_kept_once(&Keys::new(&store)).await;
    full_limit_keeps_no_note(&Keys::new(&store)).await;
    latest_notes_are_returned(&Keys::new(&store)).await;
    empty_request_changes_nothing(&Keys::new(&store)).await;
    simultaneous_calls_exceed_no_limit(&Keys::new(&store)).await;
    simultaneous_calls_count_an_id_once(&Keys::new(&store)).await;
}

/// If a limit is full, the id counts under no key, and the answer says when the limit has room.
async fn id_counts_under_every_key_or_none<St: CountStore>(keys: &Keys<St>) {
    let (a, b) = (keys.limit("a", 2), keys.limit("b", 1));
    assert_eq!(keys.full("1", [&a, &b]).await, None, "a limit with room is full");
    let (at, free_in) = keys.full("2", [&a, &b]).await.expect("`b` is full");
    assert_eq!(at, 1, "the index of the full limit");
    assert!(free_in > LONG / 2 && free_in <= LONG, "{free_in:?} of {LONG:?}");
    assert_eq!(keys.full("3", [&a]).await, None, "the refused id counted under `a`");
    let full = keys.full("4", [&a, &b]).await;
    assert_eq!(full.map(|(at, _)| at), Some(0), "the index of the first full limit");
}

async fn limit_of_zero_has_no_room_for_a_new_id<St: CountStore>(keys: &Keys<St>) {
    let none = keys.limit("none", 0);
    for id in ["1", "1", "2"] {
        assert_eq!(keys.full(id, [&none]).await, Some((0, LONG)));
    }
}

/// A limit that is only checked counts nothing, whether it is full or not.
async fn checks_count_nothing<St: CountStore>(keys: &Keys<St>) {
    let (full, free) = (keys.limit("full", 1), keys.limit("free", 1));
    assert_eq!(keys.full("1", [&full]).await, None);
    for id in ["2", "3", "4"] {
        assert_eq!(keys.over(id, [&free, &full]).await, Some(1), "the index of the full limit");
        assert_eq!(keys.over(id, [&free]).await, None, "an earlier check counted");
    }
    // A full limit that is only checked does not stop the count of the others.
    let taken = keys.limit("taken", 1);
    let mut both = take("5", [&taken]);
    both.check = vec![full];
    let counted = keys.count(both).await;
    assert_eq!((counted.full, counted.over), (None, Some(0)));
    assert!(keys.full("6", [&taken]).await.is_some(), "the check stopped the count");
}

/// A limit does not count as full for an id that is counted under it.
async fn counted_id_has_room<St: CountStore>(keys: &Keys<St>) {
    let (a, b) = (keys.limit("a", 2), keys.limit("b", 1));
    assert_eq!(keys.full("1", [&a, &b]).await, None);
    for _ in 0..3 {
        assert_eq!(keys.full("1", [&a, &b]).await, None, "no room for an id that is counted");
    }
    assert_eq!(keys.full("2", [&a]).await, None, "the same id counted again");
    assert_eq!(keys.over("1", [&a, &b]).await, None, "full for an id counted under both");
    assert_eq!(keys.over("2", [&a, &b]).await, Some(1), "the limit under which it is not counted");
    assert_eq!(keys.over("3", [&a, &b]).await, Some(0), "the first limit");
    // The id that is checked is not the one that is counted.
    let mut request = take("2", [&keys.limit("c", 1)]);
    (request.check, request.check_id) = (vec![b], "1".to_owned());
    let counted = keys.count(request).await;
    assert_eq!((counted.full, counted.over), (None, None));
}

/// Counting an id again within its window does not start a new window.
async fn repeated_id_keeps_the_time_of_its_count<St: CountStore>(keys: &Keys<St>) {
    let first = CountLimit { window: SHORT, ..keys.limit("a", 1) };
    // Has room only for an id that is counted already.
    let again = CountLimit { most: 0, ..first.clone() };
    assert_eq!(keys.full("1", [&first]).await, None);
    let has_ended = async || keys.full("1", [&again]).await.is_some();
    eventually(has_ended).await.expect("each repetition started a new window");
}

/// Each request looks back from now over its own window, whatever the windows of earlier requests.
async fn each_request_has_its_own_window<St: CountStore>(keys: &Keys<St>) {
    let long = keys.limit("a", 1);
    let short = CountLimit { window: Duration::from_millis(1), ..long.clone() };
    assert_eq!(keys.full("1", [&long]).await, None);
    for id in ["2", "3"] {
        let has_room = async || keys.full(id, [&short]).await.is_none();
        eventually(has_room).await.expect("the window never ended");
    }
    let again = CountLimit { most: 0, ..long };
    assert_eq!(keys.full("1", [&again]).await, None, "`1` was forgotten before its window ended");
}

/// Any text can be a key or an id, and a store distinguishes similar ones.
async fn similar_keys_and_ids_are_different<St: CountStore>(keys: &Keys<St>) {
    let longest = "x".repeat(LONGEST - keys.prefix.len() - 1);
    let (longest, other) = ([&*longest, "y"].concat(), [&*longest, "z"].concat());
    let quoted = "'; DROP TABLE openmail_counts; --";
    let accents = ["\u{e1}", "a\u{301}"];
    let texts =
        ["", " ", "\0", "a\0b", "a", "A", "a ", "\r\n", "\u{1f48c}", quoted, &longest, &other];
    let texts = texts.into_iter().chain(accents);
    for key in texts.clone() {
        let limit = keys.limit(key, 1);
        assert_eq!(keys.full(key, [&limit]).await, None, "the key {key:?} shares a count");
        assert!(keys.full("other", [&limit]).await.is_some(), "nothing counted under {key:?}");
    }
    let limit = keys.limit("ids", u32::try_from(texts.clone().count()).expect("a few texts"));
    for _ in 0..2 {
        for id in texts.clone().map(|text| keys.key(text)) {
            assert_eq!(keys.full(&id, [&limit]).await, None, "{id:?} counted twice");
        }
    }
    assert!(keys.full("new", [&limit]).await.is_some(), "different ids counted as one");
}

/// Notes are returned by later requests with the same key, each of them once.
async fn each_note_is_kept_once<St: CountStore>(keys: &Keys<St>) {
    let longest = "x".repeat(LONGEST);
    let texts = ["x", "X", "x y/z", "\u{1f48c}", &*longest];
    for (earlier, text) in texts.iter().enumerate() {
        assert_eq!(keys.notes("a", text).await, sorted(&texts[..earlier]), "before {text:?}");
        assert_eq!(keys.notes("a", text).await, sorted(&texts[..=earlier]), "after {text:?}");
    }
    assert!(keys.notes("b", "x").await.is_empty(), "notes of another key");
    // A note's window ends.
    keys.count(keep(keys.note("c", "1"))).await;
    let short = keep(CountNote { window: Duration::from_millis(1), ..keys.note("c", "2") });
    let is_gone = async || !keys.count(short.clone()).await.notes.iter().any(|note| note == "1");
    eventually(is_gone).await.expect("the note's window never ended");
}

/// A note is kept along with what is counted, or not at all.
async fn full_limit_keeps_no_note<St: CountStore>(keys: &Keys<St>) {
    let (a, b) = (keys.limit("a", 1), keys.limit("b", 1));
    let mut request = take("1", [&a]);
    request.note = Some(keys.note("notes", "kept"));
    assert_eq!(keys.count(request.clone()).await.full, None);
    request.id = "2".to_owned();
    request.note = Some(keys.note("notes", "refused"));
    assert!(keys.count(request.clone()).await.full.is_some());
    // A limit that is only checked does not matter.
    (request.take, request.check) = (vec![b], vec![a]);
    request.note = Some(keys.note("notes", "kept too"));
    let counted = keys.count(request).await;
    assert_eq!((counted.full, counted.over), (None, Some(0)));
    assert_eq!(counted.notes, ["kept"], "a full limit kept a note, or a note was lost");
    assert_eq!(keys.notes("notes", "kept").await, ["kept", "kept too"]);
}

/// A store returns at least the latest notes.
async fn latest_notes_are_returned<St: CountStore>(keys: &Keys<St>) {
    let texts: Vec<String> = (0..NOTES).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    keys.count_all(texts.iter().map(|text| keep(keys.note("a", text)))).await;
    let notes = keys.notes("a", "0").await;
    assert!(notes == sorted(&texts), "returned {} of {NOTES} notes", notes.len());
}

async fn empty_request_changes_nothing<St: CountStore>(keys: &Keys<St>) {
    assert_eq!(keys.count(CountRequest::default()).await, Counted::default());
    assert_eq!(keys.count(take("1", [])).await, Counted::default());
}

/// If many ids arrive at the same time, no more of them count than the limit allows. The calls name
/// the keys in different orders: a store that locks them in these orders must not deadlock.
async fn simultaneous_calls_exceed_no_limit<St: CountStore>(keys: &Keys<St>) {
    const ROUNDS: u32 = 20;
    const MOST: u32 = 3;
    for round in 0..ROUNDS {
        let most = keys.limit(&format!("round {round}"), MOST);
        let mut limits = [most, keys.limit("all", 1_000)];
        let requests = (0..2 * CALLERS).map(|number| {
            limits.reverse();
            take(&format!("{round}:{number}"), [&limits[0], &limits[1]])
        });
        let counted = keys.count_all(requests).await;
        let counted = counted.iter().filter(|counted| counted.full.is_none()).count();
        assert_eq!(u32::try_from(counted), Ok(MOST), "the number of ids that counted");
    }
    let all = keys.limit("all", ROUNDS * MOST + 1);
    assert_eq!(keys.full("last", [&all]).await, None, "a refused id counted under another key");
    assert!(keys.full("none", [&all]).await.is_some(), "an id did not count under every key");
}

async fn simultaneous_calls_count_an_id_once<St: CountStore>(keys: &Keys<St>) {
    for round in 0..10 {
        let key = format!("round {round}");
        let (one, two) = (keys.limit(&key, 1), keys.limit(&key, 2));
        let counted = keys.count_all((0..CALLERS).map(|_| take("1", [&one]))).await;
        assert!(
            counted.iter().all(|counted| counted.full.is_none()),
            "no room for an id that is counted"
        );
        assert_eq!(keys.full("2", [&two]).await, None, "the same id counted twice");
        assert!(keys.full("3", [&two]).await.is_some(), "an id did not count");
    }
}

/// Unused keys, and their store.
struct Keys<St> {
    store: Arc<St>,
    prefix: String,
}

impl<St: CountStore> Keys<St> {
    fn new(store: &Arc<St>) -> Self {
        let prefix = format!("contract:{:032x}:", fastrand::u128(..));
        Self { store: Arc::clone(store), prefix }
    }

    fn key(&self, name: &str) -> String {
        [&*self.prefix, name].concat()
    }

    fn limit(&self, key: &str, most: u32) -> CountLimit {
        CountLimit { key: self.key(key), most, window: LONG }
    }

    fn note(&self, key: &str, text: &str) -> CountNote {
        CountNote { key: self.key(key), text: text.to_owned(), window: LONG }
    }

    async fn count(&self, request: CountRequest) -> Counted {
        works(self.store.count(&request).await)
    }

    /// Makes all requests, several at the same time. Returns the answers in any order.
    async fn count_all(&self, requests: impl IntoIterator<Item = CountRequest>) -> Vec<Counted> {
        let requests: Vec<_> = requests.into_iter().collect();
        let mut callers = JoinSet::new();
        for requests in requests.chunks(requests.len().div_ceil(CALLERS)) {
            let (store, requests) = (Arc::clone(&self.store), requests.to_vec());
            callers.spawn(async move {
                let mut answers = Vec::new();
                for request in &requests {
                    answers.push(works(store.count(request).await));
                }
                answers
            });
        }
        callers.join_all().await.concat()
    }

    /// Counts an id.
    async fn full<const N: usize>(
        &self,
        id: &str,
        limits: [&CountLimit; N],
    ) -> Option<(usize, Duration)> {
        self.count(take(id, limits)).await.full
    }

    /// Checks limits for an id.
    async fn over<const N: usize>(&self, id: &str, limits: [&CountLimit; N]) -> Option<usize> {
        let check = limits.map(Clone::clone).to_vec();
        let request = CountRequest { check, check_id: id.to_owned(), ..CountRequest::default() };
        self.count(request).await.over
    }

    /// Keeps a note. Returns the earlier ones, sorted.
    async fn notes(&self, key: &str, text: &str) -> Vec<String> {
        let mut notes = self.count(keep(self.note(key, text))).await.notes;
        notes.sort_unstable();
        notes
    }
}

/// Polls until `holds` returns `true`. Fails if it does not in time.
async fn eventually(holds: impl AsyncFn() -> bool) -> Result<(), Elapsed> {
    timeout(PATIENCE, async {
        while !holds().await {
            // A store does not announce that a window has ended.
            sleep(SHORT / 10).await;
        }
    })
    .await
}

fn take<const N: usize>(id: &str, limits: [&CountLimit; N]) -> CountRequest {
    let take = limits.map(Clone::clone).to_vec();
    CountRequest { id: id.to_owned(), take, ..CountRequest::default() }
}

fn keep(note: CountNote) -> CountRequest {
    CountRequest { note: Some(note), ..CountRequest::default() }
}

#[track_caller]
fn works(answer: Result<Counted, BoxError>) -> Counted {
    answer.unwrap_or_else(|error| panic!("the store failed: {error}"))
}

fn sorted(texts: &[&str]) -> Vec<String> {
    let mut texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    texts.sort_unstable();
    texts
}
