//! A webhook that loses nothing: events are written down before they are answered.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-durable` keeps them in `inbox.db`; with
//! `DATABASE_URL=postgres://…`, in PostgreSQL, where any number of machines may share them.

mod shutdown;

use std::{env, io, process::ExitCode};

use anyhow::Context as _;
use example_durable::{Agent, run};
use openmail_tower::{
    VerifyLayer,
    queue::{Enqueue, PostgresStore, SqliteStore},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match receive().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn receive() -> anyhow::Result<()> {
    let layer = VerifyLayer::from_env()?;
    let stop = shutdown::signal()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set OPENMAIL_LISTEN to another"))?;
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    match env::var("DATABASE_URL") {
        Ok(url) => {
            let store = PostgresStore::connect(&url).await?;
            run(listener, layer, Enqueue::new(store.clone()), Agent::default(), stop).await?;
            store.close().await;
        }
        Err(_) => {
            let store = SqliteStore::open("inbox.db").await?;
            run(listener, layer, Enqueue::new(store.clone()), Agent::default(), stop).await?;
            store.close().await;
        }
    }
    Ok(())
}
