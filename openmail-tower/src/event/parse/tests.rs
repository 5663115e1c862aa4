use super::*;
use crate::event::InvalidPayloadKind;

fn mail(extra: &str) -> String {
    format!(
        r#"{{"event":"message.received","event_id":"e","inbox_id":"i",{extra}
           "message":{{"id":"m","from":"a@b.c"}}}}"#
    )
}

fn read(json: &str) -> MessageReceived {
    match Event::from_slice(json.as_bytes()) {
        Ok(Event::MessageReceived(mail)) => mail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn finds_the_event_name_anywhere() {
    let first = r#"{"event":"setup.test","a":{"event":"x"}}"#;
    let last = r#"{"a":{"event":"x"},"event":"setup.test"}"#;
    for json in [first, last] {
        let event = Event::from_slice(json.as_bytes()).unwrap();
        assert_eq!(event.kind(), EventKind::SetupTest, "{json}");
    }
}

#[test]
fn rejects_a_body_that_is_not_an_event() {
    for json in [
        "",
        "null",
        "[]",
        "{}",
        r#""event""#,
        r#"{"event":null}"#,
        r#"{"event":7}"#,
        r#"{"event":"setup.test""#,
        r#"{"event":"setup.test"} x"#,
        "\u{0}",
    ] {
        assert!(Event::from_slice(json.as_bytes()).is_err(), "{json}");
    }
    assert!(Event::from_slice(b"{\"event\":\"setup.test\",\"a\":\"\xff\"}").is_err());
}

fn misfit(json: &str) -> UnknownEvent {
    match Event::from_slice(json.as_bytes()) {
        Ok(Event::Unknown(event)) => event,
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn mail_requires_only_its_inbox_and_its_id() {
    let least = r#"{"event":"message.received","inbox_id":"i","message":{"id":"m"}}"#;
    let mail = read(least);
    assert_eq!((mail.event_id, mail.message.from), (None, None));
    for (field, name) in [("inbox_id", "inbox_id"), ("message", "message"), ("id", "message.id")] {
        let key = format!("\"{field}\":");
        let without = misfit(&least.replace(&key, &format!("\"x_{field}\":")));
        assert_eq!(without.misfit, Some(Misfit::MissingField(name)));
        let null = misfit(&least.replace(&key, &format!("\"{field}\":null,\"x\":")));
        assert_eq!(null.misfit, Some(Misfit::MissingField(name)));
        for other in ["7", "[]", "true", "0.5"] {
            let odd = misfit(&least.replace(&key, &format!("\"{field}\":{other},\"x\":")));
            assert_eq!(odd.misfit, Some(Misfit::WrongType(name)), "{other}");
            assert_eq!(odd.event, "message.received");
        }
    }
}

#[test]
fn parses_a_bounce_without_a_sender() {
    for from in
        ["", r#","from":null"#, r#","from":{"a":"b"}"#, r#","from":["a@b.c"]"#, r#","from":7"#]
    {
        let json = format!(
            r#"{{"event":"message.received","event_id":"e1","inbox_id":"i",
                "message":{{"id":"m","subject":"Undelivered Mail Returned to Sender"{from}}}}}"#
        );
        let mail = read(&json);
        assert_eq!((mail.message.from.as_deref(), mail.message.sender()), (None, None), "{from}");
    }
}

#[test]
fn misfit_keeps_its_ids_and_fields() {
    let event = misfit(
        r#"{"event":"message.received","event_id":"e","inbox_id":"i","thread_id":"t",
           "message":{"from":"a@b.c"}}"#,
    );
    assert_eq!(event.event_id.unwrap(), "e");
    assert_eq!(event.inbox_id.unwrap(), "i");
    assert_eq!(event.extra["message"]["from"], "a@b.c");
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for json in [
        mail(&format!(r#""x":{deep},"#)),
        mail("")
            .replace("message.received", "a.b")
            .replace(r#""i""#, &format!(r#""i","x":{deep}"#)),
    ] {
        let event = misfit(&json);
        assert_eq!(event.misfit, Some(Misfit::TooDeep));
        assert_eq!(
            (event.event_id.unwrap().as_str(), event.inbox_id.unwrap().as_str()),
            ("e", "i")
        );
    }
}

#[test]
fn rejects_a_repeated_routing_key() {
    for event in ["message.received", "inbox.suspended", "pod.reactivated", "setup.test", "a.b"] {
        let whole = format!(
            r#"{{"event":"{event}","event_id":"e","inbox_id":"i","message":{{"id":"m","x":{{"id":1,"id":2}}}}}}"#
        );
        assert!(Event::from_slice(whole.as_bytes()).is_ok());
        let moved = whole.replacen(r#""event""#, r#""x":1,"event""#, 1);
        for whole in [whole, moved] {
            // In events that are not about a mail, `message` is a field like any other.
            let about_mail = matches!(event, "message.received" | "a.b");
            let keys = ["event", "event_id", "inbox_id", "message"];
            for key in &keys[..if about_mail { 4 } else { 3 }] {
                let escaped = key.replacen('e', "\\u0065", 1).replacen('i', "\\u0069", 1);
                for key_again in [*key, &escaped] {
                    for value in ["null", r#""x""#, "7", r#"{"id":"n"}"#] {
                        let again =
                            format!(r#"{},"{key_again}":{value}}}"#, &whole[..whole.len() - 1]);
                        let error = Event::from_slice(again.as_bytes()).unwrap_err();
                        assert_eq!(error.kind(), InvalidPayloadKind::DuplicateKey, "{again}");
                    }
                }
            }
            let again = whole.replace(r#""id":"m""#, r#""id":"m","i\u0064":"m""#);
            assert_ne!(again, whole);
            let event = Event::from_slice(again.as_bytes());
            assert_eq!(event.is_ok(), !about_mail, "{again}");
            let Err(error) = event else { continue };
            assert_eq!(
                error.to_string(),
                "the body is not an event: a key appears more than once (`message.id`)"
            );
        }
    }
}

#[test]
fn keeps_a_mail_with_a_number_beyond_f64() {
    let digits = "9".repeat(400);
    for number in ["1e400", "-1E+999", &digits] {
        let mail = read(&mail(&format!(r#""new":[{{"a":{number}}}],"attempt":{number},"#)));
        let kept = mail.extra["new"][0]["a"].to_string();
        // `serde_json` adds a plus sign with `arbitrary_precision`.
        let kept = kept.trim_matches('"').replace("e+", "e").replace("E+", "e");
        assert_eq!(kept, number.replace("E+", "e"));
        assert_eq!(mail.attempt, None);
    }
}

#[test]
fn errors_and_debug_contain_no_mail_text() {
    let secret = "Kaninchen";
    let fields = [
        "event_id",
        "inbox_id",
        "message",
        "from",
        "subject",
        "body_text",
        "url",
        "filename",
        "verdict",
    ];
    for json in [
        format!(r#""{secret}""#),
        format!(r#"{{"event":["{secret}"]}}"#),
        format!(r#"{{"event":"setup.test","a":"{secret}" {secret}"#),
        format!(r#"{{"event":"setup.test","event":"{secret}"}}"#),
    ] {
        let error = Event::from_slice(json.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
        assert!(error.to_string().len() <= 200);
    }
    let mail = read(&format!(
        r#"{{"event":"message.received","event_id":"e-1","inbox_id":"i-1","x":"{secret}","external_id":"{secret}",
           "message":{{"id":"m-1","from":"{secret} <{secret}@b.c>","to":["{secret}@b.c"],"cc":["{secret}@b.c"],
           "subject":"{secret}","body_text":"{secret}","rfc_message_id":"<{secret}@b.c>","verdict":["{secret}"],
           "attachments":[{{"filename":"{secret}","url":"https://{secret}","parsedText":"{secret}"}}]}}}}"#
    ));
    let sender = mail.message.sender().unwrap();
    let shown = format!("{mail:?} {sender:?} {:?}", mail.message.attachments);
    assert!(!shown.contains(secret), "{shown}");
    for id in ["e-1", "i-1", "m-1"] {
        assert!(shown.contains(id), "{shown}");
    }
    for field in fields {
        let json = format!(r#"{{"event":"message.received","{field}":["{secret}"]}}"#);
        let event = Event::from_slice(json.as_bytes()).unwrap();
        assert!(!format!("{event:?} {}", event.misfit().unwrap()).contains(secret), "{event:?}");
    }
    let long = "x".repeat(10_000);
    let event =
        Event::from_slice(format!(r#"{{"event":"{long}","event_id":"{long}"}}"#).as_bytes());
    assert!(format!("{event:?}").len() < 1000);
}

#[test]
fn keeps_an_optional_field_of_a_new_form() {
    let json = mail(r#""attempt":"first","occurred_at":"yesterday","thread_id":{"id":"t"},"#);
    let mail = read(&json);
    assert_eq!((mail.attempt, mail.occurred_at, &mail.thread_id), (None, None, &None));
    assert_eq!(mail.extra["attempt"], "first");
    assert_eq!(mail.extra["occurred_at"], "yesterday");
    assert_eq!(mail.extra["thread_id"]["id"], "t");
}

#[test]
fn rejects_reserved_keys_at_any_depth() {
    let raw = r#""$serde_json::private::RawValue":"[]""#;
    for extra in [
        format!("{raw},"),
        format!(r#""news":[{{{raw}}}],"#),
        format!(r#""thread_id":{{{raw}}},"#),
        format!(r#""thread_id":[{{{raw}}}],"#),
        format!(r#""event":{{{raw}}},"#),
    ] {
        assert!(Event::from_slice(mail(&extra).as_bytes()).is_err(), "{extra}");
    }
    for field in [
        raw.to_owned(),
        format!(r#""to":[{{{raw}}}]"#),
        format!(r#""attachments":[{{{raw}}}]"#),
        format!(r#""attachments":[{{"url":{{{raw}}}}}]"#),
    ] {
        let json = mail("").replace(r#""from""#, &format!(r#"{field},"from""#));
        assert!(Event::from_slice(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn keeps_a_mail_with_half_an_emoji() {
    let texts = [
        (r"cut \ud83d", "cut \u{fffd}"),
        (r"\udc8c first", "\u{fffd} first"),
        (r"\ud83d\ud83d\udc8c", "\u{fffd}\u{1f48c}"),
        (r"whole \ud83d\udc8c, half \ud83d\n", "whole \u{1f48c}, half \u{fffd}\n"),
        (r"no escape \\ud83d, half \ud83d", "no escape \\ud83d, half \u{fffd}"),
    ];
    for (text, expected) in texts {
        let mail = read(&mail(&format!(r#""external_id":"{text}","#)));
        assert_eq!(mail.external_id.as_deref(), Some(expected));
    }
}

#[test]
fn extra_omits_only_the_event_name() {
    let json = mail("").replace(r#""from""#, r#""event":"launch","from""#);
    let mail = read(&json);
    assert_eq!(mail.message.extra["event"], "launch");
    assert!(mail.extra.is_empty());
}

#[test]
fn serialising_keeps_everything() {
    for json in [
        mail(r#""attempt":"first","new":[1,{"deep":null}],"thread_id":"t","#),
        r#"{"event":"pod.suspended","pod_id":"p","reason":"news","x":1}"#.into(),
        r#"{"event":"setup.test","message":"hello"}"#.into(),
        r#"{"x":1,"event":"a.b","attempt":3}"#.into(),
        r#"{"x":[0.5,1e400],"event":"a.b"}"#.into(),
        r#"{"event":"message.received","attempt":"x","message":{"from":"a@b.c"}}"#.into(),
    ] {
        let event = Event::from_slice(json.as_bytes()).unwrap();
        let again = serde_json::to_vec(&event).unwrap();
        assert_eq!(Event::from_slice(&again).unwrap(), event, "{json}");
    }
}
