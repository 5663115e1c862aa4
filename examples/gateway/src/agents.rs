//! Which inbox's events go to which agent, and who may sign for it: as the configuration says, and
//! again whenever it has changed.

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
};

/// Takes the events of inboxes that the configuration does not have. They become dead letters, save
/// for what "Test webhook" sends.
#[openmail_handler]
pub(crate) async fn no_agent(event: EventKind) -> Result<(), HandlerError> {
    match event {
        EventKind::SetupTest => {
            tracing::info!("the webhook was tested");
            Ok(())
        }
        _ => Err(HandlerError::permanent("no agent is configured for its inbox")),
    }
}

/// What the configuration's inboxes and secrets are put into.
#[derive(Debug)]
pub(crate) struct Agents {
    keyring: InboxKeyring,
    inboxes: Inboxes,
    client: Client,
    limits: Arc<RwLock<Limits>>,
}

/// How many events run at a time, by inbox; those of inboxes that the configuration does not have
/// go to the fallback.
#[derive(Debug, Default)]
struct Limits {
    inboxes: HashMap<InboxId, usize>,
    fallback: usize,
}

impl Agents {
    pub(crate) fn new(keyring: InboxKeyring, inboxes: Inboxes, client: Client) -> Self {
        Self { keyring, inboxes, client, limits: Arc::default() }
    }

    /// The limits of the worker, as the configuration has them at the time.
    pub(crate) fn limits(&self) -> InboxLimits {
        let limits = Arc::clone(&self.limits);
        InboxLimits::by(move |inbox| {
            let limits = limits.read().unwrap_or_else(PoisonError::into_inner);
            *limits.inboxes.get(inbox).unwrap_or(&limits.fallback)
        })
    }

    /// Every event finds its inbox's former agent or its new one, and never neither: what is new is
    /// bound before its secret is accepted, what is gone is refused before it is unbound.
    pub(crate) fn apply(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let fallback = settings.fallback.as_ref().map(|target| self.service(target));
        self.inboxes.set_fallback(fallback);
        self.keyring.set_account(settings.account.clone());
        for inbox in &settings.inboxes {
            let service = self.service(&inbox.target);
            self.inboxes.replace_service(inbox.id.clone(), service)?;
            match &inbox.secrets {
                Some(secrets) => self.keyring.set(inbox.id.clone(), secrets.clone()),
                None => drop(self.keyring.remove(&inbox.id)),
            }
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
