//! Runs the built program as a user would, and stops it.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

pub(crate) const SECRET: &str = "whsec_quickstart_test";

/// The time after which a hanging test fails.
const HANG: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("it should not take so long")
}

/// The program, with no OpenMail variables in its environment except those of the test.
fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-quickstart"));
    command
        .env_remove("OPENMAIL_WEBHOOK_SECRET")
        .env_remove("OPENMAIL_WEBHOOK_SECRET_PREVIOUS")
        .env("OPENMAIL_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The program once it listens.
pub(crate) struct Quickstart {
    pub(crate) url: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Quickstart {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = command(variables).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut this = Self { url: String::new(), child, stdout, stderr };
        let line = this.log("listening on ").await;
        this.url = line.split("listening on ").nth(1).unwrap().to_owned();
        this
    }

    pub(crate) async fn with_secret() -> Self {
        Self::start(&[("OPENMAIL_WEBHOOK_SECRET", SECRET)]).await
    }

    /// Reads the log up to a line that holds `text`.
    pub(crate) async fn log(&mut self, text: &str) -> String {
        loop {
            let line = soon(self.stderr.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the log ended without {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Returns the next line of stdout.
    pub(crate) async fn handled(&mut self) -> Value {
        let line = soon(self.stdout.next_line()).await.unwrap().expect("stdout ended");
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a signal.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = ["-c", "kill -s \"$0\" \"$1\"", name, &pid];
        assert!(Command::new("sh").args(kill).status().await.unwrap().success());
    }

    /// Waits until the stopped program ends successfully, and asserts that the test has seen
    /// everything that it handled. Returns the rest of the log.
    pub(crate) async fn ended(mut self) -> String {
        let status = soon(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(self.stdout.next_line().await.unwrap(), None);
        let mut log = String::new();
        self.stderr.into_inner().read_to_string(&mut log).await.unwrap();
        log
    }
}

/// Runs the program until it fails, and returns what it prints.
pub(crate) async fn failure(variables: &[(&str, &str)]) -> String {
    let mut child = command(variables).spawn().unwrap();
    let mut said = String::new();
    let status = soon(async {
        child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        child.wait().await.unwrap()
    })
    .await;
    assert!(!status.success(), "{status}");
    said
}
