//! The application of the `axum` example: some routes, one of which is the webhook.

mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use openmail_tower::{Event, VerifiedEvent, VerifyLayer};
use serde::Serialize;

pub use server::serve;

/// The application's state: what came in so far.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    mails: AtomicU64,
    others: AtomicU64,
}

/// The application.
pub fn app(layer: VerifyLayer, seen: Seen) -> Router {
    Router::new()
        .route("/", get(async || "see /status\n"))
        .route("/status", get(status))
        // Around this route only: OpenMail signs no requests to the others.
        .route("/webhooks", post(receive).layer(layer))
        .with_state(seen)
}

#[derive(Serialize)]
struct Status {
    mails: u64,
    others: u64,
}

async fn status(State(Seen(counts)): State<Seen>) -> Json<Status> {
    let [mails, others] = [&counts.mails, &counts.others].map(|it| it.load(Ordering::Relaxed));
    Json(Status { mails, others })
}

/// An ordinary axum handler. It runs for signed events only: without the layer, the extractor
/// answers 500. Whatever it answers 2xx, OpenMail never sends again; so unknown events get that too.
async fn receive(State(Seen(counts)): State<Seen>, event: VerifiedEvent) -> StatusCode {
    match event.event() {
        Event::MessageReceived(mail) => {
            counts.mails.fetch_add(1, Ordering::Relaxed);
            tracing::info!(inbox = %mail.inbox_id, message_id = %mail.message.id, "mail");
        }
        other => {
            counts.others.fetch_add(1, Ordering::Relaxed);
            tracing::info!("{}", other.kind());
        }
    }
    StatusCode::NO_CONTENT
}
