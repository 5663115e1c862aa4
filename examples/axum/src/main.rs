//! A webhook as one route of a larger axum application.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-axum`

mod shutdown;

use std::{env, io, process::ExitCode};

use anyhow::Context as _;
use example_axum::{Seen, app, serve};
use openmail_tower::VerifyLayer;
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main]
async fn main() -> ExitCode {
    let info = LevelFilter::INFO.into();
    let filter = EnvFilter::builder().with_default_directive(info).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let app = app(VerifyLayer::from_env()?, Seen::default());
    let stop = shutdown::signal()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set OPENMAIL_LISTEN to another"))?;
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    serve(listener, app, stop).await?;
    Ok(())
}
