//! How two deliveries are recognised as the same event.

use sha2::{Digest, Sha256};

use crate::seam::VerifiedEvent;

/// Maximum length of a key, in bytes. A longer key is replaced by its hash.
const LONGEST: usize = 255;

/// How two deliveries are recognised as the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DedupeKey {
    /// By the inbox and the signed `event_id`, which is the same in every attempt. The inbox is
    /// part of the key, so a holder of another inbox's secret cannot make this inbox's events look
    /// like duplicates. A mail without `event_id` is identified by its `message.id`.
    #[default]
    EventId,
    /// By `inbox_id` and `message.id` together: one run for each mail and inbox, even if OpenMail
    /// sends two events about it. Events that are not about a mail are identified by their
    /// `event_id`.
    Message,
}

impl DedupeKey {
    /// Returns the key of an event; `None` if the event has no id. A key of more than 255 bytes is
    /// replaced by its SHA-256. Events of different inboxes ([`VerifiedEvent::inbox_id`]) have
    /// different keys.
    pub fn of(self, event: &VerifiedEvent) -> Option<String> {
        let inbox = event.inbox_id().map_or("", |inbox| inbox.as_str());
        // An id may contain any character, so the key contains the length of the inbox id, which
        // shows where that id ends.
        let key = |what, id: &str| format!("{what}:{}:{inbox}:{id}", inbox.len());
        let message = || event.event().message_received().map(|mail| mail.message.id.as_str());
        let message = || message().map(|id| key("message", id));
        let event_id = || event.event_id().map(|id| key("event", id.as_str()));
        let key = match self {
            Self::EventId => event_id().or_else(message),
            Self::Message => message().or_else(event_id),
        }?;
        Some(bounded_key(key))
    }
}

/// Returns the key, or its SHA-256 if it is longer than 255 bytes.
pub(crate) fn bounded_key(key: String) -> String {
    if key.len() > LONGEST { format!("sha256:{}", hex::encode(Sha256::digest(key))) } else { key }
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
    fn events_about_one_mail_are_duplicates_only_by_message() {
        let (a, b) = (mail("1", "i", "m"), mail("2", "i", "m"));
        assert_ne!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&b));
        assert_eq!(DedupeKey::Message.of(&a), DedupeKey::Message.of(&b));
        assert_eq!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&mail("1", "i", "n")));
    }

    #[test]
    fn events_of_different_inboxes_are_never_duplicates() {
        let (a, b) = (mail("1", "i", "m"), mail("1", "j", "m"));
        assert_ne!(DedupeKey::EventId.of(&a), DedupeKey::EventId.of(&b));
        assert_ne!(DedupeKey::Message.of(&a), DedupeKey::Message.of(&b));
    }

    #[test]
    fn different_pairs_of_ids_have_different_keys() {
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
    fn events_without_a_mail_are_identified_by_event_id() {
        let pod = event(r#"{"event":"pod.suspended","event_id":"evt_1"}"#);
        assert_eq!(DedupeKey::Message.of(&pod).as_deref(), Some("event:0::evt_1"));
        assert_eq!(DedupeKey::Message.of(&event(r#"{"event":"setup.test"}"#)), None);
    }

    #[test]
    fn mail_without_event_id_is_identified_by_its_message() {
        let json = r#"{"event":"message.received","inbox_id":"i","message":{"id":"m"}}"#;
        for key in [DedupeKey::EventId, DedupeKey::Message] {
            assert_eq!(key.of(&event(json)).as_deref(), Some("message:1:i:m"));
        }
    }

    #[test]
    fn long_key_is_hashed_and_short_key_stays_readable() {
        let key = |id: &str| DedupeKey::EventId.of(&mail(id, "i", "m")).unwrap();
        let longest = "x".repeat(LONGEST - "event:1:i:".len());
        assert_eq!(key(&longest), format!("event:1:i:{longest}"));
        let hash = key(&format!("{longest}y"));
        assert!(hash.starts_with("sha256:") && hash.len() == 71, "{hash}");
        assert_ne!(hash, key(&format!("{longest}z")));
        // An id of 1 MiB does not make the key longer.
        assert_eq!(key(&"x".repeat(1 << 20)).len(), 71);
    }
}
