//! A worker's upkeep: registration, recovery, pruning and reports.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::{sleep, timeout},
};

use crate::{
    queue::{
        entry::DeadLetter,
        error::QueueError,
        lease::{Registration, WorkerId},
        store::{Changes, QueueStore},
    },
    seam::within,
    telemetry::queue as telemetry,
};

use super::{
    hook::{self, Hook},
    look::pause,
    settings::Settings,
};

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

/// Takes over the entries of dead workers, and resumes stalled lanes.
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
            // Failed claims report that the store is unreachable.
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

/// Reports each dead letter once it is committed. A failed report is repeated once its lease has
/// expired. `reporting` is locked during each report.
pub(super) async fn report<St: QueueStore>(
    store: &St,
    hook: Option<&Hook<DeadLetter>>,
    settings: &Settings,
    died: &Notify,
    reporting: &Mutex<()>,
) -> Infallible {
    /// The delay before a failed call is repeated; longer than any call.
    const AGAIN: Duration = Duration::from_secs(60);
    let Some(hook) = hook else { return pending().await };
    loop {
        let report = reporting.lock().await;
        let letters = store.unreported_dead_letters(1, AGAIN);
        let letters = within(settings.store_timeout, letters, QueueError::late).await;
        let letters = letters.unwrap_or_default();
        let more = !letters.is_empty();
        for dead in letters {
            let id = dead.letter.id;
            match hook::call(hook, dead.letter).await {
                Err(error) => telemetry::unreported(id, &error),
                Ok(()) => {
                    let reported = store.reported(&dead.lease);
                    let reported = within(settings.store_timeout, reported, QueueError::late);
                    if let Err(error) = reported.await {
                        telemetry::away(&error);
                    }
                }
            }
        }
        drop(report);
        if !more {
            // Nothing announces dead letters of other workers, or failed reports, so this polls.
            let _ = timeout(Duration::from_secs(1), died.notified()).await;
        }
    }
}
