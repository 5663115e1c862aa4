//! What `#[openmail_handler]` accepts, and that it runs.

mod arguments;
mod attributes;
mod names;
mod returns;
mod routes;
mod states;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use openmail_tests::fixture;
use openmail_tower::{
    BoxError, Event, EventId, EventKind, EventRouter, FromEvent, HandlerError, HandlerErrorKind,
    InboxId, Lifecycle, Message, MessageReceived, Outcome, Payload, StoredEvent, ThreadId,
    VerifiedEvent,
    event::{SetupTest, UnknownEvent},
    handler::{Attempt, FromRef, RawBody, State},
    openmail_handler,
};
use tower::ServiceExt;

/// Where handlers record what they saw.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn event(json: &serde_json::Value) -> VerifiedEvent {
    let raw_body = Bytes::from(json.to_string());
    VerifiedEvent::from_stored(StoredEvent { raw_body, timestamp: 1_711_015_500, inbox_id: None })
        .unwrap()
}

fn mail(inbox: &str) -> VerifiedEvent {
    event(&serde_json::json!({
        "event": "message.received", "event_id": "evt_1", "inbox_id": inbox, "thread_id": "thr_1",
        "attempt": 2, "message": {"id": "msg_1", "from": "Ada <ada@example.com>", "subject": "Hi"},
    }))
}

fn named(name: &str) -> VerifiedEvent {
    event(&serde_json::json!({"event": name, "event_id": "evt_2", "inbox_id": "inb_1"}))
}

async fn run(router: EventRouter, event: VerifiedEvent) -> Result<Outcome, HandlerError> {
    router.oneshot(event).await
}
