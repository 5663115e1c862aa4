//! Reports changes as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use tokio::time::sleep;

use crate::app::App;

/// Changes within this time are reported as one.
const PACE: Duration = Duration::from_millis(100);

pub(super) async fn events(
    State(app): State<App>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (versions, stop) = (app.state.versions(), app.stop);
    let changes = stream::unfold((versions, stop), |(mut versions, stop)| async move {
        tokio::select! {
            changed = versions.changed() => changed.ok()?,
            () = stop.cancelled() => return None,
        }
        sleep(PACE).await;
        let version = *versions.borrow_and_update();
        let event = Event::default().event("change").data(version.to_string());
        Some((Ok(event), (versions, stop)))
    });
    Sse::new(changes).keep_alive(KeepAlive::default())
}
