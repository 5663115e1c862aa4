//! Counts in memory.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    counting::{Judged, Subject},
    rates::Rates,
    rule::Scope,
    sketch::Sketch,
    window::Window,
};

/// The maximum number of texts kept for a sender; the oldest are dropped.
const TEXTS: usize = 256;
/// The minimum number of keys before expired ones are removed.
const FEW: usize = 1024;

/// The counts of one process.
pub(super) struct MemoryCounts {
    tables: Mutex<Tables>,
    /// Hashes senders with a secret key, so that nobody can choose addresses that collide.
    senders: RandomState,
    /// Hashes ids, which OpenMail chooses.
    ids: foldhash::quality::RandomState,
    begun: Instant,
}

#[derive(Default)]
struct Tables {
    inboxes: Table<Inbox>,
    senders: Table<Sender>,
    threads: Table<Window<u64>>,
    /// The latest time at which something was counted, in nanoseconds.
    latest: u64,
}

/// What is counted for an inbox: hashes of its runs, and of the mails that were answered.
#[derive(Default)]
struct Inbox {
    runs: Window<u64>,
    replies: Window<u64>,
}

/// What is counted for one sender in an inbox.
#[derive(Default)]
struct Sender {
    runs: Window<u64>,
    replies: Window<u64>,
    texts: Window<Text>,
}

/// A text, and the mail that it is from: the same text in a retry of that mail is not a repetition.
#[derive(PartialEq)]
struct Text {
    sketch: Sketch,
    mail: u64,
}

/// The hashes of what a mail is counted under.
struct Hashes {
    inbox: u64,
    sender: Option<u64>,
    thread: Option<u64>,
    mail: u64,
}

/// Values by the hash of their key.
struct Table<V> {
    by_key: HashMap<u64, V, foldhash::fast::RandomState>,
    /// The number of keys at which expired ones are removed.
    sweep_at: usize,
}

impl MemoryCounts {
    /// Checks the rates before the run of a mail. Counts the run if `takes`, and remembers the
    /// mail's text. If `takes` and the rate of runs is used up, it does neither.
    pub(super) fn before_run(&self, mail: &Subject<'_>, rates: &Rates, takes: bool) -> Judged {
        self.before_run_at(mail, rates, takes, Instant::now())
    }

    fn before_run_at(
        &self,
        mail: &Subject<'_>,
        rates: &Rates,
        takes: bool,
        now: Instant,
    ) -> Judged {
        let hashes = self.hashes(mail);
        // Each attempt counts as another run.
        let run = hashes.mail.wrapping_add(mail.attempt.into());
        let (mut tables, now) = self.lock(now);
        let Tables { inboxes, senders, threads, .. } = &mut *tables;
        let inbox = inboxes.entry(hashes.inbox, now);
        let mut sender = hashes.sender.map(|key| senders.entry(key, now));
        let new_thread = Window::default();
        let thread = hashes.thread.map(|key| threads.by_key.get(&key).unwrap_or(&new_thread));

        let mut judged = Judged::default();
        if takes {
            let of_sender = sender.as_ref().and_then(|sender| {
                sender.runs.full(rates.runs_per_sender, run, now).map(|time| (Scope::Sender, time))
            });
            judged.full = of_sender
                .or_else(|| {
                    let time = inbox.runs.full(rates.runs_per_inbox, run, now)?;
                    Some((Scope::Inbox, time))
                })
                .map(|(scope, time)| (scope, Duration::from_nanos(time)));
        }
        let replies = [
            (Scope::Thread, thread, rates.replies_per_thread),
            (Scope::Sender, sender.as_ref().map(|it| &it.replies), rates.replies_per_sender),
            (Scope::Inbox, Some(&inbox.replies), rates.replies_per_inbox),
        ];
        judged.over = replies
            .into_iter()
            .find_map(|(scope, window, rate)| window?.full(rate, hashes.mail, now).map(|_| scope));
        if judged.full.is_some() {
            return judged;
        }
        if takes {
            inbox.runs.count(rates.runs_per_inbox, run, now);
            if let Some(sender) = &mut sender {
                sender.runs.count(rates.runs_per_sender, run, now);
            }
        }
        if let (Some(sender), Some(sketch)) = (sender, mail.sketch) {
            let text = Text { sketch, mail: hashes.mail };
            judged.is_repeated = sender.repeats(text, rates, now);
        }
        judged
    }

