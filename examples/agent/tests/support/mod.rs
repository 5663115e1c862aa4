//! Starts the program and reads what it prints.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

/// Maximum wait: longer than any step takes, even on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running program, killed on drop.
pub(crate) struct Program {
    pub(crate) child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: mpsc::UnboundedReceiver<String>,
    /// The address that was found in its standard error.
    pub(crate) address: String,
}

impl Program {
    /// Starts the program with only these variables and a free port for its webhook. Waits for a
    /// line of its standard error in which `find` finds an address.
    pub(crate) async fn start(
        variables: &[(&str, &str)],
        find: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_example-agent"))
            .env_clear()
            .env("OPENMAIL_LISTEN", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = async {
            loop {
                let line = stderr.next_line().await.expect("text").expect("it says its address");
                if let Some(address) = find(&line) {
                    return address;
                }
            }
        };
        let address = timeout(PATIENCE, address).await.expect("it starts in time");
        // A full pipe would block the program.
        let (sender, log) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                let _ = sender.send(line);
            }
        });
        let stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, stdout, log, address }
    }

    /// Returns the next line of its standard output, which is JSON.
    pub(crate) async fn line(&mut self) -> Value {
        let line = timeout(PATIENCE, self.stdout.next_line()).await.expect("a reply in time");
        serde_json::from_str(&line.expect("text").expect("a line")).expect("JSON")
    }

    /// Waits for a line of its log that contains `text`.
    pub(crate) async fn logged(&mut self, text: &str) {
        let found = async {
            loop {
                if self.log.recv().await.expect("the program runs").contains(text) {
                    return;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("it never logged {text:?}"));
    }

    /// Interrupts it, as Ctrl-C does.
    pub(crate) async fn interrupt(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().await.expect("kill");
        assert!(sent.success());
    }
}

/// Starts the program with its own local OpenMail. `Program::address` is the address of its page.
pub(crate) async fn start(variables: &[(&str, &str)]) -> (Program, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("agent.db").display());
    let defaults = [("SANDBOX_LISTEN", "127.0.0.1:0"), ("AGENT_STORE", &store)];
    let variables = [&defaults, variables].concat();
    let page = |line: &str| Some(line.strip_prefix("Open ")?.split_once(' ')?.0.to_owned());
    (Program::start(&variables, page).await, folder)
}
