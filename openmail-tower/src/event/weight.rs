//! Estimates how much memory an event takes, from its JSON, before it is parsed.
//!
//! `{"":0},` is seven bytes long, but the parsed value is a tree node of several hundred bytes. So
//! the parts are counted, and the number of each kind is multiplied by the largest size that such a
//! part can have, which gives an upper bound. Ordinary mail, which is mostly text, is estimated at
//! the size of its JSON. A parsed string takes no more than it does in the JSON.
//!
//! What an OS thread needs only while parsing is not counted: a string whose escapes are being
//! undone, a body whose surrogates are being replaced.

use std::mem::size_of;

use memchr::{memchr, memchr2};
use serde_json::Value;

use super::message::Attachment;

/// How much larger than its items a list can be while it grows: it has just doubled its capacity,
/// and the old list, half as large, still exists while the items are moved.
const GROWTH: usize = 3;
/// The smallest block that an allocator hands out, in bytes.
const SMALLEST: usize = 32;
const ENTRY: usize = size_of::<String>() + size_of::<Value>();
/// A `BTreeMap` node: eleven entries, a parent, two lengths.
const NODE: usize = 11 * ENTRY + 16;

/// An object is a tree of at least one node; it may also be an attachment in a list of attachments.
const OBJECT: usize = NODE + GROWTH * size_of::<Attachment>();
/// A list begins with a capacity of four.
const LIST: usize = 4 * size_of::<Value>();
/// An entry of an object and its share of a tree whose nodes are only half full, with the separate
/// allocations of the entry's key and its text. An item of a list takes less.
const ITEM: usize = ENTRY * 5 / 2 + 2 * SMALLEST;

/// The size of the objects, lists and fields of an ordinary mail, counted in this way.
const FRAME: usize = 8 << 10;

/// Returns an estimate of the parsed event's size, in bytes.
///
/// If the parts take no more than 8 KiB plus four times the size of the JSON, as in a mail that is
/// mostly text, the estimate is the size of the JSON. Otherwise it is the size of the JSON plus
/// that of its parts.
pub(crate) fn weight(json: &[u8]) -> usize {
    let most = json.len() * 4 + FRAME;
    let number = |byte| bytecount::count(json, byte);
    if (number(b'{') + number(b'[')) * OBJECT + number(b',') * ITEM <= most {
        return json.len();
    }
    // Text may have many commas: a table, or a list of words.
    let structure = structure(json);
    if structure <= most { json.len() } else { json.len() + structure }
}

/// Returns the size of the parts, ignoring everything inside strings: a mail may quote JSON.
fn structure(mut json: &[u8]) -> usize {
    let mut bytes = 0;
    loop {
        let text = memchr(b'"', json);
        let (between, rest) = json.split_at(text.unwrap_or(json.len()));
        bytes += between.iter().map(|byte| part(*byte)).sum::<usize>();
        if rest.is_empty() {
            return bytes;
        }
        json = after_text(&rest[1..]);
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

/// Returns what follows the string inside which `json` begins.
fn after_text(mut json: &[u8]) -> &[u8] {
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
    fn counts_only_what_is_outside_strings() {
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
    fn mail_that_quotes_json_weighs_as_much_as_its_text() {
        let quoted = r#"[{\"a\":[1,2,{}]},"#.repeat(1000);
        let json = format!(r#"{{"event":"message.received","text":"{quoted}"}}"#);
        assert_eq!(weight(json.as_bytes()), json.len());
    }

    #[test]
    fn mail_with_a_table_weighs_as_much_as_its_text() {
        let table = "1,2,3,4\\n".repeat(10_000);
        let json = format!(r#"{{"event":"message.received","text":"{table}"}}"#);
        assert_eq!(weight(json.as_bytes()), json.len());
    }
}
