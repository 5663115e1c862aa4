//! Events signed by clients in other languages reach the handler of their inbox. These tests do not
//! depend on this crate's own signing code.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::process::Stdio;

use common::{Quickstart, SECRET, soon};
use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

/// Text whose bytes could change if a client parsed the event and wrote it again.
const SUBJECT: &str = "Zażółć gęślą jaźń \u{1f4ec} \"\\ \u{2028}";

async fn delivers(program: &str, script: &str) {
    let mut quickstart = Quickstart::with_secret().await;
    for (inbox, handler) in
        [("inb_support", "support"), ("inb_sales", "sales"), ("inb_other", "any_inbox")]
    {
        let event = json!({
            "event": "message.received", "event_id": inbox, "inbox_id": inbox, "attempt": 1,
            "message": {"id": "msg_1", "from": "ada@example.com", "subject": SUBJECT},
        });
        let mut client = Command::new(program)
            .args([
                &format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")),
                &quickstart.url,
            ])
            .env("OPENMAIL_WEBHOOK_SECRET", SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(event.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let output = soon(client.wait_with_output()).await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "200");
        let expected = json!({
            "handler": handler, "event": "message.received", "event_id": inbox,
            "inbox_id": inbox, "attempt": 1,
        });
        assert_eq!(quickstart.handled().await, expected);
    }
    quickstart.signal("TERM").await;
    quickstart.ended().await;
}

#[tokio::test]
#[ignore = "needs python3"]
async fn python_delivers_an_accepted_event() {
    delivers("python3", "send.py").await;
}

#[tokio::test]
#[ignore = "needs node"]
async fn node_delivers_an_accepted_event() {
    delivers("node", "send.mjs").await;
}
