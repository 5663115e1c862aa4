//! PostgreSQL behind a PgBouncer.

use std::{error::Error, time::Duration};

use openmail_tests::{PgBouncer, PostgresServer, event};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, PostgresStore, QueueErrorKind, QueueStore},
};
use sqlx::postgres::PgPoolOptions;
use tokio::{sync::mpsc, time::timeout};
use tower::{ServiceExt, service_fn};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN and OPENMAIL_TEST_PGBOUNCER"]
async fn pooler_works_in_session_mode_and_is_refused_in_transaction_mode() {
    let server = PostgresServer::start().await;

    let pooler = PgBouncer::start(server.address(), "transaction").await;
    for size in [2, 8] {
        let options = PostgresStore::options().pool_size(size);
        let error = options.connect(&pooler.url("postgres")).await.unwrap_err();
        assert_eq!(error.kind(), QueueErrorKind::Unsuitable);
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(reason.contains("must be in session mode"), "{reason}");
    }
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&pooler.url("postgres")).await.unwrap();
    let error = PostgresStore::new(pool).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Unsuitable);
    drop(pooler);

    let pooler = PgBouncer::start(server.address(), "session").await;
    let queue = Enqueue::new(PostgresStore::connect(&pooler.url("postgres")).await.unwrap());
    let mail = event(
        r#"{"event":"message.received","event_id":"evt_1","inbox_id":"a",
        "message":{"id":"msg_1","from":"a@b.example"}}"#,
    );
    assert_eq!(queue.clone().oneshot(mail).await.unwrap(), Outcome::Queued);
    let (ran, mut runs) = mpsc::channel(1);
    let handler = service_fn(move |event: VerifiedEvent| {
        let id = event.event_id().map(ToString::to_string);
        let ran = ran.clone();
        async move {
            let _ = ran.send(id).await;
            Ok::<_, HandlerError>(Outcome::Done)
        }
    });
    let run = async { assert_eq!(runs.recv().await.flatten().as_deref(), Some("evt_1")) };
    timeout(PATIENCE, queue.worker(handler).run(run)).await.expect("it runs");
    assert_eq!(queue.store().counts().await.unwrap().open(), 0);
    queue.store().close().await;
}
