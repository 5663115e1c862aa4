//! The program is killed while a reply is on hold.

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

use std::sync::{Arc, RwLock};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use support::Program;

/// Starts the program. `Program::address` is the URL of its webhook.
async fn start(variables: &[(&str, &str)]) -> Program {
    let webhook = |line: &str| {
        let url = &line[line.find("http://127")?..];
        Some(url[..url.find("/webhooks")?].to_owned() + "/webhooks")
    };
    Program::start(variables, webhook).await
}

/// Passes deliveries on to the program, wherever it listens now.
async fn front(address: Arc<RwLock<String>>) -> String {
    async fn pass(
        State(address): State<Arc<RwLock<String>>>,
        headers: HeaderMap,
        body: Bytes,
    ) -> StatusCode {
        let address = address.read().unwrap().clone();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        match client.post(address).headers(headers).body(body).send().await {
            Ok(response) => response.status(),
            Err(_) => StatusCode::BAD_GATEWAY,
        }
    }

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().route("/", post(pass)).with_state(address);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn reply_lines_keep_their_ids_after_a_restart() {
    let address = Arc::new(RwLock::new(String::new()));
    let mut options = Options::default();
    options.listen = ([127, 0, 0, 1], 0).into();
    options.webhook = Some(front(Arc::clone(&address)).await);
    let sandbox = Sandbox::bind(options).await.unwrap();
    let (url, key, secret) =
        (sandbox.url().to_owned(), sandbox.api_key(), sandbox.webhook_secret());
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("agent.db").display());
    let variables = [
        ("OPENMAIL_API_URL", &*url),
        ("OPENMAIL_API_KEY", &*key),
        ("OPENMAIL_WEBHOOK_SECRET", &*secret),
        ("AGENT_STORE", &*store),
    ];
    let inbox = sandbox.inboxes()[0].clone();
    tokio::spawn(sandbox.serve(std::future::pending()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: String, body: Value| {
        let response = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.json::<Value>().await.unwrap_or_default()
    };

    post(format!("/sandbox/inboxes/{}/suspend", inbox.0), json!({})).await;
    let mut program = start(&variables).await;
    program.address.clone_into(&mut address.write().unwrap());
    let mail = json!({
        "from": "bob@example.com", "to": inbox.1, "subject": "Hi", "text": "Order 7?",
        "category": "personal", "autoReplyable": true,
    });
    let mail = post("/sandbox/mails".to_owned(), mail).await;
    let queued = program.line().await;
    assert_eq!(queued["reply"], "queued");
    assert_eq!(
        (&queued["inbox_id"], &queued["message_id"]),
        (&json!(inbox.0), &mail["data"][0]["id"])
    );
    for name in ["event_id", "key"] {
        assert!(queued[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {queued}");
    }
    let with = |state: &str| {
        let mut line = queued.clone();
        line["reply"] = json!(state);
        line
    };
    assert_eq!(program.line().await, with("held"));
    program.child.kill().await.unwrap();

    let mut program = start(&variables).await;
    program.address.clone_into(&mut address.write().unwrap());
    post(format!("/sandbox/inboxes/{}/reactivate", inbox.0), json!({})).await;
    assert_eq!(program.line().await, with("sent"));
}
