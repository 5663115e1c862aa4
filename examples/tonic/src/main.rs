//! A webhook and a gRPC service on one port: agents subscribe to the events of their inboxes.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… AGENT_TOKEN=… cargo run -p example-tonic`
//!
//! While no agent is subscribed to an inbox, its documented events are answered with 503, so that
//! OpenMail delivers them again. To subscribe without an agent:
//!
//! ```sh
//! grpcurl -plaintext -import-path examples/tonic/proto -proto agents.proto \
//!     -H "authorization: Bearer $AGENT_TOKEN" -d '{"inbox_id": "inb_support"}' \
//!     127.0.0.1:3000 openmail.agents.v1.Agents/Subscribe
//! ```

use std::{env, io, process::ExitCode};

use anyhow::Context as _;
use example_tonic::{Token, serve};
use openmail_tower::VerifyLayer;
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let layer = VerifyLayer::from_env()?;
    let token = env::var("AGENT_TOKEN")
        .ok()
        .context("set AGENT_TOKEN to the token that agents must present")?;
    let token = Token::new(&token).context("AGENT_TOKEN is empty")?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let stopping = stop();
    tracing::info!("listening on http://{}, /webhooks and gRPC", listener.local_addr()?);
    serve(listener, layer, token, stopping).await?;
    Ok(())
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn stop() -> impl Future<Output = ()> + Send + 'static {
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
