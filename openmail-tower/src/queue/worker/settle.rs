//! Settles an entry after its run.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    queue::{
        error::{QueueError, QueueErrorKind},
        lease::Lease,
        settlement::Settlement,
        store::QueueStore,
    },
    seam::within,
    telemetry::queue::{self as telemetry, Settled},
};

use super::look::pause;

/// Settles an entry, and returns the settlement that was stored; `None` if the lease was lost or
/// given up.
///
/// If the store is unreachable, this waits for it: the event has run, and losing the result would
/// mean running it again. Each time the store refuses the settlement, this tries a simpler one:
/// with the error, if any, in ASCII, then as a dead letter. After that, it gives up the lease.
pub(super) async fn settle<St: QueueStore>(
    store: &St,
    lease: &Lease,
    (outcome, mut settlement): (&'static str, Settlement),
    limit: Duration,
) -> Option<Settlement> {
    let (mut failures, mut refusals) = (0, 0);
    loop {
        let answer = store.settle(lease, settlement.clone());
        match within(limit, answer, QueueError::late).await {
            Ok(true) => {
                if let Some(settled) = settled(outcome, &settlement) {
                    telemetry::settled(settled);
                }
                return Some(settlement);
            }
            Ok(false) => {
                telemetry::lost(lease.id);
                return None;
            }
            Err(error) if error.kind() == QueueErrorKind::Refused => {
                telemetry::refused(lease.id, &error);
                refusals += 1;
                settlement = plain(settlement, refusals)?;
                continue;
            }
            Err(error) => telemetry::away(&error),
        }
        failures += 1;
        sleep(pause(failures)).await;
    }
}

/// Returns what is counted for a settlement in addition to its run.
fn settled(outcome: &'static str, settlement: &Settlement) -> Option<Settled> {
    match settlement {
        Settlement::Retry { .. } => Some(Settled::Retry),
        Settlement::Release { .. } | Settlement::PutOff { .. } => Some(Settled::Release(outcome)),
        Settlement::Bury { .. } => Some(Settled::DeadLetter),
        Settlement::Done { .. } | Settlement::GiveBack | Settlement::Hold { .. } => None,
    }
}

/// Returns a reduced form of the settlement that the store may accept: first with its error in
/// ASCII, if it has one, then as a dead letter. `None` after the third refusal.
fn plain(settlement: Settlement, refusals: u32) -> Option<Settlement> {
    const UNKNOWN: &str = "the store refused to record the result of the run";
    let ascii = |text: String| -> String {
        text.chars()
            .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
            .collect()
    };
    match (settlement, refusals) {
        (Settlement::Retry { after, error, holds_lane }, 1) => {
            Some(Settlement::Retry { after, error: ascii(error), holds_lane })
        }
        (Settlement::Release { after, reason }, 1) => {
            Some(Settlement::Release { after, reason: ascii(reason) })
        }
        (Settlement::PutOff { after, reason, holds_lane }, 1) => {
            Some(Settlement::PutOff { after, reason: ascii(reason), holds_lane })
        }
        (Settlement::Hold { reason, at_most }, 1) => {
            Some(Settlement::Hold { reason: ascii(reason), at_most })
        }
        (Settlement::Bury { error }, 1) => Some(Settlement::Bury { error: ascii(error) }),
        (_, 1 | 2) => Some(Settlement::Bury { error: UNKNOWN.to_owned() }),
        _ => None,
    }
}
