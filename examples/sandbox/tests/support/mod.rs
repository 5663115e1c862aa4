//! A sandbox on a free port, a client that checks responses against the shapes that OpenMail
//! documents, and a receiver.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod browser;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, body::Bytes, extract::State, response::IntoResponse, routing::post};
use http::{HeaderMap, Method, StatusCode};
use openmail_tower::{Secret, Secrets, webhook::signature};
use reqwest::{Client, RequestBuilder, Response, redirect};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// Maximum wait: longer than any step takes, even on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox, stopped at the end of the test.
pub(crate) struct Local {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Local {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        options.listen = ([127, 0, 0, 1], 0).into();
        options.speed = 600.0;
        set(&mut options);
        let sandbox = Sandbox::bind(options).await.expect("a sandbox");
        let (url, key) = (sandbox.url().to_owned(), sandbox.api_key());
        let secret = sandbox.webhook_secret();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            sandbox.serve(stop).await.expect("it ends without an error");
        });
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Self { url, key, secret, client, stop: Some(stop), task }
    }

    /// Stops it, and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, self.task).await.expect("it ends").expect("without a panic");
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.client.request(method, url).bearer_auth(&self.key)
    }

    /// Sends a request and checks the response.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        checked(&method, path, request.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn send(&self, inbox: &str, key: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/inboxes/{inbox}/send");
        let request = self.request(Method::POST, &path).header("Idempotency-Key", key).json(&body);
        checked(&Method::POST, &path, request.send().await.expect("an answer")).await
    }

    /// Receives a mail from outside. Returns its id.
    pub(crate) async fn receive(&self, mail: Value) -> String {
        let request = self.request(Method::POST, "/sandbox/mails").json(&mail);
        let response = request.send().await.expect("an answer");
        let (status, body): (_, Value) = (response.status(), response.json().await.expect("JSON"));
        assert_eq!(status, 201, "{body}");
        body["data"][0]["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let response = self.request(method, path).json(&body).send().await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Waits until a mail's deliveries are as `wanted` says.
    pub(crate) async fn deliveries(
        &self,
        mail: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let wait = async {
            loop {
                let path = format!("/sandbox/deliveries?messageId={mail}");
                let (_, body) = self.control(Method::GET, &path, Value::Null).await;
                let all = body["data"].as_array().expect("a list").clone();
                if wanted(&all) {
                    return all;
                }
                // The API can only be polled.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the deliveries reach the wanted state")
    }
}

/// Reads a response, and checks its status and shape against what OpenMail documents.
pub(crate) async fn checked(method: &Method, path: &str, response: Response) -> (u16, Value) {
    static SHAPES: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("shapes.json")).expect("JSON"));
    let status = response.status().as_u16();
    let is_json = response.headers().get("content-type").is_some_and(|it| it == "application/json");
    let bytes = response.bytes().await.expect("a body");
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);

    let path = path.split('?').next().unwrap_or(path);
    let operations = SHAPES["operations"].as_object().expect("an object");
    let fits = |name: &str| {
        let Some((verb, template)) = name.split_once(' ') else { return false };
        let (template, path) = (template.split('/'), path.split('/'));
        verb == method.as_str()
            && template.clone().count() == path.clone().count()
            && template.zip(path).all(|(want, got)| want.starts_with('{') || want == got)
    };
    let operation = operations.iter().find(|(name, _)| fits(name));
    let (name, answers) = operation.unwrap_or_else(|| panic!("{method} {path} is not described"));
    let mut schema = match answers.get(status.to_string()) {
        Some(Value::Null) => {
            assert!(bytes.is_empty(), "{name}: {status} has a body: {body}");
            return (status, body);
        }
        Some(schema) => schema.clone(),
        // Any request can be answered with these.
        None if matches!(status, 400 | 401 | 403 | 413 | 429 | 500) => {
            json!({"$ref": "#/$defs/Error"})
        }
        None => panic!("{name} does not answer {status}: {body}"),
    };
    assert!(is_json, "{name}: {status} is not JSON");
    schema["$defs"] = SHAPES["$defs"].clone();
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(&body).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {status}: {errors:?} in {body}");
    (status, body)
}

/// What a receiver received.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) json: Value,
}

impl Got {
    /// Returns whether it is signed with this secret and its timestamp is not stale.
    pub(crate) fn verifies(&self, secret: &str) -> bool {
        let secrets = Secrets::from(Secret::new(secret).expect("a secret"));
        let header = |name: &str| self.headers[name].to_str().expect("text");
        let (time, signature) = (header("x-timestamp"), header("x-signature"));
        let (now, tolerance) = (SystemTime::now(), signature::DEFAULT_TOLERANCE);
        signature::verify_at(&secrets, time, signature, &self.bytes, now, tolerance).is_ok()
    }
}

/// A webhook that gives the prepared responses, then 200.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    got: Arc<watch::Sender<Vec<Got>>>,
}

impl Receiver {
    /// Starts a receiver. Returns its URL as well.
    pub(crate) async fn start() -> (Self, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let receiver = Self::default();
        let app = Router::new().route("/webhooks", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, format!("http://{address}/webhooks"))
    }

    pub(crate) fn answer(&self, status: u16, error: &str) {
        let body = json!({"error": error, "message": "On command."});
        self.answers.lock().expect("no panic").push_back((status, body));
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.borrow().clone()
    }

    pub(crate) async fn got_at_least(&self, count: usize) -> Vec<Got> {
        let mut got = self.got.subscribe();
        let arrived = timeout(PATIENCE, got.wait_for(|got| got.len() >= count)).await;
        arrived.expect("the deliveries arrive").expect("the receiver lives").clone()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    bytes: Bytes,
) -> impl IntoResponse {
    let json = serde_json::from_slice(&bytes).expect("JSON");
    receiver.got.send_modify(|got| got.push(Got { headers, bytes, json }));
    let answer = receiver.answers.lock().expect("no panic").pop_front();
    let (status, body) = answer.unwrap_or((200, json!({})));
    (StatusCode::from_u16(status).expect("a status"), axum::Json(body))
}

/// A mail from Ada to the support inbox.
pub(crate) fn mail(subject: &str) -> Value {
    json!({
        "from": "Ada Lovelace <ada@example.com>",
        "to": "support@sandbox.test",
        "subject": subject,
        "text": "Where is my order?",
    })
}
