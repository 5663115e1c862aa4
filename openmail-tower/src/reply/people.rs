//! The recipients of a reply.

use std::collections::HashSet;

use crate::{
    api::{DeliveryRole, Direction, Message, Thread},
    event::{Address, addresses, single_address},
};

use super::written::Written;

/// The maximum number of recipients of a reply.
const MOST: usize = 20;

/// The recipients of a reply: one in `To`, the others in `Cc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct People {
    pub(super) to: String,
    pub(super) cc: Vec<String>,
}

/// Why there is nobody to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Nobody {
    #[error("the mail has no sender that can be answered")]
    NoSender,
    #[error("the mail comes from the inbox itself")]
    OwnAddress,
}

/// Returns the signed sender, for a mail that has no thread or cannot be read in its thread.
pub(super) fn of_event(written: &Written) -> Result<People, Nobody> {
    let to = written.sender.clone().ok_or(Nobody::NoSender)?;
    if written.is_own {
        return Err(Nobody::OwnAddress);
    }
    Ok(People { to, cc: Vec::new() })
}

/// Returns the recipients according to OpenMail's record of the mail. Only the record says whether
/// the inbox was addressed or copied.
pub(super) fn of_message(
    written: &Written,
    thread: &Thread,
    mail: &Message,
) -> Result<People, Nobody> {
    let own = own_addresses(thread, mail);
    let others = |text: &str| -> Vec<Address> {
        addresses([text]).into_iter().filter(|it| !own.contains(it)).collect()
    };
    let written_to = mail.header_to.as_deref().map(others).unwrap_or_default();
    let sender = mail.from_addr.as_deref().and_then(single_address);
    let is_copied = mail.delivery_role == Some(DeliveryRole::Cc) && !written_to.is_empty();
    let mut all = if is_copied {
        written_to.clone()
    } else {
        let sender = sender.clone().ok_or(Nobody::NoSender)?;
        if own.contains(&sender) {
            return Err(Nobody::OwnAddress);
        }
        vec![sender]
    };
    if written.to_all {
        let sender = sender.filter(|it| !own.contains(it));
        let copied = mail.cc.iter().flat_map(|text| others(text));
        all.extend(sender.into_iter().chain(written_to).chain(copied));
    }
    let mut seen = HashSet::new();
    let mut all = all.into_iter().filter(|it| seen.insert(it.clone())).take(MOST);
    let to = all.next().ok_or(Nobody::NoSender)?;
    Ok(People { to: to.to_string(), cc: all.map(|it| it.to_string()).collect() })
}

