//! Mail answered by a [rig](https://rig.rs) agent, with the mail's thread as its memory.

mod assistant;

use std::{future::IntoFuture, time::Duration};

use anyhow::bail;
use axum::Router;
use openmail_tower::{
    VerifyLayer,
    api::OpenMail,
    layers::guard::GuardLayer,
    queue::{Enqueue, SqliteStore},
    webhook,
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::Layer;

pub use assistant::Assistant;

/// The maximum time for requests in progress to finish once the server is stopping. `Endpoint`
/// answers within 12 s.
const GRACE: Duration = Duration::from_secs(15);

/// Receives mail and answers it until `stop`, then finishes the requests and runs in progress,
/// within a time limit.
///
/// # Errors
/// If the server or the worker fails.
pub async fn run(
    listener: TcpListener,
    verify: VerifyLayer,
    assistant: Assistant,
    openmail: OpenMail,
    store: SqliteStore,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let [stop_server, stop_worker] = [(); 2].map(|()| CancellationToken::new());
    // A model may take longer than the 15 s that OpenMail waits, so the mail is stored first.
    let queue = Enqueue::new(store);
    let events = GuardLayer::default().layer(assistant::handlers(assistant));
    // A reply is stored with its event's completion, so the model is not asked for it again.
    let worker = queue.worker(events).replies(openmail).run(stop_worker.clone().cancelled_owned());
    let mut worker = AbortOnDropHandle::new(tokio::spawn(worker));
    let app = Router::new().route_service("/webhooks", webhook(verify, queue));
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(stop_server.clone().cancelled_owned())
        .into_future();
    let mut server = AbortOnDropHandle::new(tokio::spawn(server));

    tokio::select! {
        () = stop => {}
        served = &mut server => bail!("the server has ended: {served:?}"),
        ended = &mut worker => bail!("the worker has ended: {ended:?}"),
    }
    stop_server.cancel();
    // A sender that never finishes its request must not keep the program from ending.
    if let Ok(served) = timeout(GRACE, server).await {
        served??;
    }
    stop_worker.cancel();
    let cut = worker.await?;
    if cut > 0 {
        tracing::warn!(cut, "runs were cancelled; their events will run again");
    }
    Ok(())
}
