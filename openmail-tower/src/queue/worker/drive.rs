//! A worker's life.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, poll_fn},
    mem,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tower_service::Service;

use crate::{
    queue::{
        entry::Retention,
        error::QueueError,
        lease::{Claimed, Claims, WorkerId},
        request::ClaimRequest,
        store::{Changes, QueueStore},
    },
    seam::{BoxError, CatchPanic, HandlerError, Outcome, VerifiedEvent, within},
    telemetry::queue as telemetry,
};

use super::{
    claim::{Look, claim, pause},
    drain::drain,
    gauges,
    held::{self, Held},
    run::run,
    settings::{Settings, Worker},
};

/// All that a worker does at the same time. Only the runs have tasks of their own, which end with
/// this future.
pub(super) async fn drive<St, E>(worker: Worker<St, E>, shutdown: impl Future<Output = ()>) -> usize
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send + 'static,
{
    let Worker { store, events, settings } = worker;
    let (held, changed) = (Held::default(), Notify::new());
    let never = tokio::select! {
        cut = fetch(&store, events, settings, &held, &changed, shutdown) => return cut,
        never = held::renew(&store, &held, settings.lease) => never,
        never = listen(store.changes(), &changed) => never,
        never = prune(&store, settings) => never,
        never = gauges::refresh(&store, settings.store_timeout) => never,
    };
    match never {}
}

/// Claims events and starts their runs, until it is time to stop.
async fn fetch<St, E>(
    store: &St,
    template: E,
    settings: Settings,
    held: &Held,
    changed: &Notify,
    shutdown: impl Future<Output = ()>,
) -> usize
where
    St: QueueStore,
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send + 'static,
{
    let shared = Arc::new(settings);
    let mut shutdown = pin!(shutdown);
    let mut running = JoinSet::new();
    let mut waiting = VecDeque::new();
    let mut events = template.clone();
    let mut is_ready = false;
    let mut look = Look::now();
    let mut claiming = None;
    loop {
        // Those whose lease was lost meanwhile are another's.
        waiting.retain(|claimed: &Claimed| held.lease(&claimed.lease).is_some());
        if is_ready && let Some(claimed) = waiting.pop_front() {
            let clone = events.clone();
            let events = mem::replace(&mut events, clone);
            let lease = claimed.lease.clone();
            let task = run(store.clone(), events, claimed, held.clone(), Arc::clone(&shared));
            held.started(&lease, running.spawn(task));
            is_ready = false;
            continue;
        }
        if is_ready {
            // Nothing is left to be run: what the service has set aside for it is given back.
            events = template.clone();
            is_ready = false;
        }
        let free = settings.concurrency.saturating_sub(running.len());
        if claiming.is_none() && waiting.is_empty() && free > 0 && look.is_due() {
            held.claiming();
            look.begin();
            let mut request = ClaimRequest::new(WorkerId(0), free, settings.lease);
            request.held = held.ids();
            claiming = Some(Box::pin(claim(store.clone(), request, settings)));
        }
        tokio::select! {
            () = &mut shutdown => break,
            (asked, claims) = async { claiming.as_mut().expect("it is there").await },
                if claiming.is_some() =>
            {
                claiming = None;
                match &claims {
                    Ok(claims) => look.found(asked, claims, settings.poll),
                    Err(error) => look.failed(error),
                }
                take(held, claims, &mut waiting);
            }
            ready = ready(&mut events), if !waiting.is_empty() => {
                is_ready = ready.is_ok();
                if let Err(error) = ready {
                    telemetry::unready(&error);
                    // What has failed is not used again.
                    events = template.clone();
                    sleep(pause(3)).await;
                }
            }
            _ = running.join_next(), if !running.is_empty() => {}
            () = changed.notified() => look.soon(),
            () = sleep_until(look.at()), if claiming.is_none() && !look.is_due() => {}
        }
    }
    // What it has claimed is to be given back.
    if let Some(claiming) = claiming {
        take(held, claiming.await.1, &mut waiting);
    }
    drain(store, &mut running, held, &settings).await
}

/// Holds what a claim has brought; what is not begun yet waits.
fn take(held: &Held, claims: Result<Claims, QueueError>, waiting: &mut VecDeque<Claimed>) {
    let events = claims.map(|claims| claims.entries).unwrap_or_default();
    waiting.extend(held.claimed(events));
}

/// Waits until the service takes an event.
async fn ready<E>(events: &mut E) -> Result<(), HandlerError>
where
    E: Service<VerifiedEvent>,
    E::Error: Into<BoxError>,
{
    match CatchPanic::new(|| poll_fn(|cx| events.poll_ready(cx))).await {
        Ok(ready) => ready.map_err(|error| HandlerError::from_boxed(error.into())),
        Err(panic) => Err(HandlerError::panicked(panic)),
    }
}

async fn listen(mut changes: impl Changes, changed: &Notify) -> Infallible {
    loop {
        changes.next().await;
        changed.notify_one();
    }
}

/// Removes what has been done for long enough, a few at a time and none in a hurry.
async fn prune<St: QueueStore>(store: &St, settings: Settings) -> Infallible {
    const FEW: usize = 200;
    loop {
        let pruned = within(
            settings.store_timeout,
            store.prune(Retention::new(settings.keep, Duration::MAX), FEW),
            QueueError::late,
        )
        .await;
        let more = pruned.is_ok_and(|count| count >= FEW as u64);
        sleep(if more { Duration::from_millis(100) } else { Duration::from_secs(60) }).await;
    }
}
