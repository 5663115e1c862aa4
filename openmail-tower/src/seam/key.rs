//! How two deliveries are recognised as the same event.

use sha2::{Digest, Sha256};

use crate::seam::VerifiedEvent;

/// The longest key that a store keeps as it is, in bytes.
const LONGEST: usize = 255;

/// How two deliveries are recognised as the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DedupeKey {
    /// By the signed `event_id`, the same in every attempt, among the events of one inbox: the secret
    /// of another inbox does not suffice to have this one's events taken for duplicates. A mail
    /// without `event_id` goes by its `message.id`.
    #[default]
    EventId,
    /// By `inbox_id` and `message.id` together: one run for each mail and inbox, even if OpenMail
    /// sends two events about it. Events that are not about a mail go by their `event_id`.
    Message,
}

impl DedupeKey {
    /// Returns an event's key; `None` where the event has no id. A key of more than 255 bytes is its
    /// SHA-256. Events of two inboxes ([`VerifiedEvent::inbox_id`]) have different keys.
    pub fn of(self, event: &VerifiedEvent) -> Option<String> {
        let inbox = event.inbox_id().map_or("", |inbox| inbox.as_str());
        // An id is opaque and may hold any character: the length says where the first one ends.
        let key = |what, id: &str| format!("{what}:{}:{inbox}:{id}", inbox.len());
        let message = || event.event().message_received().map(|mail| mail.message.id.as_str());
        let message = || message().map(|id| key("message", id));
        let event_id = || event.event_id().map(|id| key("event", id.as_str()));
        let key = match self {
            Self::EventId => event_id().or_else(message),
            Self::Message => message().or_else(event_id),
        }?;
        Some(if key.len() > LONGEST {
            format!("sha256:{}", hex::encode(Sha256::digest(key)))
        } else {
            key
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

    #[test]
    fn a_mail_without_an_event_id_goes_by_its_message() {
        let json = r#"{"event":"message.received","inbox_id":"i","message":{"id":"m"}}"#;
        for key in [DedupeKey::EventId, DedupeKey::Message] {
            assert_eq!(key.of(&event(json)).as_deref(), Some("message:1:i:m"));
        }
    }

    #[test]
    fn a_long_key_is_its_hash_and_a_short_one_readable() {
        let key = |id: &str| DedupeKey::EventId.of(&mail(id, "i", "m")).unwrap();
        let longest = "x".repeat(LONGEST - "event:1:i:".len());
        assert_eq!(key(&longest), format!("event:1:i:{longest}"));
        let hash = key(&format!("{longest}y"));
        assert!(hash.starts_with("sha256:") && hash.len() == 71, "{hash}");
        assert_ne!(hash, key(&format!("{longest}z")));
        // Ids of megabytes come to no more.
        assert_eq!(key(&"x".repeat(1 << 20)).len(), 71);
    }
}