    /// Counts a reply. If there is no room for it, returns the scope whose rate is used up.
    pub(super) fn full_before_reply(&self, mail: &Subject<'_>, rates: &Rates) -> Option<Scope> {
        let hashes = self.hashes(mail);
        let (mut tables, now) = self.lock(Instant::now());
        let Tables { inboxes, senders, threads, .. } = &mut *tables;
        let thread = hashes.thread.map(|key| threads.entry(key, now));
        let sender = hashes.sender.map(|key| &mut senders.entry(key, now).replies);
        let inbox = Some(&mut inboxes.entry(hashes.inbox, now).replies);
        let mut windows = [
            (Scope::Thread, thread, rates.replies_per_thread),
            (Scope::Sender, sender, rates.replies_per_sender),
            (Scope::Inbox, inbox, rates.replies_per_inbox),
        ];
        let full = windows.iter().find_map(|(scope, window, rate)| {
            window.as_ref()?.full(*rate, hashes.mail, now).map(|_| *scope)
        });
        if full.is_none() {
            for (_, window, rate) in &mut windows {
                window.iter_mut().for_each(|it| it.count(*rate, hashes.mail, now));
            }
        }
        full
    }

    fn hashes(&self, Subject { mail, sender, .. }: &Subject<'_>) -> Hashes {
        let inbox = self.ids.hash_one(mail.inbox_id.as_str());
        let thread = mail.thread_id.as_ref();
        Hashes {
            inbox,
            sender: sender.map(|sender| self.senders.hash_one((inbox, sender.canonical()))),
            thread: thread.map(|thread| self.ids.hash_one((inbox, thread.as_str()))),
            mail: self.ids.hash_one(mail.message.id.as_str()),
        }
    }

    /// Returns the tables, and the time in nanoseconds.
    fn lock(&self, now: Instant) -> (MutexGuard<'_, Tables>, u64) {
        let now = nanos(now.saturating_duration_since(self.begun));
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have read the clock later, but locked first.
        tables.latest = tables.latest.max(now);
        let now = tables.latest;
        (tables, now)
    }
}

/// Returns a duration in nanoseconds. A `u64` is enough for 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Sender {
    /// Adds a text. Returns whether the sender has written nearly the same often enough to be a
    /// loop.
    fn repeats(&mut self, text: Text, rates: &Rates, now: u64) -> bool {
        let window = rates.repeats.window_nanos();
        let others = self.texts.within(window, now).filter(|other| **other != text);
        let alike = others.filter(|other| other.sketch.is_like(&text.sketch)).count();
        self.texts.add(text, window, now);
        self.texts.keep_latest(TEXTS);
        rates.are_repeats(alike)
    }
}

/// A value that a table removes once nothing in it counts any more.
trait Expires {
    fn is_over(&self, now: u64) -> bool;
}

impl Expires for Window<u64> {
    fn is_over(&self, now: u64) -> bool {
        self.is_over(now)
    }
}

impl Expires for Inbox {
    fn is_over(&self, now: u64) -> bool {
        self.runs.is_over(now) && self.replies.is_over(now)
    }
}

impl Expires for Sender {
    fn is_over(&self, now: u64) -> bool {
        self.runs.is_over(now) && self.replies.is_over(now) && self.texts.is_over(now)
    }
}

impl<V: Default + Expires> Table<V> {
    /// Returns the value of a key, which is added if it is new. Expired keys are removed first,
    /// each time the number of keys has doubled.
    fn entry(&mut self, key: u64, now: u64) -> &mut V {
        let is_many = self.by_key.len() >= self.sweep_at.max(FEW);
        if is_many && !self.by_key.contains_key(&key) {
            self.by_key.retain(|_, value| !value.is_over(now));
            self.by_key.shrink_to(FEW);
            self.sweep_at = 2 * self.by_key.len();
        }
        self.by_key.entry(key).or_default()
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { by_key: HashMap::default(), sweep_at: 0 }
    }
}

impl Default for MemoryCounts {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            senders: RandomState::new(),
            ids: foldhash::quality::RandomState::default(),
            begun: Instant::now(),
        }
    }
}

