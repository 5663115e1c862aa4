//! The table: an event's inbox and name, then its handler.

use std::{collections::HashMap, fmt, panic::Location, sync::Arc};

use foldhash::fast::RandomState;

use crate::event::InboxId;

use super::handler::{Handler, HandlerFuture, Route};
use crate::verified::VerifiedEvent;

/// A handler in the table, and what it is.
pub(super) struct Entry<S> {
    pub(super) handler: Arc<dyn Handler<S>>,
    pub(super) about: About,
}

/// What stands behind an entry: enough to name it.
#[derive(Clone, Copy)]
pub(super) enum About {
    Handler(&'static Route),
    /// A service, bound there; it takes all events.
    Service(&'static Location<'static>),
}

impl<S> Entry<S> {
    pub(super) fn takes(&self, event: &str) -> bool {
        match self.about {
            About::Handler(route) => route.events.contains(&event),
            About::Service(_) => true,
        }
    }

    pub(super) fn overlaps<T>(&self, other: &Entry<T>) -> bool {
        match self.about {
            About::Handler(route) => route.events.iter().any(|event| other.takes(event)),
            About::Service(_) => true,
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), about: self.about }
    }
}

impl<S> fmt::Debug for Entry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.fmt(f)
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(route) => write!(f, "`{}` ({})", route.name, route.location),
            Self::Service(place) => write!(f, "the service of {}:{}", place.file(), place.line()),
        }
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Handlers by the name of their event. An inbox has few of them, so a list is as good as a map.
struct Events<S>(Vec<(&'static str, Entry<S>)>);

impl<S> Events<S> {
    fn get(&self, event: &str) -> Option<&Entry<S>> {
        self.0.iter().find_map(|(name, entry)| (*name == event).then_some(entry))
    }
}

impl<S> Clone for Events<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Default for Events<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Every handler of a router but the fallback.
pub(super) struct Table<S> {
    inboxes: HashMap<InboxId, Events<S>, RandomState>,
    others: Events<S>,
}

impl<S> Table<S> {
    /// Enters a handler for one event, of one inbox or of all others; gives back the entry that is
    /// in its way.
    pub(super) fn insert(
        &mut self,
        inbox: Option<&str>,
        event: &'static str,
        entry: Entry<S>,
    ) -> Result<(), Entry<S>> {
        let events = match inbox {
            Some(id) => self.inboxes.entry(id.into()).or_default(),
            None => &mut self.others,
        };
        match events.get(event) {
            Some(taken) => Err(taken.clone()),
            None => {
                // Most inboxes have one: no room for more.
                events.0.reserve_exact(1);
                events.0.push((event, entry));
                Ok(())
            }
        }
    }

    /// The handler for an event of an inbox that is the inbox's own.
    pub(super) fn own(&self, inbox: &InboxId, event: &str) -> Option<&Arc<dyn Handler<S>>> {
        Some(&self.inboxes.get(inbox)?.get(event)?.handler)
    }

    /// The handler for an event of every inbox without one of its own.
    pub(super) fn other(&self, event: &str) -> Option<&Arc<dyn Handler<S>>> {
        Some(&self.others.get(event)?.handler)
    }

    /// What is in the way of an entry for an inbox.
    pub(super) fn overlap<T>(&self, inbox: &InboxId, entry: &Entry<T>) -> Option<About> {
        let Events(own) = self.inboxes.get(inbox)?;
        own.iter().find(|(event, _)| entry.takes(event)).map(|(_, taken)| taken.about)
    }
}

impl<S: Send + Sync + 'static> Table<S> {
    /// Gives every handler its state.
    pub(super) fn with_state(self, state: &Arc<S>) -> Table<()> {
        let bind = |Events(events): Events<S>| {
            let bind = |(event, Entry { handler, about })| {
                let handler = WithState { handler, state: Arc::clone(state) };
                (event, Entry { handler: Arc::new(handler) as Arc<dyn Handler<()>>, about })
            };
            Events(events.into_iter().map(bind).collect())
        };
        Table {
            inboxes: self.inboxes.into_iter().map(|(id, events)| (id, bind(events))).collect(),
            others: bind(self.others),
        }
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.0.iter().map(|(event, entry)| (event, entry));
        f.debug_map().entries(others).entry(&"inboxes", &self.inboxes.len()).finish()
    }
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self { inboxes: self.inboxes.clone(), others: self.others.clone() }
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { inboxes: HashMap::default(), others: Events::default() }
    }
}

/// A handler and its state: a handler that needs none.
pub(super) struct WithState<S> {
    pub(super) handler: Arc<dyn Handler<S>>,
    pub(super) state: Arc<S>,
}

impl<S: Send + Sync + 'static> Handler<()> for WithState<S> {
    fn call(&self, event: VerifiedEvent, _: Arc<()>) -> HandlerFuture {
        self.handler.call(event, Arc::clone(&self.state))
    }
}
