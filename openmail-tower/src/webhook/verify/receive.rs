//! Receiving a body: size, time, share of the budget, and the hash on the way.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::LengthLimitError;
use pin_project_lite::pin_project;
use tokio::time::sleep;

use crate::{
    seam::{BoxError, Timer},
    webhook::signature::Macs,
};

use super::{
    budget::Reservation,
    buffer::Buffer,
    layer::Settings,
    rejection::{Rejection, RejectionKind},
};

/// After how many frames others on the thread, and the time limit, get a turn: a body may always
/// have another frame ready, and an empty one.
const FRAMES_A_TURN: usize = 64;

pin_project! {
    pub(super) struct Receive<B> {
        #[pin]
        body: B,
        buffer: Option<Buffer>,
        timeout: Duration,
        timer: Timer,
    }
}

impl<B> Receive<B> {
    pub(super) fn new<K>(body: B, settings: &Settings<K>, declared: Option<usize>) -> Self {
        let reservation = settings.budget.reservation();
        let buffer = Some(Buffer::new(settings.body_limit, declared, reservation));
        Self { body, buffer, timeout: settings.body_timeout, timer: Timer::default() }
    }
}

impl<B: Body> Receive<B>
where
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut macs: Option<&mut Macs>,
    ) -> Poll<Result<(Bytes, Reservation), Rejection>> {
        let mut this = self.project();
        let late = |timer: &mut Timer, cx: &mut Context<'_>, timeout| {
            timer.poll(cx, || sleep(timeout)).map(|()| Err(RejectionKind::BodyTimeout.into()))
        };
        let buffer = this.buffer.as_mut().expect("polled after it was ready");
        for _ in 0..FRAMES_A_TURN {
            let frame = match this.body.as_mut().poll_frame(cx) {
                Poll::Pending => return late(this.timer, cx, *this.timeout),
                Poll::Ready(None) => {
                    let buffer = this.buffer.take().expect("it was there");
                    return Poll::Ready(Ok(buffer.finish()));
                }
                Poll::Ready(Some(frame)) => frame.map_err(broken)?,
            };
            // Trailers are not signed.
            let Ok(mut data) = frame.into_data() else { continue };
            let data = data.copy_to_bytes(data.remaining());
            if let Some(macs) = &mut macs {
                macs.update(&data);
            }
            buffer.push(data)?;
        }
        cx.waker().wake_by_ref();
        late(this.timer, cx, *this.timeout)
    }
}

/// A body that failed: by a limit that somebody else has set around it, or because it broke off.
fn broken(error: impl Into<BoxError>) -> Rejection {
    let error = error.into();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return RejectionKind::BodyTooLarge.into();
        }
        cause = error.source();
    }
    Rejection::because(RejectionKind::BodyIncomplete, error)
}
