//! A handler that waits to be told what to answer.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use openmail_tower::{HandlerError, Outcome, VerifiedEvent};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};
use tower::Service;

/// Passes at once where time is paused: what hangs there fails.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

type Answer = Result<Outcome, HandlerError>;

/// Counts the runs of a [`ToldHandler`], and lets them end.
#[derive(Debug, Clone)]
pub struct Told {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Told {
    /// How many runs have begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// How many of them have answered.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// Lets one run end so, be it under way or still to come.
    pub fn answer(&self, answer: Answer) {
        self.answers.send(answer).expect("the handler is there");
    }
}

/// A handler whose every run waits for an answer of [`Told`].
pub fn told() -> (ToldHandler, Told) {
    let (answers, waiting) = mpsc::unbounded_channel();
    let told = Told { begun: Arc::default(), ended: Arc::default(), answers };
    (ToldHandler { told: told.clone(), answers: Arc::new(Mutex::new(waiting)) }, told)
}

/// See [`told`].
#[derive(Debug, Clone)]
pub struct ToldHandler {
    told: Told,
    answers: Arc<Mutex<mpsc::UnboundedReceiver<Answer>>>,
}

impl Service<VerifiedEvent> for ToldHandler {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: VerifiedEvent) -> Self::Future {
        let Self { told, answers } = self.clone();
        told.begun.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let answer = async { answers.lock().await.recv().await };
            let answer =
                timeout(LIMIT, answer).await.expect("an answer").expect("the test goes on");
            told.ended.fetch_add(1, Ordering::SeqCst);
            answer
        })
    }
}
