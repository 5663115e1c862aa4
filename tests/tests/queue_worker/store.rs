//! A worker's store: retention, closing, and several stores that open a new file at once.

use super::*;

#[tokio::test]
async fn keys_of_done_events_are_kept_for_the_retention() {
    let (queue, folder) = queue().await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    for number in 0..300 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    counts(&queue, States::default()).await;
    worker.stop().await;
    let database = database(&folder).await;
    let count = async || -> i64 {
        sqlx::query("SELECT count(*) FROM openmail_events")
            .fetch_one(&database)
            .await
            .unwrap()
            .get(0)
    };
    assert_eq!(count().await, 300);
    let events = seeing(&seen, |_| Ok(Outcome::Done));
    let worker = Running::start(queue.worker(events).keep(Duration::ZERO));
    let pruned = async {
        while count().await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), pruned).await.unwrap();
    worker.stop().await;
    assert_eq!(add(&queue, mail("evt_1")).await, Outcome::Queued, "its key is forgotten");
}

#[tokio::test]
async fn closed_or_busy_store_acknowledges_nothing() {
    let (queue, folder) = queue().await;
    let mut busy = database(&folder).await.acquire().await.unwrap().detach();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut busy).await.unwrap();
    let impatient = queue.clone().timeout(Duration::from_millis(50));
    let error = impatient.oneshot(mail("evt_1")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    sqlx::query("COMMIT").execute(&mut busy).await.unwrap();
    assert!(matches!(add(&queue, mail("evt_1")).await, Outcome::Queued | Outcome::Duplicate));
    queue.store().close().await;
    let error = queue.clone().oneshot(mail("evt_2")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    assert!(queue.store().ping().await.is_err());
    let again = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    assert_eq!(states(&again).await, States { ready: 1, ..States::default() });
}

#[tokio::test]
async fn several_stores_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let opened = Arc::new(Mutex::new(Vec::new()));
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (path, opened) = (path.clone(), Arc::clone(&opened));
        opening.spawn(async move {
            let queue = Enqueue::sqlite(path).await.unwrap();
            add(&queue, mail(&format!("evt_{number}"))).await;
            opened.lock().unwrap().push(queue);
        });
    }
    opening.join_all().await;
    let queue = opened.lock().unwrap().pop().unwrap();
    counts(&queue, States { ready: 8, ..States::default() }).await;
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused() {
    let (queue, folder) = queue().await;
    queue.store().close().await;
    sqlx::query("INSERT INTO openmail_migrations VALUES (99, 0)")
        .execute(&database(&folder).await)
        .await
        .unwrap();
    let error = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap_err();
    assert_eq!(error.kind(), openmail_tower::queue::QueueErrorKind::Newer);
}
