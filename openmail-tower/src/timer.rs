//! A timer that is only there once there is something to wait for: most futures here are ready at
//! once, and a timer costs more than they do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

pin_project! {
    #[derive(Debug, Default)]
    pub(crate) struct Timer {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// Ready when the time is over that `start` says at the first call.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        start: impl FnOnce() -> Sleep,
    ) -> Poll<()> {
        let mut sleep = self.project().sleep;
        if sleep.is_none() {
            sleep.set(Some(start()));
        }
        sleep.as_pin_mut().expect("it was just set").poll(cx)
    }
}
