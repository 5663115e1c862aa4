//! A body that does as it is told.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// What a [`ScriptedBody`] does next.
#[derive(Debug)]
pub enum Step {
    /// Gives a frame.
    Data(Bytes),
    /// Is not ready, once, and wakes.
    Yield,
    /// Gives trailers.
    Trailers(HeaderMap),
    /// Fails.
    Fail,
    /// Never gives anything again, and wakes nobody.
    Hang,
    /// Gives empty frames for ever.
    Spin,
}

/// How often a body was polled.
#[derive(Debug, Clone, Default)]
pub struct Polls(Arc<AtomicUsize>);

impl Polls {
    /// The count so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does one [`Step`] after the other, then ends.
#[derive(Debug)]
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    polls: Polls,
    hint: SizeHint,
}

impl ScriptedBody {
    /// A body of these steps, and the count of its polls.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> (Self, Polls) {
        let polls = Polls::default();
        let steps = steps.into_iter().collect();
        (Self { steps, polls: polls.clone(), hint: SizeHint::default() }, polls)
    }

    /// A body of frames of `size` bytes.
    pub fn frames(bytes: &[u8], size: usize) -> Self {
        Self::new(bytes.chunks(size).map(|chunk| Step::Data(Bytes::copy_from_slice(chunk)))).0
    }

    /// Says beforehand how long it is at least.
    #[must_use]
    pub fn at_least(mut self, bytes: u64) -> Self {
        self.hint.set_lower(bytes);
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fail) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Step::Yield) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
            Some(Step::Spin) => {
                self.steps.push_front(Step::Spin);
                Some(Ok(Frame::data(Bytes::new())))
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
