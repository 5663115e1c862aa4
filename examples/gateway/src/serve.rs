//! Runs the gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use openmail_tower::{
    EventRouter,
    queue::{Enqueue, QueueStore},
    webhook::InboxKeyring,
};
use tokio::{net::TcpListener, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{
    agents::{Agents, no_agent},
    client::client,
    config::{Fixed, Listen, Settings},
    http, metrics,
    signals::{Request, Signals},
    store::with_store,
};

/// The number of runs beyond the sum of the agents' limits, for inboxes that are added later.
const SPARE: usize = 64;

pub(crate) async fn run(config: PathBuf) -> anyhow::Result<()> {
    let settings = Settings::load(&config)?;
    // From here on, no signal is lost, and none ends the process.
    let signals = Signals::listen()?;
    with_store!(&settings.fixed.queue, store => serve(store.clone(), settings, config, signals).await)
}

async fn serve<St: QueueStore>(
    store: St,
    settings: Settings,
    config: PathBuf,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let collected = metrics::collect()?;
    let keyring = InboxKeyring::new();
    let router = EventRouter::new().fallback(no_agent);
    let mut agents = Agents::new(keyring.clone(), router.inboxes(), client()?);
    agents.apply(&settings)?;

    let Listen(listen) = &settings.fixed.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; set `listen` in {} to another", config.display())
    })?;
    tracing::info!("listening on http://{}", listener.local_addr()?);

    let queue = Enqueue::new(store).lane(settings.fixed.lane());
    let worker = queue
        .worker(router)
        .backoff(settings.fixed.backoff())
        .inbox_limits(agents.limits())
        .concurrency(SPARE + targets(&settings).map(|target| target.concurrency).sum::<usize>())
        .grace(
            targets(&settings).map(|target| target.timeout).max().unwrap_or_default()
                + Duration::from_secs(5),
        );
    let stop = CancellationToken::new();
    let mut working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
    let mut serving =
        tokio::spawn(http::serve(listener, http::app(keyring, queue, collected), stop.clone()));

    loop {
        tokio::select! {
            told = signals.next() => match told {
                Request::Reload => reload(&mut agents, &settings.fixed, &config).await,
                Request::Stop => break,
            },
            ended = &mut working => bail!("the worker has ended: {ended:?}"),
            ended = &mut serving => bail!("the server has ended: {ended:?}"),
        }
    }
    tracing::info!("stopping");
    stop.cancel();
    serving.await??;
    match working.await? {
        0 => tracing::info!("stopped"),
        cut => tracing::warn!(cut, "stopped; runs were cancelled, and their events will run again"),
    }
    Ok(())
}

/// Reloads the configuration. An invalid one changes nothing.
async fn reload(agents: &mut Agents, fixed: &Fixed, config: &Path) {
    let path = config.to_owned();
    let reloaded = match spawn_blocking(move || Settings::load(&path)).await {
        Ok(Ok(settings)) => agents.apply(&settings).map(|()| settings),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    };
    match reloaded {
        Ok(settings) => {
            if settings.fixed != *fixed {
                tracing::warn!(
                    "changes to listen, queue, max_attempts, backoff and lane need a restart"
                );
            }
            tracing::info!(inboxes = settings.inboxes.len(), "configuration reloaded");
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "configuration not reloaded"),
    }
}

fn targets(settings: &Settings) -> impl Iterator<Item = &crate::config::Target> {
    settings.inboxes.iter().map(|inbox| &inbox.target).chain(&settings.fallback)
}
