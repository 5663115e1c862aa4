//! Graceful shutdown within a time limit.

use std::{future::Future, io, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

/// Maximum time for requests in progress to finish once the server is stopping.
const GRACE: Duration = Duration::from_secs(15);

/// Serves until `stop`, then finishes the requests in progress, for [`GRACE`] at most.
///
/// # Errors
/// As for `axum::serve`.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        stop.await;
        let _ = stopping.send(());
    });
    // A client that never finishes its request must not prevent the program from ending.
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
