//! Which inbox's events go to which agent, and who may sign for it: as the configuration says, and
//! again whenever it has changed.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use openmail_tower::{
    EventKind, HandlerError, InboxId,
    layers::{Forward, InboxLimitLayer, limit::InboxLimit},
    openmail_handler,
    router::Inboxes,
    webhook::InboxKeyring,
};
use tower::Layer;

use crate::{
    client::Client,
    config::{Settings, Target},
    logged::Logged,
};

/// How long an event waits for its turn before it goes back into the queue, for another agent's to
/// be run meanwhile.
const TURN: Duration = Duration::from_secs(1);

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
    limits: HashMap<Option<InboxId>, Limit>,
}

/// Kept while its number is the same, with the count of what runs.
#[derive(Debug)]
struct Limit {
    concurrency: usize,
    layer: InboxLimitLayer,
}

impl Agents {
    pub(crate) fn new(keyring: InboxKeyring, inboxes: Inboxes, client: Client) -> Self {
        Self { keyring, inboxes, client, limits: HashMap::new() }
    }

    /// Every event finds its inbox's former agent or its new one, and never neither: what is new is
    /// bound before its secret is accepted, what is gone is refused before it is unbound.
    pub(crate) fn apply(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let fallback = settings.fallback.as_ref().map(|target| self.service(None, target));
        self.inboxes.set_fallback(fallback);
        self.keyring.set_account(settings.account.clone());
        for inbox in &settings.inboxes {
            let service = self.service(Some(&inbox.id), &inbox.target);
            self.inboxes.replace_service(inbox.id.clone(), service)?;
            match &inbox.secrets {
                Some(secrets) => self.keyring.set(inbox.id.clone(), secrets.clone()),
                None => drop(self.keyring.remove(&inbox.id)),
            }
        }
        let kept: HashSet<_> = settings.inboxes.iter().map(|inbox| &inbox.id).collect();
        self.limits.retain(|id, _| {
            let Some(id) = id else { return settings.fallback.is_some() };
            let keep = kept.contains(id);
            if !keep {
                self.keyring.remove(id);
                self.inboxes.unbind(id);
            }
            keep
        });
        Ok(())
    }

    fn service(
        &mut self,
        id: Option<&InboxId>,
        target: &Target,
    ) -> InboxLimit<Logged<Forward<Client>>> {
        let mut forward =
            Forward::new(self.client.clone(), target.url.0.clone()).timeout(target.timeout);
        if let Some(secret) = &target.sign_with {
            forward = forward.sign_with(secret.clone());
        }
        let concurrency = target.concurrency;
        let new = || Limit { concurrency, layer: InboxLimitLayer::new(concurrency).wait(TURN) };
        let limit = self.limits.entry(id.cloned()).or_insert_with(new);
        if limit.concurrency != concurrency {
            *limit = new();
        }
        limit.layer.layer(Logged::new(forward, &target.url))
    }
}
