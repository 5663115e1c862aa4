//! Runs the built program against a fake of Lambda's runtime API, with events as recorded from API
//! Gateway and function URLs.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{process::Stdio, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use openmail_tower::{Secret, testing::TestEvent};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

const SECRET: &str = "whsec_lambda_example_test";

const EVENTS: [(&str, &str); 3] = [
    ("HTTP API", include_str!("events/http_api.json")),
    ("REST API", include_str!("events/rest_api.json")),
    ("function URL", include_str!("events/function_url.json")),
];

/// A fake of the runtime API: returns one event after another and receives the responses.
struct Lambda {
    events: mpsc::Sender<Value>,
    responses: mpsc::Receiver<Value>,
    server: JoinHandle<()>,
    program: Child,
}

#[derive(Clone)]
struct Runtime {
    events: Arc<Mutex<mpsc::Receiver<Value>>>,
    responses: mpsc::Sender<Value>,
}

impl Lambda {
    async fn start() -> Self {
        let (events, waiting) = mpsc::channel(1);
        let (answered, responses) = mpsc::channel(1);
        let runtime = Runtime { events: Arc::new(Mutex::new(waiting)), responses: answered };
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let program = Command::new(env!("CARGO_BIN_EXE_example-lambda"))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "webhook")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("OPENMAIL_WEBHOOK_SECRET", SECRET)
            .env_remove("OPENMAIL_WEBHOOK_SECRET_PREVIOUS")
            .env_remove("REDIS_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { events, responses, server, program }
    }

    async fn invoke(&mut self, event: Value) -> Value {
        self.events.send(event).await.unwrap();
        timeout(Duration::from_secs(60), self.responses.recv()).await.expect("no response").unwrap()
    }

    async fn stop(mut self) {
        self.program.kill().await.unwrap();
        self.server.abort();
    }
}

async fn next(State(runtime): State<Runtime>) -> (HeaderMap, Json<Value>) {
    let event = runtime.events.lock().await.recv().await.unwrap();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:webhook"),
    ];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (headers.into_iter().collect(), Json(event))
}

async fn response(State(runtime): State<Runtime>, response: Bytes) -> (StatusCode, &'static str) {
    runtime.responses.send(serde_json::from_slice(&response).unwrap()).await.unwrap();
    (StatusCode::ACCEPTED, "{}")
}

/// Returns a recorded event that carries this delivery, signed now, since the program checks the
/// time.
fn carrying(recorded: &str, event: &TestEvent, secret: &str) -> Value {
    let request = event.sign::<RawBody>(&Secret::new(secret).unwrap());
    let mut invocation: Value = serde_json::from_str(recorded).unwrap();
    for (name, value) in request.headers() {
        let value = json!(value.to_str().unwrap());
        invocation["headers"][name.as_str()] = value.clone();
        if let Some(several) = invocation.get_mut("multiValueHeaders") {
            several[name.as_str()] = json!([value]);
        }
    }
    let body = &request.body().0;
    let base64 = invocation["isBase64Encoded"] == json!(true);
    invocation["body"] = if base64 { json!(encode(body)) } else { json!(text(body)) };
    invocation
}

/// A raw body.
struct RawBody(Vec<u8>);

impl<T: AsRef<[u8]>> From<T> for RawBody {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

#[tokio::test]
async fn answers_200_to_signed_events_of_every_trigger() {
    let mut lambda = Lambda::start().await;
    for (trigger, recorded) in EVENTS {
        for name in ["message.received", "setup.test", "thread.archived"] {
            let event = TestEvent::new(name).field("text", "Grüße, 日本語");
            let answer = lambda.invoke(carrying(recorded, &event, SECRET)).await;
            assert_eq!(answer["statusCode"], 200, "{trigger}, {name}: {answer}");
        }
    }
    lambda.stop().await;
}

#[tokio::test]
async fn refuses_forged_events_and_other_methods() {
    let mut lambda = Lambda::start().await;
    let mail = TestEvent::message_received();
    for (trigger, recorded) in EVENTS {
        let answer = lambda.invoke(carrying(recorded, &mail, "whsec_of_somebody_else")).await;
        assert_eq!(answer["statusCode"], 401, "{trigger}: {answer}");
        assert!(answer["body"].as_str().unwrap().contains("signature_mismatch"), "{answer}");
    }
    let mut get = carrying(EVENTS[0].1, &mail, SECRET);
    get["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(lambda.invoke(get).await["statusCode"], 405);
    lambda.stop().await;
}

#[tokio::test]
async fn says_what_is_missing_outside_lambda() {
    let program = Command::new(env!("CARGO_BIN_EXE_example-lambda"))
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .output()
        .await
        .unwrap();
    assert!(!program.status.success());
    assert!(text(&program.stderr).contains("AWS_LAMBDA_RUNTIME_API is not set"));
}
