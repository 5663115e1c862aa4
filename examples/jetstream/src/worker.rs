//! Fetches events from the stream and runs them.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt as _;
use openmail_tower::{BoxError, Outcome, VerifiedEvent};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{run::run, stream::without_sources};

/// Maximum number of concurrent runs.
const CONCURRENCY: usize = 16;

/// How long the server keeps a request for messages. If the connection is lost, the next request
/// follows up to 5 s later.
const PULL: Duration = Duration::from_secs(5);

/// The delay before an unreachable server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum time for runs in progress to finish once the worker is stopping.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the events of the consumer through `events` until `stop`, then finishes those in progress,
/// within a time limit. Returns how many were cancelled; they run again after the consumer's
/// `ack_wait`, as they do if the process dies.
pub async fn work<E>(consumer: PullConsumer, events: E, stop: CancellationToken) -> usize
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    let mut runs = JoinSet::new();
    let fetching = async {
        loop {
            if let Err(error) = fetch(&consumer, &events, &mut runs).await {
                tracing::warn!(error = format!("{error:#}"), "cannot fetch events");
                sleep(PAUSE).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = fetching => {}
    }
    let deadline = Instant::now() + GRACE;
    while let Ok(Some(_)) = timeout_at(deadline, runs.join_next()).await {}
    let cut = runs.len();
    runs.shutdown().await;
    cut
}

/// Fetches as many events as can run at once, and no more: the server's time limit for an event
/// starts when it is handed out.
async fn fetch<E>(consumer: &PullConsumer, events: &E, runs: &mut JoinSet<()>) -> anyhow::Result<()>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    while runs.try_join_next().is_some() {}
    if runs.len() == CONCURRENCY {
        runs.join_next().await;
    }
    let free = CONCURRENCY - runs.len();
    let asked = consumer.batch().max_messages(free).expires(PULL).messages();
    let mut messages = timeout(PULL, asked).await?.map_err(without_sources)?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(without_sources)?;
        let ack_wait = consumer.cached_info().config.ack_wait;
        runs.spawn(run(message, events.clone(), ack_wait));
    }
    Ok(())
}
