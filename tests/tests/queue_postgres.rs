//! A PostgreSQL store: its connections, its rights, and failures of its server.

use std::{
    error::Error,
    iter::successors,
    sync::Arc,
    time::{Duration, Instant},
};

use openmail_tests::{
    PostgresDatabase, PostgresSchema, PostgresServer, Proxy, States, event, mail, states,
};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    layers::guard::{CountNote, CountRequest, CountStore},
    queue::{
        ClaimRequest, Claimed, Enqueue, Lane, NewReply, PostgresStore, QueueErrorKind, QueueStore,
        Role, Settlement, WorkerId,
    },
};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{Barrier, mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceExt, service_fn};

/// More workers than the store has connections.
const WORKERS: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn wakes_more_workers_than_connections() {
    let schema = PostgresSchema::new().await;
    let queue = Enqueue::postgres(schema.url()).await.unwrap();
    let queue = queue.lane(Lane::None).timeout(Duration::from_secs(60));
    // No event is done until every worker runs one.
    let all = Arc::new(Barrier::new(WORKERS));
    let events = service_fn(move |_: VerifiedEvent| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            Ok::<_, HandlerError>(Outcome::Done)
        }
    });
    let (mut workers, mut stops) = (JoinSet::new(), Vec::new());
    for _ in 0..WORKERS {
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = queue.worker(events.clone()).concurrency(1);
        // Only a notification makes the worker look again.
        let worker = worker.poll_interval(Duration::from_secs(3600));
        workers.spawn(worker.run(async { drop(stopped.await) }));
        stops.push(stop);
    }
    let in_time = async {
        for round in 0..3 {
            for number in 0..WORKERS {
                let event = mail(&format!("evt_{round}_{number}"));
                assert_eq!(queue.clone().oneshot(event).await.unwrap(), Outcome::Queued);
            }
            while states(queue.store()).await != States::default() {
                sleep(Duration::from_millis(5)).await;
            }
        }
        drop(stops);
        assert_eq!(workers.join_all().await, [0; WORKERS]);
        queue.store().close().await;
    };
    timeout(Duration::from_secs(120), in_time).await.expect("each has its turn");
    schema.drop().await;
}

async fn add(store: &PostgresStore, id: &str) -> Result<Outcome, HandlerError> {
    Enqueue::new(store.clone()).oneshot(mail(id)).await
}

/// Buries all due entries, with this error. Returns how many.
async fn bury_all(store: &PostgresStore, error: &str) -> usize {
    let request = ClaimRequest::new(WorkerId(1), 100, Duration::from_secs(60));
    let entries = store.claim(request).await.unwrap().entries;
    for entry in &entries {
        let bury = Settlement::Bury { error: error.to_owned() };
        assert!(store.settle(&entry.lease, bury).await.unwrap());
    }
    entries.len()
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn role_without_create_rights_uses_a_migrated_store() {
    let database = PostgresDatabase::new("").await;
    let role = database.role().await;
    role.grant_rows().await;
    PostgresStore::connect(role.url()).await.expect_err("it may not create tables");
    let unmigrated = PostgresStore::options().migrate(false).connect(role.url()).await.unwrap();
    assert_eq!(unmigrated.ping().await.unwrap_err().kind(), QueueErrorKind::Unmigrated);
    unmigrated.close().await;
    PostgresStore::connect(database.url()).await.unwrap().close().await;
    role.grant_rows().await;
    let store = PostgresStore::connect(role.url()).await.unwrap();
    let registration = store.register().await.unwrap();
    assert_eq!(add(&store, "evt_1").await.unwrap(), Outcome::Queued);
    assert_eq!(bury_all(&store, "failed").await, 1);
    assert_eq!(store.recover(registration.worker()).await.unwrap(), 0);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.dead, counts.workers), (1, 1));
    drop(registration);
    store.close().await;
    role.drop().await;
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn uses_the_programs_schema_and_pool() {
    let database = PostgresDatabase::new("").await;
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA \"Our mail\"").execute(&pool).await.unwrap();
    let store = PostgresStore::options().schema("Our mail").over(pool.clone()).await.unwrap();
    let other = PostgresStore::options().schema("Our mail").connect(database.url()).await.unwrap();
    assert_eq!(add(&store, "evt_1").await.unwrap(), Outcome::Queued);
    assert_eq!(add(&other, "evt_1").await.unwrap(), Outcome::Duplicate);
    assert_eq!(bury_all(&other, "failed").await, 1);
    let public: Option<String> = sqlx::query_scalar("SELECT to_regclass('openmail_events')::text")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(public, None, "the program's sessions are unchanged");
    other.close().await;
    store.close().await;
    assert_eq!(store.counts().await.unwrap_err().kind(), QueueErrorKind::Closed);
    assert_eq!(add(&store, "evt_2").await.unwrap_err().kind(), HandlerErrorKind::Unavailable);
    sqlx::raw_sql("SELECT 1").execute(&pool).await.expect("the program's pool is open");
    pool.close().await;
    database.drop().await;
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn missing_database_is_named_once() {
    let database = PostgresDatabase::new("").await;
    let url = database.url().to_owned();
    database.drop().await;
    let error = PostgresStore::connect(&url).await.expect_err("it is gone");
    assert_eq!(error.kind(), QueueErrorKind::Unavailable);
    let chain = successors(Some(&error as &dyn Error), |error| (*error).source());
    let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert_eq!(text.matches("does not exist").count(), 1, "{text}");
    assert!(text.contains("cannot connect to ") && text.ends_with(" (code 3D000)"), "{text}");
}

