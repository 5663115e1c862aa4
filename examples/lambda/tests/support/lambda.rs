//! A fake of Lambda's runtime API, and the program that it runs.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const SECRET: &str = "whsec_lambda_example_test";

/// More than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the program posts for an invocation.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Value),
    Error(Value),
}

impl Answer {
    /// Returns the response.
    #[track_caller]
    pub(crate) fn response(self) -> Value {
        match self {
            Self::Response(response) => response,
            Self::Error(error) => panic!("the invocation failed: {error}"),
        }
    }
}

/// The running program, to which Lambda passes one event after another.
pub(crate) struct Lambda {
    events: mpsc::Sender<Vec<u8>>,
    answers: mpsc::Receiver<Answer>,
    server: JoinHandle<()>,
    program: Child,
    log: JoinHandle<String>,
}

/// The state of the runtime API.
#[derive(Clone)]
struct Runtime {
    events: Arc<AsyncMutex<mpsc::Receiver<Vec<u8>>>>,
    answers: mpsc::Sender<Answer>,
    invocations: Arc<Mutex<Invocations>>,
}

#[derive(Default)]
struct Invocations {
    count: u64,
    /// The request id of the invocation that the program has not answered yet.
    open: Option<String>,
}

impl Lambda {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with these variables as well.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        let (events, waiting) = mpsc::channel(1);
        let (answered, answers) = mpsc::channel(1);
        let runtime = Runtime {
            events: Arc::new(AsyncMutex::new(waiting)),
            answers: answered,
            invocations: Arc::default(),
        };
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        let mut program = Command::new(env!("CARGO_BIN_EXE_example-lambda"))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "webhook")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("OPENMAIL_WEBHOOK_SECRET", SECRET)
            .env_remove("OPENMAIL_WEBHOOK_SECRET_PREVIOUS")
            .env_remove("REDIS_URL")
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = program.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { events, answers, server, program, log }
    }

    /// Passes it an event, and returns what it posts.
    pub(crate) async fn invoke(&mut self, event: &Value) -> Answer {
        self.events.send(event.to_string().into_bytes()).await.unwrap();
        let answer = timeout(PATIENCE, self.answers.recv()).await;
        answer.expect("the program does not answer").unwrap()
    }

    /// Kills it, as Lambda does. Returns what it logged.
    pub(crate) async fn kill(mut self) -> String {
        self.program.kill().await.unwrap();
        self.server.abort();
        self.log.await.unwrap()
    }

    /// Sends it SIGTERM, and returns how it ended.
    #[cfg(unix)]
    pub(crate) async fn terminate(mut self) -> std::process::ExitStatus {
        use nix::{
            sys::signal::{Signal, kill},
            unistd::Pid,
        };
        let id = self.program.id().expect("the program has ended");
        kill(Pid::from_raw(id.try_into().unwrap()), Signal::SIGTERM).unwrap();
        let ended = timeout(PATIENCE, self.program.wait()).await;
        self.server.abort();
        ended.expect("the program does not end").unwrap()
    }
}

async fn next(State(runtime): State<Runtime>) -> impl IntoResponse {
    let event = runtime.events.lock().await.recv().await.unwrap();
    let deadline = SystemTime::now() + Duration::from_secs(15);
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    let function = "arn:aws:lambda:eu-central-1:123456789012:function:webhook".to_owned();
    let trace = "Root=1-67891233-abcdef012345678912345678;Sampled=0".to_owned();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", runtime.open()),
        ("lambda-runtime-deadline-ms", deadline),
        ("lambda-runtime-invoked-function-arn", function),
        ("lambda-runtime-trace-id", trace),
    ];
    (headers, event)
}

async fn response(
    State(runtime): State<Runtime>,
    Path(id): Path<String>,
    body: Bytes,
) -> (StatusCode, &'static str) {
    runtime.answer(&id, Answer::Response(serde_json::from_slice(&body).unwrap())).await
}

async fn error(
    State(runtime): State<Runtime>,
    Path(id): Path<String>,
    body: Bytes,
) -> (StatusCode, &'static str) {
    runtime.answer(&id, Answer::Error(serde_json::from_slice(&body).unwrap())).await
}

impl Runtime {
    fn open(&self) -> String {
        let mut invocations = self.invocations.lock().unwrap();
        invocations.count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", invocations.count);
        invocations.open = Some(id.clone());
        id
    }

    /// Takes one answer to each invocation.
    async fn answer(&self, id: &str, answer: Answer) -> (StatusCode, &'static str) {
        if self.invocations.lock().unwrap().open.take_if(|open| open == id).is_none() {
            return (StatusCode::BAD_REQUEST, r#"{"errorType":"InvalidRequestID"}"#);
        }
        self.answers.send(answer).await.unwrap();
        (StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
    }
}
