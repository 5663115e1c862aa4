//! A graceful end, within a limit.

use std::{future::Future, io, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

/// How long requests under way may take once the server is to stop.
const GRACE: Duration = Duration::from_secs(15);

/// Serves until `stop`, then until the requests under way are answered.
///
/// # Errors
/// As `axum::serve`.
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
    // A client that never finishes its request must not keep the program from ending.
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
