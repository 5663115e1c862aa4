//! [`QueueStore`]: stores queued events.

#[cfg(feature = "guard")]
use std::sync::Arc;
use std::{future::Future, time::Duration};

#[cfg(feature = "guard")]
use crate::seam::CountStore;
use crate::seam::StoredEvent;

use super::{
    entry::{Counts, DeadLetter, EntryId, NewEntry, Retention},
    error::QueueError,
    lease::{Claims, DeadReport, Lease, Registration, WorkerId},
    request::ClaimRequest,
    settlement::Settlement,
};

/// Stores queued events and replies, and records which worker may run them.
///
/// Each entry is in one of these states:
///
/// ```text
///             ┌── behind another of its lane ──► blocked ──┐ the lane is free
/// enqueue ────┴────────────────────────────────────────────┴─► ready ◄── requeue ── dead
///                                     retry, release ┌──►  │ due          ▲
///                                     lease expired  │   claim            │ bury
///                              hold ── held ◄────────┴── leased ──────────┴──► done
/// ```
///
/// - Each change is durable when its future resolves: it survives a crash of the process and a
///   power failure of the machine. Every future may be dropped at any `.await`: the change to each
///   entry is then made completely or not at all.
/// - No two entries have the same key, in any state.
/// - In each lane, at most one entry is ready, held or leased. When the lane becomes free, a
///   blocked reply is next, or else the blocked entry that arrived first. An entry that waits for a
///   retry either keeps its lane waiting ([`holds_lane`](Settlement::Retry::holds_lane)) or steps
///   aside, and takes its place in the lane's order again when it is due. All this holds across all
///   processes that use the store.
/// - When a lease expires, its entry is due again. Until another worker claims the entry, the
///   former holder may still renew or settle the lease; afterwards, its token no longer changes
///   anything.
/// - The first two runs in a row that are lost with their workers use no attempt, since another
///   entry that ran at the same time may have crashed the worker. After the second lost run, the
///   entry is a [suspect](super::Claimed::suspect) and runs alone. If such a run is lost as well,
///   it counts as an attempt ([`was_lost`](super::Claimed::was_lost)). Once a worker settles the
///   entry, it is an ordinary entry again, unless the worker gives it back or its claim had
///   `was_lost` set.
/// - Only the store's clock is used, so that all machines agree on the time.
///
/// Clones share one store. `queue::contract::check` (feature `test-util`) checks an implementation
/// against these rules, as far as one process can. It cannot check durability, and it neither
/// registers workers nor lets them die.
pub trait QueueStore: Clone + Send + Sync + 'static {
    /// The type returned by [`changes`](Self::changes).
    type Changes: Changes;

    /// Registers a worker. While its registration exists, the worker counts as alive.
    fn register(&self) -> impl Future<Output = Result<Registration, QueueError>> + Send;

    /// Makes due the entries that are leased to dead workers, without waiting for their leases to
    /// expire. Does the same for the next entry of each lane whose entries are all blocked, since
    /// it would wait forever. Returns the number of entries made due. `worker` is the calling
    /// worker, whose own leases are not taken over.
    ///
    /// Each worker calls this about once a second.
    fn recover(&self, worker: WorkerId) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Adds an event. Returns `false` if its key already exists.
    fn enqueue(&self, entry: NewEntry) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Leases due entries, within the limits of the request.
    fn claim(
        &self,
        request: ClaimRequest,
    ) -> impl Future<Output = Result<Claims, QueueError>> + Send;

    /// Extends the leases, so that each ends when the duration `lease` has passed from now. Returns
    /// the ids of those that were lost.
    fn renew(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<EntryId>, QueueError>> + Send;

    /// Ends a lease. Returns `false`, and changes nothing, if it was lost. Each NUL in the
    /// settlement's [reason](Settlement::reason) is stored as U+FFFD.
    fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Returns a source of notifications about entries that may have become due.
    fn changes(&self) -> Self::Changes;

    /// Removes up to `limit` finished entries that are older than the retention, with their keys.
    /// Returns how many.
    fn prune(
        &self,
        retention: Retention,
        limit: usize,
    ) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Checks that the store can be reached.
    fn ping(&self) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Counts the entries by state.
    fn counts(&self) -> impl Future<Output = Result<Counts, QueueError>> + Send;

    /// Releases the held entries of an inbox (of all inboxes if `inbox_id` is `None`), so that they
    /// run at once. If the current run of a leased entry ends with [`Settlement::Hold`], the entry
    /// also runs again at once, since the reason for the hold may be gone. Returns the number of
    /// entries that were held.
    fn release_held(
        &self,
        inbox_id: Option<&str>,
    ) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Releases one entry that is held or waits for its next attempt, so that it is due at once.
    /// Returns `false` if the entry is leased, blocked or finished, or does not exist.
    fn release_entry(&self, id: EntryId) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Lists up to `limit` dead letters with ids above `after`, in order of id.
    fn dead_letters(
        &self,
        after: Option<EntryId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, QueueError>> + Send;

    /// Reads a dead letter and its event or, for a dead letter that is a reply, the stored reply.
    /// Returns `None` if there is none.
    fn dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<Option<(DeadLetter, StoredEvent)>, QueueError>> + Send;

    /// Leases up to `limit` dead letters that have not been reported yet. One that is not
    /// [reported](Self::reported) is returned again after `lease`.
    fn unreported_dead_letters(
        &self,
        limit: usize,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<DeadReport>, QueueError>> + Send;

    /// Records that a dead letter was reported. Returns `false` if it was requeued or dropped in
    /// the meantime.
    fn reported(&self, lease: &Lease) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Requeues a dead letter. Its attempts, its releases and the time since it was put off begin
    /// at 0 again; its age and its place in the lane stay the same. Returns `false` if there is
    /// none.
    fn requeue(&self, id: EntryId) -> impl Future<Output = Result<bool, QueueError>> + Send;

    /// Requeues all dead letters of an inbox. Returns how many.
    fn requeue_inbox(&self, inbox_id: &str)
    -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Returns the store in which the guards of this store's workers keep their counts, so that
    /// replicas share the counts and a restart does not reset them. A guard with a store of its own
    /// (`GuardLayer::counts`) does not use it. Default: `None`; each guard then counts in memory.
    #[cfg(feature = "guard")]
    fn count_store(&self) -> Option<Arc<dyn CountStore>> {
        None
    }

    /// Removes a dead letter and its key. Returns `false` if there is none.
    fn drop_dead_letter(
        &self,
        id: EntryId,
    ) -> impl Future<Output = Result<bool, QueueError>> + Send;
}

/// A source of notifications about entries that may have become due.
pub trait Changes: Send + 'static {
    /// Waits until a change since the last call may have made an entry due. It need not resolve
    /// when a delay or a lease ends. It may resolve spuriously, and may miss changes made by other
    /// processes, so workers also poll.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}
