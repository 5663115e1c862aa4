//! Runs the built program as a user would.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::process::Stdio;

use common::{Nats, SECRET, mail, post, soon};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

fn program(nats: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-jetstream"));
    command
        .env("OPENMAIL_WEBHOOK_SECRET", SECRET)
        .env_remove("OPENMAIL_WEBHOOK_SECRET_PREVIOUS")
        .env("OPENMAIL_LISTEN", "127.0.0.1:0")
        .env("NATS_URL", nats)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_NATS_SERVER"]
async fn receives_handles_and_stops() {
    let nats = Nats::start().await;
    let mut child = program(&nats.url).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    let mut line = async |text: &str| {
        loop {
            let line = soon(log.next_line()).await.unwrap().expect("the log has ended");
            seen.push(line.clone());
            if line.contains(text) {
                break line;
            }
        }
    };
    let listening = line("listening on ").await;
    let url = listening.split("listening on ").nth(1).unwrap();
    assert_eq!(post(url, &mail("evt_1", "").inbox("inb_1")).await, 200);
    line("inbox=inb_1").await;
    line("event handled").await;
    let pid = child.id().unwrap().to_string();
    let kill = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status().await;
    assert!(kill.unwrap().success());
    line("press Ctrl-C again to stop at once").await;
    assert!(soon(child.wait()).await.unwrap().success());
    for text in ["received", "stored in the stream", "inbox=inb_1", "event handled"] {
        let about = |line: &String| line.contains(text) && line.contains("evt_1");
        assert!(seen.iter().any(about), "no line about evt_1 has {text:?}: {seen:?}");
    }
}

#[tokio::test]
async fn says_what_to_do_without_a_server() {
    // Nothing listens on a port that was just released.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = soon(program(&format!("nats://user:pass@127.0.0.1:{port}")).output()).await;
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    let last = said.lines().last().unwrap();
    assert!(last.contains("cannot connect to NATS") && last.contains("NATS_URL"), "{said}");
    assert_eq!(last.matches("(os error ").count(), 1, "the cause is named once: {said}");
    assert!(!said.contains("pass"), "{said}");
}
