//! Runs the built program: with collectors that do not take its traces, and with a wrong URL.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(unix)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{net::TcpListener, process::Stdio, time::Duration};

use reqwest::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use support::{deliver, mail};

/// Maximum wait: longer than any step takes, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receives a mail and stops the program, which then logs `last` and succeeds.
async fn run_with_collector(port: u16, last: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_example-durable"))
        .env_clear()
        .env("OPENMAIL_WEBHOOK_SECRET", "whsec_test")
        .env("OPENMAIL_LISTEN", "127.0.0.1:0")
        .env("DATABASE_URL", format!("sqlite:{}", folder.path().join("inbox.db").display()))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"))
        // In milliseconds: the traces are exported only at the end.
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let mut until = async |text: &str| {
        loop {
            let line = timeout(PATIENCE, log.next_line()).await.expect("a line in time");
            let line = line.unwrap().unwrap_or_else(|| panic!("no {text:?} in {seen}"));
            seen.extend([&line, "\n"]);
            if line.contains(text) {
                return line;
            }
        }
    };
    let listening = until("listening on ").await;
    let url = listening.split("listening on ").nth(1).unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(deliver(&client, url, &mail("evt_1", "Hello"), "whsec_test").await, 200);
    until("run ended").await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    until(last).await;
    assert!(timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn refused_export_is_logged_and_is_no_failure() {
    // Nothing listens on a port that was just released.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run_with_collector(port, "BatchSpanProcessor.ExportError").await;
}

#[tokio::test]
async fn hanging_export_at_shutdown_is_a_warning() {
    // It never answers.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = collector.local_addr().unwrap().port();
    run_with_collector(port, "the last traces were not exported").await;
}

#[tokio::test]
async fn url_without_a_file_is_named_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-durable"))
        .env_clear()
        .env("OPENMAIL_WEBHOOK_SECRET", "whsec_0123456789")
        .env("DATABASE_URL", "sqlite:")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let why = "this URL or database cannot be used as the queue's store: expected `sqlite:FILE`";
    assert_eq!(text, format!("error: DATABASE_URL: {why}\n"));
}
