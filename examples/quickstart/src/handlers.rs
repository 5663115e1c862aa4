//! The handlers.

use std::io;

use openmail_tower::{EventRouter, Message, VerifiedEvent, openmail_handler};
use serde::Serialize;
use tokio::io::AsyncWriteExt;

/// Registers the handlers. Each names its events; the fallback handles all others.
pub(crate) fn events() -> EventRouter {
    EventRouter::new()
        .handler(support)
        .handler(sales)
        .handler(any_inbox)
        .handler(lifecycle)
        .fallback(fallback)
}

/// Mail to support. An agent's work begins here.
#[openmail_handler(event = "message.received", inbox = "inb_support")]
async fn support(mail: &Message, event: &VerifiedEvent) -> io::Result<()> {
    tracing::info!(message_id = %mail.id, "mail to support");
    report("support", event).await
}

/// Mail to sales.
#[openmail_handler(event = "message.received", inbox = "inb_sales")]
async fn sales(event: &VerifiedEvent) -> io::Result<()> {
    report("sales", event).await
}

/// Mail to every other inbox.
#[openmail_handler(event = "message.received")]
async fn any_inbox(event: &VerifiedEvent) -> io::Result<()> {
    report("any_inbox", event).await
}

/// An inbox, or a pod of inboxes, was suspended or reactivated.
#[openmail_handler(
    event = ["inbox.suspended", "inbox.reactivated", "pod.suspended", "pod.reactivated"]
)]
async fn lifecycle(event: &VerifiedEvent) -> io::Result<()> {
    report("lifecycle", event).await
}

/// Everything else: "Test webhook", events that this program does not know, and known ones that do
/// not fit their type.
#[openmail_handler]
async fn fallback(event: &VerifiedEvent) -> io::Result<()> {
    report("fallback", event).await
}

/// Writes a line to stdout. If that fails, the handler fails, and the event is delivered again.
async fn report(handler: &str, event: &VerifiedEvent) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        handler: &'a str,
        event: &'a str,
        event_id: Option<&'a str>,
        inbox_id: Option<&'a str>,
        attempt: Option<u32>,
    }

    let mut line = serde_json::to_vec(&Line {
        handler,
        event: event.kind().as_str(),
        event_id: event.event_id().map(|id| id.as_str()),
        inbox_id: event.inbox_id().map(|id| id.as_str()),
        attempt: event.attempt(),
    })?;
    line.push(b'\n');
    // tokio's stdout: a slow reader delays this handler, not its thread.
    let mut stdout = tokio::io::stdout();
    stdout.write_all(&line).await?;
    stdout.flush().await
}