/// Claims the next entry, which must be the only due one.
async fn next(store: &PostgresStore) -> Claimed {
    let claims = store.claim(ClaimRequest::new(WorkerId(1), 2, HOUR)).await.unwrap();
    let [entry] = <[Claimed; 1]>::try_from(claims.entries).unwrap();
    entry
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn database_of_any_encoding_keeps_what_it_can() {
    for encoding in ["UTF8", "SQL_ASCII", "LATIN1"] {
        let options =
            format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        let database = PostgresDatabase::new(&options).await;
        let store = PostgresStore::connect(database.url()).await.unwrap();
        let queue = Enqueue::new(store.clone());
        let odd = || {
            event(
                r#"{"event":"message.received","event_id":"evt_\u732b","inbox_id":"i\u732b",
                "thread_id":"\u732b","message":{"id":"m","from":"a@example.com"}}"#,
            )
        };
        assert_eq!(queue.clone().oneshot(odd()).await.unwrap(), Outcome::Queued);
        assert_eq!(queue.clone().oneshot(odd()).await.unwrap(), Outcome::Duplicate);
        assert_eq!(bury_all(&store, "not a cat: \u{1f408}").await, 1);
        let letter = store.dead_letters(None, 1).await.unwrap().remove(0);
        assert!(letter.error.starts_with("not a cat: "), "{}", letter.error);

        assert_eq!(store.requeue_inbox("i\u{732b}").await.unwrap(), 1, "{encoding}");
        let hold = Settlement::Hold { reason: "suspended".to_owned(), at_most: HOUR };
        assert!(store.settle(&next(&store).await.lease, hold).await.unwrap());
        assert_eq!(store.release_held(Some("i\u{732b}")).await.unwrap(), 1, "{encoding}");
        let replies = vec![NewReply::new("a\0\u{732b}", "b\0\u{732b}", "c\0\u{732b}")];
        let done = Settlement::Done { replies };
        assert!(store.settle(&next(&store).await.lease, done).await.unwrap(), "{encoding}");
        let reply = next(&store).await;
        assert_eq!(
            (reply.role, &reply.stored.raw_body[..]),
            (Role::Reply, &b"c\0\xe7\x8c\xab"[..])
        );

        let mut note = CountRequest::default();
        let (key, text) = ("cats".to_owned(), "\u{732b}".to_owned());
        note.note = Some(CountNote { key, text, window: HOUR });
        store.count(&note).await.unwrap();
        assert_eq!(store.count(&note).await.unwrap().notes.len(), 1, "{encoding}");
        store.close().await;
        database.drop().await;
    }
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn stalled_lane_is_resumed() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    let pool = schema.pool().await;
    for (lane, state) in [("a", "blocked"), ("a", "blocked"), ("b", "ready"), ("b", "blocked")] {
        sqlx::query(
            "INSERT INTO openmail_events
               (lane, kind, state, due_at, queued_at, signed_at, weight, body)
             VALUES ($1, 'message.received', $2, 0, 0, 0, 1, '')",
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
    schema.drop().await;
}

/// Delivers an event repeatedly until it is accepted. Returns how long that took.
async fn until_accepted(store: &PostgresStore, id: &str) -> Duration {
    let since = Instant::now();
    while add(store, id).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not recover");
        sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn promoted_replica_is_used() {
    let mut server = PostgresServer::start().await;
    PostgresStore::connect(&server.url()).await.unwrap().close().await;
    server.follow();
    server.restart().await;
    let options = PostgresStore::options().migrate(false);
    let ours = options.clone().connect(&server.url()).await.unwrap();
    let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
    let theirs = options.over(pool.clone()).await.unwrap();
    for store in [&ours, &theirs] {
        for _ in 0..3 {
            add(store, "evt_0").await.expect_err("it only reads");
        }
    }
    sqlx::query("SELECT pg_promote()").execute(&pool).await.unwrap();
    for (store, id) in [(&ours, "evt_1"), (&theirs, "evt_2")] {
        println!("accepted {:?} after the promotion", until_accepted(store, id).await);
    }
    ours.close().await;
    theirs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn uses_the_new_primary_although_the_old_one_is_silent() {
    let (old, new) = (PostgresServer::start().await, PostgresServer::start().await);
    PostgresStore::connect(&new.url()).await.unwrap().close().await;
    let proxy = Proxy::start(old.address()).await;
    let url = format!("postgres://openmail@{}/postgres", proxy.address());
    let store = PostgresStore::connect(&url).await.unwrap();
    let registration = store.register().await.unwrap();
    for number in 0..3 {
        add(&store, &format!("evt_{number}")).await.unwrap();
    }
    proxy.redirect(new.address());
    proxy.silence();
    println!("accepted {:?} after the failover", until_accepted(&store, "evt_9").await);
    assert_eq!(bury_all(&store, "failed").await, 1);
    drop(registration);
    store.close().await;
}

/// The store has leased the entries to a worker that does not learn of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn entries_of_a_claim_whose_answer_is_lost_run_soon() {
    const MAILS: usize = 3;
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.address()).await;
    let url = format!("postgres://openmail@{}/postgres", proxy.address());
    let store = PostgresStore::connect(&url).await.unwrap();
    let (ran, mut runs) = mpsc::unbounded_channel();
    let handler = service_fn(move |event: VerifiedEvent| {
        ran.send(event.attempt()).unwrap();
        async { Ok::<_, HandlerError>(Outcome::Done) }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Enqueue::new(store.clone()).worker(handler).lease(Duration::from_secs(3600));
    let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));
    let direct = PostgresStore::connect(&server.url()).await.unwrap();
    proxy.lose_commit("SET leased = 1");
    for number in 0..MAILS {
        add(&direct, &format!("evt_{number}")).await.unwrap();
    }
    for _ in 0..MAILS {
        let run = timeout(Duration::from_secs(120), runs.recv()).await.expect("it runs");
        assert_eq!(run, Some(Some(1)));
    }
    assert!(proxy.has_lost_commit());
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
    assert!(runs.recv().await.is_none(), "each ran once");
    for store in [store, direct] {
        store.close().await;
    }
}

/// The planner's statistics and plans are those of an empty queue, as after a quiet hour.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn burst_after_a_quiet_hour_reads_each_row_a_few_times() {
    const MAILS: usize = 2_000;
    let database = PostgresDatabase::new("").await;
    let store = PostgresStore::connect(database.url()).await.unwrap();
    let mut session = PgConnection::connect(database.url()).await.unwrap();
    // Statistics that change by themselves would hide a bad plan.
    let quiet = "ANALYZE openmail_events;
                 ALTER TABLE openmail_events SET (autovacuum_enabled = off)";
    sqlx::raw_sql(quiet).execute(&mut session).await.unwrap();
    burst(&store, MAILS).await;
    store.close().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let ended = async {
        while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut session).await.unwrap() > 0 {
            // The server's sessions outlast the client's connections, and report what they have
            // read only when they end.
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), ended).await.expect("its sessions end");
    let read = "SELECT (sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables
                  WHERE relname = 'openmail_events'))::bigint
                FROM pg_stat_user_indexes WHERE relname = 'openmail_events'";
    let read: i64 = sqlx::query_scalar(read).fetch_one(&mut session).await.unwrap();
    let times = read / i64::try_from(MAILS).unwrap();
    println!("each row was read {times} times");
    assert!((1..=20).contains(&times), "{times}");
    session.close().await.unwrap();
    database.drop().await;
}

/// Adds mails, each in its own thread, and settles them as done, a few at a time.
async fn burst(store: &PostgresStore, mails: usize) {
    const AT_ONCE: usize = 20;
    for first in (0..mails).step_by(AT_ONCE) {
        let mut added = JoinSet::new();
        for number in first..first + AT_ONCE {
            let store = store.clone();
            let mail = event(format!(
                r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_1",
                    "thread_id":"thr_{number}","message":{{"id":"m","from":"a@example.com"}}}}"#
            ));
            added.spawn(async move { Enqueue::new(store).oneshot(mail).await.unwrap() });
        }
        added.join_all().await;
    }
    let request = ClaimRequest::new(WorkerId(1), AT_ONCE, Duration::from_secs(60));
    loop {
        let entries = store.claim(request.clone()).await.unwrap().entries;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            assert!(store.settle(&entry.lease, Settlement::done()).await.unwrap());
        }
    }
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn closed_store_says_so() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    store.close().await;
    let read = store.counts().await.unwrap_err();
    let claimed = store.claim(ClaimRequest::new(WorkerId(1), 1, HOUR)).await.unwrap_err();
    assert_eq!([read.kind(), claimed.kind()], [QueueErrorKind::Closed; 2]);
    schema.drop().await;
}
