//! The built binary.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Client;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use super::{ACCOUNT, client, in_time, post};

/// A gateway's folder and, while it runs, its process.
pub(crate) struct Gateway {
    folder: TempDir,
    queue: String,
    /// A file of certificates to trust instead of the system's.
    pub(crate) trusts: Option<PathBuf>,
    running: Option<Running>,
    pub(crate) client: Client,
}

struct Running {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

/// The beginning of every configuration: a free port, and back-offs that take almost no time.
const HEAD: &str = r#"
listen = "127.0.0.1:0"
backoff = { first = "1ms", max = "2ms" }
"#;

impl Gateway {
    /// Creates a folder with a configuration: [`HEAD`], then `config`. Nothing runs yet.
    pub(crate) fn new(config: &str) -> Self {
        Self::with_queue("sqlite://gateway.db", config)
    }

    pub(crate) fn with_queue(queue: &str, config: &str) -> Self {
        let (folder, queue) = (tempfile::tempdir().unwrap(), queue.to_owned());
        let this = Self { folder, queue, trusts: None, running: None, client: client() };
        this.configure(config);
        this
    }

    pub(crate) async fn start(config: &str) -> Self {
        let mut this = Self::new(config);
        this.run().await;
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn configure(&self, config: &str) {
        self.write("gateway.toml", &format!("\nqueue = \"{}\"{HEAD}{config}", self.queue));
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-gateway"));
        command.env("GATEWAY_TEST_ACCOUNT", ACCOUNT).env_remove("RUST_BACKTRACE");
        if let Some(path) = &self.trusts {
            command.env("SSL_CERT_FILE", path);
        }
        command.kill_on_drop(true).stdin(Stdio::null());
        command
    }

    pub(crate) async fn run(&mut self) {
        let mut command = self.command();
        command.arg("--config").arg(self.path("gateway.toml")).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (count, lines) = watch::channel(0);
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                while let Ok(Some(line)) = stderr.next_line().await {
                    log.lock().unwrap().push_str(&format!("{line}\n"));
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        let address = "0.0.0.0:0".parse().unwrap();
        self.running = Some(Running { child, address, log, lines, reader });
        let log = self.logged("listening on http://").await;
        let (_, address) = log.rsplit_once("listening on http://").unwrap();
        let address = address.lines().next().unwrap().trim().parse().unwrap();
        self.running.as_mut().unwrap().address = address;
    }

    /// Runs the command `dead` with these arguments. The gateway may be running.
    pub(crate) async fn dead(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("dead").args(args).arg("--config").arg(self.path("gateway.toml"));
        in_time("the command ends", command.output()).await.unwrap()
    }

    /// Returns the dead letters that it lists, each as its columns.
    pub(crate) async fn dead_letters(&self) -> Vec<Vec<String>> {
        let output = self.dead(&["list"]).await;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split('\t').map(Into::into).collect()).collect()
    }

    /// Waits until there are this many dead letters.
    pub(crate) async fn dead_letters_are(&self, count: usize) -> Vec<Vec<String>> {
        in_time("dead letters", async {
            loop {
                let letters = self.dead_letters().await;
                if letters.len() == count {
                    return letters;
                }
            }
        })
        .await
    }

    /// Starts a gateway that must exit with an error, and returns what it prints.
    pub(crate) async fn refused(&self) -> String {
        let mut command = self.command();
        command.arg("--config").arg(self.path("gateway.toml"));
        let output = in_time("it refuses", command.output()).await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.running().log.lock().unwrap().contains(text)
    }

    /// Waits until its log contains a text, and returns the whole log.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let running = self.running();
        let mut lines = running.lines.clone();
        let found = in_time(text, lines.wait_for(|_| running.log.lock().unwrap().contains(text)));
        assert!(found.await.is_ok(), "it ended: {}", running.log.lock().unwrap());
        running.log.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().address)
    }

    pub(crate) async fn post(&self, path: &str, secret: &str, body: &str) -> u16 {
        post(&self.client, &self.url(path), secret, body).await
    }

    /// Delivers to the account's webhook.
    pub(crate) async fn deliver(&self, body: &str) {
        assert_eq!(self.post("/webhooks", ACCOUNT, body).await, 200);
    }

    pub(crate) async fn get(&self, path: &str) -> u16 {
        self.client.get(self.url(path)).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.client.get(self.url(path)).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.running().child.id().unwrap();
        kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it ends, and returns its log as well.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, String) {
        let mut running = self.running.take().unwrap();
        let status = in_time("it ends", running.child.wait()).await.unwrap();
        in_time("its log ends", running.reader).await.unwrap();
        let log = running.log.lock().unwrap().clone();
        (status, log)
    }

    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let (status, log) = self.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
    }
}
