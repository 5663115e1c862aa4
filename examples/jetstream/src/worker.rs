//! From the stream to the handlers.

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

use crate::run::run;

/// How many events run at a time.
const CONCURRENCY: usize = 16;

/// How long the server keeps a request for messages. After a lost connection it takes up to 5 s more
/// until there is another.
const PULL: Duration = Duration::from_secs(5);

/// How long to wait before asking again a server that could not be asked.
const PAUSE: Duration = Duration::from_secs(1);

/// How long events under way may take once the worker is to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the events of the consumer through `events` until `stop`, and then to their end. Gives how
/// many took too long for that and were cut off; they run again when the consumer's `ack_wait` is
/// over, as does everything when the process dies.
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
                tracing::warn!("cannot fetch events: {error:#}");
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

/// Asks for as many events as can run at once, and no more: the server counts the time from when it
/// hands them out.
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
    let mut messages = timeout(PULL, asked).await??;
    while let Some(message) = messages.next().await {
        let message = message.map_err(anyhow::Error::from_boxed)?;
        let ack_wait = consumer.cached_info().config.ack_wait;
        runs.spawn(run(message, events.clone(), ack_wait));
    }
    Ok(())
}
