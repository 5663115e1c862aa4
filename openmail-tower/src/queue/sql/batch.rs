//! Group commit: operations that arrive at the same time share one transaction.

use std::{fmt, future::Future, sync::Arc};

use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    queue::error::{QueueError, QueueErrorKind},
    seam::CatchPanic,
    telemetry::queue as telemetry,
};

/// Maximum number of operations in a transaction.
const OPERATIONS: usize = 256;
/// The approximate size, in bytes, at which a transaction takes no further operation.
const BYTES: usize = 8 << 20;

/// Writes batches.
pub(in crate::queue) trait Apply: Send + 'static {
    type Op: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Performs these operations in one transaction and returns their answers, in order. An answer
    /// may say that its operation was left out.
    fn apply(
        &mut self,
        ops: &[Self::Op],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, QueueError>> + Send;

    /// Returns the approximate number of bytes that the operation writes.
    fn size(op: &Self::Op) -> usize;

    /// Releases resources after the last batch.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Passes operations to a task of its own. While that task writes a batch, the operations of the
/// next one gather. If a caller stops waiting, its operation is performed completely or not at all.
pub(in crate::queue) struct Batcher<A: Apply> {
    sender: mpsc::Sender<Pending<A>>,
    closing: Arc<Notify>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Pending<A: Apply> {
    op: A::Op,
    reply: oneshot::Sender<Result<A::Answer, QueueError>>,
}

impl<A: Apply> Batcher<A> {
    pub(in crate::queue) fn new(apply: A) -> Self {
        let (sender, receiver) = mpsc::channel(OPERATIONS);
        let closing = Arc::new(Notify::new());
        let task = tokio::spawn(write(apply, receiver, Arc::clone(&closing)));
        Self { sender, closing, task: Arc::new(Mutex::new(Some(task))) }
    }

    pub(in crate::queue) async fn ask(&self, op: A::Op) -> Result<A::Answer, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Pending { op, reply }).await.map_err(|_| QueueError::closed())?;
        answer.await.map_err(|_| QueueError::closed())?
    }

    #[cfg(feature = "queue-sqlite")]
    pub(in crate::queue) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Writes all pending operations, and accepts no more.
    pub(in crate::queue) async fn close(&self) {
        self.closing.notify_one();
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            // A task that panicked has ended as well.
            let _ = running.await;
            *task = None;
        }
    }
}

impl<A: Apply> Clone for Batcher<A> {
    fn clone(&self) -> Self {
        let Self { sender, closing, task } = self;
        Self { sender: sender.clone(), closing: Arc::clone(closing), task: Arc::clone(task) }
    }
}

impl<A: Apply> fmt::Debug for Batcher<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

