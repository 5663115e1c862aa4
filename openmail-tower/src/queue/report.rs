//! [`ReplyReport`]: a reply's state.

/// A reply and its state, for [`Worker::on_reply`](super::Worker::on_reply).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyReport {
    /// The state.
    pub state: ReplyState,
    /// The `Idempotency-Key`.
    pub key: String,
    /// The reply's name; `reply` if it has none.
    pub name: String,
    /// The signed `event_id` of the event that it answers.
    pub event_id: Option<String>,
    /// The inbox that it is sent from.
    pub inbox_id: Option<String>,
    /// The thread that it belongs to.
    pub thread_id: Option<String>,
    /// The mail that it answers. `None` if the reply cannot be read.
    pub message_id: Option<String>,
    /// Why it is on hold or has failed.
    pub error: Option<String>,
}

/// The state of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyState {
    /// It was stored, together with the completion of its event. If the mail that the reply answers
    /// arrives again as another event, `Queued` is reported for that event, too, although its reply
    /// is dropped: the first reply with the key is kept.
    Queued,
    /// OpenMail has accepted it, or has accepted another reply with its key before. Or the handler
    /// returned it at least 23 h ago, and a mail with the same text was sent since then.
    Sent,
    /// It is on hold until its inbox or pod is reactivated, or until it is released, but for at
    /// most `Worker::max_put_off`.
    Held,
    /// It is a dead letter.
    Failed,
}

impl ReplyState {
    /// Returns the state in one word: `queued`, `sent`, `held` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }
}
