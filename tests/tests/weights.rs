//! Compares the memory that events take with what the budget counts for them. In a separate file,
//! since the counting allocator is that of the whole program.

use bytes::Bytes;
use http_body_util::Full;
use openmail_tests::{inner, layer, mail_of, measure::finish, signed};
use openmail_tower::Event;
use tower::{Layer, Service};

/// The approximate length of the mails of many parts.
const BYTES: usize = 100_000;

/// A mail that consists almost entirely of one field: what `part` returns for each number, between
/// `open` and `close`.
fn mail(open: &str, part: impl Fn(usize) -> String, close: &str) -> Vec<u8> {
    let (mut parts, mut number) = (part(0), 1);
    while parts.len() < BYTES {
        parts += ",";
        parts += &part(number);
        number += 1;
    }
    let message = format!(r#""message":{{"id":"m","from":"a@b.c",{open}{parts}{close}}}"#);
    format!(r#"{{"event":"message.received","event_id":"e","inbox_id":"i",{message}}}"#).into()
}

fn list(of: &str, part: &str) -> Vec<u8> {
    mail(&format!(r#""{of}":["#), |_| part.into(), "]")
}

/// Returns the peak of allocated bytes while an event is parsed.
fn peak(json: &[u8]) -> usize {
    let counted = allocation_counter::measure(|| drop(Event::from_slice(json).unwrap()));
    counted.bytes_max.try_into().unwrap()
}

/// Returns how many bytes of the budget an event needs, in addition to the length of its body.
fn counted(json: &[u8]) -> usize {
    let is_enough = |budget: usize| {
        let mut service =
            layer().body_budget(((json.len() + budget) * 8).div_ceil(7)).layer(inner().0);
        let request = signed(json, Full::new(Bytes::copy_from_slice(json)));
        finish(service.call(request)).unwrap().status() == 200
    };
    let (mut little, mut enough) = (0, json.len() * 4096);
    assert!(is_enough(enough));
    while enough - little > 1 {
        let middle = little.midpoint(enough);
        *(if is_enough(middle) { &mut enough } else { &mut little }) = middle;
    }
    enough
}

#[test]
fn budget_counts_what_an_event_allocates() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let object = |field: fn(usize) -> String| mail(r#""news":{"#, field, "}");
    for (name, json) in [
        ("objects of one field", list("news", r#"{"":0}"#)),
        ("objects of objects", list("news", r#"{"":{"":{"":{"":{}}}}}"#)),
        ("numbers", list("news", "0")),
        ("texts", list("news", r#""a""#)),
        ("empty lists", list("news", "[]")),
        ("lists of one", list("news", "[0]")),
        ("lists of five", list("news", "[0,0,0,0,0]")),
        ("lists of lists", list("news", &deep)),
        ("empty attachments", list("attachments", "{}")),
        ("attachments of news", list("attachments", r#"{"":0}"#)),
        ("attachments in lists", list("attachments", "[{}]")),
        ("recipients", list("to", r#""""#)),
        ("recipients in lists", list("cc", r#"["a"]"#)),
        ("fields in order", object(|n| format!(r#""{n:05x}":0"#))),
        ("fields in reverse order", object(|n| format!(r#""{:05x}":0"#, 0xfffff - n))),
        ("fields in no order", object(|n| format!(r#""{:x}":"""#, n * 40_503 % 65_536))),
    ] {
        let (peak, counted) = (peak(&json), counted(&json));
        println!("{name}: {} bytes, {peak} at the peak, {counted} counted", json.len());
        assert!(counted >= peak, "{name}: {peak} bytes taken, {counted} counted");
        assert!(counted <= peak * 10, "{name}: {peak} bytes taken, {counted} counted");
    }

    // A mail is charged for the length of its JSON twice, as a body and as an event, and for nothing
    // else, even if its text quotes JSON.
    for size in [1 << 10, 2 << 10, 8 << 10, 64 << 10, 1 << 20] {
        // Only seven eighths of the budget are for these events, so `counted` may be off by one.
        assert!(size - counted(&mail_of(size)) <= 1, "{size}");
    }
    let quoted = r#"[{\"a\":[1,2,{}]},{},\"b,c\\\"],,,"#.repeat(10_000);
    let json = mail("", |_| format!(r#""attachments":[{{"parsedText":"{quoted}"}}]"#), "");
    let (peak, counted) = (peak(&json), counted(&json));
    assert!(counted < json.len() + 8192, "{counted} counted for {} bytes", json.len());
    // Unescaping a text needs additional memory.
    assert!(counted * 3 >= peak, "{peak} bytes taken, {counted} counted");
}