async fn write<A: Apply>(
    mut apply: A,
    mut receiver: mpsc::Receiver<Pending<A>>,
    closing: Arc<Notify>,
) {
    loop {
        let first = tokio::select! {
            pending = receiver.recv() => pending,
            () = closing.notified() => {
                receiver.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let (mut ops, mut replies) = (Vec::new(), Vec::new());
        let (mut bytes, mut next) = (0, Some(first));
        while let Some(Pending { op, reply }) = next {
            // If nobody waits for the answer, the operation is skipped.
            if !reply.is_closed() {
                bytes += A::size(&op);
                ops.push(op);
                replies.push(reply);
            }
            let room = ops.len() < OPERATIONS && bytes < BYTES;
            next = room.then(|| receiver.try_recv().ok()).flatten();
        }
        for (reply, answer) in replies.into_iter().zip(answers(&mut apply, &ops).await) {
            let _ = reply.send(answer);
        }
    }
    apply.close().await;
}

async fn answers<A: Apply>(apply: &mut A, ops: &[A::Op]) -> Vec<Result<A::Answer, QueueError>> {
    match applied(apply, ops).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        // An operation that is refused, or too large for the remaining disk space, must not fail
        // the others.
        Err(error)
            if matches!(error.kind(), QueueErrorKind::Refused | QueueErrorKind::Full)
                && ops.len() > 1 =>
        {
            let mut answers = Vec::new();
            for op in ops.chunks(1) {
                let answer = applied(apply, op).await;
                answers.push(answer.and_then(|mut one| one.pop().ok_or_else(QueueError::closed)));
            }
            answers
        }
        Err(error) => ops.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// Applies operations. A panic fails this batch, but later ones are still written.
async fn applied<A: Apply>(apply: &mut A, ops: &[A::Op]) -> Result<Vec<A::Answer>, QueueError> {
    match CatchPanic::new(|| apply.apply(ops)).await {
        Ok(answers) => answers,
        Err(panic) => {
            let error = format!("writing panicked: {panic}");
            let error = QueueError::new(QueueErrorKind::Unavailable, error);
            telemetry::away(&error);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles numbers, refuses 13, and records each batch.
    struct Doubler {
        batches: mpsc::UnboundedSender<Vec<u32>>,
        gate: Arc<Notify>,
    }

    impl Apply for Doubler {
        type Op = u32;
        type Answer = u32;

        async fn apply(&mut self, ops: &[u32]) -> Result<Vec<u32>, QueueError> {
            self.batches.send(ops.to_vec()).unwrap();
            self.gate.notified().await;
            assert!(!ops.contains(&99), "a bug");
            if ops.contains(&13) {
                return Err(QueueError::new(QueueErrorKind::Refused, "13"));
            }
            Ok(ops.iter().map(|op| op * 2).collect())
        }

        fn size(_: &u32) -> usize {
            0
        }

        async fn close(self) {}
    }

    fn doubler() -> (Batcher<Doubler>, mpsc::UnboundedReceiver<Vec<u32>>, Arc<Notify>) {
        let (batches, seen) = mpsc::unbounded_channel();
        let gate = Arc::new(Notify::new());
        (Batcher::new(Doubler { batches, gate: Arc::clone(&gate) }), seen, gate)
    }

    async fn asked(batcher: &Batcher<Doubler>, op: u32) -> JoinHandle<Result<u32, QueueError>> {
        let batcher = batcher.clone();
        let asked = tokio::spawn(async move { batcher.ask(op).await });
        tokio::task::yield_now().await;
        asked
    }

    #[tokio::test]
    async fn batches_gathered_operations_and_isolates_a_refused_one() {
        let (batcher, mut batches, gate) = doubler();
        let first = asked(&batcher, 1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let rest = [asked(&batcher, 2).await, asked(&batcher, 13).await, asked(&batcher, 3).await];
        gate.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        for expected in [&[2, 13, 3][..], &[2], &[13], &[3]] {
            assert_eq!(batches.recv().await.unwrap(), expected);
            gate.notify_one();
        }
        let [two, thirteen, three] = rest;
        assert_eq!(two.await.unwrap().unwrap(), 4);
        assert_eq!(thirteen.await.unwrap().unwrap_err().kind(), QueueErrorKind::Refused);
        assert_eq!(three.await.unwrap().unwrap(), 6);
    }

    #[tokio::test]
    async fn close_writes_pending_operations() {
        let (batcher, mut batches, gate) = doubler();
        let first = asked(&batcher, 1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let second = asked(&batcher, 2).await;
        let third = asked(&batcher, 3).await;
        third.abort();
        assert!(third.await.unwrap_err().is_cancelled());
        let closing = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.close().await }
        });
        gate.notify_one();
        assert_eq!(batches.recv().await.unwrap(), [2], "nobody waits for 3");
        gate.notify_one();
        closing.await.unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        assert_eq!(second.await.unwrap().unwrap(), 4);
        assert_eq!(batcher.ask(4).await.unwrap_err().kind(), QueueErrorKind::Closed);
        batcher.close().await;
    }

    #[tokio::test]
    async fn panic_fails_its_batch_but_not_later_ones() {
        let (batcher, mut batches, gate) = doubler();
        let bug = asked(&batcher, 99).await;
        assert_eq!(batches.recv().await.unwrap(), [99]);
        gate.notify_one();
        let error = bug.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), QueueErrorKind::Unavailable);
        let later = asked(&batcher, 2).await;
        assert_eq!(batches.recv().await.unwrap(), [2]);
        gate.notify_one();
        assert_eq!(later.await.unwrap().unwrap(), 4);
    }
}
