//! What a queue keeps: events, leases, dead letters.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::seam::StoredEvent;

/// Names an event in the queue. Later arrivals have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event to be queued.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEntry {
    /// What no two entries of the queue share; none for an event without an id.
    pub key: Option<String>,
    /// The lane it runs in; none for one that waits for nobody.
    pub lane: Option<String>,
    /// The signed `event_id`.
    pub event_id: Option<String>,
    /// The event's name.
    pub kind: String,
    /// The inbox it is about.
    pub inbox_id: Option<String>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// The body and the signed time.
    pub stored: StoredEvent,
}

/// The right to run an event and to say what became of it, until it ends or is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The event.
    pub id: EntryId,
    /// The fencing token: higher in each lease of this event, so that a former holder changes
    /// nothing any more.
    pub token: i64,
    /// The event's lane.
    pub lane: Option<String>,
}

impl Lease {
    /// A lease, for a store to give.
    pub fn new(id: EntryId, token: i64, lane: Option<String>) -> Self {
        Self { id, token, lane }
    }
}

/// An event that is leased.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// Which run this is, from 1.
    pub attempt: u32,
    /// Whether it was claimed before and its lease ran out, so that this run was cut off somewhere.
    /// It counts as a failure, and is not to be begun again under this lease.
    pub was_lost: bool,
    /// The event.
    pub stored: StoredEvent,
}

impl Claimed {
    /// An event that is leased, for a store to give.
    pub fn new(lease: Lease, attempt: u32, was_lost: bool, stored: StoredEvent) -> Self {
        Self { lease, attempt, was_lost, stored }
    }
}

/// What a claim came to.
#[derive(Debug, Default)]
pub struct Claims {
    /// The events, the earliest arrivals first.
    pub events: Vec<Claimed>,
    /// In how long another event will be due, as far as it is known now. It may be sooner.
    pub next_due: Option<Duration>,
}

/// What became of an event that was leased.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Settlement {
    /// It is done.
    Done,
    /// It runs again, in `after` at the earliest.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why it failed.
        error: String,
        /// Whether its lane waits for it; else others of the lane may go before.
        holds_lane: bool,
    },
    /// It becomes a dead letter.
    Bury {
        /// Why it failed.
        error: String,
    },
    /// It was not run: the lease is given back, and the attempt does not count, unless it
    /// [was lost](Claimed::was_lost) before.
    Release {
        /// How long to wait.
        after: Duration,
    },
}

impl Settlement {
    /// Whether the event will not run again by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Bury { .. })
    }
}

/// An event that is not run any more, until it is requeued.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its name in the queue.
    pub id: EntryId,
    /// The signed `event_id`.
    pub event_id: Option<String>,
    /// The event's name.
    pub kind: String,
    /// The inbox it is about.
    pub inbox_id: Option<String>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// How often it was run.
    pub attempts: u32,
    /// Why the last run failed.
    pub error: String,
    /// When it was queued.
    pub queued_at: SystemTime,
    /// When it was buried.
    pub buried_at: SystemTime,
}

impl DeadLetter {
    /// A dead letter, for a store to give: by its name, the event's name, how often it was run, why
    /// the last run failed, and when it was queued and buried.
    pub fn new(
        id: EntryId,
        kind: String,
        attempts: u32,
        error: String,
        [queued_at, buried_at]: [SystemTime; 2],
    ) -> Self {
        let (event_id, inbox_id, thread_id) = (None, None, None);
        Self { id, event_id, kind, inbox_id, thread_id, attempts, error, queued_at, buried_at }
    }
}

/// How many events are in which state. Those that are done are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// To be run now, or once their back-off has passed.
    pub ready: u64,
    /// Leased by a worker.
    pub running: u64,
    /// Behind another event of their lane.
    pub blocked: u64,
    /// Dead letters.
    pub dead: u64,
}
