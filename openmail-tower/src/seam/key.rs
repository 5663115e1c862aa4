//! By what two deliveries are the same.

use crate::seam::VerifiedEvent;

/// By what two deliveries are told to be of the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DedupeKey {
    /// By the signed `event_id`, the same in every attempt, among the events of one inbox: whoever
    /// has only the secret of another inbox cannot have this one's events taken for duplicates.
    #[default]
    EventId,
    /// By `inbox_id` and `message.id` together: one run a mail and inbox, even if OpenMail tells of
    /// it in two events. Events that are not about a mail go by their `event_id`.
    Message,
}

impl DedupeKey {
    /// The store's key; none where the event has no id.
    pub(crate) fn of(self, event: &VerifiedEvent) -> Option<String> {
        let inbox = event.inbox_id().map_or("", |inbox| inbox.as_str());
        // An id is opaque and may hold any sign: the length says where the first one ends.
        let key = |what, id: &str| format!("{what}:{}:{inbox}:{id}", inbox.len());
        match (self, event.event().message_received()) {
            (Self::Message, Some(mail)) => Some(key("message", mail.message.id.as_str())),
            _ => event.event_id().map(|id| key("event", id.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn event(json: &str) -> VerifiedEvent {
        VerifiedEvent::parse(json.to_owned().into(), UNIX_EPOCH).unwrap()
    }

    fn mail(event_id: &str, inbox: &str, message: &str) -> VerifiedEvent {
        event(&format!(
            r#"{{"event":"message.received","event_id":"{event_id}","inbox_id":"{inbox}",
                "message":{{"id":"{message}","from":"a@b.c"}}}}"#
        ))
    }

    #[test]
    fn two_events_about_one_mail_are_one_by_message_only() {
        let (a, b) = (mail("1", "i", "m"), mail("2", "i", "m"));
        assert_ne!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&b));
        assert_eq!(DedupeKey::Message.of(&a), DedupeKey::Message.of(&b));
        assert_eq!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&mail("1", "i", "n")));
    }

    #[test]
    fn no_inbox_makes_duplicates_of_anothers_events() {
        let (a, b) = (mail("1", "i", "m"), mail("1", "j", "m"));
        assert_ne!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&b));
        assert_ne!(DedupeKey::Message.of(&a), DedupeKey::Message.of(&b));
    }

    #[test]
    fn no_two_pairs_of_ids_make_the_same_key() {
        let ids = ["", "a", "b", ":", "a:b", "b:a", "1:a", "3:a:b", "message:1:a"];
        let mut keys = std::collections::HashSet::new();
        for inbox in ids {
            for message in ids {
                assert!(keys.insert(DedupeKey::Message.of(&mail("1", inbox, message))));
            }
            let id = event(&format!(r#"{{"event":"x","event_id":"{inbox}"}}"#));
            assert!(keys.insert(DedupeKey::EventId.of(&id)));
        }
    }

    #[test]
    fn what_is_no_mail_goes_by_its_event_id() {
        let pod = event(r#"{"event":"pod.suspended","event_id":"evt_1"}"#);
        assert_eq!(DedupeKey::Message.of(&pod).as_deref(), Some("event:0::evt_1"));
        assert_eq!(DedupeKey::Message.of(&event(r#"{"event":"setup.test"}"#)), None);
    }
}
