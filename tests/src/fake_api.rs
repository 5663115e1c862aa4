//! Starts and controls the program `fake_api`.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openmail_tower::api::{ApiKey, OpenMail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::Process;

/// A fault for requests to send a mail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// The inbox whose requests it applies to; all of them if `None`.
    pub inbox: Option<String>,
    /// The number of requests it applies to; all of them if `None`.
    pub times: Option<u32>,
    /// Whether the mail is accepted despite the fault.
    pub accept: bool,
    /// Whether the connection is closed instead of answered.
    pub cut: bool,
    /// The delay of the response.
    pub delay_ms: u64,
    /// The response's status. If `None`, the response is the usual one if the mail is accepted, and
    /// 500 otherwise. (Without a status, a cut or a delay, a fault has no effect.)
    pub status: Option<u16>,
    /// The response's headers. Unused without a `status`.
    pub headers: HashMap<String, String>,
    /// The response's body. Unused without a `status`.
    pub body: String,
}

impl Fault {
    /// Creates a fault: the mail is refused with this status and code.
    pub fn refusal(status: u16, code: &str) -> Self {
        let body = json!({"error": code, "message": "no"}).to_string();
        Self { status: Some(status), body, ..Self::default() }
    }

    /// Creates a fault: the mail is accepted, but the connection is closed before the response.
    pub fn lost_answer() -> Self {
        Self { accept: true, cut: true, ..Self::default() }
    }

    /// Limits it to this number of requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Limits it to the requests of one inbox.
    #[must_use]
    pub fn inbox(self, inbox: &str) -> Self {
        Self { inbox: Some(inbox.to_owned()), ..self }
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Returns whether the request is answered as usual.
    pub fn is_none(&self) -> bool {
        self.status.is_none() && !self.cut && self.delay_ms == 0
    }
}

/// A response for a path.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
    /// Whether the body never ends.
    pub stall: bool,
}

impl Route {
    /// Creates a response with a body.
    pub fn body(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// Creates a redirect.
    pub fn redirect(to: impl Into<String>) -> Self {
        let headers = HashMap::from([("location".to_owned(), to.into())]);
        Self { status: 302, headers, ..Self::default() }
    }
}

/// A received request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Idempotency-Key` header.
    pub key: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
    /// Whether it created a new mail.
    pub accepted: bool,
}

/// A running `fake_api`.
#[derive(Debug)]
pub struct FakeApi {
    process: Process,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl FakeApi {
    /// Starts the program.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(program: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { process: Process::start(program), client }
    }

    /// Returns the URL on which it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.process.address())
    }

    /// Returns a client for it.
    ///
    /// # Panics
    /// Never.
    pub fn openmail(&self) -> OpenMail {
        self.openmail_with("om_test")
    }

    /// Returns a client for it with this API key.
    ///
    /// # Panics
    /// If the key is malformed.
    pub fn openmail_with(&self, key: &str) -> OpenMail {
        OpenMail::at(ApiKey::new(key).expect("a key"), &self.url()).expect("a loopback URL")
    }

    /// Adds faults, to be used in this order.
    pub async fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<_> = faults.into_iter().collect();
        self.command::<Value>(Method::POST, "faults", &json!(faults)).await;
    }

    /// Sets the response for a path.
    pub async fn route(&self, path: &str, route: Route) {
        self.command::<Value>(Method::POST, "routes", &json!({ path: route })).await;
    }

    /// Adds a message to a thread.
    pub async fn message(&self, thread: &str, message: Value) {
        self.command::<Value>(Method::POST, "messages", &json!({ thread: [message] })).await;
    }

    /// Makes it refuse requests with this API key from now on.
    pub async fn revoke(&self, key: &str) {
        self.command::<Value>(Method::POST, "revoke", &json!(key)).await;
    }

    /// Makes it forget all idempotency keys.
    pub async fn forget(&self) {
        self.command::<Value>(Method::POST, "forget", &json!({})).await;
    }

    /// Returns the requests received so far.
    pub async fn requests(&self) -> Vec<Seen> {
        self.command(Method::GET, "requests", &json!({})).await
    }

    /// Returns those of the requests received so far that are to send a mail.
    pub async fn sends(&self) -> Vec<Seen> {
        let mut requests = self.requests().await;
        requests.retain(|seen| seen.path.ends_with("/send"));
        requests
    }

    async fn command<T: DeserializeOwned>(&self, method: Method, what: &str, body: &Value) -> T {
        let uri = format!("{}/_test/{what}", self.url());
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Full::from(body.to_string())).expect("a request");
        let answer = self.client.request(request).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }
}
