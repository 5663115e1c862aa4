//! One service, several inboxes, a handler for each, and a state that they share.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… BILLING_INBOX=inb_… cargo run -p example-multi_inbox`

mod shutdown;

use std::{env, io, process::ExitCode};

use anyhow::Context as _;
use axum::Router;
use example_multi_inbox::{AppState, events, serve};
use openmail_tower::{VerifyLayer, webhook};
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
    let layer = VerifyLayer::from_env()?;
    let billing =
        env::var("BILLING_INBOX").context("set BILLING_INBOX to the id of the inbox for bills")?;
    let state = AppState::default();
    let events = events(&billing).with_state(state.clone());
    let app = Router::new().route_service("/webhooks", webhook(layer, events));

    let stop = shutdown::signal()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set OPENMAIL_LISTEN to another"))?;
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    serve(listener, app, stop).await?;
    for (desk, mails) in state.desks.mails() {
        tracing::info!(desk, ?mails, "closed");
    }
    Ok(())
}
