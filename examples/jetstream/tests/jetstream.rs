//! From a signed request to its handler, through a NATS server. `OPENMAIL_TEST_NATS_SERVER` is the
//! path of the program.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use async_nats::jetstream::{Context, consumer::pull, stream};
use common::{App, Handlers, Nats, kept, mail, open, soon};
use example_jetstream::{STREAM, consumer, consumer_config, stream_config, work};
use futures_util::StreamExt as _;
use tokio::{net::TcpStream, time::sleep};
use tokio_util::sync::CancellationToken;

/// Changes the consumer, as an operator would.
async fn with_ack_wait(context: &Context, ack_wait: Duration) {
    let stream = context.get_stream(STREAM).await.unwrap();
    stream.create_consumer(pull::Config { ack_wait, ..consumer_config() }).await.unwrap();
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn event_runs_once_however_often_it_is_delivered() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    let mut handlers = Handlers::new();
    let app = App::start(context.clone(), handlers.events.clone()).await;
    let first = mail("evt 1.\r\n*", "").inbox("inb.1 >");
    assert_eq!(app.post(&first).await, 200);
    assert_eq!(handlers.ran().await, ("evt 1.\r\n*".to_owned(), 1));
    assert_eq!(app.post(&first.clone().attempt(2)).await, 200);
    assert_eq!(app.post(&mail("evt_2", "")).await, 200);
    assert_eq!(handlers.ran().await, ("evt_2".to_owned(), 1));
    app.stop().await;
    handlers.assert_no_other_run();
    assert_eq!((kept(&context).await, open(&context).await), (2, 0));
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn event_runs_again_after_a_failure_or_panic() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    // If the failures were not reported, the events would run again only long after the test has
    // failed.
    with_ack_wait(&context, Duration::from_secs(3600)).await;
    let mut handlers = Handlers::new();
    let app = App::start(context.clone(), handlers.events.clone()).await;
    for subject in ["fail once", "panic once"] {
        assert_eq!(app.post(&mail(subject, subject)).await, 200);
        assert_eq!(handlers.ran().await, (subject.to_owned(), 1));
        assert_eq!(handlers.ran().await, (subject.to_owned(), 2));
    }
    app.stop().await;
    handlers.assert_no_other_run();
    assert_eq!(open(&context).await, 0);
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn permanent_failure_is_given_up_and_kept() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    let mut handlers = Handlers::new();
    let app = App::start(context.clone(), handlers.events.clone()).await;
    context.publish("openmail.inbox.x", "junk".into()).await.unwrap().await.unwrap();
    assert_eq!(app.post(&mail("evt_1", "fail for good")).await, 200);
    assert_eq!(handlers.ran().await, ("evt_1".to_owned(), 1));
    soon(async {
        // The consumer's state can only be polled.
        while open(&context).await > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    app.stop().await;
    handlers.assert_no_other_run();
    assert_eq!(kept(&context).await, 2);
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn answers_503_without_a_server_and_acknowledged_events_survive_a_kill() {
    let mut nats = Nats::start().await;
    let context = nats.connect().await;
    let app = App::receiver(context.clone()).await;
    assert_eq!(app.post(&mail("evt_1", "")).await, 200);
    nats.kill().await;
    assert_eq!(app.post(&mail("evt_2", "")).await, 503);
    nats.restart().await;
    let delivered = async {
        loop {
            match app.post(&mail("evt_2", "")).await.as_u16() {
                // OpenMail would try again as well.
                503 => sleep(Duration::from_millis(10)).await,
                status => break status,
            }
        }
    };
    assert_eq!(soon(delivered).await, 200);
    // The server still recognises the first event.
    assert_eq!(app.post(&mail("evt_1", "").attempt(2)).await, 200);
    assert_eq!(kept(&context).await, 2);
    app.stop().await;

    let mut handlers = Handlers::new();
    let stop = CancellationToken::new();
    let consumer = consumer(&context).await.unwrap();
    let working = tokio::spawn(work(consumer, handlers.events.clone(), stop.clone()));
    let mut ran = [handlers.ran().await, handlers.ran().await];
    ran.sort();
    assert_eq!(ran, [("evt_1".to_owned(), 1), ("evt_2".to_owned(), 1)]);
    stop.cancel();
    assert_eq!(soon(working).await.unwrap(), 0);
    handlers.assert_no_other_run();
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn full_stream_refuses_events_and_drops_none() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    let full = stream::Config { max_messages: 1, ..stream_config() };
    context.update_stream(full).await.unwrap();
    let app = App::receiver(context.clone()).await;
    assert_eq!(app.post(&mail("evt_1", "")).await, 200);
    assert_eq!(app.post(&mail("evt_2", "")).await, 503);
    app.stop().await;
    let stream = context.get_stream(STREAM).await.unwrap();
    let kept = stream.get_raw_message(1).await.unwrap();
    assert!(String::from_utf8_lossy(&kept.payload).contains("evt_1"));
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn large_event_fits() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    let mut handlers = Handlers::new();
    let app = App::start(context, handlers.events.clone()).await;
    let large = mail("evt_1", "").text("x".repeat(8 * 1024 * 1024 - 2048));
    assert_eq!(app.post(&large).await, 200);
    assert_eq!(handlers.ran().await, ("evt_1".to_owned(), 1));
    app.stop().await;
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn long_run_reports_progress() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    with_ack_wait(&context, Duration::from_secs(2)).await;
    let mut answers = context.client().subscribe("$JS.ACK.>").await.unwrap();

    let mut handlers = Handlers::new();
    let app = App::start(context.clone(), handlers.events.clone()).await;
    assert_eq!(app.post(&mail("evt_1", "hold")).await, 200);
    assert_eq!(handlers.ran().await, ("evt_1".to_owned(), 1));
    for _ in 0..4 {
        assert_eq!(soon(answers.next()).await.unwrap().payload, "+WPI");
    }
    handlers.gate.add_permits(1);
    soon(async { while answers.next().await.unwrap().payload != "+ACK" {} }).await;
    app.stop().await;
    assert_eq!(open(&context).await, 0);
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn stopping_lets_a_run_finish() {
    let nats = Nats::start().await;
    let context = nats.connect().await;
    let mut handlers = Handlers::new();
    let app = App::start(context.clone(), handlers.events.clone()).await;
    assert_eq!(app.post(&mail("evt_1", "hold")).await, 200);
    assert_eq!(handlers.ran().await, ("evt_1".to_owned(), 1));
    app.stop.cancel();
    soon(async { while TcpStream::connect(app.address).await.is_ok() {} }).await;
    assert!(!app.running.is_finished());
    handlers.gate.add_permits(1);
    app.stop().await;
    handlers.assert_no_other_run();
    assert_eq!(open(&context).await, 0);
}
