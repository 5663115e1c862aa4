//! Starts and controls the programs `receiver` and `replier`.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, RwLock},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::{Service, service_fn};

/// Returns a service that sends each request to the receiver's current address, which changes when
/// the receiver is restarted.
pub fn receiver_at(
    address: Arc<RwLock<String>>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Incoming>,
    Error = legacy::Error,
    Future: Send,
> + Clone {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    service_fn(move |mut request: Request<Full<Bytes>>| {
        let uri = format!("http://{}/webhooks", address.read().expect("no panic"));
        *request.uri_mut() = uri.parse().expect("a URL");
        client.request(request)
    })
}

/// A running `receiver` or `replier`, killed on drop.
#[derive(Debug)]
pub struct Receiver {
    process: Child,
    address: String,
}

impl Receiver {
    /// Starts the program and waits until it has printed its address. Its second argument is the
    /// file of runs for `receiver`, the URL of the API for `replier`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(program: &str, database: &str, second: &Path, rest: &[&str]) -> Self {
        Self::run(Command::new(program).arg(database).arg(second).args(rest))
    }

    /// Runs this command and waits until the program has printed its address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn run(command: &mut Command) -> Self {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the receiver");
        let mut address = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut address).expect("a line");
        assert!(!address.is_empty(), "the receiver has not started");
        Self { process, address: address.trim().to_owned() }
    }

    /// Returns the address on which it listens; `none` if it is only a worker.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// If it has ended before.
    pub fn kill(mut self) {
        assert!(
            self.process.try_wait().expect("a child process").is_none(),
            "it ended before it was killed"
        );
        self.process.kill().expect("a child process");
        self.process.wait().expect("a child process");
    }

    /// Returns whether it has ended.
    ///
    /// # Panics
    /// If that cannot be determined.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("a child process").is_some()
    }

    /// Sends it a signal, to suspend it or to let it continue.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Stops it gracefully.
    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("a child process").success());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
