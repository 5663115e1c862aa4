//! The rates of runs and replies.

use std::time::Duration;

use crate::{
    event::{Address, MessageReceived, beginning},
    seam::{CountLimit, CountNote, CountRequest, bounded_key},
};

use super::{counting::Subject, memory::nanos, rule::Scope, sketch::Sketch};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum length of the message id in a note, in bytes. A longer id is cut; one of more than
/// 255 bytes is replaced by its hash.
const LONGEST_ID: usize = 96;

/// A maximum number within a window of time.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::layers::guard::{GuardLayer, Rate};
///
/// let guard = GuardLayer::default()
///     .replies_per_thread(Rate::new(3, Duration::from_secs(60 * 60)))
///     .runs_per_inbox(Rate::unlimited());
/// ```
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

    pub(super) fn is_unlimited(self) -> bool {
        self.most == u32::MAX
    }

    pub(super) fn most(self) -> usize {
        self.most as usize
    }

    pub(super) fn window_nanos(self) -> u64 {
        nanos(self.window)
    }

    fn limit(self, key: impl FnOnce() -> String) -> Option<CountLimit> {
        let Self { most, window } = self;
        (!self.is_unlimited()).then(|| CountLimit { key: bounded_key(key()), most, window })
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
    /// The scope of each limit in `take`, in the same order.
    pub(super) runs: Vec<Scope>,
    /// The scope of each limit in `check`, in the same order.
    pub(super) replies: Vec<Scope>,
}

impl Rates {
    /// Returns whether repeated texts are looked for.
    pub(super) fn has_repeats(&self) -> bool {
        !self.repeats.is_unlimited()
    }

    /// Returns what a store counts before a run. Each retry counts as another run.
    pub(super) fn before_run(&self, subject: &Subject<'_>) -> BeforeRun {
        let keys = Keys::new(subject);
        let (runs, take) = self.runs(&keys).unzip();
        let (replies, check) = self.replies(&keys).unzip();
        let message = subject.mail.message.id.as_str();
        let mut request = CountRequest {
            id: bounded_key([&*subject.attempt.to_string(), ":", message].concat()),
            take,
            check,
            // An earlier attempt may have counted its reply and then failed to settle. That reply
            // must not count against this attempt.
            check_id: reply_id(subject.mail),
            note: None,
        };
        if let (Some(sketch), Some(sender)) = (subject.sketch, subject.sender) {
            let key = bounded_key(keys.of("text", sender.canonical()));
            // The message id is part of the note, so that a retry of the same mail is not a
            // repetition.
            let message = bounded_key(message.to_owned());
            let text = [&*sketch.to_hex(), "/", beginning(&message, LONGEST_ID)].concat();
            request.note = Some(CountNote { key, text, window: self.repeats.window });
        }
        BeforeRun { request, runs, replies }
    }

    /// Returns what a store counts once there is a reply, and the scope of each limit, in the same
    /// order.
    pub(super) fn before_reply(&self, subject: &Subject<'_>) -> (CountRequest, Vec<Scope>) {
        let (scopes, take) = self.replies(&Keys::new(subject)).unzip();
        let id = reply_id(subject.mail);
        (CountRequest { id, take, ..CountRequest::default() }, scopes)
    }

    /// Returns the rate of runs for a scope, with the key under which the runs are counted.
    pub(super) fn run_limit(&self, subject: &Subject<'_>, scope: Scope) -> Option<CountLimit> {
        self.runs(&Keys::new(subject)).find_map(|(it, limit)| (it == scope).then_some(limit))
    }

    /// Returns whether the notes of a sender contain nearly the same text often enough to be a
    /// loop.
    pub(super) fn is_repeated(&self, note: &CountNote, sketch: &Sketch, notes: &[String]) -> bool {
        let others = notes.iter().filter(|other| **other != note.text);
        let alike = others.filter(|other| {
            let hex = other.split_once('/').map_or("", |(hex, _)| hex);
            Sketch::parse(hex).is_some_and(|other| sketch.is_like(&other))
        });
        self.are_repeats(alike.count())
    }

    /// Returns whether a text is part of a loop, given how many earlier ones are alike.
    pub(super) fn are_repeats(&self, alike: usize) -> bool {
        alike + 1 >= self.repeats.most()
    }

    fn runs(&self, keys: &Keys<'_>) -> impl Iterator<Item = (Scope, CountLimit)> {
        let sender = keys.sender.map(Address::canonical);
        let sender = sender.and_then(|it| self.runs_per_sender.limit(|| keys.of("run", it)));
        let inbox = self.runs_per_inbox.limit(|| keys.of_inbox("runs"));
        limits([(Scope::Sender, sender), (Scope::Inbox, inbox)])
    }

    fn replies(&self, keys: &Keys<'_>) -> impl Iterator<Item = (Scope, CountLimit)> {
        let thread = keys.mail.thread_id.as_ref().map(|it| it.as_str());
        let thread = thread.and_then(|it| self.replies_per_thread.limit(|| keys.of("thread", it)));
        let sender = keys.sender.map(Address::canonical);
        let sender = sender.and_then(|it| self.replies_per_sender.limit(|| keys.of("reply", it)));
        let inbox = self.replies_per_inbox.limit(|| keys.of_inbox("replies"));
        limits([(Scope::Thread, thread), (Scope::Sender, sender), (Scope::Inbox, inbox)])
    }
}

/// Returns the limits that exist: one may be unlimited, or the mail may have no thread or no
/// sender.
fn limits<const N: usize>(
    limits: [(Scope, Option<CountLimit>); N],
) -> impl Iterator<Item = (Scope, CountLimit)> {
    limits.into_iter().filter_map(|(scope, limit)| Some((scope, limit?)))
}

/// Returns the id under which the reply to a mail is counted: the same in each attempt.
fn reply_id(mail: &MessageReceived) -> String {
    bounded_key(mail.message.id.as_str().to_owned())
}

/// The keys under which a mail is counted in a store.
struct Keys<'m> {
    mail: &'m MessageReceived,
    sender: Option<&'m Address>,
    /// The inbox's id. An id may contain any character, so its length comes first.
    inbox: String,
}

impl<'m> Keys<'m> {
    fn new(&Subject { mail, sender, .. }: &Subject<'m>) -> Self {
        let inbox = mail.inbox_id.as_str();
        Self { mail, sender, inbox: [&*inbox.len().to_string(), ":", inbox].concat() }
    }

    /// Returns the key of something within the inbox.
    fn of(&self, what: &str, id: &str) -> String {
        [what, ":", &self.inbox, ":", id].concat()
    }

    /// Returns the key of the inbox.
    fn of_inbox(&self, what: &str) -> String {
        [what, ":", self.mail.inbox_id.as_str()].concat()
    }
}
