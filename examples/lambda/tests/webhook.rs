//! Runs the built program against a fake of Lambda's runtime API, with events in the formats of API
//! Gateway and function URLs.
//!
//! The events in `events/` are not recorded. They follow the payload formats that AWS documents:
//! 1.0 for a REST API of API Gateway, 2.0 for an HTTP API and a function URL, with values of this
//! example.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{env, process::Command, time::SystemTime};

use openmail_tower::testing::TestEvent;
use serde_json::{Value, json};
use support::{Answer, Lambda, SECRET, Trigger, with_other_encoding};

fn mails(log: &str) -> usize {
    log.lines().filter(|line| line.contains("mail received")).count()
}

#[tokio::test]
async fn answers_200_to_signed_events_of_every_trigger() {
    let mut lambda = Lambda::start().await;
    for trigger in Trigger::ALL {
        for name in ["message.received", "setup.test", "thread.archived"] {
            let event = TestEvent::new(name).field("text", "Grüße, 日本語");
            let event = trigger.delivers(&event, SECRET);
            let response = lambda.invoke(&event).await.response();
            assert_eq!(response["statusCode"], 200, "{trigger:?}, {name}: {response}");
            // API Gateway encodes bodies that are not text, and may be configured to encode all.
            let response = lambda.invoke(&with_other_encoding(event)).await.response();
            assert_eq!(response["statusCode"], 200, "{trigger:?}, {name}: {response}");
        }
    }
    let log = lambda.kill().await;
    assert_eq!(mails(&log), 6, "{log}");
}

#[tokio::test]
async fn rejects_forged_events_and_other_methods() {
    let mut lambda = Lambda::start().await;
    let mail = TestEvent::message_received();
    for trigger in Trigger::ALL {
        let forged = trigger.delivers(&mail, "whsec_of_somebody_else");
        let response = lambda.invoke(&forged).await.response();
        assert_eq!(response["statusCode"], 401, "{trigger:?}: {response}");
        assert_eq!(response["isBase64Encoded"], false, "{trigger:?}: {response}");
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["error"], "signature_mismatch", "{trigger:?}");
    }
    let mut get = Trigger::HttpApi.delivers(&mail, SECRET);
    get["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(lambda.invoke(&get).await.response()["statusCode"], 405);
    let log = lambda.kill().await;
    assert_eq!(mails(&log), 0, "{log}");
}

#[tokio::test]
async fn continues_after_an_event_that_is_no_http_request() {
    let mut lambda = Lambda::start().await;
    let mut broken = Trigger::FunctionUrl.delivers(&TestEvent::message_received(), SECRET);
    broken["body"] = json!("not base64");
    let events = [
        // The console's test event, and a message from SQS.
        json!({"key1": "value1", "key2": "value2"}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}),
        json!([]),
        json!("text"),
        Value::Null,
        broken,
    ];
    for event in events {
        let answer = lambda.invoke(&event).await;
        assert!(matches!(&answer, Answer::Error(error) if error["errorMessage"].is_string()));
        let mail = Trigger::HttpApi.delivers(&TestEvent::message_received(), SECRET);
        assert_eq!(lambda.invoke(&mail).await.response()["statusCode"], 200, "after {event}");
    }
    // A request without a body.
    for trigger in Trigger::ALL {
        let mut empty = trigger.delivers(&TestEvent::message_received(), SECRET);
        empty["body"] = Value::Null;
        empty["isBase64Encoded"] = json!(false);
        assert_eq!(lambda.invoke(&empty).await.response()["statusCode"], 401, "{trigger:?}");
    }
}

/// Lambda sends SIGTERM to a function with extensions. This program has nothing to finish between
/// invocations.
#[cfg(unix)]
#[tokio::test]
async fn ends_on_sigterm() {
    use std::os::unix::process::ExitStatusExt as _;

    let mut lambda = Lambda::start().await;
    let mail = Trigger::FunctionUrl.delivers(&TestEvent::message_received(), SECRET);
    lambda.invoke(&mail).await.response();
    let status = lambda.terminate().await;
    assert_eq!(status.signal(), Some(15), "{status}");
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_REDIS, the URL of a Redis"]
async fn instances_run_each_event_once_between_them() {
    let redis = env::var("OPENMAIL_TEST_REDIS").unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let mail = TestEvent::message_received().event_id(format!("evt_lambda_{now}"));
    let mut runs = 0;
    // Another instance of the function has only Redis in common with the first.
    for _ in 0..2 {
        let mut lambda = Lambda::start_with(&[("REDIS_URL", &redis)]).await;
        for trigger in Trigger::ALL {
            let event = trigger.delivers(&mail, SECRET);
            assert_eq!(lambda.invoke(&event).await.response()["statusCode"], 200, "{trigger:?}");
        }
        runs += mails(&lambda.kill().await);
    }
    assert_eq!(runs, 1);
}

#[test]
fn says_what_is_missing_outside_lambda() {
    let program = Command::new(env!("CARGO_BIN_EXE_example-lambda"))
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .output()
        .unwrap();
    assert!(!program.status.success());
    let error = String::from_utf8_lossy(&program.stderr);
    assert!(error.contains("AWS_LAMBDA_RUNTIME_API is not set"), "{error}");
}

#[test]
fn names_the_variable_of_an_invalid_redis_url() {
    let program = Command::new(env!("CARGO_BIN_EXE_example-lambda"))
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .env("REDIS_URL", "localhost")
        .output()
        .unwrap();
    assert!(!program.status.success());
    let error = String::from_utf8_lossy(&program.stderr);
    assert!(error.contains("error: REDIS_URL: "), "{error}");
}
