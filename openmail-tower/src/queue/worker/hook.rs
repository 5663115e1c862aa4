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

/// The longest time that a call may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A service that takes `T`.
pub(super) type Hook<T> = Arc<dyn Take<T>>;

type Taken<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

pub(super) trait Take<T>: Send + Sync {
    fn take(&self, told: T) -> Taken<'_>;
}

/// Calls begin one after another, so the service need not be `Sync`.
impl<S, T> Take<T> for Mutex<S>
where
    T: Send + 'static,
    S: Service<T> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn take(&self, told: T) -> Taken<'_> {
        Box::pin(async move {
            let mut service = self.lock().await;
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let call = service.call(told);
            drop(service);
            call.await.map(drop).map_err(Into::into)
        })
    }
}

/// Calls the service once. Returns why that failed.
pub(super) async fn call<T>(hook: &Hook<T>, told: T) -> Result<(), String> {
    let call = CatchPanic::new(|| hook.take(told));
    match timeout(LIMIT, call).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
