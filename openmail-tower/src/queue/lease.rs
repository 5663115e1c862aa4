//! Claims: which worker runs which entry, and for how long.

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

/// A worker's presence in a store. It ends when this is dropped or the process dies.
pub struct Registration {
    worker: WorkerId,
    _presence: Box<dyn Any + Send + Sync>,
}

impl Registration {
    /// Creates a registration; for stores. `presence` is something that others can see while the
    /// worker is alive, such as a lock. A store that has nothing like that passes `()`; the entries
    /// of its dead workers then wait until their leases expire.
    pub fn new(worker: WorkerId, presence: impl Any + Send + Sync) -> Self {
        Self { worker, _presence: Box::new(presence) }
    }

    /// Returns the worker's id.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// The right to run and settle an entry, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The id of the entry.
    pub id: EntryId,
    /// The fencing token. It increases with each lease of this entry, so that a former holder can
    /// no longer change anything.
    pub token: i64,
    /// The entry's lane.
    pub lane: Option<String>,
}

impl Lease {
    /// Creates a lease; for stores.
    pub fn new(id: EntryId, token: i64, lane: Option<String>) -> Self {
        Self { id, token, lane }
    }
}

/// A leased entry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// Whether it is an event or a reply.
    pub role: Role,
    /// The number of this run, from 1. Runs do not count if they were released, put off, held or
    /// given back, or if they were lost with their worker before the entry was a suspect.
    pub attempt: u32,
    /// Whether the entry must run alone, because its last two runs were lost with their workers.
    pub suspect: bool,
    /// Whether the last run was lost with its worker although it ran alone. That run counts as
    /// failed. The entry must not run under this lease, only be settled.
    pub was_lost: bool,
    /// Whether the entry was on hold for the maximum time.
    pub was_held: bool,
    /// How many runs have ended with [`Release`](super::Settlement::Release) or
    /// [`PutOff`](super::Settlement::PutOff) since the last run that counted as an attempt.
    pub releases: u32,
    /// The time since the current uninterrupted series of releases began; zero if there is none.
    pub released_for: Duration,
    /// The time since it was first [put off](super::Settlement::PutOff) or put on hold; zero if it
    /// never was, or not since it was requeued.
    pub put_off_for: Duration,
    /// The time since it was queued.
    pub age: Duration,
    /// The deduplication key; for a reply, its `Idempotency-Key`.
    pub key: Option<String>,
    /// The signed `event_id`; for a reply, that of the event it answers.
    pub event_id: Option<String>,
    /// The event's name, or the reply's.
    pub kind: String,
    /// The inbox that it is about.
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
    /// Creates a leased entry: an event that is claimed for the first time. For stores, which set
    /// the other fields.
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
    /// The entries, in order of arrival.
    pub entries: Vec<Claimed>,
    /// The time until the next entry is due, as far as is known now. A new entry may be due sooner.
    pub next_due: Option<Duration>,
    /// Whether due entries may have been left out although fewer than
    /// [`limit`](super::ClaimRequest::limit) were claimed: for lack of room, or because the search
    /// was not [`thorough`](super::ClaimRequest::thorough).
    pub limited: bool,
    /// Whether a suspect is due. Only a claim [for suspects](super::ClaimRequest::suspects) returns
    /// suspects, and it leaves this `false`.
    pub suspects: bool,
}

/// A dead letter to be reported, and the lease with which the report is confirmed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadReport {
    /// The lease.
    pub lease: Lease,
    /// The dead letter.
    pub letter: DeadLetter,
}

impl DeadReport {
    /// Creates a report; for stores.
    pub fn new(lease: Lease, letter: DeadLetter) -> Self {
        Self { lease, letter }
    }
}
