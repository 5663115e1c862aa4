//! A request body that follows a script.

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

/// The next action of a [`ScriptedBody`].
#[derive(Debug)]
pub enum Step {
    /// Yields a frame.
    Data(Bytes),
    /// Is pending once, and wakes the task.
    Yield,
    /// Yields trailers.
    Trailers(HeaderMap),
    /// Fails.
    Fail,
    /// Is pending forever, and never wakes.
    Hang,
    /// Yields empty frames forever.
    Spin,
}

/// Counts how often a body was polled.
#[derive(Debug, Clone, Default)]
pub struct Polls(Arc<AtomicUsize>);

impl Polls {
    /// Returns the count so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Performs one [`Step`] after another, then ends.
#[derive(Debug)]
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    polls: Polls,
    hint: SizeHint,
}

impl ScriptedBody {
    /// Creates a body that follows these steps, and the counter of its polls.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> (Self, Polls) {
        let polls = Polls::default();
        let steps = steps.into_iter().collect();
        (Self { steps, polls: polls.clone(), hint: SizeHint::default() }, polls)
    }

    /// Creates a body that yields frames of up to `size` bytes.
    pub fn frames(bytes: &[u8], size: usize) -> Self {
        Self::new(bytes.chunks(size).map(|chunk| Step::Data(Bytes::copy_from_slice(chunk)))).0
    }

    /// Sets the lower bound of its size hint.
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
