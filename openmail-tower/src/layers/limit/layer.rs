//! [`InboxLimitLayer`].

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{service::InboxLimit, slots::Slots};

/// Limits how many events of each inbox run at a time, so that one busy or slow agent does not take
/// what the others need.
///
/// An event beyond the limit waits its turn, in order of arrival. If it has waited for
/// [`wait`](Self::wait), it fails as [`Unavailable`](crate::HandlerErrorKind::Unavailable), without
/// having run, and is retried later. An [`Endpoint`](crate::Endpoint) answers with 503; a queue's
/// worker runs the event later and does not count the attempt. An event that is dropped gives up
/// its place.
///
/// All services wrapped by one layer and its clones share the limit. An inbox takes memory only
/// while its events run or wait. Events without an inbox are not limited.
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
    /// Creates a layer that lets at most `runs` events of each inbox run at a time.
    ///
    /// # Panics
    /// If `runs` is 0, or does not fit into a `u32`.
    pub fn new(runs: usize) -> Self {
        assert!(runs > 0, "with a limit of 0 no event would ever run");
        assert!(u32::try_from(runs).is_ok(), "the limit must fit into a u32");
        Self { slots: Arc::new(Slots::new(runs)), wait: Duration::from_secs(5) }
    }

    /// Sets the maximum time that an event waits for its turn. Default: 5 s, which leaves time to
    /// run before OpenMail hangs up.
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
