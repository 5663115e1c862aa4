//! How an event is stored in the stream.

use anyhow::Context as _;
use async_nats::jetstream::message::{OutboundMessage, PublishMessage};
use openmail_tower::{InboxId, StoredEvent, VerifiedEvent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::stream::STREAM;

/// The header with the signed time, in Unix seconds. The message's body is exactly OpenMail's.
const TIMESTAMP: &str = "OpenMail-Timestamp";
/// The header with the event's inbox, percent-encoded: not every event names it in its body.
const INBOX: &str = "OpenMail-Inbox";

pub(crate) fn write(event: VerifiedEvent) -> OutboundMessage {
    let subject = subject(event.inbox_id());
    let id = key(&event);
    let StoredEvent { raw_body, timestamp, inbox_id } = event.into_stored();
    let mut message = PublishMessage::build()
        .payload(raw_body)
        .header(TIMESTAMP, timestamp.to_string())
        .expected_stream(STREAM);
    if let Some(inbox) = inbox_id {
        message = message.header(INBOX, encode(inbox.as_str()));
    }
    if let Some(id) = id {
        message = message.message_id(id);
    }
    message.outbound_message(subject)
}

/// Returns the key by which the stream recognises a duplicate. It is hashed, since an id may be of
/// any length, but the length of a header is limited. It includes the inbox, so that events of
/// different inboxes are never duplicates.
fn key(event: &VerifiedEvent) -> Option<String> {
    let mail = || Some(event.event().message_received()?.message.id.as_str());
    let (what, id) = match event.event_id() {
        Some(id) => ("event", id.as_str()),
        None => ("message", mail()?),
    };
    let inbox = event.inbox_id().map_or("", |inbox| inbox.as_str());
    // The length marks the end of the inbox's id.
    let key = format!("{what}:{}:{inbox}:{id}", inbox.len());
    Some(hex::encode(Sha256::digest(key)))
}

pub(crate) fn read(message: &async_nats::Message) -> anyhow::Result<VerifiedEvent> {
    let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name));
    let timestamp = header(TIMESTAMP).context("it has no timestamp")?.as_str().parse()?;
    let inbox_id = match header(INBOX) {
        Some(inbox) => Some(percent_decode_str(inbox.as_str()).decode_utf8()?.as_ref().into()),
        None => None,
    };
    let raw_body = message.payload.clone();
    Ok(VerifiedEvent::from_stored(StoredEvent { raw_body, timestamp, inbox_id })?)
}

/// Returns the subject of an inbox's events. Each inbox has its own, so that `nats stream subjects`
/// lists them separately and a consumer can select one. The router does not use it.
fn subject(inbox: Option<&InboxId>) -> String {
    // NATS limits the whole protocol line to 4,096 bytes.
    const LONGEST: usize = 1024;
    match inbox {
        Some(inbox) if !inbox.as_str().is_empty() => {
            let mut token = encode(inbox.as_str());
            token.truncate(LONGEST);
            format!("openmail.inbox.{token}")
        }
        _ => "openmail.account".to_owned(),
    }
}

/// Escapes an id. Ids are opaque: one may contain characters that have a meaning in a subject (`.`,
/// `*`, `>`, spaces), or that a header cannot contain (line breaks).
fn encode(id: &str) -> String {
    const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    utf8_percent_encode(id, UNSAFE).to_string()
}

#[cfg(test)]
mod tests {
    use openmail_tower::testing::TestEvent;

    use super::*;

    fn message(outbound: OutboundMessage) -> async_nats::Message {
        let OutboundMessage { subject, payload, headers } = outbound;
        let length = payload.len();
        async_nats::Message {
            subject,
            payload,
            headers,
            reply: None,
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn stored_event_is_restored_unchanged() {
        let event = TestEvent::message_received().subject("Zażółć").verified();
        let read = read(&message(write(event.clone()))).unwrap();
        assert_eq!(read.raw_body(), event.raw_body());
        assert_eq!(read.into_stored(), event.into_stored());
    }

    #[test]
    fn any_id_fits_into_a_subject_and_a_header() {
        let ids = ["inb_1", "a.b", "*", ">", "a b", "x\r\ny", "é", "50%"];
        let mut seen = std::collections::HashSet::new();
        for id in ids {
            let outbound = write(TestEvent::message_received().inbox(id).event_id(id).verified());
            let tokens: Vec<_> = outbound.subject.split('.').collect();
            assert_eq!((tokens.len(), tokens[0], tokens[1]), (3, "openmail", "inbox"));
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_%".contains(c);
            assert!(tokens[2].chars().all(plain), "{id}: {}", outbound.subject);
            assert!(seen.insert(tokens[2].to_owned()), "{id} shares its subject");
        }
        let long = write(TestEvent::message_received().inbox("é".repeat(5000)).verified());
        assert!(long.subject.len() < 2048);
    }

    #[test]
    fn key_is_short_and_unique_per_inbox_and_event() {
        let key = |inbox: &str, id: &str| {
            let event = TestEvent::message_received().inbox(inbox).event_id(id).verified();
            let key = write(event).headers.unwrap().get("Nats-Msg-Id").unwrap().as_str().to_owned();
            assert_eq!(key.len(), 64);
            key
        };
        let keys = [key("a", "1"), key("b", "1"), key("a", "2"), key("a:1", "1"), key("a", "1:1")];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        assert_eq!(key("a", &"x".repeat(100_000)), key("a", &"x".repeat(100_000)));
    }

    #[test]
    fn event_without_inbox_and_id_has_the_account_subject_and_no_key() {
        let outbound = write(TestEvent::new("setup.test").verified());
        assert_eq!(outbound.subject.as_str(), "openmail.account");
        assert!(outbound.headers.unwrap().get("Nats-Msg-Id").is_none());
    }

    #[test]
    fn message_that_is_not_an_event_is_reported() {
        let mut junk = message(write(TestEvent::message_received().verified()));
        junk.payload = "junk".into();
        assert!(read(&junk).is_err());
        let mut bare = message(write(TestEvent::message_received().verified()));
        bare.headers = None;
        assert_eq!(read(&bare).unwrap_err().to_string(), "it has no timestamp");
    }
}
