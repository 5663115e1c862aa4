//! Reads and discards the rest of a rejected body.
//!
//! Many clients ignore a response that arrives before they have sent the whole request. A proxy
//! that is still writing treats the closed connection as a failure of the backend, answers 502, and
//! sends it no requests for a while.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{HeaderMap, header::EXPECT};
use http_body::Body;

use super::{
    pace::{Limits, Pace},
    receive::FRAMES_A_TURN,
};

/// Maximum number of bytes to read, unless twice the size limit is more. If a sender sends more,
/// its connection is closed.
pub(crate) const DISCARD_LIMIT: u64 = 16 << 20;

/// Reads a body to its end.
#[derive(Debug)]
pub(crate) struct Discard {
    limit: u64,
    read: u64,
    pace: Pace,
}

impl Discard {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, read: 0, pace: Pace::default() }
    }

    /// Reads the body until it has ended or failed, or exceeds the limits.
    pub(crate) fn poll<B>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
        limits: Limits,
    ) -> Poll<()>
    where
        B: Body + ?Sized,
    {
        for _ in 0..FRAMES_A_TURN {
            let frame = match body.as_mut().poll_frame(cx) {
                Poll::Pending => return self.pace.poll(cx, self.read, limits),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
            };
            if let Some(data) = frame.data_ref() {
                let bytes = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                self.read = self.read.saturating_add(bytes);
            }
            if self.read > self.limit {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        self.pace.poll(cx, self.read, limits)
    }
}

/// Returns whether to read the rest of a body before the rejection is sent. `false` if the body has
/// ended, or is known to be longer than the limit.
pub(crate) fn is_worth_reading<B: Body>(body: &B, limit: u64) -> bool {
    !body.is_end_stream() && body.size_hint().lower() <= limit
}

/// Returns whether the sender waits for `100 Continue` before it sends the body. If so, nothing
/// arrives until the body is polled, since polling it sends `100 Continue`.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT)
}
