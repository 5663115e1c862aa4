//! What the main loop of a worker waits for.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
};

use tokio::{task::JoinError, time::Instant};
use tower_service::Service;

use crate::{
    queue::{
        entry::EntryId,
        error::QueueError,
        lease::{Claims, Lease},
    },
    seam::{BoxError, CatchPanic, HandlerError, VerifiedEvent},
};

use super::run::Ended;

/// A request to the store, and when it was made.
pub(super) struct Pending<T> {
    pub(super) asked: Instant,
    /// The number of entries that a claim asked for.
    pub(super) limit: usize,
    pub(super) answer: Pin<Box<dyn Future<Output = T> + Send>>,
}

/// The leases that were to be renewed, and which of them were lost.
pub(super) type Renewed = (Vec<Lease>, Result<Vec<EntryId>, QueueError>);

/// The result of a task.
pub(super) enum Step {
    Ran(Lease, Ended),
    Settled(Lease, bool),
}

/// The deadlines of a worker that is stopping, and the number of runs it has cancelled.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    /// When the runs in progress are cancelled.
    pub(super) cut_at: Instant,
    /// When the worker no longer waits for anything.
    pub(super) end_at: Instant,
    pub(super) cut: usize,
}

/// What the main loop reacts to.
pub(super) enum Wakeup {
    Stop,
    Claimed(Result<Claims, QueueError>),
    Renewed(Renewed),
    Ready(Result<(), HandlerError>),
    Ended(Option<Result<(tokio::task::Id, Step), JoinError>>),
    Changed,
    Time,
}

pub(super) async fn answer<T>(pending: &mut Option<Pending<T>>) -> T {
    match pending {
        Some(pending) => pending.answer.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Waits until the service is ready for an event.
pub(super) async fn ready<E>(events: &mut E) -> Result<(), HandlerError>
where
    E: Service<VerifiedEvent>,
    E::Error: Into<BoxError>,
{
    match CatchPanic::new(|| poll_fn(|cx| events.poll_ready(cx))).await {
        Ok(ready) => ready.map_err(|error| HandlerError::from_boxed(error.into())),
        Err(panic) => Err(HandlerError::panicked(panic)),
    }
}
