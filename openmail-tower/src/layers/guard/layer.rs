//! [`GuardLayer`].

use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    event::{Address, AddressPattern, InvalidPattern},
    seam::{BoxError, CountStore, HandlerError, Oneshot, Outcome, OutcomeFuture, VerifiedEvent},
};

use super::{
    memory::MemoryCounts,
    pause::Pause,
    rates::{Rate, Rates},
    rule::{Action, Actions, Rule},
    service::Guard,
    waiting::Waiting,
};

/// Decides for each mail whether its handler runs and whether its reply is sent. The
/// [module](super) lists the rules and their defaults.
///
/// All services that one layer and its clones wrap share their counts, even if a clone was given
/// other settings (except another store with [`counts`](Self::counts)).
#[derive(Clone, Default)]
pub struct GuardLayer {
    pub(super) settings: Settings,
}

type Divert = Arc<dyn Fn(VerifiedEvent) -> OutcomeFuture + Send + Sync>;
type Hook = Arc<dyn Fn(&GuardReport<'_>) + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) actions: Actions,
    pub(super) rates: Rates,
    pub(super) own: Arc<[Address]>,
    pub(super) allowed: Option<Arc<[AddressPattern]>>,
    pub(super) blocked: Arc<[AddressPattern]>,
    pub(super) pause: Pause,
    pub(super) divert: Option<Divert>,
    pub(super) hook: Option<Hook>,
    pub(super) memory: Arc<MemoryCounts>,
    pub(super) counts: Option<Arc<dyn CountStore>>,
    pub(super) waiting: Arc<Waiting>,
}

/// What a guard did with a mail.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GuardReport<'e> {
    /// What the guard did. Never [`Action::Pass`].
    pub action: Action,
    /// The rule that fired.
    pub rule: Rule,
    /// Why the rule fired, in one word.
    pub reason: &'static str,
    /// The event.
    pub event: &'e VerifiedEvent,
}

impl GuardLayer {
    /// Sets what a rule does when it fires. [`Action::Pass`] switches it off.
    /// Default: as the [module](super) lists.
    #[must_use]
    pub fn on(mut self, rule: Rule, action: Action) -> Self {
        self.settings.actions.set(rule, action);
        self
    }

    /// Sets your own addresses, so that your agents do not answer each other. Without this, the
    /// guard knows the inbox's own address only if it is the only one in `to`. Default: none.
    #[must_use]
    pub fn own_addresses(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.settings.own = addresses.into_iter().collect();
        self
    }

    /// Sets the allow-list: only mail from these senders runs a handler. Each text is an
    /// [`AddressPattern`]. A mail with several senders, or with none that can be parsed, matches
    /// nothing, and so is refused. Default: all senders.
    ///
    /// # Errors
    /// If a text is not an [`AddressPattern`].
    pub fn allow<T: AsRef<str>>(
        mut self,
        senders: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidPattern> {
        self.settings.allowed = Some(patterns(senders)?);
        Ok(self)
    }

    /// Sets the block-list: mail from these senders runs no handler, even if they are on the
    /// allow-list. A mail with several senders matches nothing here either, and so is not blocked.
    /// Default: none.
    ///
    /// # Errors
    /// As for [`allow`](Self::allow).
    pub fn block<T: AsRef<str>>(
        mut self,
        senders: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidPattern> {
        self.settings.blocked = patterns(senders)?;
        Ok(self)
    }

    /// Sets the rate of runs for each sender in an inbox. Default: 30 an hour.
    #[must_use]
    pub fn runs_per_sender(mut self, rate: Rate) -> Self {
        self.settings.rates.runs_per_sender = rate;
        self
    }

    /// Sets the rate of runs for each inbox. Default: 500 an hour.
    #[must_use]
    pub fn runs_per_inbox(mut self, rate: Rate) -> Self {
        self.settings.rates.runs_per_inbox = rate;
        self
    }

    /// Sets the rate of answered mails for each thread. Default: 5 an hour.
    #[must_use]
    pub fn replies_per_thread(mut self, rate: Rate) -> Self {
        self.settings.rates.replies_per_thread = rate;
        self
    }

    /// Sets the rate of answered mails for each sender in an inbox. Default: 20 a day.
    #[must_use]
    pub fn replies_per_sender(mut self, rate: Rate) -> Self {
        self.settings.rates.replies_per_sender = rate;
        self
    }

    /// Sets the rate of answered mails for each inbox. Default: 150 a day; OpenMail's own limit is
    /// 200.
    #[must_use]
    pub fn replies_per_inbox(mut self, rate: Rate) -> Self {
        self.settings.rates.replies_per_inbox = rate;
        self
    }

    /// Sets how often a sender must write nearly the same text to an inbox for it to count as a
    /// loop. Default: 3 times within an hour.
    #[must_use]
    pub fn repeats(mut self, rate: Rate) -> Self {
        self.settings.rates.repeats = rate;
        self
    }

    /// Sets where the rates are counted. Default: in the queue's database if the guard is behind a
    /// queue whose store can count, so that replicas share the counts and a restart does not reset
    /// them; otherwise, in the memory of this process.
    #[must_use]
    pub fn counts(mut self, store: impl CountStore) -> Self {
        self.settings.counts = Some(Arc::new(store));
        self
    }

    /// Sets the switch that pauses all mail, or the mail of single inboxes. Default: none.
    #[must_use]
    pub fn pause(mut self, pause: &Pause) -> Self {
        self.settings.pause = pause.clone();
        self
    }

    /// Sets a service that receives refused mail, such as one that passes it on to a person. If the
    /// service fails, the event is retried, unless the error is permanent. If it succeeds, its
    /// outcome is ignored, and a reply in it is not sent. Default: none.
    #[must_use]
    pub fn divert<E>(mut self, service: E) -> Self
    where
        E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
        E::Error: Into<BoxError>,
        E::Future: Send,
    {
        self.settings.divert = Some(Arc::new(move |event| {
            let run = Oneshot::new(service.clone(), event);
            OutcomeFuture::new(async {
                run.await.map_err(|error| HandlerError::from_boxed(error.into()))
            })
        }));
        self
    }

    /// Sets a function that is called whenever a rule acts. It runs on the event's task, so it
    /// should return at once. Default: none.
    #[must_use]
    pub fn on_action(mut self, hook: impl Fn(&GuardReport<'_>) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self
    }
}

fn patterns<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
) -> Result<Arc<[AddressPattern]>, InvalidPattern> {
    texts.into_iter().map(|text| text.as_ref().parse()).collect()
}

impl<E> Layer<E> for GuardLayer {
    type Service = Guard<E>;

    fn layer(&self, events: E) -> Guard<E> {
        Guard::new(events, Arc::new(self.settings.clone()))
    }
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardLayer").field(&self.settings).finish()
    }
}

/// Shows no addresses, since they may be customers'.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("actions", &self.actions)
            .field("rates", &self.rates)
            .field("own", &self.own.len())
            .field("allowed", &self.allowed.as_ref().map(|list| list.len()))
            .field("blocked", &self.blocked.len())
            .field("pause", &self.pause)
            .field("divert", &self.divert.is_some())
            .finish_non_exhaustive()
    }
}
