//! [`QueueStore`]: where queued events are kept.

use std::{future::Future, time::Duration};

use crate::seam::StoredEvent;

use super::{
    entry::{Claims, Counts, DeadLetter, EntryId, Lease, NewEntry, Settlement},
    error::QueueError,
};

/// Keeps queued events, and who may run them.
///
/// An event is in one of these states:
///
/// ```text
///             ┌── behind another of its lane ──► blocked ──┐ the lane is free
/// enqueue ────┴────────────────────────────────────────────┴─► ready ◄── requeue ── dead
///                                                   retry ┌──►  │ due          ▲
///                                  release, lease ran out │   claim            │ bury
///                                                         └── leased ──────────┴──► done
/// ```
///
/// - Each change is durable when its future resolves: it survives the loss of the process and of the
///   machine's power. Whatever a future awaits, it may be dropped there: the change is then made or
///   not, never by half.
/// - No two entries share a key, whatever their state.
/// - Of the events of one lane at most one is ready or leased, and of those that are blocked the
///   earliest arrival is the next. One that waits for a retry keeps its lane
///   ([`holds_lane`](Settlement::Retry::holds_lane)) or is set aside and, when it is due, takes its
///   place in the order of arrival again. All this holds for every process that uses the store.
/// - A lease that has run out makes its event due, and whoever claims it then is told that it
///   [was lost](super::Claimed::was_lost). Until somebody else claims it, its holder may still renew
///   it or settle it; afterwards its token changes nothing any more.
/// - Time is the store's, so that the machines which share it agree.
///
/// Clones share one store. `queue::contract::check` (feature `test-util`) checks an implementation
/// against all of this.
pub trait QueueStore: Clone + Send + Sync + 'static {
    /// What [`changes`](Self::changes) gives.
    type Changes: Changes;

    /// Adds an event. `false` says that its key was there already.
    fn enqueue(&self, entry: NewEntry) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Leases up to `limit` events that are due.
    fn claim(
        &self,
        limit: usize,
        lease: Duration,
    ) -> impl Future<Output = Result<Claims, QueueError>> + Send;

    /// Lets leases begin anew. Gives those that are lost.
    fn renew(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<EntryId>, QueueError>> + Send;

    /// Ends a lease. `false` says that it was lost, and nothing was changed.
    fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Tells, from now on, when to look for events that are due.
    fn changes(&self) -> Self::Changes;

    /// Removes up to `limit` events that have been done for longer than `age`, and gives how many.
    /// Their keys are forgotten.
    fn prune(
        &self,
        age: Duration,
        limit: usize,
    ) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Whether the store can be reached.
    fn ping(&self) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// How many events are in which state.
    fn counts(&self) -> impl Future<Output = Result<Counts, QueueError>> + Send;

    /// Up to `limit` dead letters with ids above `after`, in their order.
    fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, QueueError>> + Send;

    /// One dead letter, and its event.
    fn dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<Option<(DeadLetter, StoredEvent)>, QueueError>> + Send;

    /// Has a dead letter run again, with all its attempts. `false` says that there is none.
    fn requeue(&self, id: EntryId) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Has every dead letter of an inbox run again, and gives how many.
    fn requeue_inbox(&self, inbox_id: &str)
    -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Removes a dead letter. Its key is forgotten. `false` says that there is none.
    fn drop_dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;
}

/// Tells when to look for events that are due.
pub trait Changes: Send + 'static {
    /// Waits until an event may have become due since the last look. It may resolve for no reason,
    /// and may miss what other processes do: workers look from time to time anyway.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}
