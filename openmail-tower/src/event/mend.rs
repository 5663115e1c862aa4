//! Repairs JSON that `serde_json` rejects although JavaScript writes or reads it: lone surrogates,
//! and numbers outside the range of `f64`.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Reads JSON. If that fails, repairs what can be repaired and reads it again.
pub(crate) fn mending<T, E>(json: &[u8], read: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, E> {
    read(json).or_else(|error| match mend(json) {
        Cow::Owned(mended) => read(&mended),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Replaces lone surrogates with U+FFFD, and numbers outside the range of `f64` with strings of the
/// same text.
///
/// JavaScript can cut text between the two halves of an emoji (`parsedText` is cut at 50,000
/// characters) and writes the half as `\ud83d`, which a Rust string cannot hold. Neither a lone
/// surrogate nor such a number may make a mail unreadable.
pub(super) fn mend(json: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Mended { json, from: 0, out: Vec::new() };
    let mut at = 0;
    while at < json.len() {
        let text = memchr(b'"', &json[at..]).map_or(json.len(), |found| at + found);
        numbers(at, text, &mut mended);
        at = string(text, &mut mended);
    }
    mended.finish()
}

/// The output so far, and the position from which input remains to be copied.
struct Mended<'a> {
    json: &'a [u8],
    from: usize,
    out: Vec<u8>,
}

impl<'a> Mended<'a> {
    fn replace(&mut self, start: usize, end: usize, by: &[&[u8]]) {
        self.out.extend_from_slice(&self.json[self.from..start]);
        by.iter().for_each(|part| self.out.extend_from_slice(part));
        self.from = end;
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.from == 0 {
            return Cow::Borrowed(self.json);
        }
        self.out.extend_from_slice(&self.json[self.from..]);
        Cow::Owned(self.out)
    }
}

/// Puts quotes around the numbers outside the range of `f64`, in a part of the JSON without
/// strings.
fn numbers(mut at: usize, end: usize, mended: &mut Mended<'_>) {
    let json = mended.json;
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    while let Some(found) = json[at..end].iter().position(|byte| is_part(*byte)) {
        let start = at + found;
        let length = json[start..end].iter().position(|byte| !is_part(*byte));
        at = length.map_or(end, |length| start + length);
        let number = &json[start..at];
        if is_beyond_f64(number) {
            mended.replace(start, at, &[b"\"", number, b"\""]);
        }
    }
}

fn is_beyond_f64(number: &[u8]) -> bool {
    let has_exponent = number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if !has_exponent && number.len() <= 308 {
        return false;
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unsigned = number.strip_prefix(b"-").unwrap_or(number);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut is_json = whole == 1 || (whole > 1 && unsigned[0] != b'0');
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        is_json &= length > 0;
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent =
            exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        is_json &= !exponent.is_empty();
        rest = &exponent[digits(exponent)..];
    }
    let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    is_json && rest.is_empty() && value.is_some_and(f64::is_infinite)
}

/// Repairs the string that begins at `quote`, and returns its end.
fn string(quote: usize, mended: &mut Mended<'_>) -> usize {
    let json = mended.json;
    let unit = |at: usize| -> Option<u16> {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = json.len().min(quote + 1);
    while let Some(found) = memchr2(b'"', b'\\', &json[at..]) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at = match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at + 12,
            Some(0xD800..=0xDFFF) => {
                mended.replace(at, at + 6, &[b"\\ufffd"]);
                at + 6
            }
            _ => json.len().min(at + 2),
        };
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_panic_on_truncated_json() {
        for text in ["\\", "x\\", "\\u", "\\ud83", "\\ud83d", "\\ud83d\\", "\\ud83d\\u+c8c"] {
            mend(text.as_bytes());
            mend(format!("\"{text}").as_bytes());
        }
    }

    #[test]
    fn mends_only_what_needs_it() {
        let long = "9".repeat(400);
        for (json, mended) in [
            ("[1e400,-2.5E+999]", r#"["1e400","-2.5E+999"]"#.to_owned()),
            (&long, format!("\"{long}\"")),
            ("[1e308,1e-400,0.5]", "[1e308,1e-400,0.5]".into()),
            (r#"{"1e400":"1e400"}"#, r#"{"1e400":"1e400"}"#.into()),
            ("[1.e400,01e400,1e400.5,--1e400]", "[1.e400,01e400,1e400.5,--1e400]".into()),
            (
                r#"["\ud83d","\ud83d\udc8c","\\ud83d"]"#,
                r#"["\ufffd","\ud83d\udc8c","\\ud83d"]"#.into(),
            ),
            (r#"["\"",1e999,"\ud83d"]"#, r#"["\"","1e999","\ufffd"]"#.into()),
        ] {
            assert_eq!(String::from_utf8_lossy(&mend(json.as_bytes())), mended, "{json}");
        }
    }
}
