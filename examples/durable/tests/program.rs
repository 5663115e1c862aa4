//! Runs the built program: with collectors that do not take its traces, interrupted twice, and with
//! a wrong URL.

#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(unix)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use reqwest::Client;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use support::{deliver, mail};

/// Maximum wait: longer than any step takes, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running program.
struct Program {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// What it has logged so far.
    seen: String,
    url: String,
    _folder: TempDir,
}

impl Program {
    /// Starts the program with these further variables.
    async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_example-durable"))
            .env_clear()
            .env("OPENMAIL_WEBHOOK_SECRET", "whsec_test")
            .env("OPENMAIL_LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", format!("sqlite:{}", folder.path().join("inbox.db").display()))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (seen, url) = (String::new(), String::new());
        let mut program = Self { child, log, seen, url, _folder: folder };
        let listening = program.until("listening on ").await;
        program.url = listening.split("listening on ").nth(1).unwrap().to_owned();
        program
    }

    /// Waits for a line of the log that contains a text.
    async fn until(&mut self, text: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await.expect("a line in time");
            let line = line.unwrap().unwrap_or_else(|| panic!("no {text:?} in {}", self.seen));
            self.seen.extend([&line, "\n"]);
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    }

    async fn ended(mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}

/// Starts the program, delivers a mail to it and stops it. Asserts that it then logs `last` and
/// ends with success.
async fn run_with_collector(port: u16, last: &str) {
    let collector = format!("http://127.0.0.1:{port}");
    let mut program = Program::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector),
        // In milliseconds: the traces are exported only at the end.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ])
    .await;
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(deliver(&client, &program.url, &mail("evt_1", "Hello"), "whsec_test").await, 200);
    program.until("run ended").await;
    program.interrupt().await;
    program.until(last).await;
    assert!(program.ended().await.success());
}

#[tokio::test]
async fn second_interrupt_ends_the_program_during_a_request() {
    let mut program = Program::start(&[]).await;
    let address = program.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    // The body never arrives.
    let head = "POST /webhooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    // The server accepts connections in order, so once it answers this request, it has accepted the
    // unfinished one, too.
    let health = Client::builder().no_proxy().build().unwrap();
    let healthy = health.get(format!("http://{address}/ready")).send().await.unwrap();
    assert!(healthy.status().is_success());
    program.interrupt().await;
    program.until("press Ctrl-C again to stop at once").await;
    program.interrupt().await;
    // After the first interrupt alone, it would end with success.
    assert_eq!(program.ended().await.code(), Some(130));
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
