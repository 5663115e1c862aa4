//! Receives a body: limits its size and time, reserves memory, and hashes it as it arrives.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::LengthLimitError;
use tokio::time::{Instant, sleep};

use crate::{
    seam::{BoxError, Timer},
    webhook::signature::Macs,
};

use super::{
    budget::Reservation,
    buffer::Buffer,
    layer::Settings,
    pace::{Limits, Pace},
    rejection::{Rejection, RejectionKind},
};

/// After this many frames, other tasks and the time limit get a turn: a body may always have
/// another frame ready, even an empty one.
pub(super) const FRAMES_A_TURN: usize = 64;
/// Maximum time of one wait for room; a body may wait several times.
pub(super) const ROOM_TIMEOUT: Duration = Duration::from_secs(2);

/// Receives one body.
#[derive(Debug)]
pub(super) struct Receive {
    buffer: Buffer,
    limits: Limits,
    pace: Pace,
    waiting: Option<Waiting>,
}

/// A frame for which there is no room yet.
#[derive(Debug)]
struct Waiting {
    frame: Bytes,
    since: Instant,
    timer: Timer,
}

impl Receive {
    pub(super) fn new<K>(settings: &Settings<K>, declared: Option<usize>) -> Self {
        let reservation = settings.budget.reservation(declared);
        let buffer = Buffer::new(settings.body_limit, declared, reservation);
        let (limits, pace) = (settings.limits, Pace::default());
        Self { buffer, limits, pace, waiting: None }
    }

    /// Receives until the body is complete.
    pub(super) fn poll<B>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
        mut macs: Option<&mut Macs>,
    ) -> Poll<Result<(), Rejection>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if self.buffer.reservation().is_evicted() {
            return Poll::Ready(Err(RejectionKind::Overloaded.into()));
        }
        for _ in 0..FRAMES_A_TURN {
            ready!(self.poll_room(cx))?;
            let frame = match body.as_mut().poll_frame(cx) {
                Poll::Pending => return self.poll_late(cx),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(frame)) => frame.map_err(broken)?,
            };
            // Trailers are not signed.
            let Ok(mut data) = frame.into_data() else { continue };
            let data = data.copy_to_bytes(data.remaining());
            if data.is_empty() {
                continue;
            }
            self.buffer.check(data.len())?;
            if let Some(macs) = &mut macs {
                macs.update(&data);
            }
            if self.buffer.try_grow(data.len()) {
                self.buffer.append(data);
            } else {
                let (since, timer) = (Instant::now(), Timer::default());
                self.waiting = Some(Waiting { frame: data, since, timer });
            }
        }
        ready!(self.poll_room(cx))?;
        cx.waker().wake_by_ref();
        self.poll_late(cx)
    }

    /// Waits for room for the frame that has none yet, and appends it.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let Some(Waiting { frame, timer, .. }) = &mut self.waiting else {
            return Poll::Ready(Ok(()));
        };
        let room = match self.buffer.poll_grow(cx, frame.len()) {
            Poll::Ready(room) => room,
            Poll::Pending => {
                ready!(timer.poll(cx, || sleep(ROOM_TIMEOUT)));
                false
            }
        };
        let Some(Waiting { frame, since, .. }) = self.waiting.take().filter(|_| room) else {
            return Poll::Ready(Err(RejectionKind::Overloaded.into()));
        };
        self.buffer.append(frame);
        self.pace.add_unread(since.elapsed());
        Poll::Ready(Ok(()))
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        self.buffer.reservation().park(cx);
        let bytes = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.pace.poll(cx, bytes, self.limits).map(|()| Err(RejectionKind::BodyTimeout.into()))
    }

    /// Returns the bytes of a complete body, and their share of the budget.
    pub(super) fn finish(self) -> (Bytes, Reservation) {
        self.buffer.finish()
    }
}

/// Creates the rejection for a body that failed: because the connection was lost, or because of a
/// limit set by another layer.
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
