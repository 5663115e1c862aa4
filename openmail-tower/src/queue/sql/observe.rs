//! What logs (feature `tracing`) are told by the stores.

use crate::queue::error::QueueError;

/// Lanes whose entries were all blocked, which should not happen.
pub(in crate::queue) fn stranded(lanes: u64) {
    #[cfg(feature = "tracing")]
    tracing::error!(lanes, "lanes had come to a standstill and go on");
    let _ = lanes;
}

pub(in crate::queue) fn no_presence(error: &QueueError) {
    #[cfg(feature = "tracing")]
    {
        let reason = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(reason, "a worker has no lock: if it dies, its leases have to expire first");
    }
    let _ = error;
}
