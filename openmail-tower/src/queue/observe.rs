//! What logs (feature `tracing`) and metrics (feature `metrics`) are told of a queue.

use crate::seam::HandlerError;

use super::{entry::EntryId, error::QueueError, settlement::Settlement};

pub(super) fn settled(id: EntryId, settlement: &Settlement) {
    let label = match settlement {
        Settlement::Done { .. } => "done",
        Settlement::Retry { .. } => "retried",
        Settlement::Bury { .. } => "buried",
        Settlement::Release { .. } => "released",
        Settlement::GiveBack => "given_back",
        Settlement::Hold { .. } => "held",
    };
    #[cfg(feature = "tracing")]
    match settlement {
        Settlement::Done { .. } => tracing::debug!(%id, "queued event handled"),
        Settlement::GiveBack => tracing::debug!(%id, "queued event given back"),
        Settlement::Release { after, reason } => {
            tracing::info!(%id, ?after, reason, "queued event put off");
        }
        Settlement::Hold { reason, .. } => tracing::warn!(%id, reason, "queued event on hold"),
        Settlement::Retry { after, error, .. } => {
            tracing::warn!(%id, ?after, %error, "queued event failed, to be tried again");
        }
        Settlement::Bury { error } => tracing::error!(%id, %error, "queued event is a dead letter"),
    }
    let _ = id;
    count(label);
}

pub(super) fn lost(id: EntryId) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%id, "the lease of a queued event was lost");
    let _ = id;
    count("lost");
}

pub(super) fn away(error: &QueueError) {
    #[cfg(feature = "tracing")]
    {
        let reason = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, reason, "queue store");
    }
    let _ = error;
}

pub(super) fn unready(error: &HandlerError) {
    #[cfg(feature = "tracing")]
    tracing::error!(%error, "the service takes no events");
    let _ = error;
}

fn count(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("openmail_queue_runs_total", "outcome" => outcome).increment(1);
    let _ = outcome;
}
