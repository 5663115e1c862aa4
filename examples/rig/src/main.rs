//! Mail answered by a rig agent, with the mail's thread as its memory.
//!
//! ```sh
//! cd examples/rig
//! OPENMAIL_WEBHOOK_SECRET=… OPENMAIL_API_KEY=… OPENAI_API_KEY=… cargo run
//! ```
//!
//! For a local OpenMail, run this at the repository's root. It prints the first two variables and
//! `OPENMAIL_API_URL`, which must be set as well:
//!
//! ```sh
//! cargo run -p example-sandbox -- --webhook http://127.0.0.1:3000/webhooks
//! ```
//!
//! Set `OPENAI_BASE_URL` (up to and including `/v1`) and `AGENT_MODEL` to use another server or
//! model that supports OpenAI's chat completions API.

use std::{
    env, io,
    process::{self, ExitCode},
};

use anyhow::Context as _;
use example_rig::{Assistant, run};
use openmail_tower::{VerifyLayer, api::OpenMail, queue::SqliteStore};
use rig_core::providers::openai::{self, OpenAI};
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main]
async fn main() -> ExitCode {
    let info = LevelFilter::INFO.into();
    let filter = EnvFilter::builder().with_default_directive(info).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> anyhow::Result<()> {
    let verify = VerifyLayer::from_env()?;
    let openmail = OpenMail::from_env()?;
    let provider = OpenAI::from_env()?;
    let model = env::var("AGENT_MODEL").unwrap_or_else(|_| openai::GPT_5_2.into());
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let store = SqliteStore::open("rig.db").await.context("cannot open rig.db")?;
    let stopping = stop();
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    let assistant = Assistant::new(&provider, &model, openmail.clone());
    let ended = run(listener, verify, assistant, openmail, store.clone(), stopping).await;
    store.close().await;
    ended
}

/// Completes on the first signal. A second one ends the process at once: the events whose runs it
/// cuts off are still in the queue, and run again after the next start.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    let first = signal();
    async {
        first.await;
        // On Unix, this listens for a second signal before the log line asks for one.
        let second = signal();
        tracing::info!(
            "stopping: requests have 15 s to finish, then handlers have 30 s; press Ctrl-C again to stop at once"
        );
        tokio::spawn(async move {
            second.await;
            // The status of a program that was ended by Ctrl-C.
            process::exit(130);
        });
    }
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).expect("cannot listen for SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("cannot listen for SIGTERM");
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        tokio::signal::ctrl_c().await.expect("cannot listen for Ctrl-C");
    }
}
