//! What a worker does beside its runs.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::{sleep, timeout},
};
use tower_service::Service;

use crate::{
    queue::{
        entry::DeadLetter,
        error::QueueError,
        lease::{Registration, WorkerId},
        store::{Changes, QueueStore},
    },
    seam::{BoxError, CatchPanic, within},
    telemetry::queue as telemetry,
};

use super::{look::pause, settings::Settings};

/// Registers the worker. If the store is unreachable, this waits for it.
pub(super) async fn register<St: QueueStore>(store: &St, settings: &Settings) -> Registration {
    let mut failures = 0;
    loop {
        match within(settings.store_timeout, store.register(), QueueError::late).await {
            Ok(registration) => return registration,
            Err(error) => telemetry::away(&error),
        }
        failures += 1;
        sleep(pause(failures)).await;
    }
}

/// Wakes the worker when something has changed.
pub(super) async fn listen(mut changes: impl Changes, changed: &Notify) -> Infallible {
    loop {
        changes.next().await;
        changed.notify_one();
    }
}

/// Notices dead workers, and takes over their entries.
pub(super) async fn recover<St: QueueStore>(
    store: &St,
    worker: WorkerId,
    settings: &Settings,
    changed: &Notify,
) -> Infallible {
    loop {
        match within(settings.store_timeout, store.recover(worker), QueueError::late).await {
            Ok(0) => {}
            Ok(entries) => {
                telemetry::recovered(entries);
                changed.notify_one();
            }
            // The claims report that the store is unreachable.
            Err(_) => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Removes entries past their retention, a few at a time.
pub(super) async fn prune<St: QueueStore>(store: &St, settings: &Settings) -> Infallible {
    const FEW: usize = 200;
    loop {
        let pruned = store.prune(settings.retention, FEW);
        let pruned = within(settings.store_timeout, pruned, QueueError::late).await;
        let more = pruned.is_ok_and(|count| count >= FEW as u64);
        sleep(if more { Duration::from_millis(100) } else { Duration::from_secs(60) }).await;
    }
}

/// The service to which dead letters are reported.
pub(super) type Hook = Arc<dyn Report>;

pub(super) trait Report: Send + Sync {
    fn report(
        &self,
        letter: DeadLetter,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>>;
}

/// Each report waits for the previous one, so the service need not be `Sync`.
impl<S> Report for Mutex<S>
where
    S: Service<DeadLetter> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn report(
        &self,
        letter: DeadLetter,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>> {
        Box::pin(async move {
            let mut service = self.lock().await;
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let call = service.call(letter);
            drop(service);
            call.await.map(drop).map_err(Into::into)
        })
    }
}

/// Reports each dead letter after it was committed. One that could not be reported is returned
/// again once the lease of its report has expired.
pub(super) async fn report<St: QueueStore>(
    store: &St,
    hook: Option<&Hook>,
    settings: &Settings,
    died: &Notify,
) -> Infallible {
    /// The maximum duration of a call, and the delay before a failed one is repeated.
    const LIMITS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60)];
    let Some(hook) = hook else { return pending().await };
    loop {
        let letters = store.unreported_dead_letters(1, LIMITS[1]);
        let letters = within(settings.store_timeout, letters, QueueError::late).await;
        let letters = letters.unwrap_or_default();
        let more = !letters.is_empty();
        for dead in letters {
            let id = dead.letter.id;
            let call = CatchPanic::new(|| hook.report(dead.letter));
            let error = match timeout(LIMITS[0], call).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(error.to_string()),
                Ok(Err(panic)) => Some(panic.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            match error {
                Some(error) => telemetry::unreported(id, &error),
                None => {
                    let reported = store.reported(&dead.lease);
                    let reported = within(settings.store_timeout, reported, QueueError::late);
                    if let Err(error) = reported.await {
                        telemetry::away(&error);
                    }
                }
            }
        }
        if !more {
            // Dead letters of other workers, and those whose report failed, are looked for as well.
            let _ = timeout(Duration::from_secs(1), died.notified()).await;
        }
    }
}
