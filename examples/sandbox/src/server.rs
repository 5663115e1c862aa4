//! The HTTP server: connections, and how they end.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The maximum time for a client to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The maximum time for requests in progress to finish once the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// A response extension that closes the connection instead of sending the response.
#[derive(Debug, Clone)]
pub(crate) struct Cut;

/// A request extension with the address of the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `stop`, then until the requests in progress are answered, for 5 s at most.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let watcher = graceful.watcher();
                    connections.spawn(connection(stream, peer, app.clone(), watcher));
                }
                Err(error) => {
                    // Usually out of file descriptors; some will be free in a moment.
                    tracing::warn!(error = %error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(GRACE, graceful.shutdown()).await;
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, watcher: Watcher) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = app.clone().oneshot(request.map(Body::new));
        async move {
            let response: Response<Body> = answer.await.unwrap_or_else(|never| match never {});
            match response.extensions().get::<Cut>() {
                Some(Cut) => Err(io::Error::other("cut on command")),
                None => Ok(response),
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A client may close its connection at any time, so this is not reported.
    let _ = watcher.watch(connection).await;
}
