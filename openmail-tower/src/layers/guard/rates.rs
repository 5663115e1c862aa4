//! The rates of runs and replies.

use std::time::Duration;

use crate::{
    event::{Address, MessageReceived, beginning},
    seam::{CountLimit, CountNote, CountRequest, bounded_key},
};

use super::{rule::Scope, sketch::Sketch};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest part of a message id in a note, in bytes.
const LONGEST_ID: usize = 96;

/// A maximum number within a window of time: `Rate::new(5, Duration::from_secs(3600))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    most: u32,
    window: Duration,
}

impl Rate {
    /// Allows `most` within any `window`. A window longer than 30 days counts as 30 days.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window: window.min(30 * DAY) }
    }

    /// Allows any number.
    pub fn unlimited() -> Self {
        Self::new(u32::MAX, Duration::ZERO)
    }

    fn limit(self, key: String) -> Option<CountLimit> {
        let key = bounded_key(key);
        (self.most < u32::MAX).then_some(CountLimit { key, most: self.most, window: self.window })
    }
}

/// The rates of a guard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) runs_per_sender: Rate,
    pub(super) runs_per_inbox: Rate,
    pub(super) replies_per_thread: Rate,
    pub(super) replies_per_sender: Rate,
    pub(super) replies_per_inbox: Rate,
    pub(super) repeats: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            runs_per_sender: Rate::new(30, HOUR),
            runs_per_inbox: Rate::new(500, HOUR),
            replies_per_thread: Rate::new(5, HOUR),
            replies_per_sender: Rate::new(20, DAY),
            replies_per_inbox: Rate::new(150, DAY),
            repeats: Rate::new(3, HOUR),
        }
    }
}

/// What to count before a run.
pub(super) struct BeforeRun {
    pub(super) request: CountRequest,
    /// For each limit in `take`, the mails that it counts.
    pub(super) runs: Vec<Scope>,
    /// For each limit in `check`, the mails that it counts.
    pub(super) replies: Vec<Scope>,
}

impl Rates {
    /// Returns whether repeated texts are looked for.
    pub(super) fn has_repeats(&self) -> bool {
        self.repeats.most < u32::MAX
    }

    /// Returns what to count before a run. Each retry counts as another run.
    pub(super) fn before_run(
        &self,
        mail: &MessageReceived,
        sender: Option<&Address>,
        attempt: u32,
        sketch: Option<&Sketch>,
    ) -> BeforeRun {
        let keys = Keys::new(mail);
        let (runs, take) = self.runs(&keys, sender).unzip();
        let (replies, check) = self.replies(&keys, sender).unzip();
        let mut request = CountRequest {
            id: bounded_key([&*attempt.to_string(), ":", mail.message.id.as_str()].concat()),
            take,
            check,
            // An earlier attempt may have counted its reply and then failed to settle. That reply
            // must not count against this attempt.
            check_id: reply_id(mail),
            note: None,
        };
        if let (Some(sketch), Some(sender)) = (sketch, sender)
            && self.has_repeats()
        {
            let key = bounded_key(keys.of("text", sender.canonical()));
            // The message id is part of the note, so that a retry of the same mail is not a
            // repetition.
            let message = bounded_key(mail.message.id.as_str().to_owned());
            let text = [&*sketch.to_hex(), "/", beginning(&message, LONGEST_ID)].concat();
            request.note = Some(CountNote { key, text, window: self.repeats.window });
        }
        BeforeRun { request, runs, replies }
    }

    /// Returns what to count once there is a reply.
    pub(super) fn before_reply(
        &self,
        mail: &MessageReceived,
        sender: Option<&Address>,
    ) -> CountRequest {
        CountRequest {
            id: reply_id(mail),
            take: self.replies(&Keys::new(mail), sender).map(|(_, limit)| limit).collect(),
            ..CountRequest::default()
        }
    }

    /// Returns whether the notes of a sender contain nearly the same text often enough to be a
    /// loop.
    pub(super) fn is_repeated(&self, note: &CountNote, sketch: &Sketch, notes: &[String]) -> bool {
        let others = notes.iter().filter(|other| **other != note.text);
        let alike = others.filter(|other| {
            let hex = other.split_once('/').map_or("", |(hex, _)| hex);
            Sketch::parse(hex).is_some_and(|other| sketch.is_like(&other))
        });
        alike.count() + 1 >= self.repeats.most as usize
    }

    fn runs(
        &self,
        keys: &Keys<'_>,
        sender: Option<&Address>,
    ) -> impl Iterator<Item = (Scope, CountLimit)> {
        let sender =
            sender.and_then(|it| self.runs_per_sender.limit(keys.of("run", it.canonical())));
        let inbox = self.runs_per_inbox.limit(["runs:", keys.mail.inbox_id.as_str()].concat());
        limits([(Scope::Sender, sender), (Scope::Inbox, inbox)])
    }

    fn replies(
        &self,
        keys: &Keys<'_>,
        sender: Option<&Address>,
    ) -> impl Iterator<Item = (Scope, CountLimit)> {
        let thread = keys.mail.thread_id.as_ref();
        let thread =
            thread.and_then(|it| self.replies_per_thread.limit(keys.of("thread", it.as_str())));
        let sender =
            sender.and_then(|it| self.replies_per_sender.limit(keys.of("reply", it.canonical())));
        let inbox =
            self.replies_per_inbox.limit(["replies:", keys.mail.inbox_id.as_str()].concat());
        limits([(Scope::Thread, thread), (Scope::Sender, sender), (Scope::Inbox, inbox)])
    }
}

/// Returns the limits that exist: one may be unlimited, or the mail may have no thread.
fn limits<const N: usize>(
    limits: [(Scope, Option<CountLimit>); N],
) -> impl Iterator<Item = (Scope, CountLimit)> {
    limits.into_iter().filter_map(|(scope, limit)| Some((scope, limit?)))
}

/// Returns the id under which the reply to a mail is counted: the same in each attempt.
fn reply_id(mail: &MessageReceived) -> String {
    bounded_key(mail.message.id.as_str().to_owned())
}

/// The keys under which a mail is counted.
struct Keys<'m> {
    mail: &'m MessageReceived,
    /// The inbox's id. An id may contain any character, so its length comes first.
    inbox: String,
}

impl<'m> Keys<'m> {
    fn new(mail: &'m MessageReceived) -> Self {
        let inbox = mail.inbox_id.as_str();
        Self { mail, inbox: [&*inbox.len().to_string(), ":", inbox].concat() }
    }

    /// Returns the key of something within the inbox.
    fn of(&self, what: &str, id: &str) -> String {
        [what, ":", &self.inbox, ":", id].concat()
    }
}
