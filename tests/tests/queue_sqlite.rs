//! The file of an SQLite store.

use std::{
    fs,
    path::{Path, PathBuf},
};

use openmail_tests::mail;
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    queue::{
        ClaimRequest, Enqueue, EntryId, QueueErrorKind, QueueStore, Settlement, SqliteStore,
        StoreUrl, WorkerId,
    },
};
use sqlx::SqlitePool;
use tower::ServiceExt;

async fn add(queue: &Enqueue<SqliteStore>, id: &str) -> Result<Outcome, HandlerError> {
    queue.clone().oneshot(mail(id)).await
}

/// Settles all due entries as done. Returns how many.
async fn finish_all(store: &SqliteStore) -> usize {
    let request = ClaimRequest::new(WorkerId(1), 100, std::time::Duration::from_secs(60));
    let entries = store.claim(request).await.unwrap().entries;
    for entry in &entries {
        assert!(store.settle(&entry.lease, Settlement::done()).await.unwrap());
    }
    entries.len()
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(end);
    beside.into()
}

#[cfg(unix)]
#[tokio::test]
async fn deleted_or_replaced_file_acknowledges_nothing() {
    let ways: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::remove_file(beside(path, "-wal")).unwrap(),
        |path| {
            let copy = beside(path, ".copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        },
        |path| fs::rename(path, beside(path, ".away")).unwrap(),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox.db");
        let queue = Enqueue::sqlite(&path).await.unwrap();
        assert_eq!(add(&queue, "before").await.unwrap(), Outcome::Queued);
        way(&path);
        for _ in 0..3 {
            let error = add(&queue, "after").await.expect_err("it would be lost");
            assert_eq!(error.kind(), HandlerErrorKind::Unavailable, "{number}: {error}");
        }
        queue.store().ping().await.expect_err("the file is gone");
        let finished = finish_all(queue.store()).await;
        assert!(finished >= 1, "acknowledged events still run");
        queue.store().close().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn restored_file_accepts_events_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let queue = Enqueue::sqlite(&path).await.unwrap();
    assert_eq!(add(&queue, "one").await.unwrap(), Outcome::Queued);
    fs::rename(&path, beside(&path, ".away")).unwrap();
    add(&queue, "two").await.unwrap_err();
    fs::rename(beside(&path, ".away"), &path).unwrap();
    add(&queue, "two").await.expect("the file is back");
    queue.store().close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(finish_all(&store).await, 2, "nothing was lost");
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn new_file_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let queue = Enqueue::sqlite(&path).await.unwrap();
    assert_eq!(add(&queue, "one").await.unwrap(), Outcome::Queued);
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    queue.store().close().await;
}

#[tokio::test]
async fn database_in_memory_is_refused() {
    for path in [":memory:", "", "file:x?mode=memory", "sqlite::memory:"] {
        let error = SqliteStore::open(path).await.unwrap_err();
        assert_eq!(error.kind(), QueueErrorKind::Unsuitable, "{path:?}");
    }
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let error = SqliteStore::new(pool).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Unsuitable);
}

#[tokio::test]
async fn store_over_the_programs_pool_needs_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("inbox.db").display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    let store = SqliteStore::options().migrate(false).over(pool.clone()).await.unwrap();
    let queue = Enqueue::new(store);
    assert_eq!(queue.store().ping().await.unwrap_err().kind(), QueueErrorKind::Unmigrated);
    queue.store().migrate().await.unwrap();
    queue.store().migrate().await.unwrap();
    assert_eq!(add(&queue, "one").await.unwrap(), Outcome::Queued);
    assert_eq!(finish_all(queue.store()).await, 1);
    queue.store().close().await;
    pool.close().await;
}

#[tokio::test]
async fn close_leaves_the_programs_pool_open() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("inbox.db").display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    let queue = Enqueue::new(SqliteStore::new(pool.clone()).await.unwrap());
    assert_eq!(add(&queue, "one").await.unwrap(), Outcome::Queued);
    let store = queue.store();
    store.close().await;
    assert_eq!(store.ping().await.unwrap_err().kind(), QueueErrorKind::Closed);
    assert_eq!(store.counts().await.unwrap_err().kind(), QueueErrorKind::Closed);
    let letters = store.dead_letters(None, 1).await;
    assert_eq!(letters.unwrap_err().kind(), QueueErrorKind::Closed);
    let letter = store.dead_letter(EntryId(1)).await;
    assert_eq!(letter.unwrap_err().kind(), QueueErrorKind::Closed);
    let events = sqlx::query("SELECT 1 FROM openmail_events").fetch_all(&pool);
    assert_eq!(events.await.expect("the program's pool is open").len(), 1);
    pool.close().await;
}

