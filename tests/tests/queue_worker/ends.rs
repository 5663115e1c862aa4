//! How runs end: cancelled by a time limit, released, put off, unrouted, done, or as a dead letter,
//! and how dead letters are reported.

use openmail_tower::{EventRouter, queue::DeadLetter};

use super::*;

/// Returns a mail in the thread `t`.
fn of_thread(id: &str) -> VerifiedEvent {
    event(format!(
        r#"{{"event":"message.received","event_id":"{id}","inbox_id":"i","thread_id":"t",
            "message":{{"id":"m","from":"a@example.com"}}}}"#
    ))
}

async fn last_error(folder: &TempDir) -> Option<String> {
    let error = sqlx::query("SELECT last_error FROM openmail_events");
    error.fetch_one(&database(folder).await).await.unwrap().get(0)
}

#[tokio::test]
async fn slow_run_fails_and_frees_its_lane() {
    let (queue, _folder) = queue().await;
    add(&queue, of_thread("hangs")).await;
    add(&queue, of_thread("next")).await;
    let events = service_fn(async |event: VerifiedEvent| {
        if event.event_id().is_some_and(|id| id.as_str() == "hangs") {
            std::future::pending::<()>().await;
        }
        Ok::<_, HandlerError>(Outcome::Done)
    });
    let worker = queue.worker(events).concurrency(1).run_timeout(Duration::from_millis(50));
    let worker = Running::start(worker.backoff(at_once(2)));
    counts(&queue, States { dead: 1, ..States::default() }).await;
    assert_eq!(worker.stop().await, 0);
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!((letters[0].event_id.as_deref(), letters[0].attempts), (Some("hangs"), 2));
    assert_eq!(letters[0].error, "the run was cancelled after 50ms");
}

#[tokio::test]
async fn released_event_keeps_its_reason() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let seen = Seen::default();
    let away = |_: &VerifiedEvent| {
        Err(HandlerError::unavailable("no such agent").after(Duration::from_secs(3600)))
    };
    let worker = Running::start(queue.worker(seeing(&seen, away)).backoff(at_once(1)));
    let stored = async {
        while last_error(&folder).await.is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), stored).await.unwrap();
    worker.stop().await;
    assert_eq!(seen.count(), 1, "it waits for as long as the error says");
    assert_eq!(last_error(&folder).await.as_deref(), Some("no such agent"));
    assert_eq!(queue.store().counts().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn event_whose_handler_is_unavailable_for_too_long_becomes_a_dead_letter() {
    let (queue, _folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let seen = Seen::default();
    let events = seeing(&seen, |_| Err(HandlerError::unavailable("away")));
    let worker = queue.worker(events).backoff(at_once(1)).max_age(Duration::from_millis(20));
    let worker = Running::start(worker);
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert!(seen.count() > 1, "it was released first");
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].error, "unavailable for 0 s: away");
}

#[tokio::test]
async fn event_that_waits_for_a_limit_outlasts_max_age() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let seen = Seen::default();
    let events = || seeing(&seen, |_| Err(HandlerError::put_off("paused", Duration::ZERO)));
    let worker = || queue.worker(events()).backoff(at_once(1)).max_age(Duration::ZERO);
    let running = Running::start(worker());
    let often = async {
        while seen.count() < 10 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), often).await.unwrap();
    running.stop().await;
    assert_eq!(last_error(&folder).await.as_deref(), Some("paused"));
    assert_eq!(queue.store().counts().await.unwrap().dead, 0);
    let running = Running::start(worker().max_put_off(Duration::ZERO));
    counts(&queue, States { dead: 1, ..States::default() }).await;
    running.stop().await;
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!((&*letters[0].error, letters[0].attempts), ("put off for 0 s: paused", 1));
}

#[tokio::test]
async fn event_without_a_handler_becomes_a_dead_letter() {
    let (queue, _folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    add(&queue, event(r#"{"event":"setup.test"}"#)).await;
    let worker = Running::start(queue.worker(EventRouter::new()));
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].event_id.as_deref(), Some("evt_1"));
    assert_eq!(letters[0].error, "no handler matches this event");
    assert!(queue.store().requeue(letters[0].id).await.unwrap());
    let worker = Running::start(queue.worker(EventRouter::new()).drop_unrouted());
    counts(&queue, States::default()).await;
    worker.stop().await;
}

#[tokio::test]
async fn finished_event_keeps_its_key_but_not_its_mail() {
    let (queue, folder) = queue().await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States::default()).await;
    worker.stop().await;
    let row = sqlx::query("SELECT length(body), event_id, dedupe_key FROM openmail_events");
    let row = row.fetch_one(&database(&folder).await).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<&str, _>(1)), (0, "evt_1"));
    assert_eq!(add(&queue, mail("evt_1")).await, Outcome::Duplicate);
}

