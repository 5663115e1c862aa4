//! Both services on one port.

use std::{future::Future, time::Duration};

use axum::http::StatusCode;
use openmail_tower::{
    EventRouter, HandlerError, VerifiedEvent, VerifyLayer, handler::State, openmail_handler,
    webhook,
};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};
use tonic::{
    service::Routes,
    transport::{Error, Server, server::TcpIncoming},
};

use crate::{hub::Hub, proto::agents_server::AgentsServer, service::AgentsService, token::Token};

/// Maximum time for requests in progress to finish once the server is stopping: no event takes
/// longer than 12 s, the deadline of openmail-tower's `Endpoint`.
const GRACE: Duration = Duration::from_secs(15);

/// Sends the documented events of an inbox to its agents. All others need no agent and are answered
/// 200, except events that do not fit their type or are nested too deeply (422).
#[openmail_handler(event = ["message.received", "inbox.suspended", "inbox.reactivated"])]
async fn forward(event: &VerifiedEvent, State(hub): State<Hub>) -> Result<(), HandlerError> {
    hub.publish(event).await
}

/// Serves until `stop`, then finishes the requests in progress, for 15 s at most.
///
/// # Errors
/// As for tonic's server.
pub async fn serve(
    listener: TcpListener,
    layer: VerifyLayer,
    token: Token,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let hub = Hub::default();
    let events = EventRouter::new().handler(forward).with_state(hub.clone());
    let agents = AgentsServer::with_interceptor(AgentsService::new(hub.clone()), token);
    let router = Routes::new(agents)
        .into_axum_router()
        .route_service("/webhooks", webhook(layer, events))
        // tonic's own fallback answers 200 with the failure in a header. With a wrong path,
        // OpenMail would take its events for delivered.
        .fallback(async || StatusCode::NOT_FOUND);

    let (stopping, stopped) = oneshot::channel();
    let server = Server::builder()
        // For OpenMail, or the proxy in front of this server.
        .accept_http1(true)
        // Disconnects agents that have silently disappeared, and drops the events held for them.
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_routes(router.into())
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
            stop.await;
            // The streams would never end otherwise.
            hub.close();
            let _ = stopping.send(());
        });
    let grace = async {
        if stopped.await.is_ok() {
            sleep(GRACE).await;
        }
    };
    tokio::select! {
        served = server => served,
        () = grace => Ok(()),
    }
}
