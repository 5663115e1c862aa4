//! What an event takes in memory, told from its JSON before it is read.
//!
//! `{"":0},` is seven bytes there, and a tree's node of hundreds as a value. So parts are counted: a
//! bound that no reading exceeds, from what the largest part of each sort takes. The texts within
//! are no longer than in the JSON.
//!
//! Not counted is what a thread needs only while it reads: a text whose escapes are being undone, a
//! body whose surrogates are being mended.

use std::mem::size_of;

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter};
use serde_json::Value;

use super::message::Attachment;

/// A list that has doubled its capacity, beside the one half its size which it is moved from.
const GROWTH: usize = 3;
/// The least that an allocator gives.
const SMALLEST: usize = 32;
const ENTRY: usize = size_of::<String>() + size_of::<Value>();
/// Of a `BTreeMap`: eleven entries, a parent, two lengths.
const NODE: usize = 11 * ENTRY + 16;

/// An object is a tree of at least one node; it may also be an attachment in a list of such.
const OBJECT: usize = NODE + GROWTH * size_of::<Attachment>();
/// A list begins with capacity for four.
const LIST: usize = 4 * size_of::<Value>();
/// An entry of an object, and its share of a tree whose nodes are no more than half full; an item
/// of a list takes less. Its key and its text are allocated one by one.
const ITEM: usize = ENTRY * 5 / 2 + 2 * SMALLEST;

/// What the objects, lists and fields of an ordinary mail come to, so counted.
const FRAME: usize = 8 << 10;

/// How many bytes the event read from this JSON takes at most, about.
///
/// As many as the JSON has, where a quick count says that it takes no more than a few times that:
/// most mail is text. Else as many and what its parts take.
pub(crate) fn weight(json: &[u8]) -> usize {
    let most = json.len() * 4 + FRAME;
    // There are few of these in a text, and it is of no use to find them all where there are many.
    let opened = memchr2_iter(b'{', b'[', json).take(most / OBJECT + 1).count();
    if opened * OBJECT + memchr_iter(b',', json).count() * ITEM <= most {
        return json.len();
    }
    json.len() + structure(json)
}

/// What the parts take, leaving out whatever stands in texts: mail may quote JSON.
fn structure(mut json: &[u8]) -> usize {
    let mut bytes = 0;
    loop {
        let text = memchr(b'"', json);
        let (between, rest) = json.split_at(text.unwrap_or(json.len()));
        bytes += between.iter().map(|byte| part(*byte)).sum::<usize>();
        if rest.is_empty() {
            return bytes;
        }
        json = behind_text(&rest[1..]);
    }
}

fn part(byte: u8) -> usize {
    match byte {
        b'{' => OBJECT,
        b'[' => LIST,
        b',' => ITEM,
        _ => 0,
    }
}

/// What follows the end of the text that `json` begins within.
fn behind_text(mut json: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', json) {
        let quote = json[at] == b'"';
        json = json.get(at + if quote { 1 } else { 2 }..).unwrap_or_default();
        if quote {
            return json;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_outside_of_texts_counts() {
        for (json, objects, lists, items) in [
            ("", 0, 0, 0),
            (r#"{"a":[1,2],"b":{}}"#, 2, 1, 2),
            (r#"{"{,[":"[{\",\\","\\":"\"{"}"#, 1, 0, 1),
            (r#"["\\",",\\\",","#, 0, 1, 2),
            (r#"{"never ends,{"#, 1, 0, 0),
            (r#"{"\"#, 1, 0, 0),
        ] {
            let expected = objects * OBJECT + lists * LIST + items * ITEM;
            assert_eq!(structure(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn a_mail_that_quotes_json_weighs_what_its_text_does() {
        let quoted = r#"[{\"a\":[1,2,{}]},"#.repeat(1000);
        let json = format!(r#"{{"event":"message.received","text":"{quoted}"}}"#);
        assert_eq!(weight(json.as_bytes()), json.len() + OBJECT + ITEM);
    }
}
