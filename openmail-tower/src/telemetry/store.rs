//! Reports from the SQL stores.

#[cfg(feature = "tracing")]
use super::log::TARGET;
#[cfg(all(feature = "queue-sqlite", feature = "tracing"))]
use super::text;

/// Logs that lanes had only blocked entries, which should not happen.
pub(crate) fn stalled(lanes: u64) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, lanes, "stalled lanes were resumed");
    #[cfg(not(feature = "tracing"))]
    let _ = lanes;
}

/// Logs that a worker could not take the lock by which other workers notice its death.
#[cfg(feature = "queue-sqlite")]
pub(crate) fn without_lock(error: &dyn std::error::Error) {
    #[cfg(feature = "tracing")]
    {
        let reason = error.source().map(|source| tracing::field::display(text::error(source)));
        tracing::warn!(
            target: TARGET,
            reason,
            "a worker could not lock its file; if it dies, its entries wait until their leases \
             expire"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Logs that the file of a queue is gone.
#[cfg(feature = "queue-sqlite")]
pub(crate) fn file_gone(path: &std::path::Path) {
    #[cfg(feature = "tracing")]
    tracing::error!(
        target: TARGET,
        path = %text::error(path.display()),
        "the queue's file was deleted or replaced: no event is acknowledged until it is back or \
         the process restarts"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = path;
}

/// Logs that the file of a queue is back.
#[cfg(feature = "queue-sqlite")]
pub(crate) fn file_back(path: &std::path::Path) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, path = %text::error(path.display()), "the queue's file is back");
    #[cfg(not(feature = "tracing"))]
    let _ = path;
}

/// Logs that the machine's clock jumped: it was set, or the machine slept.
#[cfg(feature = "queue-sqlite")]
pub(crate) fn clock_set(by_millis: i64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: TARGET,
        by_millis,
        "the machine's clock jumped; the queue's clock does not follow"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = by_millis;
}
