//! Runs the gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use openmail_tower::{
    EventRouter,
    queue::{Enqueue, QueueStore, Worker},
    webhook::InboxKeyring,
};
use tokio::{net::TcpListener, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{
    agents::{Agents, no_agent},
    client::client,
    config::{Fixed, Listen, Settings, Target},
    http, metrics,
    signals::{Request, Signals},
    store::with_store,
};

/// The number of runs beyond the sum of the agents' limits, for inboxes that are added later.
const SPARE: usize = 64;

pub(crate) async fn run(config: PathBuf) -> anyhow::Result<()> {
    let settings = Settings::load(&config)?;
    // From here on, SIGHUP, SIGTERM and SIGINT are kept until the loop below handles them.
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
        format!(
            "cannot listen on {listen}; set `listen` in {} to another address",
            config.display()
        )
    })?;
    tracing::info!("listening on http://{}", listener.local_addr()?);

    let queue = Enqueue::new(store).lane(settings.fixed.lane());
    let bounds = Bounds::of(&settings);
    let worker = bounded(queue.worker(router), bounds)
        .backoff(settings.fixed.backoff)
        .inbox_limits(agents.limits());
    let stop = CancellationToken::new();
    let mut working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
    let mut serving =
        tokio::spawn(http::serve(listener, http::app(keyring, queue, collected), stop.clone()));

    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Reload => reload(&mut agents, &settings.fixed, bounds, &config).await,
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

/// The bounds that the agents need. The worker keeps the bounds that it was started with.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The longest `timeout`.
    timeout: Duration,
    /// The sum of every `concurrency`.
    runs: usize,
}

impl Bounds {
    fn of(settings: &Settings) -> Self {
        Self {
            timeout: targets(settings).map(|target| target.timeout).max().unwrap_or_default(),
            runs: targets(settings).map(|target| target.concurrency).sum(),
        }
    }

    /// Returns the maximum duration of a run. An agent's own `timeout` ends first.
    fn run_timeout(self) -> Duration {
        self.timeout + Duration::from_secs(5)
    }
}

/// Gives a worker room for runs within these bounds.
fn bounded<St, E>(worker: Worker<St, E>, bounds: Bounds) -> Worker<St, E> {
    worker
        .concurrency(SPARE + bounds.runs)
        .run_timeout(bounds.run_timeout())
        .grace(bounds.run_timeout())
}

/// Reloads the configuration. An invalid one changes nothing.
async fn reload(agents: &mut Agents, fixed: &Fixed, bounds: Bounds, config: &Path) {
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
            let wanted = Bounds::of(&settings);
            if wanted.timeout > bounds.timeout {
                tracing::warn!(
                    timeout = ?wanted.timeout,
                    cancelled_after = ?bounds.run_timeout(),
                    "a timeout above the longest one at the start needs a restart"
                );
            }
            if wanted.runs > SPARE + bounds.runs {
                tracing::warn!(
                    concurrency = wanted.runs,
                    runs = SPARE + bounds.runs,
                    "a total concurrency above the worker's number of runs needs a restart"
                );
            }
            tracing::info!(inboxes = settings.inboxes.len(), "configuration reloaded");
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "configuration not reloaded"),
    }
}

fn targets(settings: &Settings) -> impl Iterator<Item = &Target> {
    settings.inboxes.iter().map(|inbox| &inbox.target).chain(&settings.fallback)
}

#[cfg(test)]
mod tests {
    use openmail_tower::queue::SqliteStore;

    use super::*;

    #[tokio::test]
    async fn worker_does_not_cut_off_the_agent_with_the_longest_timeout() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("gateway.toml");
        let inbox = |id: &str, timeout: &str| {
            format!("[[inbox]]\nid = \"{id}\"\nurl = \"http://a\"\ntimeout = \"{timeout}\"\n")
        };
        let text = [
            "listen = \"127.0.0.1:0\"\nqueue = \"sqlite://a.db\"\n",
            "[account]\nsecrets = [\"whsec_account\"]\n",
            &inbox("A", "30s"),
            &inbox("B", "10m"),
        ];
        std::fs::write(&config, text.concat()).expect("it is written");
        let settings = Settings::load(&config).expect("it is valid");
        let store = SqliteStore::open(folder.path().join("a.db")).await.expect("it opens");
        let worker = bounded(Worker::new(store, ()), Bounds::of(&settings));
        let worker = format!("{worker:?}");
        for setting in ["concurrency: 72", "run_timeout: 605s", "grace: 605s"] {
            assert!(worker.contains(setting), "{setting} in {worker}");
        }
    }
}