#[tokio::test]
async fn requeues_dead_letters_page_by_page() {
    const LETTERS: usize = 1200;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let queue = Enqueue::sqlite(&path).await.unwrap();
    let pool = SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO openmail_events
           (lane, kind, inbox_id, state, due_at, queued_at, ended_at, signed_at, weight, body)
         SELECT 'lane ' || (i % 7), 'message.received', 'i', 'dead', 0, 0, 0, 0, 1, x'' FROM n",
    )
    .bind(i64::try_from(LETTERS).unwrap())
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(queue.store().requeue_inbox("i").await.unwrap(), LETTERS as u64);
    let counts = queue.store().counts().await.unwrap();
    assert_eq!((counts.ready, counts.blocked, counts.dead), (7, LETTERS as u64 - 7, 0));
    pool.close().await;
    queue.store().close().await;
}

#[tokio::test]
async fn stalled_lane_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let pool = SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    for (lane, state) in [("a", "blocked"), ("a", "blocked"), ("b", "ready"), ("b", "blocked")] {
        sqlx::query(
            "INSERT INTO openmail_events
               (lane, kind, state, due_at, queued_at, signed_at, weight, body)
             VALUES (?, 'message.received', ?, 0, 0, 0, 1, x'')",
        )
        .bind(lane)
        .bind(state)
        .execute(&pool)
        .await
        .unwrap();
    }
    assert_eq!(store.recover(WorkerId(1)).await.unwrap(), 1);
    assert_eq!(store.counts().await.unwrap().ready, 2);
    pool.close().await;
    store.close().await;
}

#[tokio::test]
async fn closed_store_leaves_no_lock_file_of_its_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let locks = || fs::read_dir(beside(&path, "-workers")).unwrap().count();
    let queue = Enqueue::sqlite(&path).await.unwrap();
    let other = SqliteStore::open(&path).await.unwrap();
    let alive = other.register().await.unwrap();
    add(&queue, "evt_1").await.unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let begun = std::sync::Arc::new(std::sync::Mutex::new(Some(begun)));
    let events = tower::service_fn(move |_: VerifiedEvent| {
        begun.lock().unwrap().take().unwrap().send(()).unwrap();
        async { Ok::<_, HandlerError>(Outcome::Done) }
    });
    let stop = async { has_begun.await.unwrap() };
    assert_eq!(queue.worker(events).run(stop).await, 0);
    assert_eq!(locks(), 2);
    queue.store().close().await;
    assert_eq!(locks(), 1, "another worker is alive");
    drop(alive);
    // A store without a worker takes nothing over, so that inspecting a queue changes nothing.
    SqliteStore::open(&path).await.unwrap().close().await;
    assert_eq!(locks(), 1);
    other.close().await;
    assert_eq!(locks(), 0);
}

#[tokio::test]
async fn leases_left_behind_are_due_once_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let queue = Enqueue::sqlite(&path).await.unwrap();
    add(&queue, "evt_1").await.unwrap();
    let worker = queue.store().register().await.unwrap();
    let request = ClaimRequest::new(worker.worker(), 1, std::time::Duration::from_secs(3600));
    assert_eq!(queue.store().claim(request).await.unwrap().entries.len(), 1);
    drop(worker);
    queue.store().close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(finish_all(&store).await, 1);
    store.close().await;
}

#[test]
fn url_scheme_selects_the_store() {
    let path = |url: &str| match url.parse().unwrap() {
        StoreUrl::Sqlite(path) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(path("sqlite:inbox.db"), Path::new("inbox.db"));
    assert_eq!(path("sqlite://inbox.db"), Path::new("inbox.db"));
    assert_eq!(path("sqlite:///var/mail/in%20box.db?mode=rwc"), Path::new("/var/mail/in box.db"));
    for url in ["postgres://localhost/mail", "postgresql:///mail"] {
        assert!(matches!(url.parse().unwrap(), StoreUrl::Postgres(it) if it == url));
    }
    for (url, named) in [
        ("mysql://localhost/mail", "mysql"),
        ("inbox.db", "sqlite:"),
        ("sqlite:", "sqlite:FILE"),
        ("sqlite://?mode=rwc", "sqlite:FILE"),
    ] {
        let error = url.parse::<StoreUrl>().unwrap_err();
        assert_eq!(error.kind(), QueueErrorKind::Unsuitable);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(named), "{source}");
    }
}

#[tokio::test]
async fn closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    store.close().await;
    let read = store.counts().await.unwrap_err();
    let written = store.release_held(None).await.unwrap_err();
    assert_eq!([read.kind(), written.kind()], [QueueErrorKind::Closed; 2]);
}
