//! A NATS server for one test, the application, and handlers that do what a mail's subject says.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::{env, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::jetstream::{self, stream};
use example_jetstream::{CONSUMER, Publish, STREAM, connect, run, serve};
use openmail_tower::{
    EventRouter, HandlerError, MessageReceived, Secret, VerifyLayer,
    handler::{Attempt, State},
    openmail_handler,
    testing::TestEvent,
    webhook,
};
use reqwest::{Body, Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_jetstream_test";

/// The time after which a hanging test fails.
const HANG: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("it does not hang")
}

/// `nats-server`, with its own port and directory.
pub(crate) struct Nats {
    pub(crate) url: String,
    directory: TempDir,
    child: Child,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (child, url) = spawn(&directory, "-1").await.unwrap();
        Self { url, directory, child }
    }

    /// Kills it, like a crash.
    pub(crate) async fn kill(&mut self) {
        soon(self.child.kill()).await.unwrap();
    }

    /// Starts it on the same port, with the same files.
    pub(crate) async fn restart(&mut self) {
        let port = self.url.rsplit(':').next().unwrap();
        let (child, url) = spawn(&self.directory, port).await.unwrap();
        assert_eq!(url, self.url);
        self.child = child;
    }

    pub(crate) async fn connect(&self) -> jetstream::Context {
        soon(connect(&self.url)).await.unwrap()
    }
}

async fn spawn(directory: &TempDir, port: &str) -> anyhow::Result<(Child, String)> {
    let program = env::var_os("OPENMAIL_TEST_NATS_SERVER")
        .context("set OPENMAIL_TEST_NATS_SERVER to the path of nats-server")?;
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/nats.conf");
    let mut child = Command::new(program)
        .args(["-c", config, "-js", "-a", "127.0.0.1", "-p", port])
        .arg("-sd")
        .arg(directory.path())
        .arg("--ports_file_dir")
        .arg(directory.path())
        .arg("-l")
        .arg(directory.path().join("log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().context("it has ended")?;
    let ports = async {
        loop {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("nats-server ended with {status}");
            }
            for entry in directory.path().read_dir()? {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(&format!("_{pid}.ports"))
                    && let Ok(ports) = serde_json::from_slice::<Value>(&std::fs::read(path)?)
                {
                    let url = ports["nats"][0].as_str().context("it listens nowhere")?;
                    return Ok(url.to_owned());
                }
            }
            // The server announces its port only by writing this file.
            sleep(Duration::from_millis(10)).await;
        }
    };
    let url = soon(ports).await?;
    Ok((child, url))
}

/// The event that ran, and the number of the run.
pub(crate) type Ran = (String, u32);

#[derive(Debug, Clone)]
struct Script {
    ran: mpsc::UnboundedSender<Ran>,
    gate: Arc<Semaphore>,
}

#[openmail_handler(event = "message.received")]
async fn act(
    mail: &MessageReceived,
    Attempt(run): Attempt,
    State(script): State<Script>,
) -> Result<(), HandlerError> {
    script.ran.send((mail.event_id.as_ref().map_or_else(String::new, ToString::to_string), run))?;
    match (mail.message.subject.as_deref(), run) {
        (Some("hold"), _) => script.gate.acquire().await?.forget(),
        (Some("fail once"), 1) => {
            return Err(HandlerError::failed("as asked").after(Duration::from_millis(10)));
        }
        (Some("panic once"), 1) => panic!("as asked"),
        (Some("fail for good"), _) => return Err(HandlerError::permanent("as asked")),
        _ => {}
    }
    Ok(())
}

/// Handlers, and what the test sees of them.
pub(crate) struct Handlers {
    pub(crate) events: EventRouter,
    /// Each permit lets one held mail continue.
    pub(crate) gate: Arc<Semaphore>,
    ran: mpsc::UnboundedReceiver<Ran>,
}

impl Handlers {
    pub(crate) fn new() -> Self {
        let (sender, ran) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let script = Script { ran: sender, gate: Arc::clone(&gate) };
        Self { events: EventRouter::new().handler(act).with_state(script), gate, ran }
    }

    pub(crate) async fn ran(&mut self) -> Ran {
        soon(self.ran.recv()).await.unwrap()
    }

    pub(crate) fn assert_no_other_run(&mut self) {
        assert_eq!(self.ran.try_recv().ok(), None);
    }
}

/// The application, or only its HTTP part, while it runs.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<anyhow::Result<()>>,
}

impl App {
    pub(crate) async fn start(context: jetstream::Context, events: EventRouter) -> Self {
        Self::spawn(|listener, stop| run(listener, layer(), context, events, stop)).await
    }

    /// Starts only the HTTP part: events are stored, but not run.
    pub(crate) async fn receiver(context: jetstream::Context) -> Self {
        let webhook = webhook(layer(), Publish::new(context));
        let app = axum::Router::new().route_service("/webhooks", webhook);
        Self::spawn(async |listener, stop| {
            let token = CancellationToken::new();
            let stopping = async {
                stop.await;
                token.cancel();
            };
            let (served, ()) = tokio::join!(serve(listener, app, token.clone()), stopping);
            Ok(served?)
        })
        .await
    }

    async fn spawn<F>(
        serve: impl FnOnce(TcpListener, std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = Box::pin(stop.clone().cancelled_owned());
        let running = tokio::spawn(serve(listener, stopped));
        Self { address, stop, running }
    }

    pub(crate) async fn post(&self, event: &TestEvent) -> StatusCode {
        post(&format!("http://{}/webhooks", self.address), event).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon(self.running).await.unwrap().unwrap();
    }
}

fn layer() -> VerifyLayer {
    VerifyLayer::new(Secret::new(SECRET).unwrap())
}

pub(crate) async fn post(url: &str, event: &TestEvent) -> StatusCode {
    let mut request = event.sign::<Body>(&Secret::new(SECRET).unwrap());
    *request.uri_mut() = url.parse().unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    soon(client.execute(request.try_into().unwrap())).await.unwrap().status()
}

pub(crate) fn mail(id: &str, subject: &str) -> TestEvent {
    TestEvent::message_received().event_id(id).subject(subject)
}

/// Returns how many events the stream has.
pub(crate) async fn kept(context: &jetstream::Context) -> u64 {
    let stream: stream::Stream = context.get_stream(STREAM).await.unwrap();
    stream.cached_info().state.messages
}

/// Returns how many events are not finished: those not handed out yet, and those not acknowledged.
pub(crate) async fn open(context: &jetstream::Context) -> u64 {
    let stream = context.get_stream(STREAM).await.unwrap();
    let info = stream.consumer_info(CONSUMER).await.unwrap();
    info.num_pending + u64::try_from(info.num_ack_pending).unwrap()
}
