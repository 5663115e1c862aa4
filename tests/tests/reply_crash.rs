//! Processes that are killed or suspended while they answer mails.
//!
//! `OPENMAIL_TEST_KILLS` is the number of kills. Default: 100.

use std::{
    collections::{HashMap, HashSet},
    env,
    path::Path,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openmail_tests::{
    FakeApi, PostgresSchema, Receiver, clock,
    fake_api::{Fault, Seen},
    receiver_at, secret,
};
use openmail_tower::{
    queue::{PostgresStore, QueueStore, SqliteStore},
    testing::{Emulator, Report, TestEvent},
};
use serde_json::json;
use tokio::time::{sleep, timeout};

const PROGRAM: &str = env!("CARGO_BIN_EXE_replier");

fn kills() -> usize {
    env::var("OPENMAIL_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn start(database: &str, api: &FakeApi, rest: &[&str]) -> Receiver {
    Receiver::start(PROGRAM, database, Path::new(&api.url()), rest)
}

/// Starts an API that loses some responses and refuses some requests.
async fn misbehaving() -> FakeApi {
    let api = FakeApi::start(env!("CARGO_BIN_EXE_fake_api"));
    let good = || Fault { times: Some(7), ..Fault::default() };
    let busy = || Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "0").times(1);
    let round = || {
        [good(), Fault::lost_answer().times(2), good(), Fault::refusal(500, "x").times(1), busy()]
    };
    api.faults((0..200).flat_map(|_| round())).await;
    api
}

/// Delivers mails by OpenMail's rules, 200 times as fast, until it is stopped.
async fn deliver(
    api: Arc<FakeApi>,
    address: Arc<RwLock<String>>,
    stop: Arc<AtomicBool>,
) -> Vec<Report> {
    let service = receiver_at(address);
    let mut reports = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut events = Vec::new();
        for number in number..number + 20 {
            // A thread waits a second for each 429. With this many threads, the waits overlap.
            let (thread, id) = (format!("thr_{}", number % 35), format!("msg_{number}"));
            let from = format!("{id}@example.com");
            let message = json!({"id": id, "direction": "inbound", "fromAddr": from});
            api.message(&thread, message).await;
            let event = TestEvent::message_received().event_id(format!("evt_{number}"));
            events.push(event.thread(thread).from(from).message_field("id", id));
        }
        number += 20;
        let emulator = Emulator::new(secret()).clock(clock(0)).speed(200.0).concurrency(16);
        let emulator = emulator.duplicates(0.2).shuffle().timeout(Duration::from_secs(10));
        reports.push(emulator.deliver(service.clone(), events).await);
    }
    reports
}

/// Asserts that every accepted mail has one accepted reply, with one key and one body.
fn check(reports: &[Report], sends: &[Seen]) {
    let deliveries = reports.iter().flat_map(|report| &report.deliveries);
    let accepted: HashSet<String> = deliveries
        .filter(|it| it.is_accepted())
        .map(|it| it.event_id.as_ref().unwrap().replace("evt_", "msg_"))
        .collect();
    let mut keys = HashMap::<String, HashSet<&str>>::new();
    let mut bodies = HashMap::<&str, HashSet<&str>>::new();
    let mut answers = HashMap::<String, usize>::new();
    for send in sends {
        let body: serde_json::Value = serde_json::from_str(&send.body).unwrap();
        let mail = body["to"].as_str().unwrap().trim_end_matches("@example.com").to_owned();
        let key = send.key.as_deref().unwrap();
        keys.entry(mail.clone()).or_default().insert(key);
        bodies.entry(key).or_default().insert(&send.body);
        *answers.entry(mail).or_default() += usize::from(send.accepted);
    }
    assert!(accepted.len() > 50, "too few mails to tell: {}", accepted.len());
    let wrong: Vec<_> = answers.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "not answered exactly once: {wrong:?}");
    let unanswered: Vec<_> = accepted.iter().filter(|mail| !answers.contains_key(*mail)).collect();
    assert!(unanswered.is_empty(), "accepted but not answered: {unanswered:?}");
    assert!(keys.values().all(|keys| keys.len() == 1), "a mail has one key");
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "a key has one body");
    println!("{} mails accepted, {} requests to send", accepted.len(), sends.len());
}

async fn until_done<St: QueueStore>(store: &St) {
    let reached = async {
        while !store.counts().await.is_ok_and(|counts| counts.open() == 0) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(Duration::from_secs(120), reached).await.is_err() {
        panic!("left: {:?}", store.counts().await);
    }
    assert_eq!(store.counts().await.unwrap().dead, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_receiver_answers_every_mail_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inbox.db");
    let database = file.to_str().unwrap();
    let api = Arc::new(misbehaving().await);
    let mut receiver = start(database, &api, &[]);
    let address = Arc::new(RwLock::new(receiver.address().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let delivering =
        tokio::spawn(deliver(Arc::clone(&api), Arc::clone(&address), Arc::clone(&stop)));
    for _ in 0..kills() {
        sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        receiver.kill();
        receiver = start(database, &api, &[]);
        receiver.address().clone_into(&mut address.write().unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let reports = delivering.await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    until_done(&store).await;
    receiver.stop();
    check(&reports, &api.sends().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn killed_receiver_or_suspended_worker_is_replaced_and_every_mail_answered_once() {
    let schema = PostgresSchema::new().await;
    let api = Arc::new(misbehaving().await);
    let mut receiver = start(schema.url(), &api, &[]);
    let address = Arc::new(RwLock::new(receiver.address().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let delivering =
        tokio::spawn(deliver(Arc::clone(&api), Arc::clone(&address), Arc::clone(&stop)));
    for round in 0..kills() {
        if round % 4 == 0 {
            let worker = start(schema.url(), &api, &["worker"]);
            sleep(Duration::from_millis(fastrand::u64(20..400))).await;
            // It is suspended for longer than its lease, so the receiver takes over.
            worker.signal("-STOP");
            sleep(Duration::from_millis(1500)).await;
            worker.signal("-CONT");
            // Time for it to finish the runs whose leases it has lost.
            sleep(Duration::from_millis(100)).await;
            worker.stop();
        }
        sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        receiver.kill();
        receiver = start(schema.url(), &api, &[]);
        receiver.address().clone_into(&mut address.write().unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let reports = delivering.await.unwrap();
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    until_done(&store).await;
    store.close().await;
    receiver.stop();
    check(&reports, &api.sends().await);
    schema.drop().await;
}
