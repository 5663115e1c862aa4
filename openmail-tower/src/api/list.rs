//! Reads lists page by page, even while they grow.

use std::collections::{HashSet, VecDeque};

use futures_core::Stream;
use futures_util::stream::try_unfold;
use http::Request;
use serde::{Deserialize, de::DeserializeOwned};

use crate::event::{InboxId, MessageId, ThreadId};

use super::{
    client::OpenMail,
    error::ApiError,
    records::{Message, ThreadSummary},
};

const PAGE: usize = 50;
/// The number of entries by which each page overlaps the previous one, so that nothing is missed if
/// up to this number of entries are removed in between.
const OVERLAP: usize = 10;
/// Maximum size of a response, in bytes.
const ANSWER: usize = 32 * 1024 * 1024;

impl OpenMail {
    /// Returns the threads of an inbox, newest first.
    ///
    /// The list is read page by page as the stream is polled. Pages overlap by 10 entries, and
    /// duplicates are skipped, so no entry that was there at the start is missed if the list grows,
    /// or if up to 10 entries are removed between two pages. But a thread that moves to the front
    /// meanwhile, because a message arrives in it, may be missed. To skip duplicates, the stream
    /// remembers the ids it has yielded.
    ///
    /// # Errors
    /// If a page cannot be read, the stream yields the error and ends.
    pub fn threads(
        &self,
        inbox: &InboxId,
    ) -> impl Stream<Item = Result<ThreadSummary, ApiError>> + Send + use<> {
        pages(self.clone(), inbox.clone(), "threads")
    }

    /// Returns the received and sent messages of an inbox, newest first. They are read like
    /// [`threads`](Self::threads).
    ///
    /// # Errors
    /// If a page cannot be read, the stream yields the error and ends.
    ///
    /// ```no_run
    /// use std::pin::pin;
    /// use futures_util::TryStreamExt;
    /// use openmail_tower::{InboxId, api::OpenMail};
    ///
    /// # async fn example(openmail: OpenMail) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut messages = pin!(openmail.messages(&InboxId::from("inb_support")));
    /// while let Some(message) = messages.try_next().await? {
    ///     println!("{}", message.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(
        &self,
        inbox: &InboxId,
    ) -> impl Stream<Item = Result<Message, ApiError>> + Send + use<> {
        pages(self.clone(), inbox.clone(), "messages")
    }
}

trait Listed: DeserializeOwned + Send + 'static {
    type Id: Eq + std::hash::Hash + Clone + Send;
    fn id(&self) -> &Self::Id;
}

impl Listed for ThreadSummary {
    type Id = ThreadId;
    fn id(&self) -> &ThreadId {
        &self.id
    }
}

impl Listed for Message {
    type Id = MessageId;
    fn id(&self) -> &MessageId {
        &self.id
    }
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    total: Option<u64>,
}

struct Reading<T: Listed> {
    openmail: OpenMail,
    inbox: InboxId,
    what: &'static str,
    next: VecDeque<T>,
    seen: HashSet<T::Id>,
    /// The number of entries read so far, from the newest.
    read: usize,
    is_over: bool,
}

fn pages<T: Listed>(
    openmail: OpenMail,
    inbox: InboxId,
    what: &'static str,
) -> impl Stream<Item = Result<T, ApiError>> + Send {
    let reading = Reading {
        openmail,
        inbox,
        what,
        next: VecDeque::new(),
        seen: HashSet::new(),
        read: 0,
        is_over: false,
    };
    try_unfold(reading, |mut reading| async move {
        loop {
            if let Some(item) = reading.next.pop_front() {
                return Ok(Some((item, reading)));
            }
            if reading.is_over {
                return Ok(None);
            }
            reading.turn().await?;
        }
    })
}

impl<T: Listed> Reading<T> {
    async fn turn(&mut self) -> Result<(), ApiError> {
        let offset = self.read.saturating_sub(OVERLAP);
        let mut url = self.openmail.url(&["v1", "inboxes", self.inbox.as_str(), self.what])?;
        url.query_pairs_mut()
            .append_pair("limit", &PAGE.to_string())
            .append_pair("offset", &offset.to_string());
        let Page { data, total } =
            self.openmail.json::<Page<T>>(Request::default(), &url, ANSWER).await?;
        let end = offset + data.len();
        // A page without further entries is the last, even if the total says otherwise.
        let is_last = match total {
            Some(total) => u64::try_from(end).unwrap_or(u64::MAX) >= total,
            None => data.len() < PAGE,
        };
        self.is_over = is_last || end <= self.read;
        self.read = end;
        let seen = &mut self.seen;
        self.next.extend(data.into_iter().filter(|item| seen.insert(item.id().clone())));
        Ok(())
    }
}
