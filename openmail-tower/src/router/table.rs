//! The routing table: from an event's inbox and name to its handler.

use std::{any::TypeId, collections::HashMap, fmt, sync::Arc};

use crate::{
    event::{InboxId, InboxMap},
    handler::{EventHandler, Handler},
};

use super::binding::{About, Bound, Entry, stateful};

/// The index of a handler in the table.
type Place = u32;

/// All handlers of a router except the fallback.
pub(super) struct Table<S> {
    /// Each handler is stored once, however many inboxes it is bound to, so lookups mostly end at
    /// the same few entries, which are in the processor's cache.
    handlers: Vec<Entry<S>>,
    by_type: HashMap<TypeId, Place>,
    inboxes: InboxMap<Bound<Place>>,
    others: Vec<Place>,
}

impl<S> Table<S> {
    /// Adds a handler. A zero-sized handler equals any other of its type, so it is added only once.
    pub(super) fn enter<H: EventHandler<S>>(&mut self, handler: H) -> Place {
        let next = Place::try_from(self.handlers.len()).expect("fewer than 2^32 handlers");
        if size_of::<H>() == 0 {
            let place = *self.by_type.entry(TypeId::of::<H>()).or_insert(next);
            if place != next {
                return place;
            }
        }
        let about = About::Handler(const { &H::ROUTE });
        self.handlers.push(Entry { handler: Arc::new(handler), about });
        next
    }

    /// Binds a handler to an inbox or, with `None`, to every inbox without its own handler for the
    /// event. The error is the handler that overlaps with it.
    pub(super) fn bind(&mut self, inbox: Option<&str>, place: Place) -> Result<(), About> {
        let about = self.handlers[place as usize].about;
        let inboxes = self.inboxes.pin();
        let bound = match inbox {
            Some(id) => inboxes.get(id).map_or(&[][..], Bound::all),
            None => &self.others,
        };
        if let Some(taken) = self.overlapping(bound, about) {
            return Err(taken);
        }
        match inbox {
            Some(id) => {
                let bound = inboxes.get(id).map(|bound| bound.and(place));
                inboxes.insert(id.into(), bound.unwrap_or(Bound::One(place)));
            }
            None => self.others.push(place),
        }
        Ok(())
    }

    /// Returns the handler that is bound to an inbox for an event.
    pub(super) fn own(&self, inbox: &InboxId, event: &str) -> Option<&Arc<dyn Handler<S>>> {
        self.find(self.inboxes.pin().get(inbox)?.all(), event)
    }

    /// Returns the handler for an event of inboxes without their own handler.
    pub(super) fn other(&self, event: &str) -> Option<&Arc<dyn Handler<S>>> {
        self.find(&self.others, event)
    }

    /// Returns what overlaps with a new binding for an inbox.
    pub(super) fn overlap(&self, inbox: &InboxId, other: About) -> Option<About> {
        self.overlapping(self.inboxes.pin().get(inbox)?.all(), other)
    }

    fn find(&self, bound: &[Place], event: &str) -> Option<&Arc<dyn Handler<S>>> {
        Some(&self.entries(bound).find(|entry| entry.about.takes(event))?.handler)
    }

    fn overlapping(&self, bound: &[Place], other: About) -> Option<About> {
        self.entries(bound).map(|entry| entry.about).find(|about| about.overlaps(other))
    }

    fn entries(&self, bound: &[Place]) -> impl Iterator<Item = &Entry<S>> {
        bound.iter().map(|place| &self.handlers[*place as usize])
    }
}

impl<S: Send + Sync + 'static> Table<S> {
    /// Gives every handler its state.
    pub(super) fn with_state(self, state: &Arc<S>) -> Table<()> {
        let bind = |Entry { handler, about }: Entry<S>| {
            let state = Arc::clone(state);
            Entry { handler: stateful(move |event| handler.call(event, Arc::clone(&state))), about }
        };
        Table {
            handlers: self.handlers.into_iter().map(bind).collect(),
            // A handler added later may have another state, so handlers of the same type are no
            // longer equal.
            by_type: HashMap::new(),
            inboxes: self.inboxes,
            others: self.others,
        }
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.entries(&self.others).map(|entry| entry.about);
        f.debug_set()
            .entries(others)
            .entry(&format_args!("{} inboxes", self.inboxes.len()))
            .finish()
    }
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self {
            handlers: self.handlers.clone(),
            by_type: self.by_type.clone(),
            inboxes: self.inboxes.clone(),
            others: self.others.clone(),
        }
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self {
            handlers: Vec::new(),
            by_type: HashMap::new(),
            inboxes: InboxMap::default(),
            others: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        handler::{Location, Route},
        seam::{Outcome, OutcomeFuture, VerifiedEvent},
    };

    struct Of<T>(T);

    impl<T: Send + Sync + 'static> EventHandler<()> for Of<T> {
        const ROUTE: Route = Route {
            name: "of",
            events: &["message.received"],
            inboxes: &[],
            location: Location { file: "", line: 0 },
        };
    }

    impl<T: Send + Sync + 'static> Handler<()> for Of<T> {
        fn call(&self, _: VerifiedEvent, _: Arc<()>) -> OutcomeFuture {
            OutcomeFuture::ready(Ok(Outcome::Done))
        }
    }

    #[test]
    fn only_zero_sized_handlers_are_shared() {
        let mut table = Table::default();
        let [first, again, other] =
            [table.enter(Of(())), table.enter(Of(())), table.enter(Of([0; 0]))];
        assert_eq!((first, again, other), (0, 0, 1));
        assert_eq!((table.enter(Of(1)), table.enter(Of(2))), (2, 3));
        table.bind(Some("inb_1"), 2).unwrap();
        table.bind(Some("inb_2"), 3).unwrap();
        let found =
            |inbox: &str| Arc::as_ptr(table.own(&inbox.into(), "message.received").unwrap());
        assert!(!std::ptr::addr_eq(found("inb_1"), found("inb_2")));
    }
}
