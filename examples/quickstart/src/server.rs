//! The HTTP server: where it listens, and how it ends.

use std::{env, error::Error, future::Future, io, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

const LISTEN_VARIABLE: &str = "OPENMAIL_LISTEN";

/// How long requests under way may take once the server is to stop: no event takes longer than
/// `Endpoint`'s deadline, 12 s.
const GRACE: Duration = Duration::from_secs(15);

/// Binds `OPENMAIL_LISTEN`; an error says what to change.
pub(crate) async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let address: SocketAddr = match env::var_os(LISTEN_VARIABLE) {
        None => SocketAddr::from(([127, 0, 0, 1], 3000)),
        Some(text) => text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!("{LISTEN_VARIABLE} is {text:?}; set it to address:port, as in 127.0.0.1:3000")
        })?,
    };
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use; stop what listens there, \
             or set {LISTEN_VARIABLE} to another port, as in 127.0.0.1:3001"
        ),
        _ => format!("cannot listen on {address} ({error}); set {LISTEN_VARIABLE} to another"),
    })?;
    Ok(listener)
}

/// Serves until `stop`, then until the requests under way are answered.
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
