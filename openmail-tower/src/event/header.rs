//! Splits a header's text at the commas and semicolons between its mailboxes.

use std::ops::Range;

/// Returns the ranges of the parts of a header's text. Separators inside quotes, comments and
/// source routes do not count. A quote or parenthesis that is never closed is an ordinary
/// character.
pub(super) fn parts(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let closing = parentheses(bytes);
    let mut next_parenthesis = closing.iter().peekable();
    let (mut quotes_close, mut angles_close) = (true, true);
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' if quotes_close => match end_of_quotes(bytes, at) {
                Some(end) => at = end,
                None => quotes_close = false,
            },
            b'(' => {
                while next_parenthesis.next_if(|pair| pair.start < at).is_some() {}
                if let Some(pair) = next_parenthesis.next_if(|pair| pair.start == at) {
                    at = pair.end;
                }
            }
            b'<' if angles_close && is_route(bytes, at + 1) => {
                match memchr::memchr(b'>', &bytes[at..]) {
                    Some(found) => at += found,
                    None => angles_close = false,
                }
            }
            b',' | b';' => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(start..bytes.len());
    parts
}

/// Returns whether a source route begins here: `@relay.example,@other.example:`.
fn is_route(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'@')
}

/// Returns the end of the quoted text that begins at `quote`; `None` if it is never closed.
fn end_of_quotes(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Returns the ranges of matching parentheses, ordered by where they open.
fn parentheses(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut open, mut pairs, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'(' => open.push(at),
            b')' => pairs.extend(open.pop().map(|start| start..at)),
            _ => {}
        }
        at += 1;
    }
    pairs.sort_unstable_by_key(|pair| pair.start);
    pairs
}

/// Returns whether a mailbox in angle brackets is followed by a comma or semicolon, inside quotes
/// or not: names are written by strangers and may arrive unquoted, so quotes prove nothing.
pub(super) fn has_closed_mailbox_before_separator(text: &str) -> bool {
    let (mut opened, mut closed) = (None, false);
    let mut has_at = false;
    for byte in text.bytes() {
        match byte {
            b'<' => (opened, has_at, closed) = (Some(()), false, false),
            b'@' => (has_at, closed) = (opened.is_some(), false),
            b'>' => (closed, opened) = (opened.is_some() && has_at, None),
            b',' | b';' if closed => return true,
            byte if byte.is_ascii_whitespace() => {}
            _ => closed = false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_only_outside_quotes_comments_and_routes() {
        for (text, expected) in [
            ("", vec![""]),
            ("a, b;c", vec!["a", " b", "c"]),
            (r#""a,b" <c>, d"#, vec![r#""a,b" <c>"#, " d"]),
            (r#""a\",b" <c>"#, vec![r#""a\",b" <c>"#]),
            (r#""a, b <c>"#, vec![r#""a"#, " b <c>"]),
            ("a (b, (c), d) e, f", vec!["a (b, (c), d) e", " f"]),
            ("a (b, c", vec!["a (b", " c"]),
            ("((a, b), c", vec!["((a, b)", " c"]),
            ("<@a,@b:c@d>, e", vec!["<@a,@b:c@d>", " e"]),
            ("I <3, mail", vec!["I <3", " mail"]),
        ] {
            let parts: Vec<_> = parts(text).into_iter().map(|part| &text[part]).collect();
            assert_eq!(parts, expected, "{text}");
        }
    }

    #[test]
    fn finds_a_mailbox_before_a_separator_despite_quotes() {
        for (text, expected) in [
            (r#"" <a@b.c>, " <d@e.f>"#, true),
            ("<a@b.c> ;", true),
            ("a <3>, <d@e.f>", false),
            ("<a@b.c> x, <d@e.f>", false),
            ("a, b <d@e.f>", false),
            ("<@a,@b:c@d>", false),
        ] {
            assert_eq!(has_closed_mailbox_before_separator(text), expected, "{text}");
        }
    }
}
