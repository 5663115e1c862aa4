//! [`Inboxes`]: binds handlers to inboxes while events are being served.

use std::{
    cell::Cell,
    fmt,
    panic::Location,
    sync::{Arc, PoisonError, RwLock},
};

use tower_service::Service;

use crate::{
    event::{InboxId, InboxMap},
    handler::{EventHandler, Handler},
    seam::{BoxError, Outcome, VerifiedEvent},
};

use super::{
    binding::{About, Bound, Entry, stateful},
    service_handler::ServiceHandler,
    table::Table,
};

/// All bindings made at run time. A lookup of an inbox never waits, neither for a writer nor while
/// the map grows.
#[derive(Default)]
pub(super) struct Live {
    inboxes: InboxMap<Bound<Entry<()>>>,
    fallback: RwLock<Option<Arc<dyn Handler<()>>>>,
}

impl Live {
    pub(super) fn get(&self, inbox: &InboxId, event: &str) -> Option<Arc<dyn Handler<()>>> {
        let map = self.inboxes.pin();
        let entry = map.get(inbox)?.all().iter().find(|entry| entry.about.takes(event))?;
        Some(Arc::clone(&entry.handler))
    }

    pub(super) fn fallback(&self) -> Option<Arc<dyn Handler<()>>> {
        self.fallback.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn len(&self) -> usize {
        self.inboxes.len()
    }

    fn insert(&self, inbox: &InboxId, entry: &Entry<()>) -> Result<(), About> {
        let map = self.inboxes.pin();
        loop {
            if map.try_insert(inbox.clone(), Bound::One(entry.clone())).is_ok() {
                return Ok(());
            }
            let taken = Cell::new(None);
            let updated = map.update(inbox.clone(), |bound| {
                let mut all = bound.all().iter().map(|other| other.about);
                taken.set(all.find(|other| other.overlaps(entry.about)));
                if taken.get().is_some() { bound.clone() } else { bound.and(entry.clone()) }
            });
            // `None` means that the inbox was unbound in between, so this tries to insert again.
            if updated.is_some() {
                return taken.get().map_or(Ok(()), Err);
            }
        }
    }
}

/// Binds handlers and services to inboxes while the router is serving, from any thread.
///
/// Created by [`EventRouter::inboxes`](crate::EventRouter::inboxes). An event's inbox is looked up
/// among the router's own handlers first, then among these bindings; if neither has a handler for
/// the event, the event goes to the router's handler that names no inbox. A lookup never waits for
/// a binding, and takes less than a microsecond even among a million inboxes.
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};
///
/// #[derive(Clone)]
/// struct Agents;
///
/// #[openmail_handler(event = "message.received")]
/// async fn answer(mail: &MessageReceived, State(agents): State<Agents>) {}
///
/// let router = EventRouter::new();
/// let inboxes = router.inboxes().with_state(Agents);
///
/// inboxes.bind("inb_new", answer).unwrap();
/// let error = inboxes.bind("inb_new", answer).unwrap_err();
/// assert!(error.to_string().contains("`answer`"));
///
/// assert!(inboxes.unbind("inb_new"));
/// # }
/// ```
pub struct Inboxes<S = ()> {
    live: Arc<Live>,
    start_up: Arc<Table<()>>,
    state: Arc<S>,
}

impl Inboxes {
    pub(super) fn new(live: Arc<Live>, start_up: Arc<Table<()>>) -> Self {
        Self { live, start_up, state: Arc::default() }
    }

    /// Sets the state for the handlers that this handle binds.
    #[must_use]
    pub fn with_state<S>(self, state: S) -> Inboxes<S> {
        Inboxes { live: self.live, start_up: self.start_up, state: Arc::new(state) }
    }
}

impl<S: Send + Sync + 'static> Inboxes<S> {
    /// Binds a handler to an inbox, for the events that its attribute names. The inboxes that the
    /// attribute names are ignored.
    ///
    /// # Errors
    /// If the inbox already has a handler or a service of its own for one of these events. Then
    /// nothing changes, and the error names it.
    pub fn bind<H: EventHandler<S>>(
        &self,
        inbox: impl Into<InboxId>,
        handler: H,
    ) -> Result<(), AlreadyBound> {
        let about = About::Handler(const { &H::ROUTE });
        self.insert(inbox.into(), &Entry { handler: self.stateful(handler), about })
    }

    /// Binds a service to an inbox, for all its events, and replaces everything that was bound to
    /// the inbox at run time. The change is atomic: each event finds either the old binding or the
    /// new one. Each event is passed to a clone of the service once the clone is ready.
    ///
    /// # Errors
    /// If one of the router's own handlers names this inbox, or was added for it.
    #[track_caller]
    pub fn replace_service<E>(
        &self,
        inbox: impl Into<InboxId>,
        service: E,
    ) -> Result<(), AlreadyBound>
    where
        E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
        E::Error: Into<BoxError>,
        E::Future: Send,
    {
        let (inbox, about) = (inbox.into(), About::Service(Location::caller()));
        let entry = Entry { handler: Arc::new(ServiceHandler(service)), about };
        if let Some(there) = self.start_up.overlap(&inbox, about) {
            return Err(AlreadyBound { inbox, there, other: about });
        }
        self.live.inboxes.pin().insert(inbox, Bound::One(entry));
        Ok(())
    }

    /// Sets the service for all events that no handler matches. It replaces the router's own
    /// fallback and any that was set at run time before. `None` restores the router's own.
    pub fn set_fallback<E>(&self, service: Option<E>)
    where
        E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
        E::Error: Into<BoxError>,
        E::Future: Send,
    {
        let fallback = service.map(|service| Arc::new(ServiceHandler(service)) as _);
        *self.live.fallback.write().unwrap_or_else(PoisonError::into_inner) = fallback;
    }

    /// Removes everything bound to an inbox at run time. Returns whether anything was bound. Runs
    /// in progress continue.
    pub fn unbind(&self, inbox: impl AsRef<str>) -> bool {
        self.live.inboxes.pin().remove(inbox.as_ref()).is_some()
    }

    /// Returns whether anything is bound to an inbox at run time.
    pub fn contains(&self, inbox: impl AsRef<str>) -> bool {
        self.live.inboxes.pin().contains_key(inbox.as_ref())
    }

    fn stateful<H: Handler<S>>(&self, handler: H) -> Arc<dyn Handler<()>> {
        let state = Arc::clone(&self.state);
        stateful(move |event| handler.call(event, Arc::clone(&state)))
    }

    fn insert(&self, inbox: InboxId, entry: &Entry<()>) -> Result<(), AlreadyBound> {
        let taken = match self.start_up.overlap(&inbox, entry.about) {
            Some(taken) => Err(taken),
            None => self.live.insert(&inbox, entry),
        };
        taken.map_err(|there| AlreadyBound { inbox, there, other: entry.about })
    }
}

impl<S> Clone for Inboxes<S> {
    fn clone(&self) -> Self {
        Self {
            live: Arc::clone(&self.live),
            start_up: Arc::clone(&self.start_up),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S> fmt::Debug for Inboxes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inboxes").field("bound", &self.live.len()).finish_non_exhaustive()
    }
}

/// The error for an inbox to which something is already bound.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{there} is already bound to the inbox `{inbox}`, so {other} cannot be bound to it")]
pub struct AlreadyBound {
    inbox: InboxId,
    there: About,
    other: About,
}
