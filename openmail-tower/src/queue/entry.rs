//! The contents of a queue: entries, dead letters, counts.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::seam::StoredEvent;

/// The id of an entry. Later arrivals have higher ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an entry is an event or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// An event to be handled.
    #[default]
    Event,
    /// A reply to be sent.
    Reply,
}

/// An event to be queued.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEntry {
    /// The deduplication key: no two entries of the queue have the same one. `None` for an event
    /// without an id, which is never a duplicate.
    pub key: Option<String>,
    /// The lane. `None` for an event that does not wait for others.
    pub lane: Option<String>,
    /// The signed `event_id`.
    pub event_id: Option<String>,
    /// The event's name.
    pub kind: String,
    /// The inbox that it is about.
    pub inbox_id: Option<String>,
    /// The thread it belongs to.
    pub thread_id: Option<String>,
    /// The trace that the event belongs to, as a W3C `traceparent`.
    pub trace_context: Option<String>,
    /// The memory that the event takes while it runs, in bytes: its body and what is parsed from
    /// it.
    pub weight: u64,
    /// The body and the signed time.
    pub stored: StoredEvent,
}

/// A reply that is queued when the event that it answers is done.
///
/// It gets the lane, the ids and the trace context of that event. The replies to an event without a
/// lane share a lane of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewReply {
    /// The deduplication key, which is also the reply's `Idempotency-Key`. If the key is already in
    /// the queue, the reply is not added.
    pub key: String,
    /// A human-readable label for the entry: `reply`, or the reply's name.
    pub kind: String,
    /// The data needed to send it.
    pub body: Bytes,
}

impl NewReply {
    /// Creates a reply with a key, a kind and a body.
    pub fn new(key: impl Into<String>, kind: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { key: key.into(), kind: kind.into(), body: body.into() }
    }
}

/// An entry that was given up. It does not run again unless it is requeued.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The id of the entry.
    pub id: EntryId,
    /// Whether it is an event or a reply.
    pub role: Role,
    /// The signed `event_id`; for a reply, that of the event it answers.
    pub event_id: Option<String>,
    /// The event's name, or the reply's.
    pub kind: String,
    /// The inbox that it is about.
    pub inbox_id: Option<String>,
    /// The thread it belongs to.
    pub thread_id: Option<String>,
    /// The [`attempt`](super::Claimed::attempt) of its last claim.
    pub attempts: u32,
    /// Why it was given up. The stores of this crate keep the first 4,096 bytes.
    pub error: String,
    /// When it was queued.
    pub queued_at: SystemTime,
    /// When it became a dead letter.
    pub buried_at: SystemTime,
}

impl DeadLetter {
    /// Creates a dead letter from its id, the event's name, the number of attempts, the last error,
    /// and when it was queued and buried. For stores, which set the other fields.
    pub fn new(
        id: EntryId,
        kind: String,
        attempts: u32,
        error: String,
        queued_at: SystemTime,
        buried_at: SystemTime,
    ) -> Self {
        Self {
            id,
            role: Role::Event,
            event_id: None,
            kind,
            inbox_id: None,
            thread_id: None,
            attempts,
            error,
            queued_at,
            buried_at,
        }
    }
}

/// The number of entries in each state, for gauges. Done entries are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Entries that are due.
    pub ready: u64,
    /// Entries that wait for their next attempt.
    pub waiting: u64,
    /// Entries leased to a worker, including those whose leases have expired.
    pub running: u64,
    /// Entries behind another entry of their lane.
    pub blocked: u64,
    /// Entries on hold until they are released.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest due entry has been due. `None` if none is due.
    pub oldest: Option<Duration>,
    /// Live workers. With SQLite, a worker without a lock file is not counted, for example on a
    /// file system that does not support locks.
    pub workers: u64,
}

impl Counts {
    /// Returns the number of entries that are neither done nor dead.
    pub fn open(&self) -> u64 {
        self.ready + self.waiting + self.running + self.blocked + self.held
    }
}

/// How long finished entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How long the keys of done entries are kept, and so for how long a duplicate is recognised.
    pub done: Duration,
    /// How long dead letters are kept.
    pub dead: Duration,
}

impl Retention {
    /// Creates a retention from the durations for which done entries and dead letters are kept.
    pub fn new(done: Duration, dead: Duration) -> Self {
        Self { done, dead }
    }
}
