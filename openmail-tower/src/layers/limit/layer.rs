//! [`InboxLimitLayer`].

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{service::InboxLimit, slots::Slots};

/// Lets so many events of each inbox run at a time, and no more: one busy or slow agent does not
/// take what the others need.
///
/// An event beyond that waits its turn, in order of arrival. Where it has waited for
/// [`wait`](Self::wait), it is answered as
/// [`Unavailable`](crate::HandlerErrorKind::Unavailable): nothing was run, come back later. An
/// [`Endpoint`](crate::Endpoint) makes 503 of that; a queue's worker takes the event again later and
/// does not count the attempt. Whatever is dropped gives back its place.
///
/// Everything that one layer and its clones wrap shares the limit. An inbox takes memory only while
/// events of it run or wait. Events without an inbox are not limited.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{EventRouter, layers::InboxLimitLayer};
/// use tower::Layer;
///
/// let router: EventRouter = EventRouter::new();
/// let events = InboxLimitLayer::new(4).wait(Duration::from_secs(2)).layer(router);
/// ```
#[derive(Debug, Clone)]
pub struct InboxLimitLayer {
    slots: Arc<Slots>,
    wait: Duration,
}

impl InboxLimitLayer {
    /// Lets `runs` events of each inbox run at a time.
    ///
    /// # Panics
    /// When it is 0, or more than a `u32` holds.
    pub fn new(runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        assert!(u32::try_from(runs).is_ok(), "that is no limit");
        Self { slots: Arc::new(Slots::new(runs)), wait: Duration::from_secs(5) }
    }

    /// How long an event may wait for its turn. Default: 5 s, which leaves time to run before
    /// OpenMail hangs up.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl<E> Layer<E> for InboxLimitLayer {
    type Service = InboxLimit<E>;

    fn layer(&self, events: E) -> InboxLimit<E> {
        InboxLimit::new(events, Arc::clone(&self.slots), self.wait)
    }
}
