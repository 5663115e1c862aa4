//! Calls the program's services that observe the queue.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};
use tower_service::Service;

use crate::seam::{BoxError, CatchPanic};

/// Maximum duration of a call, including the wait until the service is ready.
const LIMIT: Duration = Duration::from_secs(30);

/// A service that takes `T`.
pub(super) type Hook<T> = Arc<dyn Take<T>>;

type Taken<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

pub(super) trait Take<T>: Send + Sync {
    fn take(&self, value: T) -> Taken<'_>;
}

/// Calls begin one after another, so the service need not be `Sync`.
impl<S, T> Take<T> for Mutex<S>
where
    T: Send + 'static,
    S: Service<T> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn take(&self, value: T) -> Taken<'_> {
        Box::pin(async move {
            let mut service = self.lock().await;
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let call = service.call(value);
            drop(service);
            call.await.map(drop).map_err(Into::into)
        })
    }
}

/// Calls the service once. If the call fails, returns the reason as the error.
pub(super) async fn call<T>(hook: &Hook<T>, value: T) -> Result<(), String> {
    let call = CatchPanic::new(|| hook.take(value));
    match timeout(LIMIT, call).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err("the service did not respond within 30 s".to_owned()),
    }
}
