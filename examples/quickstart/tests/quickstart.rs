//! The program as a new user runs it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{Quickstart, SECRET, failure, soon};
use openmail_tower::{Secret, webhook::signature};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

async fn post(url: &str, event: &Value) -> StatusCode {
    let body = event.to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = signature::sign(&Secret::new(SECRET).unwrap(), now, body.as_bytes());
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(url);
    let request = request.header("X-Timestamp", now).header("X-Signature", signature);
    soon(request.body(body).send()).await.unwrap().status()
}

fn mail(inbox: &str) -> Value {
    json!({
        "event": "message.received", "event_id": "evt_1", "attempt": 2, "inbox_id": inbox,
        "message": {"id": "msg_1", "from": "Ada <ada@example.com>", "subject": "Hello"},
    })
}

#[tokio::test]
async fn each_event_reaches_its_handler() {
    let mut quickstart = Quickstart::with_secret().await;
    for (event, handler) in [
        (mail("inb_support"), "support"),
        (mail("inb_sales"), "sales"),
        (mail("07282931-5a9f-4587-b8e2-98affd8f1857"), "any_inbox"),
        (
            json!({"event": "inbox.suspended", "event_id": "evt_2", "inbox_id": "inb_support"}),
            "lifecycle",
        ),
        (
            json!({"event": "inbox.reactivated", "event_id": "evt_3", "inbox_id": "inb_sales"}),
            "lifecycle",
        ),
        (json!({"event": "pod.suspended", "event_id": "evt_4", "inbox_id": null}), "lifecycle"),
        (json!({"event": "pod.reactivated", "event_id": "evt_5"}), "lifecycle"),
        (json!({"event": "setup.test"}), "fallback"),
        (json!({"event": "thread.archived", "event_id": "evt_6", "attempt": 1}), "fallback"),
    ] {
        assert_eq!(post(&quickstart.url, &event).await, 200);
        let expected = json!({
            "handler": handler, "event": event["event"], "event_id": event["event_id"],
            "inbox_id": event["inbox_id"], "attempt": event["attempt"],
        });
        assert_eq!(quickstart.handled().await, expected);
    }
    quickstart.signal("TERM").await;
    quickstart.ended().await;
}

#[tokio::test]
async fn unsigned_events_reach_no_handler() {
    let quickstart = Quickstart::with_secret().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = mail("inb_support").to_string();
    let answer = soon(client.post(&quickstart.url).body(body).send()).await.unwrap();
    assert_eq!(answer.status(), 400);
    quickstart.signal("INT").await;
    quickstart.ended().await;
}

#[tokio::test]
async fn without_a_secret_it_delivers_one_event_to_itself() {
    let mut quickstart = Quickstart::start(&[]).await;
    let handled = quickstart.handled().await;
    assert_eq!(handled["handler"], "support");
    assert_eq!(handled["event"], "message.received");
    assert_eq!(handled["inbox_id"], "inb_support");
    assert_eq!(handled["attempt"], 1);
    quickstart.log("OPENMAIL_WEBHOOK_SECRET is not set").await;
    quickstart.log("answered 200").await;
    // Nobody else knows the generated secret.
    assert_eq!(post(&quickstart.url, &mail("inb_support")).await, 401);
    quickstart.signal("TERM").await;
    quickstart.ended().await;
}

#[tokio::test]
async fn generated_secrets_differ() {
    let mut lines = Vec::new();
    for _ in 0..2 {
        let mut quickstart = Quickstart::start(&[]).await;
        let line = quickstart.log("-hmac ").await;
        lines.push(line.split("-hmac ").nth(1).unwrap().split(' ').next().unwrap().to_owned());
    }
    assert!(lines[0].len() > "whsec_".len() + 20, "{lines:?}");
    assert_ne!(lines[0], lines[1]);
}

#[tokio::test]
#[ignore = "needs bash, curl and openssl"]
async fn printed_command_sends_another_event() {
    let mut quickstart = Quickstart::start(&[("OPENMAIL_LISTEN", "0.0.0.0:0")]).await;
    quickstart.handled().await;
    let line = quickstart.log("curl").await;
    for shell in ["bash", "sh"] {
        let output = soon(Command::new(shell).arg("-c").arg(&line).output()).await.unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{shell}: {answer} {:?}", output.stderr);
        let handled = quickstart.handled().await;
        assert_eq!(handled["handler"], "support", "{shell}");
    }
    quickstart.signal("TERM").await;
    quickstart.ended().await;
}

/// Asserts that the output is exactly one line.
fn assert_one_line(said: &str, parts: &[&str]) {
    assert!(said.starts_with("error: ") && said.trim_end().lines().count() == 1, "{said:?}");
    for part in parts {
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }
}

#[tokio::test]
async fn port_in_use_prints_one_line_with_what_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = failure(&[("OPENMAIL_LISTEN", &address)]).await;
    assert_one_line(&said, &[&address, "in use", "OPENMAIL_LISTEN"]);
    assert_eq!(said.matches("127.0.0.1:").count(), 1, "suggests no address: {said:?}");
}

#[tokio::test]
async fn bad_address_prints_one_line() {
    for bad in ["", "3000", ":3000", "127.0.0.1", "127.0.0.1:99999", "two\nlines:1"] {
        let said = failure(&[("OPENMAIL_LISTEN", bad)]).await;
        let shown = format!("`{}`", bad.escape_debug());
        assert_one_line(&said, &[&shown, "OPENMAIL_LISTEN", "127.0.0.1:3000"]);
    }
    // An address reserved for documentation, which no machine has.
    let said = failure(&[("OPENMAIL_LISTEN", "192.0.2.1:0")]).await;
    assert_one_line(&said, &["192.0.2.1", "OPENMAIL_LISTEN"]);
}

#[tokio::test]
async fn bad_secret_prints_one_line_with_its_variable() {
    let current = "OPENMAIL_WEBHOOK_SECRET";
    let previous = "OPENMAIL_WEBHOOK_SECRET_PREVIOUS";
    assert_one_line(&failure(&[(current, "")]).await, &[current, "empty"]);
    assert_one_line(&failure(&[(current, "k\n")]).await, &[current, "whitespace"]);
    assert_one_line(&failure(&[(current, SECRET), (previous, " k")]).await, &[previous]);
}

#[tokio::test]
async fn with_a_secret_it_only_serves() {
    let quickstart = Quickstart::with_secret().await;
    quickstart.signal("TERM").await;
    assert_eq!(quickstart.ended().await, "");
}

#[tokio::test]
async fn request_in_progress_is_answered_before_exit() {
    let mut quickstart = Quickstart::with_secret().await;
    let body = mail("inb_sales").to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signature = signature::sign(&Secret::new(SECRET).unwrap(), now, body.as_bytes());
    let authority = quickstart.url.split('/').nth(2).unwrap().to_owned();
    let mut stream = TcpStream::connect(&authority).await.unwrap();
    let head = format!(
        "POST /webhooks HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         X-Timestamp: {now}\r\nX-Signature: {signature}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body, so it has begun to handle the request.
    let mut go_on = [0; 25];
    soon(stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    quickstart.signal("TERM").await;
    soon(async { while TcpStream::connect(&authority).await.is_ok() {} }).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(quickstart.handled().await["handler"], "sales");
    quickstart.ended().await;
}
