//! Many workers on one store in PostgreSQL.

use std::{sync::Arc, time::Duration};

use openmail_tests::{PostgresSchema, States, mail, states};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, Lane},
};
use tokio::{
    sync::{Barrier, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceExt, service_fn};

/// More than the store has connections.
const WORKERS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn more_workers_than_connections_are_all_woken() {
    let schema = PostgresSchema::new().await;
    let queue = Enqueue::postgres(schema.url()).await.unwrap();
    let queue = queue.lane(Lane::None).timeout(Duration::from_secs(60));
    // An event is only done once each worker has one.
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
        // Nothing but being woken has them look again.
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
