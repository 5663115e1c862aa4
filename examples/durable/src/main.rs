//! A webhook that loses nothing: events are stored before they are acknowledged.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-durable` stores them in `inbox.db`, or in the
//! database that `DATABASE_URL` names: `sqlite:path`, or `postgres://…` for any number of machines.
//!
//! `RUST_LOG` sets what is logged. With the default, `info`, `grep evt_…` shows everything that
//! happened to a mail. `/metrics` is for Prometheus, and `grafana.json` is a dashboard for it. With
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318`, one trace covers a mail from its arrival to
//! the end of its last run, across processes.

mod shutdown;

use std::{env, process::ExitCode};

use anyhow::Context as _;
use example_durable::{Agent, run, telemetry};
use openmail_tower::{
    VerifyLayer,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore, StoreUrl},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match follow(receive()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Exports the program's traces until it ends.
async fn follow(program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let traces = telemetry::log()?;
    let ended = program.await;
    if let Some(traces) = traces {
        // Shutting down waits for the collector. If the collector does not answer, traces are lost,
        // but no mail.
        if let Err(error) = tokio::task::spawn_blocking(move || traces.shutdown()).await? {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
    ended
}

async fn receive() -> anyhow::Result<()> {
    let layer = VerifyLayer::from_env()?;
    let url = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite:inbox.db".into());
    match url.parse::<StoreUrl>().context("DATABASE_URL")? {
        StoreUrl::Sqlite(path) => {
            let store = SqliteStore::open(&path).await;
            let store = store.with_context(|| format!("cannot open {}", path.display()))?;
            serve(store.clone(), layer).await?;
            store.close().await;
        }
        StoreUrl::Postgres(url) => {
            let store = PostgresStore::connect(&url).await.context("cannot use PostgreSQL")?;
            serve(store.clone(), layer).await?;
            store.close().await;
        }
        other => anyhow::bail!("this example does not support {other:?}"),
    }
    Ok(())
}

async fn serve<St: QueueStore>(store: St, layer: VerifyLayer) -> anyhow::Result<()> {
    let metrics = telemetry::metrics()?;
    let stop = shutdown::stop()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    run(listener, layer, Enqueue::new(store), Agent::default(), metrics, stop).await
}
