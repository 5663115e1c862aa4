//! Threads: which mails belong together, and which are read.

use jiff::Timestamp;

use super::{
    data::Data,
    model::{Mail, Thread, new_id},
    refusal::Refusal,
};

impl Data {
    pub(crate) fn thread(&self, id: &str) -> Result<&Thread, Refusal> {
        self.threads.get(id).ok_or_else(|| Refusal::not_found("thread"))
    }

    /// Returns an inbox's threads, the one with the newest mail first.
    pub(crate) fn threads(&self, inbox: &str) -> Vec<&Thread> {
        let of_inbox = |thread: &&Thread| thread.inbox_id == inbox;
        let mut threads: Vec<_> = self.threads.values().filter(of_inbox).collect();
        threads.sort_by(|a, b| (b.last_message_at, &b.id).cmp(&(a.last_message_at, &a.id)));
        threads
    }

    /// Returns a thread's mails, oldest first.
    pub(crate) fn thread_mails(&self, thread: &str) -> Vec<&Mail> {
        self.mails.values().filter(|mail| mail.thread_id == thread).collect()
    }

    /// Returns an inbox's mails, newest first.
    pub(crate) fn mails(&self, inbox: &str) -> Vec<&Mail> {
        self.mails.values().rev().filter(|mail| mail.inbox_id == inbox).collect()
    }

    pub(crate) fn mark_read(&mut self, id: &str, is_read: bool) -> Result<(), Refusal> {
        self.edit(id, |thread: &mut Thread| thread.is_read = is_read)
            .map(drop)
            .ok_or_else(|| Refusal::not_found("thread"))
    }

    pub(super) fn begin_thread(&mut self, inbox: &str, subject: &str) -> String {
        let now = Timestamp::now();
        let thread = Thread {
            id: new_id("thr"),
            inbox_id: inbox.to_owned(),
            subject: subject.to_owned(),
            is_read: false,
            created_at: now,
            last_message_at: now,
        };
        self.put(thread.clone());
        thread.id
    }

    /// Returns the thread of an inbox that contains one of these `Message-ID`s.
    pub(super) fn thread_of<'a>(
        &self,
        inbox: &str,
        message_ids: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let ids: Vec<_> = message_ids.collect();
        let mut mails = self.mails.values().rev().filter(|mail| mail.inbox_id == inbox);
        let mail = mails.find(|mail| ids.contains(&mail.rfc_message_id.as_str()))?;
        Some(mail.thread_id.clone())
    }
}
