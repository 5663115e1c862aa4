//! Claims in Redis.
//!
//! `OPENMAIL_TEST_REDIS` is the URL of an existing server, `OPENMAIL_TEST_REDIS_SERVER` the path of
//! a `redis-server` to start and stop.

use std::{
    collections::HashMap,
    env,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openmail_tests::{Proxy, RedisServer, mail, scripted};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    layers::dedupe::{DedupeLayer, RedisStore, contract},
};
use tokio::{task::JoinSet, time};
use tower::{Layer, ServiceExt};

fn store() -> RedisStore {
    RedisStore::connect(&env::var("OPENMAIL_TEST_REDIS").unwrap()).unwrap()
}

/// Returns an id that no earlier run has used.
fn fresh(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{name}_{}_{}", std::process::id(), now.as_nanos())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS, the URL of a Redis"]
async fn keeps_the_contract() {
    contract::check(store().prefix("openmail:test:")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS, the URL of a Redis"]
async fn thousand_deliveries_at_two_receivers_run_once() {
    let (handler, script) = scripted();
    let receivers = [store(), store()].map(|store| {
        let layer = DedupeLayer::new(store).max_runs(1000).max_runs_per_inbox(1000);
        layer.layer(handler.clone())
    });
    let id = fresh("thousand");
    let mut deliveries = JoinSet::new();
    for _ in 0..500 {
        for receiver in &receivers {
            deliveries.spawn(receiver.clone().oneshot(mail(&id)));
        }
    }
    for _ in 0..999 {
        let error = deliveries.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::InFlight, "{error}");
    }
    script.answer(Ok(Outcome::Done));
    assert_eq!(deliveries.join_next().await.unwrap().unwrap().unwrap(), Outcome::Done);
    for receiver in receivers {
        assert_eq!(receiver.oneshot(mail(&id)).await.unwrap(), Outcome::Duplicate);
    }
    assert_eq!(script.begun(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS, the URL of a Redis"]
async fn prefixes_do_not_share_claims() {
    let (handler, script) = scripted();
    let id = fresh("prefix");
    for prefix in ["openmail:test:a:", "openmail:test:b:"] {
        let events = DedupeLayer::new(store().prefix(prefix)).layer(handler.clone());
        script.answer(Ok(Outcome::Done));
        assert_eq!(events.oneshot(mail(&id)).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn nothing_runs_without_redis() {
    // Listens but never accepts: connections succeed and are never answered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), closed] {
        let (handler, script) = scripted();
        let store = RedisStore::connect(&format!("redis://:hunter2@{address}")).unwrap();
        let layer = DedupeLayer::new(store);
        let error = layer.layer(handler).oneshot(mail("evt_1")).await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Unavailable, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(script.begun(), 0);
        layer.shutdown(Duration::from_secs(60)).await;
    }
}

#[tokio::test]
async fn password_is_not_shown() {
    let store = RedisStore::connect("redis://:hunter2@127.0.0.1:1").unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
    let error = RedisStore::connect("http://:hunter2@127.0.0.1:1").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS_SERVER, the path of a redis-server to start"]
async fn silently_cut_connection_is_replaced() {
    let server = RedisServer::start();
    let address = server.url().trim_start_matches("redis://").parse().unwrap();
    // Either the store's own time limit applies, or that of its caller.
    for patience in [Duration::from_secs(3), Duration::from_millis(300)] {
        let proxy = Proxy::start(address).await;
        let store = RedisStore::connect(&format!("redis://{}", proxy.address())).unwrap();
        let layer = DedupeLayer::new(store).store_timeout(patience);
        let (handler, script) = scripted();
        let events = layer.layer(handler);
        // The proxy's end of the connection stays open, so the kernel never reports the cut.
        let delivered = async |id: &str| {
            let deliveries = async {
                while let Err(error) = events.clone().oneshot(mail(id)).await {
                    assert_ne!(error.kind(), HandlerErrorKind::Failed, "{error}");
                }
            };
            time::timeout(Duration::from_secs(60), deliveries).await.expect("it is replaced");
        };
        for cut in 0..2 {
            script.answer(Ok(Outcome::Done));
            delivered(&fresh("cut")).await;
            assert_eq!(script.begun(), cut + 1, "{patience:?}");
            proxy.silence();
        }
        assert_eq!(layer.shutdown(Duration::from_secs(60)).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS_SERVER, the path of a redis-server to start"]
async fn uses_the_new_primary_although_the_old_one_answers() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(old.address()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address())).unwrap();
    let layer = DedupeLayer::new(store);
    let (handler, script) = scripted();
    let events = layer.layer(handler);
    for failover in [false, true] {
        if failover {
            proxy.redirect(new.address());
            old.follow(&new);
        }
        script.answer(Ok(Outcome::Done));
        let delivered = events.clone().oneshot(mail(&fresh("failover"))).await;
        assert_eq!(delivered.unwrap(), Outcome::Done);
    }
    assert_eq!(layer.shutdown(Duration::from_secs(60)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS_SERVER, the path of a redis-server to start"]
async fn error_names_a_cluster_node_or_sentinel() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let sentinel: &[&str] = &[config.path().to_str().unwrap(), "--sentinel"];
    let cluster: &[&str] = &["--cluster-enabled", "yes"];
    for (arguments, expected) in [(cluster, "Redis Cluster"), (sentinel, "Sentinel")] {
        let server = RedisServer::start_with(arguments);
        let store = RedisStore::connect(&server.url()).unwrap();
        let (handler, _script) = scripted();
        let error =
            DedupeLayer::new(store).layer(handler).oneshot(mail("evt_1")).await.unwrap_err();
        let error = error.source().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for url in ["redis+sentinel://127.0.0.1", "postgres://127.0.0.1"] {
        let error = RedisStore::connect(url).unwrap_err().to_string();
        assert!(error.contains("redis://"), "{error}");
    }
}

const EVENTS: usize = 300;
const OUTAGES: usize = 5;

/// For each event, two senders deliver it until it succeeds, while Redis is killed and restarted.
/// Redis saves each change before it answers, so each event runs exactly once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_REDIS_SERVER, the path of a redis-server to start"]
async fn survives_restarts_of_redis_under_load() {
    let mut server = RedisServer::start();
    let runs = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let handler = {
        let runs = Arc::clone(&runs);
        tower::service_fn(move |event: VerifiedEvent| {
            let id = event.event_id().unwrap().to_string();
            *runs.lock().unwrap().entry(id).or_default() += 1;
            async {
                time::sleep(Duration::from_millis(200)).await;
                Ok::<_, HandlerError>(Outcome::Done)
            }
        })
    };
    let layers = [(); 2].map(|()| DedupeLayer::new(RedisStore::connect(&server.url()).unwrap()));

    let mut senders = JoinSet::new();
    for sender in 0..2 * EVENTS {
        let events = layers[sender % 2].layer(handler.clone());
        senders.spawn(async move {
            let id = format!("evt_{}", sender / 2);
            // Spread over the outages.
            time::sleep(Duration::from_millis(sender as u64 / 2 * 10)).await;
            let mut unavailable = 0;
            loop {
                match events.clone().oneshot(mail(&id)).await {
                    Ok(_) => return unavailable,
                    Err(error) => match error.kind() {
                        HandlerErrorKind::InFlight => {}
                        HandlerErrorKind::Unavailable => unavailable += 1,
                        kind => panic!("{kind:?}: {error}"),
                    },
                }
                // The pace of the retries.
                time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let server = tokio::task::spawn_blocking(move || {
        for _ in 0..OUTAGES {
            // Time for some events to run, and then for some deliveries to find no Redis.
            std::thread::sleep(Duration::from_millis(400));
            server.kill();
            std::thread::sleep(Duration::from_millis(200));
            server.restart();
        }
        server
    });
    let _server = server.await.unwrap();

    // A claim whose answer was lost when Redis was killed has to expire first: 30 s.
    let all = time::timeout(Duration::from_secs(300), senders.join_all());
    let unavailable: usize = all.await.expect("every event is answered").into_iter().sum();
    assert!(unavailable > 0, "there was no load while it was away");
    for layer in layers {
        assert_eq!(layer.shutdown(Duration::from_secs(60)).await, 0);
    }
    let runs = runs.lock().unwrap();
    let again: Vec<_> = runs.iter().filter(|(_, runs)| **runs != 1).collect();
    assert!(
        runs.len() == EVENTS && again.is_empty(),
        "of {} events that ran, these ran again: {again:?}",
        runs.len()
    );
    println!("{EVENTS} events ran once each; {unavailable} deliveries found no Redis");
}
