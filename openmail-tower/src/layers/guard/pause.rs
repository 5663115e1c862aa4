//! [`Pause`].

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::event::InboxId;

/// A switch that stops all mail, or the mail of single inboxes, in this process.
///
/// Behind a queue, mails that are due during a pause are put off until it ends, without using an
/// attempt; after 30 days by default, they become dead letters. Each is checked again after about
/// 10 s; the more mails wait, the longer this takes, up to 5 min. Without a queue, mails are
/// answered with 503, and OpenMail gives up after about 7.5 min. A pause does not stop runs in
/// progress, or replies that a queue has already stored.
///
/// Clones share the switch: pass one to [`GuardLayer::pause`](super::GuardLayer::pause) and keep
/// another.
///
/// ```
/// use openmail_tower::layers::guard::{GuardLayer, Pause};
///
/// let pause = Pause::default();
/// let guard = GuardLayer::default().pause(&pause);
/// pause.pause_inbox("inb_support"); // from any thread, at any time
/// assert!(pause.is_paused(Some(&"inb_support".into())));
/// pause.resume_inbox("inb_support");
/// ```
#[derive(Clone, Default)]
pub struct Pause(Arc<Switch>);

#[derive(Default)]
struct Switch {
    everything: AtomicBool,
    inboxes: RwLock<HashSet<InboxId>>,
}

impl Pause {
    /// Pauses the mail of all inboxes.
    pub fn pause(&self) {
        self.0.everything.store(true, Ordering::Release);
    }

    /// Ends [`pause`](Self::pause). Inboxes that were paused individually stay paused.
    pub fn resume(&self) {
        self.0.everything.store(false, Ordering::Release);
    }

    /// Pauses one inbox.
    pub fn pause_inbox(&self, inbox: impl Into<InboxId>) {
        self.0.inboxes.write().unwrap_or_else(PoisonError::into_inner).insert(inbox.into());
    }

    /// Resumes one inbox. Returns whether it was paused individually.
    pub fn resume_inbox(&self, inbox: impl AsRef<str>) -> bool {
        self.0.inboxes.write().unwrap_or_else(PoisonError::into_inner).remove(inbox.as_ref())
    }

    /// Returns whether the mail of an inbox is paused; with `None`, whether the mail of all inboxes
    /// is.
    pub fn is_paused(&self, inbox: Option<&InboxId>) -> bool {
        self.0.everything.load(Ordering::Acquire)
            || inbox.is_some_and(|inbox| {
                self.0.inboxes.read().unwrap_or_else(PoisonError::into_inner).contains(inbox)
            })
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inboxes = self.0.inboxes.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pause")
            .field("everything", &self.0.everything)
            .field("inboxes", &inboxes)
            .finish()
    }
}
