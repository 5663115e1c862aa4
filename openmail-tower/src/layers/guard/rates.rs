//! The rates of runs and replies.

use std::time::Duration;

use crate::{
    event::{Address, MessageReceived},
    seam::{CountLimit, CountNote, CountRequest, bounded_key},
};

use super::sketch::Sketch;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
    ) -> CountRequest {
        let mut request = CountRequest {
            id: bounded_key(format!("{attempt}:{}", mail.message.id)),
            take: self.runs(mail, sender),
            check: self.replies(mail, sender),
            note: None,
        };
        if let (Some(sketch), Some(sender)) = (sketch, sender)
            && self.has_repeats()
        {
            let key = bounded_key(of_sender("text", mail, sender));
            // The message id is part of the note, so that a retry of the same mail is not a
            // repetition.
            let message = bounded_key(mail.message.id.as_str().to_owned());
            let message: String = message.chars().take(96).collect();
            let text = [&sketch.to_hex(), "/", &message].concat();
            request.note = Some(CountNote { key, text, window: self.repeats.window });
        }
        request
    }

    /// Returns what to count once there is a reply.
    pub(super) fn before_reply(
        &self,
        mail: &MessageReceived,
        sender: Option<&Address>,
    ) -> CountRequest {
        CountRequest {
            id: bounded_key(mail.message.id.as_str().to_owned()),
            take: self.replies(mail, sender),
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

    fn runs(&self, mail: &MessageReceived, sender: Option<&Address>) -> Vec<CountLimit> {
        let sender = sender.and_then(|it| self.runs_per_sender.limit(of_sender("run", mail, it)));
        let inbox = self.runs_per_inbox.limit(["runs:", mail.inbox_id.as_str()].concat());
        sender.into_iter().chain(inbox).collect()
    }

    fn replies(&self, mail: &MessageReceived, sender: Option<&Address>) -> Vec<CountLimit> {
        let thread = mail.thread_id.as_ref().and_then(|thread| {
            self.replies_per_thread.limit(in_inbox("thread", mail, thread.as_str()))
        });
        let sender =
            sender.and_then(|it| self.replies_per_sender.limit(of_sender("reply", mail, it)));
        let inbox = self.replies_per_inbox.limit(["replies:", mail.inbox_id.as_str()].concat());
        thread.into_iter().chain(sender).chain(inbox).collect()
    }
}

/// The key of a sender within its inbox.
fn of_sender(what: &str, mail: &MessageReceived, sender: &Address) -> String {
    in_inbox(what, mail, sender.canonical())
}

/// The key of something within its inbox. An id may contain any character, so the length marks where
/// the inbox's ends.
fn in_inbox(what: &str, mail: &MessageReceived, id: &str) -> String {
    let inbox = mail.inbox_id.as_str();
    [what, ":", &inbox.len().to_string(), ":", inbox, ":", id].concat()
}
