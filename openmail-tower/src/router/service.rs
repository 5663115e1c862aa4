//! [`EventRouter`].

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    handler::{EventHandler, Handler},
    seam::{BoxError, HandlerError, Outcome, OutcomeFuture, VerifiedEvent},
    telemetry::{Fields, Run, Runner},
};

use super::{
    binding::{About, stateful},
    inboxes::{Inboxes, Live},
    service_handler::ServiceHandler,
    table::Table,
};

/// Routes each event to the handler for its name and its inbox.
///
/// An event goes to the first of these that exists: the handler for its name and inbox; the handler
/// for its name and every inbox; the fallback. If there is none, the result is
/// [`Outcome::Unrouted`]. An event that has a [`misfit`](crate::Event::misfit) skips the handlers
/// for its name. A router whose handlers take a state is a service only after
/// [`with_state`](Self::with_state). To bind inboxes that come and go while the router serves, use
/// [`inboxes`](EventRouter::inboxes).
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use openmail_tower::{EventRouter, MessageReceived, handler::State, openmail_handler};
///
/// #[derive(Clone)]
/// struct Agent;
///
/// #[openmail_handler(event = "message.received", inbox = "inb_support")]
/// async fn support(mail: &MessageReceived, State(agent): State<Agent>) {}
///
/// let router = EventRouter::new().handler(support).with_state(Agent);
/// # }
/// ```
pub struct EventRouter<S = ()> {
    table: Arc<Table<S>>,
    live: Arc<Live>,
    fallback: Option<Arc<dyn Handler<S>>>,
    state: Arc<()>,
}

impl<S: Send + Sync + 'static> EventRouter<S> {
    /// Creates a router without handlers.
    pub fn new() -> Self {
        Self { table: Arc::default(), live: Arc::default(), fallback: None, state: Arc::default() }
    }

    /// Adds a handler for the events and inboxes that its attribute names.
    ///
    /// # Panics
    /// If another handler is registered for the same event, and both name the same inbox or none,
    /// or if the handler names an inbox twice. The message names what overlaps, and where it is.
    #[must_use]
    pub fn handler<H: EventHandler<S>>(self, handler: H) -> Self {
        let inboxes = H::ROUTE.inboxes;
        if inboxes.is_empty() {
            return self.insert([None], handler);
        }
        self.insert(inboxes.iter().map(|id| Some(*id)), handler)
    }

    /// Adds a handler for one inbox, and ignores the inboxes that its attribute names. Use this for
    /// ids that are only known at start-up.
    ///
    /// # Panics
    /// As for [`handler`](Self::handler).
    #[must_use]
    pub fn inbox<H: EventHandler<S>>(self, id: impl AsRef<str>, handler: H) -> Self {
        self.insert([Some(id.as_ref())], handler)
    }

    /// Sets the handler for all events that no other handler matches, and ignores the events and
    /// inboxes that its attribute names. If it takes a payload that only some events have, such as
    /// `&MessageReceived`, it fails permanently on the others. Without `event` in its attribute,
    /// the compiler only allows what every event has.
    ///
    /// # Panics
    /// If a fallback was already set.
    #[must_use]
    pub fn fallback<H: Handler<S>>(mut self, handler: H) -> Self {
        assert!(self.fallback.is_none(), "the router already has a fallback");
        self.fallback = Some(Arc::new(handler));
        self
    }

    /// Sets a service as the fallback, as [`fallback`](Self::fallback) does for a handler. Each
    /// event is passed to a clone of it once the clone is ready.
    ///
    /// # Panics
    /// If a fallback was already set.
    #[must_use]
    pub fn fallback_service<E>(self, service: E) -> Self
    where
        E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
        E::Error: Into<BoxError>,
        E::Future: Send,
    {
        self.fallback(ServiceHandler(service))
    }

    /// Sets the state of the handlers: each takes the whole state or, by
    /// [`FromRef`](crate::handler::FromRef), a part of it.
    #[must_use]
    pub fn with_state(self, state: S) -> EventRouter {
        let state = Arc::new(state);
        let fallback = self.fallback.map(|handler| {
            let state = Arc::clone(&state);
            stateful(move |event| handler.call(event, Arc::clone(&state)))
        });
        let table = Arc::unwrap_or_clone(self.table).with_state(&state);
        EventRouter { table: Arc::new(table), live: self.live, fallback, state: Arc::default() }
    }

    fn insert<'a, H: EventHandler<S>>(
        mut self,
        inboxes: impl IntoIterator<Item = Option<&'a str>>,
        handler: H,
    ) -> Self {
        let table = Arc::make_mut(&mut self.table);
        let place = table.enter(handler);
        for inbox in inboxes {
            if let Err(taken) = table.bind(inbox, place) {
                let new = About::Handler(const { &H::ROUTE });
                let event = H::ROUTE.events.iter().find(|event| taken.takes(event));
                let event = event.expect("overlapping handlers share an event");
                let of = inbox.map(|id| format!(" of inbox `{id}`")).unwrap_or_default();
                panic!("both {taken} and {new} handle `{event}`{of}");
            }
        }
        self
    }
}

impl EventRouter {
    /// Returns a handle that binds handlers and services to inboxes while the router and its clones
    /// are serving. Call this after all handlers are added: [`Inboxes`] rejects a binding that
    /// overlaps with one of them, but does not know of handlers that are added later.
    pub fn inboxes(&self) -> Inboxes {
        Inboxes::new(Arc::clone(&self.live), Arc::clone(&self.table))
    }

    fn find(&self, event: &VerifiedEvent) -> Option<Arc<dyn Handler<()>>> {
        #[cfg(feature = "agents")]
        if event.extensions().get::<crate::seam::ForFallback>().is_some() {
            return self.rest();
        }
        // A handler for mail is not called with an event that lacks a mail.
        let name = event.event().routing_name();
        let own = event.inbox_id().and_then(|inbox| {
            let own = self.table.own(inbox, name).cloned();
            own.or_else(|| self.live.get(inbox, name))
        });
        own.or_else(|| self.table.other(name).cloned()).or_else(|| self.rest())
    }

    fn rest(&self) -> Option<Arc<dyn Handler<()>>> {
        let live = self.live.fallback();
        live.or_else(|| self.fallback.clone())
    }
}

impl<S: Send + Sync + 'static> Default for EventRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Clone for EventRouter<S> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            live: Arc::clone(&self.live),
            fallback: self.fallback.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S> fmt::Debug for EventRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRouter")
            .field("table", &self.table)
            .field("bound", &self.live.len())
            .field("fallback", &self.fallback.is_some())
            .finish_non_exhaustive()
    }
}

impl Service<VerifiedEvent> for EventRouter {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut event: VerifiedEvent) -> OutcomeFuture {
        let Some(handler) = self.find(&event) else {
            return OutcomeFuture::ready(Ok(Outcome::Unrouted));
        };
        let state = Arc::clone(&self.state);
        if event.begin_run()
            && let Some(run) = Run::of_delivery(Fields::from(&event))
        {
            return OutcomeFuture::new(Runner::new(run, || handler.call(event, state)));
        }
        handler.call(event, state)
    }
}
