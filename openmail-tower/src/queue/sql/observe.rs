//! The stores' log lines (feature `tracing`).

#[cfg(feature = "queue-sqlite")]
use crate::queue::error::QueueError;

/// Logs that lanes had only blocked entries, which should not happen.
pub(in crate::queue) fn stranded(lanes: u64) {
    #[cfg(feature = "tracing")]
    tracing::error!(lanes, "stalled lanes were resumed");
    let _ = lanes;
}

#[cfg(feature = "queue-sqlite")]
pub(in crate::queue) fn no_presence(error: &QueueError) {
    #[cfg(feature = "tracing")]
    {
        let reason = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(
            reason,
            "a worker could not lock its file; if it dies, its entries wait until their leases \
             expire"
        );
    }
    let _ = error;
}
