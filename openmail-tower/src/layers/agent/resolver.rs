//! [`AgentResolver`].

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    event::InboxId,
    seam::{BoxError, HandlerError, within},
};
use moka::{Expiry, future::Cache};
use tower_layer::Layer;

use super::{forgotten::Forgotten, service::ResolveAgent};

type Lookup<T> = dyn Fn(InboxId) -> Pin<Box<dyn Future<Output = Found<T>> + Send>> + Send + Sync;
type Found<T> = Result<Option<T>, LookupError>;
/// An inbox, and how often it had been forgotten when the lookup of its agent began.
type Key = (InboxId, u64);

/// A layer that finds the agent of each event's inbox and remembers it. The service behind it is
/// usually an [`EventRouter`](crate::EventRouter), whose handlers take the agent as
/// [`Agent<T>`](crate::layers::agent::Agent).
///
/// | the lookup returns | the event |
/// |---|---|
/// | an agent | continues with the agent |
/// | `None` | goes to the router's fallback, even if a handler matches |
/// | an error, or nothing in time | is retried later: [`Unavailable`](crate::HandlerErrorKind::Unavailable) |
///
/// An event without an inbox continues without an agent.
///
/// Results are remembered for a while, including that there is no agent; errors are not. If many
/// events of one inbox arrive at once, only one lookup runs; if the event that started it is
/// dropped, another event starts it again. Clones share what is remembered, unless a setting of one
/// of them is changed.
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use openmail_tower::{EventRouter, InboxId, MessageReceived, layers::{AgentResolver, agent::Agent}, openmail_handler};
/// use tower::Layer;
///
/// #[derive(Clone)]
/// struct Support { model: String }
///
/// async fn find(inbox: InboxId) -> Result<Option<Support>, std::io::Error> {
///     Ok(Some(Support { model: "small".into() })) // from a database
/// }
///
/// #[openmail_handler(event = "message.received")]
/// async fn answer(mail: &MessageReceived, Agent(support): Agent<Support>) {
///     println!("{} answers {:?}", support.model, mail.message.from);
/// }
///
/// let router: EventRouter = EventRouter::new().handler(answer);
/// let events = AgentResolver::new(find).layer(router);
/// # }
/// ```
pub struct AgentResolver<T> {
    known: Cache<Key, Option<T>>,
    forgotten: Arc<Forgotten>,
    lookup: Arc<Lookup<T>>,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    capacity: u64,
    found: Duration,
    not_found: Duration,
    timeout: Duration,
}

impl<T: Clone + Send + Sync + 'static> AgentResolver<T> {
    /// Creates a resolver that finds agents with `lookup`. `Ok(None)` means that the inbox has
    /// none.
    pub fn new<F, R, E>(lookup: F) -> Self
    where
        F: Fn(InboxId) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let lookup = Arc::new(lookup);
        let lookup: Arc<Lookup<T>> = Arc::new(move |inbox| {
            let lookup = Arc::clone(&lookup);
            // Calls `lookup` only when this future is polled. While another event's lookup of the
            // same agent is in progress, this future is not polled.
            Box::pin(async move { lookup(inbox).await.map_err(|error| LookupError(error.into())) })
        });
        let settings = Settings {
            capacity: 10_000,
            found: Duration::from_secs(60),
            not_found: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        };
        Self { known: settings.cache(), forgotten: Arc::new(Forgotten::new()), lookup, settings }
    }

    /// Sets the maximum number of inboxes to remember. Default: 10,000.
    #[must_use]
    pub fn capacity(self, inboxes: u64) -> Self {
        let settings = Settings { capacity: inboxes, ..self.settings };
        self.with(settings)
    }

    /// Sets how long to remember an agent. Default: 60 s.
    #[must_use]
    pub fn remember(self, found: Duration) -> Self {
        let settings = Settings { found, ..self.settings };
        self.with(settings)
    }

    /// Sets how long to remember that an inbox has no agent. Default: 5 s.
    #[must_use]
    pub fn remember_none(self, not_found: Duration) -> Self {
        let settings = Settings { not_found, ..self.settings };
        self.with(settings)
    }

    /// Sets the maximum time of a lookup. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Forgets the agent of an inbox in this process, for example because it has changed. Events
    /// that arrive afterwards look it up again. A lookup in progress continues for the events that
    /// wait for it, but its result is not remembered.
    ///
    /// About one in a thousand other inboxes is forgotten as well.
    pub async fn forget(&self, inbox: impl AsRef<str>) {
        let inbox = inbox.as_ref();
        // From here on no event finds the entry; removing it only frees memory.
        let before = self.forgotten.forget(inbox);
        self.known.invalidate(&(inbox.into(), before)).await;
    }

    fn with(self, settings: Settings) -> Self {
        Self { known: settings.cache(), settings, ..self }
    }

    pub(super) async fn find(&self, inbox: &InboxId) -> Result<Option<T>, HandlerError> {
        let key: Key = (inbox.clone(), self.forgotten.count(inbox.as_str()));
        if let Some(known) = self.known.get(&key).await {
            return Ok(known);
        }
        let found = self.known.try_get_with(key, (self.lookup)(inbox.clone()));
        let found = async { found.await.map_err(HandlerError::unavailable) };
        let limit = self.settings.timeout;
        let late = || {
            HandlerError::unavailable(format!("the lookup of the agent took longer than {limit:?}"))
        };
        within(self.settings.timeout, found, late).await
    }
}

impl Settings {
    fn cache<T: Clone + Send + Sync + 'static>(&self) -> Cache<Key, Option<T>> {
        Cache::builder().max_capacity(self.capacity).expire_after(*self).build()
    }
}

impl<T> Expiry<Key, Option<T>> for Settings {
    fn expire_after_create(
        &self,
        _: &Key,
        agent: &Option<T>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(if agent.is_some() { self.found } else { self.not_found })
    }

    fn expire_after_update(
        &self,
        key: &Key,
        agent: &Option<T>,
        at: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, agent, at)
    }
}

impl<T: Clone + Send + Sync + 'static, E> Layer<E> for AgentResolver<T> {
    type Service = ResolveAgent<E, T>;

    fn layer(&self, events: E) -> ResolveAgent<E, T> {
        ResolveAgent::new(events, self.clone())
    }
}

impl<T> Clone for AgentResolver<T> {
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            forgotten: Arc::clone(&self.forgotten),
            lookup: Arc::clone(&self.lookup),
            settings: self.settings,
        }
    }
}

impl<T> fmt::Debug for AgentResolver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentResolver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The error of a lookup, shared by all events that waited for it.
#[derive(Debug, thiserror::Error)]
#[error("the inbox's agent could not be looked up")]
struct LookupError(#[source] BoxError);
