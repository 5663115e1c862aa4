//! The table: an event's inbox and name, then its handler.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::event::InboxId;

use super::handler::{Handler, HandlerFuture, Route};
use crate::verified::VerifiedEvent;

/// A handler in the table, and what it says of itself.
pub(super) struct Entry<S> {
    pub(super) handler: Arc<dyn Handler<S>>,
    pub(super) route: Route,
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), route: self.route }
    }
}

impl<S> fmt::Debug for Entry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.route.name, self.route.location)
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
    inboxes: HashMap<InboxId, Events<S>>,
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
                events.0.push((event, entry));
                Ok(())
            }
        }
    }

    /// The handler for an event of an inbox: the inbox's own first, then the one for all others.
    pub(super) fn get(&self, inbox: Option<&InboxId>, event: &str) -> Option<&Entry<S>> {
        let own = inbox.and_then(|id| self.inboxes.get(id)).and_then(|events| events.get(event));
        own.or_else(|| self.others.get(event))
    }
}

impl<S: Send + Sync + 'static> Table<S> {
    /// Gives every handler its state.
    pub(super) fn with_state(self, state: &Arc<S>) -> Table<()> {
        let bind = |Events(events): Events<S>| {
            let bind = |(event, Entry { handler, route })| {
                let handler = WithState { handler, state: Arc::clone(state) };
                (event, Entry { handler: Arc::new(handler) as Arc<dyn Handler<()>>, route })
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
        Self { inboxes: HashMap::new(), others: Events::default() }
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