impl fmt::Debug for MemoryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCounts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{VerifiedEvent, layers::guard::rates::Rate};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Counts mails in memory at given times.
    struct Counts {
        memory: MemoryCounts,
        rates: Rates,
        begun: Instant,
    }

    impl Counts {
        fn new(rates: Rates) -> Self {
            Self { memory: MemoryCounts::default(), rates, begun: Instant::now() }
        }

        fn run(&self, mail: &str, attempt: u32, sender: &str, later: Duration) -> Judged {
            self.with(mail, attempt, sender, |subject| {
                self.memory.before_run_at(subject, &self.rates, true, self.begun + later)
            })
        }

        fn reply_is_full(&self, mail: &str, sender: &str) -> bool {
            let full = |it: &Subject<'_>| self.memory.full_before_reply(it, &self.rates);
            self.with(mail, 1, sender, full).is_some()
        }

        fn with<R>(
            &self,
            mail: &str,
            attempt: u32,
            sender: &str,
            count: impl FnOnce(&Subject<'_>) -> R,
        ) -> R {
            let json = format!(
                r#"{{"event":"message.received","inbox_id":"i","thread_id":"t",
                    "message":{{"id":"{mail}","from":"{sender}@b.example"}}}}"#
            );
            let event = VerifiedEvent::parse(json.into(), std::time::UNIX_EPOCH).unwrap();
            let mail = event.event().message_received().unwrap();
            let sender = mail.message.sender_address();
            count(&Subject { mail, sender: sender.as_ref(), attempt, sketch: None })
        }
    }

    fn rates(per_sender: u32, per_inbox: u32) -> Rates {
        Rates {
            runs_per_sender: Rate::new(per_sender, HOUR),
            runs_per_inbox: Rate::new(per_inbox, HOUR),
            ..Rates::default()
        }
    }

    #[test]
    fn mail_counts_under_every_key_or_none() {
        let counts = Counts::new(rates(2, 3));
        let full = |mail, attempt, sender, later| counts.run(mail, attempt, sender, later).full;
        let none = Duration::ZERO;
        assert_eq!(full("1", 1, "a", none), None);
        assert_eq!(full("2", 1, "a", none), None);
        assert_eq!(full("3", 1, "a", none), Some((Scope::Sender, HOUR)));
        // The refused mail did not count under the inbox.
        assert_eq!(full("4", 1, "b", none), None);
        assert_eq!(full("5", 1, "b", none), Some((Scope::Inbox, HOUR)));
        // The same mail does not count twice, but its next attempt does.
        assert_eq!(full("1", 1, "a", none), None);
        assert_eq!(full("1", 2, "a", none), Some((Scope::Sender, HOUR)));
        assert_eq!(full("3", 1, "a", HOUR / 2), Some((Scope::Sender, HOUR / 2)));
        assert_eq!(full("3", 1, "a", HOUR), None);
    }

    #[test]
    fn rate_of_zero_has_no_room() {
        let counts = Counts::new(Rates { replies_per_thread: Rate::new(0, HOUR), ..rates(0, 9) });
        let judged = counts.run("1", 1, "a", Duration::ZERO);
        assert_eq!(judged.full, Some((Scope::Sender, HOUR)));
        assert_eq!(judged.over, Some(Scope::Thread));
        assert!(counts.reply_is_full("1", "a"));
    }

    #[test]
    fn answered_mail_is_not_over_the_rate_that_it_has_used_up() {
        let rates = Rates { replies_per_sender: Rate::new(1, HOUR), ..Rates::default() };
        let counts = Counts::new(rates);
        assert!(!counts.reply_is_full("1", "a"));
        assert!(counts.reply_is_full("2", "a"));
        let over = |mail, sender, later| counts.run(mail, 2, sender, later).over;
        assert_eq!(over("1", "a", Duration::ZERO), None);
        assert_eq!(over("2", "a", Duration::ZERO), Some(Scope::Sender));
        assert_eq!(over("2", "b", Duration::ZERO), None);
        assert_eq!(over("2", "a", 2 * HOUR), None);
    }

    #[test]
    fn expired_entries_and_keys_free_their_memory() {
        let counts = Counts::new(rates(1_000, 1_000));
        for number in 0..20_000_u32 {
            let later = Duration::from_secs(60) * number;
            counts.run(&number.to_string(), 1, &number.to_string(), later);
        }
        let tables = counts.memory.tables.lock().unwrap();
        assert!(tables.senders.by_key.len() <= 2 * FEW);
        let inbox = tables.inboxes.by_key.values().next().unwrap();
        assert!(inbox.runs.within(u64::MAX, tables.latest).len() <= 3 * 60);
    }
}
