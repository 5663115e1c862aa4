//! The whole application with a local OpenMail and a fake model.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use example_rig::{Assistant, run};
use openmail_tower::{
    Secret, VerifyLayer,
    api::{ApiKey, Direction, OpenMail, Thread},
    queue::SqliteStore,
};
use reqwest::Client;
use rig_core::providers::openai::OpenAIConfig;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    process::Command,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Maximum wait: longer than any step takes, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the model was asked.
type Asked = Arc<Mutex<Vec<Value>>>;

/// Starts a model whose answer says how often it was asked; its first answer is an error.
async fn model(asked: Asked) -> String {
    async fn complete(State(asked): State<Asked>, body: Bytes) -> (axum::http::StatusCode, String) {
        let mut asked = asked.lock().unwrap();
        asked.push(serde_json::from_slice(&body).expect("JSON"));
        if asked.len() == 1 {
            return (axum::http::StatusCode::SERVICE_UNAVAILABLE, "{}".into());
        }
        let said = format!("The model says {}.", asked.len());
        let message = json!({"role": "assistant", "content": said});
        let answer = json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "small",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        });
        (axum::http::StatusCode::OK, answer.to_string())
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(asked);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Sends a mail to the agent, and returns its thread once the thread has `count` messages.
async fn mail(
    client: &Client,
    openmail: &OpenMail,
    url: &str,
    mail: Value,
    count: usize,
) -> Thread {
    let mails = format!("{}/sandbox/mails", url.trim_end_matches('/'));
    let response = client.post(mails).json(&mail).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let body: Value = response.json().await.unwrap();
    let thread = body["data"][0]["threadId"].as_str().expect("a thread").into();
    let answered = async {
        loop {
            let thread = openmail.thread(&thread).await.unwrap();
            if thread.messages.len() == count {
                return thread;
            }
            // The API can only be polled; the timeout below limits the wait.
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer in time")
}

#[tokio::test]
async fn agent_answers_each_mail_once_and_remembers_its_thread() {
    let asked = Asked::default();
    let mut config = OpenAIConfig::new("sk-test");
    config.base_url = model(asked.clone()).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options::default();
    options.listen = ([127, 0, 0, 1], 0).into();
    options.webhook = Some(format!("http://{}/webhooks", listener.local_addr().unwrap()));
    let sandbox = Sandbox::bind(options).await.unwrap();
    let url = sandbox.url().to_owned();
    let verify = VerifyLayer::new(Secret::new(sandbox.webhook_secret()).unwrap());
    let openmail = OpenMail::at(ApiKey::new(sandbox.api_key()).unwrap(), &url).unwrap();
    let stop = CancellationToken::new();
    let sandbox = tokio::spawn(sandbox.serve(stop.clone().cancelled_owned()));

    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("rig.db")).await.unwrap();
    let assistant = Assistant::new(&config.client(), "small", openmail.clone());
    let stopped = stop.clone().cancelled_owned();
    let running = run(listener, verify, assistant, openmail.clone(), store.clone(), stopped);
    let running = tokio::spawn(running);

    let client = Client::builder().no_proxy().build().unwrap();
    let first = json!({
        "from": "ada@example.com", "to": "support@sandbox.test", "subject": "Order",
        "text": "Where is order 42?", "category": "personal", "autoReplyable": true,
    });
    let thread = mail(&client, &openmail, &url, first, 2).await;
    let reply = &thread.messages[1];
    assert_eq!(reply.direction, Some(Direction::Outbound));
    assert!(reply.body_text.as_deref().unwrap().starts_with("The model says 2."), "{reply:?}");

    let second = json!({
        "from": "ada@example.com", "to": "support@sandbox.test", "subject": "Re: Order",
        "text": "And order 43?", "category": "personal", "autoReplyable": true,
        "replyToMessage": reply.id,
    });
    let thread = mail(&client, &openmail, &url, second, 4).await;
    assert!(thread.messages[3].body_text.as_deref().unwrap().starts_with("The model says 3."));

    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3, "once again after the error, and once for the second mail");
    let messages = asked[2]["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "system");
    assert!(messages[1..].iter().all(|message| message["role"] == "user"));
    let (task, mails) = (messages[0].to_string(), Value::from(&messages[1..]).to_string());
    for text in ["Where is order 42?", "The model says 2.", "And order 43?"] {
        let (before, after) = mails.split_once(text).expect("the mail");
        let (before, _) = before.rsplit_once(" mail begins: ").expect("a fence");
        let (_, marker) = before.rsplit_once('[').expect("a marker");
        assert!(after.contains(&format!("[{marker} mail ends]")), "{text} in {mails}");
        assert!(task.contains(marker), "{marker} in {task}");
    }

    stop.cancel();
    running.await.unwrap().unwrap();
    store.close().await;
    sandbox.await.unwrap().unwrap();
}

#[tokio::test]
async fn missing_settings_are_named_in_one_line() {
    let mut given = Vec::new();
    for (name, value) in [
        ("OPENMAIL_WEBHOOK_SECRET", "whsec_0123456789"),
        ("OPENMAIL_API_KEY", "om_test"),
        ("OPENAI_API_KEY", "sk-test"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_example-rig"))
            .env_clear()
            .envs(given.clone())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(program.stderr).unwrap();
        assert_eq!(program.status.code(), Some(1), "{text}");
        assert!(text.lines().count() == 1 && text.contains(name), "{text}");
        given.push((name, value));
    }
}
