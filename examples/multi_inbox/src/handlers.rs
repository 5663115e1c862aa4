//! Which inbox gets which handler, and what each does.

use openmail_tower::{
    EventKind, EventRouter, HandlerError, InboxId, MessageReceived, VerifiedEvent, handler::State,
    openmail_handler,
};

use crate::state::{AppState, Desks, Suspended};

const SALES_EU: &str = "inb_sales_eu";
const SALES_US: &str = "inb_sales_us";

/// The handlers. The id of the inbox for bills is not the same in every environment, so it is given
/// here and not at the handler.
pub fn events(billing_inbox: &str) -> EventRouter<AppState> {
    EventRouter::new()
        .handler(support)
        .handler(sales)
        .inbox(billing_inbox, billing)
        .handler(reception)
        .handler(lifecycle)
        .fallback(news)
}

#[openmail_handler(event = "message.received", inbox = "inb_support")]
async fn support(
    mail: &MessageReceived,
    State(desks): State<Desks>,
    State(suspended): State<Suspended>,
) {
    // Two agents that answer each other never stop, and a suspended inbox sends nothing.
    let for_agent = mail.message.may_auto_reply() && !suspended.contains(&mail.inbox_id);
    desks.add("support", for_agent);
}

/// One handler may serve several inboxes.
#[openmail_handler(event = "message.received", inbox = [SALES_EU, SALES_US])]
async fn sales(mail: &MessageReceived, State(desks): State<Desks>) {
    desks.add("sales", mail.message.may_auto_reply());
}

/// Without an inbox it would be for all others; `EventRouter::inbox` gives it its one.
#[openmail_handler(event = "message.received")]
async fn billing(mail: &MessageReceived, State(desks): State<Desks>) -> Result<(), HandlerError> {
    if mail.message.attachments.is_empty() {
        // The next delivery of the same mail would have none either.
        return Err(HandlerError::permanent("no bill is attached"));
    }
    desks.add("billing", false);
    Ok(())
}

/// Mail to every inbox that no other handler names: also one that was created just now.
#[openmail_handler(event = "message.received")]
async fn reception(State(desks): State<Desks>) {
    desks.add("reception", false);
}

#[openmail_handler(event = ["inbox.suspended", "inbox.reactivated"])]
async fn lifecycle(kind: EventKind, inbox: InboxId, State(suspended): State<Suspended>) {
    tracing::warn!(%inbox, "{kind}");
    suspended.set(inbox, kind == EventKind::InboxSuspended);
}

/// Events that no handler names. Without a fallback they would be answered 200 all the same.
#[openmail_handler]
async fn news(event: &VerifiedEvent) {
    tracing::info!("{} needs nothing done", event.kind());
}
