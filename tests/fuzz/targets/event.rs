//! Fuzzes `Event::from_slice`: it never panics, and an event that it has parsed can be written and
//! parsed again without a change.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openmail_tower::Event;

/// An event with more brackets than this is not written and parsed again. A single attachment
/// outside a list is written as a list, one level deeper, and the parser accepts only 127 levels.
const DEEP: usize = 120;

fuzz_target!(|json: &[u8]| {
    let Ok(event) = Event::from_slice(json) else { return };
    let _ = (event.event_id(), event.inbox_id(), event.thread_id(), event.occurred_at());
    if let Some(mail) = event.message_received() {
        let message = &mail.message;
        let _ = (message.sender(), message.recipients(), message.copied());
        assert_eq!(message.may_auto_reply(), message.no_reply_reason().is_none());
        let has_text =
            message.body_text.as_deref().is_some_and(|it| it.contains(char::is_alphanumeric));
        assert!(!has_text || !message.new_text().is_empty());
        let fenced = message.fenced().attachment_budget(100);
        assert!(fenced.to_string().ends_with(&format!("[{} mail ends]", fenced.marker())));
    }
    let variant = std::mem::discriminant(&event);
    let opening = json.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if opening > DEEP {
        return;
    }
    let written = serde_json::to_vec(&event).expect("it can be written");
    let again = Event::from_slice(&written).expect("it can be read again");
    assert_eq!(std::mem::discriminant(&again), variant);
    assert_eq!(again, event);
    assert_eq!(again.kind(), event.kind());
});