/// The database refuses the euro sign, like one whose encoding cannot represent it.
#[tokio::test]
async fn error_that_the_store_refuses_is_replaced() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    sqlx::query(
        "CREATE TRIGGER refuse BEFORE UPDATE ON openmail_events
         WHEN NEW.last_error LIKE '%\u{20ac}%' BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .execute(&database)
    .await
    .unwrap();
    let seen = Seen::default();
    let events = seeing(&seen, |_| Err(HandlerError::failed("5 \u{20ac} missing")));
    let worker = Running::start(queue.worker(events).backoff(at_once(2)));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 2, "it was retried before");
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].error, "5 ? missing");
}

#[tokio::test]
async fn refused_settlement_ends_as_a_dead_letter() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    sqlx::query(
        "CREATE TRIGGER refuse BEFORE UPDATE ON openmail_events
         WHEN NEW.state = 'done' BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .execute(&database)
    .await
    .unwrap();
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 1);
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].error, "the store refused to record the result of the run");
}

type Letters = Arc<Mutex<Vec<DeadLetter>>>;

/// A service that records the dead letters it is called with, and fails the first `failures` times.
fn reporting(
    letters: &Letters,
    failures: usize,
) -> impl Service<
    DeadLetter,
    Response = (),
    Error = std::io::Error,
    Future = impl Future<Output = Result<(), std::io::Error>> + Send,
> + Clone
+ Send
+ 'static {
    let letters = Arc::clone(letters);
    service_fn(move |letter: DeadLetter| {
        let mut letters = letters.lock().unwrap();
        letters.push(letter);
        let fails = letters.len() <= failures;
        async move { if fails { Err(std::io::Error::other("no answer")) } else { Ok(()) } }
    })
}

#[tokio::test]
async fn each_dead_letter_is_reported_once() {
    let (queue, _folder) = queue().await;
    let seen = Letters::default();
    let hook = reporting(&seen, 0);
    let events =
        service_fn(async |_: VerifiedEvent| Err::<Outcome, _>(HandlerError::permanent("never")));
    let workers = [0, 1].map(|_| Running::start(queue.worker(events).on_dead_letter(hook.clone())));
    for number in 0..10 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let reported = async {
        while seen.lock().unwrap().len() < 10 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), reported).await.unwrap();
    for worker in workers {
        worker.stop().await;
    }
    let mut ids: Vec<_> = seen.lock().unwrap().iter().map(|letter| letter.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), seen.lock().unwrap().len()), (10, 10), "each once");
    assert!(seen.lock().unwrap().iter().all(|letter| letter.error == "never"));
}

#[tokio::test]
async fn dead_letter_is_reported_again_only_if_the_call_failed() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    let seen = Letters::default();
    let hook = reporting(&seen, 1);
    let events =
        service_fn(async |_: VerifiedEvent| Err::<Outcome, _>(HandlerError::permanent("never")));
    let worker = Running::start(queue.worker(events).on_dead_letter(hook));
    add(&queue, mail("evt_1")).await;
    let calls = async |count: usize| {
        let reached = async {
            while seen.lock().unwrap().len() < count {
                // As if the delay before the next report had passed.
                sqlx::query("UPDATE openmail_events SET report_at = 0 WHERE report_at IS NOT NULL")
                    .execute(&database)
                    .await
                    .unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), reached).await
    };
    calls(2).await.unwrap();
    worker.stop().await;
    let left: i64 = sqlx::query("SELECT count(*) FROM openmail_events WHERE report_at IS NOT NULL")
        .fetch_one(&database)
        .await
        .unwrap()
        .get(0);
    assert_eq!((left, seen.lock().unwrap().len()), (0, 2));
}

#[tokio::test]
async fn report_in_progress_ends_before_the_worker() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    let (begun, proceed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (calls, go) = (Arc::clone(&begun), Arc::clone(&proceed));
    let hook = service_fn(move |_: DeadLetter| {
        calls.notify_one();
        let go = Arc::clone(&go);
        async move {
            go.notified().await;
            Ok::<_, std::io::Error>(())
        }
    });
    let events =
        service_fn(async |_: VerifiedEvent| Err::<Outcome, _>(HandlerError::permanent("never")));
    let worker = Running::start(queue.worker(events).on_dead_letter(hook));
    for number in [1, 2] {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    timeout(Duration::from_secs(30), begun.notified()).await.unwrap();
    counts(&queue, States { dead: 2, ..States::default() }).await;
    let mut stopping = Box::pin(worker.stop());
    assert!(timeout(Duration::from_millis(300), &mut stopping).await.is_err(), "the call runs");
    proceed.notify_one();
    stopping.await;
    let left: i64 = sqlx::query("SELECT count(*) FROM openmail_events WHERE report_at IS NOT NULL")
        .fetch_one(&database)
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 1, "one was reported, and no other call began");
}
