//! [`Worker::replies`]: sends replies through OpenMail's API.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{
    api::OpenMail,
    queue::{entry::NewReply, lease::Claimed},
    reply::{Failure, Fate, Keyed, Written, deliver, write},
    seam::{HandlerError, Outcome, VerifiedEvent},
    telemetry::{self, Fields, Next, Run},
};

use super::{
    replies::{Replies, Sent},
    settings::Worker,
};

impl<St, E> Worker<St, E> {
    /// Sends the replies that handlers return.
    ///
    /// A reply is stored in the same transaction as the completion of its event. So if the process
    /// is killed, either both are stored or neither is, and a handler does not run again once its
    /// answer is stored. The reply is then a separate entry in the event's lane, and is sent before
    /// the lane's next event runs, unless [`overtake_retries`](Self::overtake_retries) lets that
    /// event overtake it:
    ///
    /// | OpenMail | the reply |
    /// |---|---|
    /// | accepts it, or accepted it before | is done |
    /// | cannot be reached, gives no usable response, or does not have the mail to answer yet (in the first three attempts) | is retried after the [`Backoff`](crate::queue::Backoff) with the same key; after the last attempt, a dead letter |
    /// | answers 429, 402, `storage_limit_exceeded` or 401 | waits as long as OpenMail says, from 1 s to 24 h (by default, 1 min for a rate limit or 401, and 15 min for the others), without using an attempt; after [30 days](Self::max_put_off), a dead letter |
    /// | has suspended the inbox or its pod, or banned the account | is on hold until `inbox.reactivated` or `pod.reactivated` arrives or [`release_held`](crate::queue::QueueStore::release_held) or [`release_entry`](crate::queue::QueueStore::release_entry) is called; after [30 days](Self::max_put_off), a dead letter |
    /// | refuses it permanently, or there is nobody to answer | is a dead letter |
    ///
    /// OpenMail forgets keys after 24 h. So if the handler returned the reply at least 23 h ago,
    /// its thread is first searched for a mail with the same text that was sent since then. If
    /// there is one, the reply counts as sent. For a mail without a thread, the inbox's sent mails
    /// are searched.
    ///
    /// A reply to an event that is not a mail is logged and not stored; the event is done.
    ///
    /// Without this setting, an event whose handler returns a reply fails, and stored replies are
    /// left to other workers.
    pub fn replies(mut self, openmail: OpenMail) -> Self {
        self.replies = Some(Arc::new(Sender { openmail }));
        self
    }
}

struct Sender {
    openmail: OpenMail,
}

impl Replies for Sender {
    fn written(
        &self,
        event: &VerifiedEvent,
        outcome: &Outcome,
    ) -> Result<Vec<NewReply>, HandlerError> {
        let Outcome::Replies(replies) = outcome else { return Ok(Vec::new()) };
        let Some(all) = write(event, replies) else {
            // The reply fails permanently. The event does not.
            let error = HandlerError::from(Failure::NoMail);
            Run::of_reply(Fields::from(event), None).end("permanent", Some(&error), Next::Unlogged);
            return Ok(Vec::new());
        };
        let entry = |Keyed { key, name, written }| NewReply::new(key, name, written.to_bytes());
        Ok(all.into_iter().map(entry).collect())
    }

    fn answered(&self, written: &Bytes) -> Option<String> {
        Written::from_bytes(written.clone()).map(|written| written.message().to_string())
    }

    fn send(&self, reply: Claimed) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let openmail = self.openmail.clone();
        Box::pin(async move { send(&openmail, &reply).await })
    }
}

/// Attempts to send a reply.
async fn send(openmail: &OpenMail, reply: &Claimed) -> Sent {
    let written = Written::from_bytes(reply.stored.raw_body.clone());
    let (Some(written), Some(key)) = (written, &reply.key) else {
        return Sent::Failed(HandlerError::permanent("the reply cannot be read"));
    };
    let tries = reply.attempt.saturating_sub(1).saturating_add(reply.releases);
    match deliver(openmail, key, &written, tries, reply.age).await {
        Fate::Sent | Fate::SentBefore => Sent::Done,
        // The error says whether and when to retry.
        Fate::Retry(failure) => Sent::Failed(failure.into()),
        Fate::Failed(failure) => Sent::Failed(HandlerError::permanent(failure)),
        Fate::Wait(failure) => {
            let is_key = failure.is_key();
            let error = HandlerError::from(failure);
            if is_key {
                telemetry::reply_unauthorized(&error);
            }
            Sent::Failed(error)
        }
        Fate::Hold(failure) => Sent::Held { reason: HandlerError::from(failure).to_string() },
    }
}
