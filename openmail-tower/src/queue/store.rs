//! [`QueueStore`]: where queued events are kept.

use std::{future::Future, time::Duration};

use crate::seam::StoredEvent;

use super::{
    entry::{Counts, DeadLetter, EntryId, NewEntry, Retention},
    error::QueueError,
    lease::{Claims, DeadReport, Lease, Registration, WorkerId},
    request::ClaimRequest,
    settlement::Settlement,
};

/// Keeps queued events and replies, and which worker may run them.
///
/// An entry is in one of these states:
///
/// ```text
///             ┌── behind another of its lane ──► blocked ──┐ the lane is free
/// enqueue ────┴────────────────────────────────────────────┴─► ready ◄── requeue ── dead
///                                     retry, release ┌──►  │ due          ▲
///                                     lease expired  │   claim            │ bury
///                              hold ── held ◄────────┴── leased ──────────┴──► done
/// ```
///
/// - Each change is durable when its future resolves: it survives the loss of the process and of the
///   machine's power. Every future may be dropped at any `.await`: the change is then made as a
///   whole or not at all.
/// - No two entries share a key, whatever their state.
/// - Of the entries of one lane at most one is ready, held or leased. Of those that are blocked,
///   replies are next, and then the earliest arrival. An entry that waits for a retry keeps its lane
///   ([`holds_lane`](Settlement::Retry::holds_lane)) or steps aside, and takes its place in the
///   lane's order again when it is due. All this holds across every process that uses the store.
/// - An expired lease makes its entry due. Until another worker claims it, its holder may still renew
///   or settle it; afterwards its token no longer changes anything.
/// - A run that is lost with its worker uses no attempt the first two times: entries that ran beside
///   the one that took the worker down must not pay for it. After the second time in a row the entry
///   is a [suspect](super::Claimed::suspect) and runs alone; if it is lost again, the run counts
///   ([`was_lost`](super::Claimed::was_lost)). A settlement by its worker makes it an ordinary entry
///   again, except one of a claim that `was_lost`.
/// - The store's clock is the only one, so that the machines which share it agree.
///
/// Clones share one store. `queue::contract::check` (feature `test-util`) checks an implementation
/// against all of this.
pub trait QueueStore: Clone + Send + Sync + 'static {
    /// The type returned by [`changes`](Self::changes).
    type Changes: Changes;

    /// Registers a worker. While its registration exists, the worker counts as alive.
    fn register(&self) -> impl Future<Output = Result<Registration, QueueError>> + Send;

    /// Makes due what would otherwise wait for nothing: the leases of workers that are dead, and
    /// lanes whose entries are all blocked. Returns how many entries these are.
    ///
    /// Each worker calls this about once a second.
    fn recover(&self, worker: WorkerId) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Adds an event. Returns `false` if its key was there already.
    fn enqueue(&self, entry: NewEntry) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Leases entries that are due, by the limits of the request.
    fn claim(
        &self,
        request: ClaimRequest,
    ) -> impl Future<Output = Result<Claims, QueueError>> + Send;

    /// Extends leases to `lease` from now. Returns those that are lost.
    fn renew(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<EntryId>, QueueError>> + Send;

    /// Ends a lease. Returns `false` if it was lost: nothing was changed.
    fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Returns a source of notifications about entries that may have become due.
    fn changes(&self) -> Self::Changes;

    /// Removes up to `limit` entries that are older than the retention, with their keys. Returns
    /// how many.
    fn prune(
        &self,
        retention: Retention,
        limit: usize,
    ) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Checks that the store can be reached.
    fn ping(&self) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Counts the entries by state.
    fn counts(&self) -> impl Future<Output = Result<Counts, QueueError>> + Send;

    /// Releases the held entries of an inbox, or all of them, so that they run at once. Returns how
    /// many.
    fn release_held(
        &self,
        inbox_id: Option<&str>,
    ) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Releases one entry that is held or waits for its next attempt, so that it runs at once.
    /// Returns `false` if there is none.
    fn release_entry(&self, id: EntryId) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Lists up to `limit` dead letters with ids above `after`, in order of id.
    fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, QueueError>> + Send;

    /// Reads one dead letter and its event.
    fn dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<Option<(DeadLetter, StoredEvent)>, QueueError>> + Send;

    /// Leases up to `limit` dead letters that nobody has reported yet. One that is not
    /// [reported](Self::reported) is given again after `lease`.
    fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<DeadReport>, QueueError>> + Send;

    /// Records that a dead letter was reported. Returns `false` if it is no longer the same one: it
    /// was requeued or dropped.
    fn reported(&self, lease: &Lease) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Requeues a dead letter, with all its attempts. Returns `false` if there is none.
    fn requeue(&self, id: EntryId) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Requeues every dead letter of an inbox. Returns how many.
    fn requeue_inbox(&self, inbox_id: &str)
    -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Removes a dead letter and its key. Returns `false` if there is none.
    fn drop_dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;
}

/// A source of notifications about entries that may have become due.
pub trait Changes: Send + 'static {
    /// Waits until an entry may have become due since the last look. It may resolve for no reason,
    /// and may miss what other processes do: workers also look from time to time.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}
