//! A handler whose runs wait until the test sets their results.

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

/// Maximum wait for an answer. In a test with paused time, it passes at once if nothing else can
/// run, so that the test fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

type Answer = Result<Outcome, HandlerError>;

/// Counts the runs of a [`ScriptedHandler`], and sets their answers.
#[derive(Debug, Clone)]
pub struct Script {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Script {
    /// Returns how many runs have begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns how many of them have answered.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// Lets one run end with this answer. The run may be in progress, or begin later.
    pub fn answer(&self, answer: Answer) {
        self.answers.send(answer).expect("the handler still exists");
    }
}

/// Creates a handler whose runs each wait for an answer from [`Script`].
pub fn scripted() -> (ScriptedHandler, Script) {
    let (answers, waiting) = mpsc::unbounded_channel();
    let script = Script { begun: Arc::default(), ended: Arc::default(), answers };
    (ScriptedHandler { script: script.clone(), answers: Arc::new(Mutex::new(waiting)) }, script)
}

/// The handler that [`scripted`] returns.
#[derive(Debug, Clone)]
pub struct ScriptedHandler {
    script: Script,
    answers: Arc<Mutex<mpsc::UnboundedReceiver<Answer>>>,
}

impl Service<VerifiedEvent> for ScriptedHandler {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: VerifiedEvent) -> Self::Future {
        let Self { script, answers } = self.clone();
        script.begun.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let answer = async { answers.lock().await.recv().await };
            let answer =
                timeout(LIMIT, answer).await.expect("an answer").expect("the test still runs");
            script.ended.fetch_add(1, Ordering::SeqCst);
            answer
        })
    }
}