/// Returns the inbox's own addresses: the one that the mail was delivered to, and those that the
/// inbox has sent from.
fn own_addresses(thread: &Thread, mail: &Message) -> HashSet<Address> {
    let sent = thread.messages.iter().filter(|it| it.direction == Some(Direction::Outbound));
    let from = sent.filter_map(|it| it.from_addr.as_deref());
    let texts = mail.to_addr.as_deref().into_iter().chain(from);
    texts.filter_map(single_address).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        handler::IntoOutcome,
        reply::{Reply, written},
        seam::{Outcome, VerifiedEvent},
    };

    fn written(reply: Reply) -> Written {
        let event = r#"{"event":"message.received","event_id":"e","inbox_id":"i","thread_id":"t",
            "message":{"id":"m","from":"Ada <ada@b.c>"}}"#;
        written_for(event, reply)
    }

    fn written_for(event: &str, reply: Reply) -> Written {
        let event = VerifiedEvent::parse(event.to_owned().into(), std::time::UNIX_EPOCH).unwrap();
        let Ok(Outcome::Replies(replies)) = reply.into_outcome() else { panic!() };
        written::write(&event, &replies).unwrap().pop().unwrap().written
    }

    fn people(reply: Reply, mail: &Value) -> Result<(String, Vec<String>), Nobody> {
        let sent = json!({"id": "o", "direction": "outbound", "fromAddr": "me@openmail.sh"});
        let thread = json!({"threadId": "t", "data": [sent, mail]});
        let thread: Thread = serde_json::from_value(thread).unwrap();
        let mail = thread.messages.iter().find(|it| it.id == "m").unwrap();
        of_message(&written(reply), &thread, mail).map(|people| (people.to, people.cc))
    }

    fn reply() -> Reply {
        Reply::text("t")
    }

    fn to(address: &str, cc: &[&str]) -> Result<(String, Vec<String>), Nobody> {
        Ok((address.to_owned(), cc.iter().map(|it| (*it).to_owned()).collect()))
    }

    #[test]
    fn reply_goes_to_the_sender() {
        let mail = json!({
            "id": "m", "fromAddr": "Ada <ada@b.c>", "toAddr": "agent@openmail.sh",
            "headerTo": "agent@openmail.sh, bob@b.c", "deliveryRole": "to", "cc": ["carol@b.c"],
        });
        assert_eq!(people(reply(), &mail), to("ada@b.c", &[]));
        assert_eq!(people(reply().to_all(), &mail), to("ada@b.c", &["bob@b.c", "carol@b.c"]));
    }

    #[test]
    fn reply_from_an_inbox_in_cc_goes_to_the_original_recipients() {
        let mail = |header_to| {
            json!({
                "id": "m", "fromAddr": "ada@b.c", "toAddr": "agent@openmail.sh",
                "headerTo": header_to, "deliveryRole": "cc", "cc": ["Agent@OpenMail.sh", "carol@b.c"],
            })
        };
        assert_eq!(people(reply(), &mail("bob@b.c, dan@b.c")), to("bob@b.c", &["dan@b.c"]));
        let all = people(reply().to_all(), &mail("bob@b.c"));
        assert_eq!(all, to("bob@b.c", &["ada@b.c", "carol@b.c"]));
        // Nobody else was addressed, or the other recipients are unknown.
        assert_eq!(people(reply(), &mail("agent@openmail.sh")), to("ada@b.c", &[]));
        assert_eq!(people(reply(), &mail("undisclosed-recipients:;")), to("ada@b.c", &[]));
    }

    #[test]
    fn inbox_answers_neither_itself_nor_a_missing_sender() {
        let from = |from: &str| json!({"id": "m", "fromAddr": from, "toAddr": "agent@openmail.sh"});
        for own in ["agent@openmail.sh", "Agent <AGENT@openmail.sh>", "me@openmail.sh"] {
            assert_eq!(people(reply(), &from(own)), Err(Nobody::OwnAddress), "{own}");
        }
        for none in ["", "<>", "nobody"] {
            assert_eq!(people(reply(), &from(none)), Err(Nobody::NoSender), "{none}");
        }
        assert_eq!(people(reply(), &json!({"id": "m"})), Err(Nobody::NoSender));
    }

    #[test]
    fn inbox_does_not_answer_itself_without_a_thread() {
        let people = |from: &str, to: Value| {
            let event = json!({"event": "message.received", "event_id": "e", "inbox_id": "i",
                "message": {"id": "m", "from": from, "to": to}});
            of_event(&written_for(&event.to_string(), reply())).map(|people| people.to)
        };
        let own = json!("Agent <AGENT@openmail.sh>");
        assert_eq!(people("Ada <ada@b.c>", own.clone()), Ok("ada@b.c".to_owned()));
        assert_eq!(people("agent@openmail.sh", own.clone()), Err(Nobody::OwnAddress));
        // Ada wrote to the inbox and to herself.
        assert_eq!(people("ada@b.c", json!(["ada@b.c", own])), Ok("ada@b.c".to_owned()));
        assert_eq!(people("<>", json!(null)), Err(Nobody::NoSender));
    }

    #[test]
    fn reply_to_all_has_at_most_twenty_distinct_recipients() {
        let cc: Vec<_> = (0..30).map(|it| format!("p{it}@b.c")).chain(["ADA@b.c".into()]).collect();
        let mail = json!({"id": "m", "fromAddr": "ada@b.c", "toAddr": "a@openmail.sh", "cc": cc});
        let (first, others) = people(reply().to_all(), &mail).unwrap();
        assert_eq!((first.as_str(), others.len()), ("ada@b.c", 19));
        assert!(!others.iter().any(|it| it.eq_ignore_ascii_case("ada@b.c")));
    }
}
