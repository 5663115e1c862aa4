//! The HTTP side: webhooks, health checks and metrics.

use std::{future::IntoFuture, io, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use openmail_tower::{
    VerifyLayer,
    queue::{Enqueue, QueueStore},
    webhook,
    webhook::InboxKeyring,
};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// Maximum time for requests in progress to finish once the gateway is stopping.
const GRACE: Duration = Duration::from_secs(15);

pub(crate) fn app<St: QueueStore>(
    keyring: InboxKeyring,
    queue: Enqueue<St>,
    collected: PrometheusHandle,
) -> Router {
    let store = queue.store().clone();
    let ready = move || {
        let store = store.clone();
        async move {
            match timeout(Duration::from_secs(2), store.ping()).await {
                Ok(Ok(())) => (StatusCode::OK, "ready\n"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be reached\n"),
            }
        }
    };
    let webhook = webhook(VerifyLayer::with_keyring(keyring), queue);
    Router::new()
        .route_service("/webhooks", webhook.clone())
        .route_service("/webhooks/{inbox_id}", webhook)
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        // For Prometheus only: a proxy in front should not expose it.
        .route("/metrics", get(async move || metrics::scrape(&collected)))
}

/// Serves until `stop`, then until the requests in progress are answered, for [`GRACE`] at most.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .into_future();
    // A client that never finishes its request must not prevent the program from ending.
    let grace = async {
        stop.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served,
        () = grace => Ok(()),
    }
}
