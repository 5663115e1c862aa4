//! The agent that receives the events of each inbox, and the secrets that verify them. Both follow
//! the configuration whenever it is reloaded.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use openmail_tower::{
    EventKind, HandlerError, InboxId, layers::Forward, openmail_handler, queue::InboxLimits,
    router::Inboxes, webhook::InboxKeyring,
};

use crate::{
    client::Client,
    config::{Settings, Target},
    logged::Logged,
    shared::{Running, Shared},
};

/// Handles the events without an inbox, and those of inboxes that are not configured, if there is
/// no fallback agent. They become dead letters, except those of "Test webhook".
#[openmail_handler]
pub(crate) async fn no_agent(event: EventKind) -> Result<(), HandlerError> {
    match event {
        EventKind::SetupTest => {
            tracing::info!("the webhook was tested");
            Ok(())
        }
        _ => Err(HandlerError::permanent("no agent is configured for this event")),
    }
}

/// Applies the inboxes and secrets of the configuration.
#[derive(Debug)]
pub(crate) struct Agents {
    keyring: InboxKeyring,
    inboxes: Inboxes,
    client: Client,
    limits: Arc<RwLock<Limits>>,
    fallback_runs: Running,
}

/// The number of concurrent runs for each inbox. An inbox that is not configured has the limit of
/// the fallback, which all such inboxes share (see [`Shared`]).
#[derive(Debug, Default)]
struct Limits {
    inboxes: HashMap<InboxId, usize>,
    fallback: usize,
}

impl Agents {
    pub(crate) fn new(keyring: InboxKeyring, inboxes: Inboxes, client: Client) -> Self {
        Self { keyring, inboxes, client, limits: Arc::default(), fallback_runs: Running::default() }
    }

    /// Returns the limits of the worker, which follow the current configuration.
    pub(crate) fn limits(&self) -> InboxLimits {
        let limits = Arc::clone(&self.limits);
        InboxLimits::by(move |inbox| {
            let limits = limits.read().unwrap_or_else(PoisonError::into_inner);
            *limits.inboxes.get(inbox).unwrap_or(&limits.fallback)
        })
    }

    /// Applies a new configuration. Meanwhile, every event reaches either the old or the new agent
    /// of its inbox, even if the inbox moves to or from the fallback: a new agent is bound before
    /// its secret is accepted and before the fallback changes, and a removed inbox loses its secret
    /// before its agent is unbound. An inbox that moves between its own secret and the account's
    /// always has one that is accepted.
    pub(crate) fn apply(&mut self, settings: &Settings) -> anyhow::Result<()> {
        for inbox in &settings.inboxes {
            let service = self.service(&inbox.target);
            self.inboxes.replace_service(inbox.id.clone(), service)?;
            if let Some(secrets) = &inbox.secrets {
                self.keyring.set(inbox.id.clone(), secrets.clone());
            }
        }
        let fallback = settings.fallback.as_ref().map(|target| {
            Shared::new(self.service(target), Arc::clone(&self.fallback_runs), target.concurrency)
        });
        self.inboxes.set_fallback(fallback);
        self.keyring.set_account(settings.account.clone());
        for inbox in settings.inboxes.iter().filter(|inbox| inbox.secrets.is_none()) {
            self.keyring.remove(&inbox.id);
        }
        let limits = Limits {
            inboxes: settings
                .inboxes
                .iter()
                .map(|inbox| (inbox.id.clone(), inbox.target.concurrency))
                .collect(),
            fallback: settings.fallback.as_ref().map_or(1, |target| target.concurrency),
        };
        let mut current = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let former = mem::replace(&mut *current, limits);
        for id in former.inboxes.keys().filter(|id| !current.inboxes.contains_key(*id)) {
            self.keyring.remove(id);
            self.inboxes.unbind(id);
        }
        Ok(())
    }

    fn service(&self, target: &Target) -> Logged<Forward<Client>> {
        let forward =
            Forward::new(self.client.clone(), target.url.0.clone()).timeout(target.timeout);
        let forward = match &target.sign_with {
            Some(secret) => forward.sign_with(secret.clone()),
            None => forward,
        };
        Logged::new(forward, &target.url)
    }
}
