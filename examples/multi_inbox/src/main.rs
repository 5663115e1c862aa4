//! One service for several inboxes, with handlers that share a state.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… BILLING_INBOX=inb_… cargo run -p example-multi_inbox`

mod state;
#[cfg(test)]
mod tests;

use std::{env, io, process::ExitCode, time::Duration};

use anyhow::Context as _;
use axum::Router;
use openmail_tower::{
    EventKind, EventRouter, HandlerError, InboxId, MessageReceived, VerifiedEvent, VerifyLayer,
    handler::State, openmail_handler, webhook,
};
use state::{AppState, Desks, Suspended};
use tokio::{net::TcpListener, time::sleep};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Maximum time for requests in progress to finish once the server is stopping: `Endpoint` answers
/// within 12 s.
const GRACE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let layer = VerifyLayer::from_env()?;
    let billing_inbox = env::var("BILLING_INBOX")
        .ok()
        .context("set BILLING_INBOX to the id of the inbox for bills")?;
    let state = AppState::default();
    let events = events(&billing_inbox).with_state(state.clone());
    let app = Router::new().route_service("/webhooks", webhook(layer, events));
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let (stopping, grace) = (stop(), stop());
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(stopping);
    // A client that never finishes its request must not prevent the program from ending.
    tokio::select! {
        served = server => served?,
        () = async { grace.await; sleep(GRACE).await } => {}
    }
    for (desk, mails) in state.desks.mails() {
        tracing::info!(desk, ?mails, "closed");
    }
    Ok(())
}

const SALES_EU: &str = "inb_sales_eu";
const SALES_US: &str = "inb_sales_us";

/// Registers the handlers. The id of the billing inbox differs between environments, so it is given
/// here and not in the attribute.
fn events(billing_inbox: &str) -> EventRouter<AppState> {
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
    // Two agents that answer each other never stop, and a suspended inbox cannot send.
    let for_agent = mail.message.may_auto_reply() && !suspended.contains(&mail.inbox_id);
    desks.add("support", for_agent);
}

/// One handler may serve several inboxes.
#[openmail_handler(event = "message.received", inbox = [SALES_EU, SALES_US])]
async fn sales(mail: &MessageReceived, State(desks): State<Desks>) {
    desks.add("sales", mail.message.may_auto_reply());
}

/// Handles mail to the inbox that it is registered for with `EventRouter::inbox`. Registered with
/// `handler`, it would handle mail to every inbox that no other handler names.
#[openmail_handler(event = "message.received")]
async fn billing(mail: &MessageReceived, State(desks): State<Desks>) -> Result<(), HandlerError> {
    if mail.message.attachments.is_empty() {
        // The next delivery of the same mail would not have an attachment either.
        return Err(HandlerError::permanent("no bill is attached"));
    }
    desks.add("billing", false);
    Ok(())
}

/// Mail to every inbox that no other handler names, including inboxes created later.
#[openmail_handler(event = "message.received")]
async fn reception(State(desks): State<Desks>) {
    desks.add("reception", false);
}

#[openmail_handler(event = ["inbox.suspended", "inbox.reactivated"])]
async fn lifecycle(kind: EventKind, inbox: InboxId, State(suspended): State<Suspended>) {
    tracing::warn!(%inbox, "{kind}");
    suspended.set(inbox, kind == EventKind::InboxSuspended);
}

/// Events that no handler names, and events that do not fit their type or are nested too deeply.
/// Without a fallback, the former would also be answered 200, but the latter 422, so that OpenMail
/// retries them.
#[openmail_handler]
async fn news(event: &VerifiedEvent) {
    tracing::info!(event = %event.kind(), "nothing to do");
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).expect("cannot listen for SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("cannot listen for SIGTERM");
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        tokio::signal::ctrl_c().await.expect("cannot listen for Ctrl-C");
    }
}
