//! Which agents listen to which inbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use openmail_tower::{HandlerError, InboxId, VerifiedEvent};
use tokio::sync::mpsc::{self, Receiver, Sender, error::SendTimeoutError};

/// How long an agent may take to read one event before it is disconnected: well below the 12 s
/// after which the webhook is answered in any case.
const PATIENCE: Duration = Duration::from_secs(5);

/// The `Retry-After` of the response if the event was sent to no agent.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Sends each event to the agents that listen to its inbox.
///
/// 200 means that the event was sent to at least one agent, not that it has arrived: what is in
/// transit when a connection breaks is lost. If none listens, or all read too slowly, the response
/// is 503, and OpenMail retries for about 7.5 minutes. If an agent does not read, HTTP/2's window
/// buffers some events for it, and the agent's channel one more. To know that an agent has
/// finished, let it confirm with a call that carries the `event_id`, and let the handler wait for
/// that call. For agents that may be offline for longer than 7.5 minutes, put a queue in front of the hub.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<Agents>>);

#[derive(Debug, Default)]
struct Agents {
    closed: bool,
    inboxes: HashMap<InboxId, Vec<Sender<VerifiedEvent>>>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Agents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the inbox's events from now on; `None` once the hub is closed.
    pub(crate) fn subscribe(&self, inbox: InboxId) -> Option<Receiver<VerifiedEvent>> {
        let (sender, receiver) = mpsc::channel(1);
        let mut agents = self.lock();
        if agents.closed {
            return None;
        }
        // Removes agents that have disconnected.
        agents.inboxes.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        agents.inboxes.entry(inbox).or_default().push(sender);
        Some(receiver)
    }

    /// Sends an event to all agents that listen to its inbox.
    pub(crate) async fn publish(&self, event: &VerifiedEvent) -> Result<(), HandlerError> {
        let senders = {
            let agents = self.lock();
            event.inbox_id().and_then(|inbox| agents.inboxes.get(inbox)).cloned()
        };
        let sends = senders.iter().flatten().map(async |sender| {
            match sender.send_timeout(event.clone(), PATIENCE).await {
                Err(SendTimeoutError::Timeout(_)) => {
                    self.cut_off(sender);
                    false
                }
                sent => sent.is_ok(),
            }
        });
        if join_all(sends).await.contains(&true) {
            Ok(())
        } else {
            Err(HandlerError::failed("no agent is receiving the events of this inbox")
                .after(RETRY_AFTER))
        }
    }

    fn cut_off(&self, slow: &Sender<VerifiedEvent>) {
        tracing::warn!("an agent reads too slowly and is cut off");
        for senders in self.lock().inboxes.values_mut() {
            senders.retain(|sender| !sender.same_channel(slow));
        }
    }

    /// Ends all subscriptions permanently.
    pub(crate) fn close(&self) {
        *self.lock() = Agents { closed: true, inboxes: HashMap::new() };
    }
}

#[cfg(test)]
mod tests {
    use openmail_tower::StoredEvent;
    use tokio::sync::mpsc::error::TryRecvError;

    use super::*;

    fn event() -> VerifiedEvent {
        let json = r#"{"event":"inbox.suspended","inbox_id":"inb_1"}"#;
        VerifiedEvent::from_stored(StoredEvent {
            raw_body: json.into(),
            timestamp: 0,
            inbox_id: None,
        })
        .unwrap()
    }

    // The clock is paused: it advances when nothing else can run.
    #[tokio::test(start_paused = true)]
    async fn slow_agent_is_disconnected_and_others_continue() {
        let hub = Hub::default();
        let mut slow = hub.subscribe("inb_1".into()).unwrap();
        hub.publish(&event()).await.unwrap();
        hub.publish(&event()).await.unwrap_err();

        let mut good = hub.subscribe("inb_1".into()).unwrap();
        hub.publish(&event()).await.unwrap();
        assert!(good.try_recv().is_ok());
        // The slow one still gets the event that it had room for, and then nothing.
        assert!(slow.try_recv().is_ok());
        assert_eq!(slow.try_recv().unwrap_err(), TryRecvError::Disconnected);
    }

    #[tokio::test(start_paused = true)]
    async fn agent_that_reads_in_time_misses_nothing() {
        let hub = Hub::default();
        let mut agent = hub.subscribe("inb_1".into()).unwrap();
        let publish = async {
            for _ in 0..10 {
                hub.publish(&event()).await.unwrap();
            }
            hub.close();
        };
        let read = async {
            let mut count = 0;
            while agent.recv().await.is_some() {
                tokio::time::sleep(PATIENCE / 2).await;
                count += 1;
            }
            count
        };
        assert_eq!(tokio::join!(publish, read).1, 10);
    }

    #[tokio::test]
    async fn disconnected_agent_is_forgotten() {
        let hub = Hub::default();
        drop(hub.subscribe("inb_1".into()));
        hub.publish(&event()).await.unwrap_err();
        let _other = hub.subscribe("inb_2".into());
        assert_eq!(hub.lock().inboxes.len(), 1);
    }

    #[tokio::test]
    async fn closed_hub_refuses_subscriptions() {
        let hub = Hub::default();
        hub.close();
        assert!(hub.subscribe("inb_1".into()).is_none());
    }
}
