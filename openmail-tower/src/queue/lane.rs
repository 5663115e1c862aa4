//! [`Lane`]: which events run one at a time.

use std::{fmt, sync::Arc};

use crate::{
    event::{EventKind, InboxId},
    seam::VerifiedEvent,
};

type LaneFn = dyn Fn(&VerifiedEvent) -> Option<String> + Send + Sync;

/// Events in the same lane run one at a time, in order of arrival. The lane is stored with the
/// event when it is queued.
///
/// `inbox.reactivated` and `pod.reactivated` never have a lane: they release replies that are on
/// hold, and must not wait behind one.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Lane {
    /// One lane for each thread of an inbox. An event without a thread has no lane, and does not
    /// wait for others.
    #[default]
    Thread,
    /// One lane for each inbox. An event without an inbox has no lane, and does not wait for
    /// others.
    Inbox,
    /// One lane for all mails from one address to one inbox. Other events, and mails whose
    /// [`sender`](crate::Message::sender) is `None`, have no lane.
    Sender,
    /// No lanes: every event runs as soon as there is room.
    None,
    /// One lane for all events for which the function returns the same text.
    By(Arc<LaneFn>),
}

impl Lane {
    /// Assigns lanes with a function. An event for which it returns `None` has no lane.
    ///
    /// ```
    /// use openmail_tower::queue::Lane;
    ///
    /// let lane = Lane::by(|event| event.event().message_received()?.external_id.clone());
    /// ```
    pub fn by(lane: impl Fn(&VerifiedEvent) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(lane))
    }

    pub(super) fn of(&self, event: &VerifiedEvent) -> Option<String> {
        if matches!(event.kind(), EventKind::InboxReactivated | EventKind::PodReactivated) {
            return None;
        }
        let inbox = event.inbox_id().map_or("", InboxId::as_str);
        match self {
            // An id may contain any character, so the length shows where the inbox's id ends.
            Self::Thread => {
                event.thread_id().map(|id| format!("thread:{}:{inbox}:{id}", inbox.len()))
            }
            Self::Inbox => event.inbox_id().map(|id| format!("inbox:{id}")),
            Self::Sender => {
                let mail = event.event().message_received()?;
                let sender = mail.message.sender_address()?;
                Some(format!("sender:{}:{inbox}:{}", inbox.len(), sender.canonical()))
            }
            Self::None => None,
            Self::By(lane) => lane(event).map(|lane| format!("by:{lane}")),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "Thread",
            Self::Inbox => "Inbox",
            Self::Sender => "Sender",
            Self::None => "None",
            Self::By(_) => "By(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn event(json: &str) -> VerifiedEvent {
        VerifiedEvent::parse(json.to_owned().into(), UNIX_EPOCH).unwrap()
    }

    fn mail(inbox: &str, thread: &str, from: &str) -> VerifiedEvent {
        event(&format!(
            r#"{{"event":"message.received","event_id":"e","inbox_id":"{inbox}",
                "thread_id":"{thread}","message":{{"id":"m","from":"{from}"}}}}"#
        ))
    }

    #[test]
    fn each_lane_has_its_own_events() {
        let (a, b) = (mail("i", "t", "Ada <ADA@b.c>"), mail("i", "u", "ada@b.c"));
        assert_ne!(Lane::Thread.of(&a), Lane::Thread.of(&b));
        assert_eq!(Lane::Inbox.of(&a), Lane::Inbox.of(&b));
        assert_eq!(Lane::Sender.of(&a), Lane::Sender.of(&b));
        assert_ne!(Lane::Sender.of(&a), Lane::Sender.of(&mail("j", "t", "ada@b.c")));
        assert_ne!(Lane::Thread.of(&a), Lane::Thread.of(&mail("j", "t", "ada@b.c")));
        assert_ne!(Lane::Thread.of(&mail("i:t", "u", "")), Lane::Thread.of(&mail("i", "t:u", "")));
        assert_eq!(Lane::None.of(&a), None);
        assert_eq!(Lane::by(|_| Some("x".into())).of(&a).as_deref(), Some("by:x"));
    }

    #[test]
    fn event_that_ends_a_suspension_waits_for_no_other() {
        for kind in ["inbox.reactivated", "pod.reactivated"] {
            let event =
                event(&format!(r#"{{"event":"{kind}","event_id":"evt_1","inbox_id":"i"}}"#));
            for lane in [Lane::Thread, Lane::Inbox, Lane::Sender, Lane::by(|_| Some("x".into()))] {
                assert_eq!(lane.of(&event), None, "{kind} {lane:?}");
            }
        }
    }

    #[test]
    fn event_without_thread_inbox_and_sender_has_no_lane() {
        let pod = event(r#"{"event":"pod.suspended","event_id":"evt_1"}"#);
        for lane in [Lane::Thread, Lane::Inbox, Lane::Sender] {
            assert_eq!(lane.of(&pod), None, "{lane:?}");
        }
    }
}
