//! Claims: who runs which entry, and for how long.

use std::{any::Any, fmt, time::Duration};

use crate::seam::StoredEvent;

use super::entry::{DeadLetter, EntryId, Role};

/// The id of a worker in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub i64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A worker's presence in a store, which ends when this is dropped or its process dies.
pub struct Registration {
    worker: WorkerId,
    _presence: Box<dyn Any + Send + Sync>,
}

impl Registration {
    /// Returns a registration, for a store to give. `presence` is what others can see while the
    /// worker is alive: a lock, for example. A store that has no such means gives `()`, and its
    /// workers are known to be dead once their leases have expired.
    pub fn new(worker: WorkerId, presence: impl Any + Send + Sync) -> Self {
        Self { worker, _presence: Box::new(presence) }
    }

    /// The worker's id.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// The right to run an entry and to settle it, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The entry.
    pub id: EntryId,
    /// The fencing token: higher in each lease of this entry, so that a former holder can no longer
    /// change anything.
    pub token: i64,
    /// The entry's lane.
    pub lane: Option<String>,
}

impl Lease {
    /// Returns a lease, for a store to give.
    pub fn new(id: EntryId, token: i64, lane: Option<String>) -> Self {
        Self { id, token, lane }
    }
}

/// An entry that is leased.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// Whether it is an event or a reply.
    pub role: Role,
    /// The number of this run, from 1. Runs that were released or given back are not counted, nor
    /// are those that were lost beside others.
    pub attempt: u32,
    /// Whether the entry is to run alone: its last two runs were lost with their workers.
    pub suspect: bool,
    /// Whether the last run was lost with its worker although it ran alone. It counts as a failed
    /// run, and no other is to begin under this lease.
    pub was_lost: bool,
    /// Whether the entry was on hold for the longest time allowed.
    pub was_held: bool,
    /// How often it was released or put off since its last run.
    pub releases: u32,
    /// The time since the first of the releases in a row that end with the last one.
    pub released_for: Duration,
    /// The time since it was first [put off](super::Settlement::PutOff) or on hold.
    pub put_off_for: Duration,
    /// The time since it was queued.
    pub age: Duration,
    /// The deduplication key; of a reply, its `Idempotency-Key`.
    pub key: Option<String>,
    /// The signed `event_id`; of a reply, that of the event it answers.
    pub event_id: Option<String>,
    /// The event's name, or the reply's.
    pub kind: String,
    /// The inbox it is about.
    pub inbox_id: Option<String>,
    /// The thread it belongs to.
    pub thread_id: Option<String>,
    /// The trace that the entry belongs to, as a W3C `traceparent`.
    pub trace_context: Option<String>,
    /// The memory that the entry takes while it runs, in bytes.
    pub weight: u64,
    /// The body and the signed time.
    pub stored: StoredEvent,
}

impl Claimed {
    /// Returns a leased entry, for a store to fill in: an event that is claimed for the first time.
    pub fn new(lease: Lease, kind: String, stored: StoredEvent) -> Self {
        Self {
            lease,
            role: Role::Event,
            attempt: 1,
            suspect: false,
            was_lost: false,
            was_held: false,
            releases: 0,
            released_for: Duration::ZERO,
            put_off_for: Duration::ZERO,
            age: Duration::ZERO,
            key: None,
            event_id: None,
            kind,
            inbox_id: None,
            thread_id: None,
            trace_context: None,
            weight: stored.raw_body.len() as u64,
            stored,
        }
    }
}

/// The result of a claim.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Claims {
    /// The entries, the earliest arrivals first.
    pub entries: Vec<Claimed>,
    /// The time until the next entry that is not due yet will be, as far as it is known now. It may
    /// be sooner.
    pub next_due: Option<Duration>,
    /// Whether entries are due that were left because of the request's limits.
    pub limited: bool,
    /// Whether a suspect is due, which only a claim [for suspects](super::ClaimRequest::suspects)
    /// gives.
    pub suspects: bool,
}

/// A dead letter that is to be reported, and the right to say that it was.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadReport {
    /// The lease.
    pub lease: Lease,
    /// The dead letter.
    pub letter: DeadLetter,
}

impl DeadReport {
    /// Returns a report, for a store to give.
    pub fn new(lease: Lease, letter: DeadLetter) -> Self {
        Self { lease, letter }
    }
}
