//! Makes text from outside safe for a log line.

use std::fmt::{self, Write};

/// Maximum length of an id or a name, in bytes.
const NAME: usize = 128;
/// Maximum length of an error, in bytes.
const ERROR: usize = 1024;

/// A text that is escaped, so that it stays on its line, and cut.
#[derive(Debug)]
pub(super) struct Text<T> {
    text: T,
    limit: usize,
}

/// Escapes and cuts an id, or the name of an event.
pub(super) fn name(text: &str) -> Text<&str> {
    Text { text, limit: NAME }
}

/// Escapes and cuts the text of an error.
pub(super) fn error<T: fmt::Display>(text: T) -> Text<T> {
    Text { text, limit: ERROR }
}

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut { f, left: self.limit, is_full: false };
        let written = write!(cut, "{}", self.text);
        // At the limit, `cut` returns an error, which ends the `Display` of the text early.
        if cut.is_full { f.write_str("…") } else { written }
    }
}

struct Cut<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
    is_full: bool,
}

impl Cut<'_, '_> {
    fn put(&mut self, char: char) -> fmt::Result {
        let left = self.left.checked_sub(char.len_utf8());
        self.is_full |= left.is_none();
        self.left = left.ok_or(fmt::Error)?;
        self.f.write_char(char)
    }
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '"' | '\'' => self.put(char),
            _ => char.escape_debug().try_for_each(|char| self.put(char)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_its_line() {
        let text = "a \"b\"\n2026-01-01 INFO forged \u{1b}[31m \u{202e}é";
        assert_eq!(name(text).to_string(), r#"a "b"\n2026-01-01 INFO forged \u{1b}[31m \u{202e}é"#);
    }

    #[test]
    fn is_cut_at_its_limit_whatever_it_contains() {
        assert_eq!(name(&"x".repeat(128)).to_string(), "x".repeat(128));
        for char in ["x", "é", "\u{1}", "\u{10ffff}"] {
            let text = name(&char.repeat(1 << 20)).to_string();
            assert!(text.len() <= NAME + "…".len() && text.ends_with('…'), "{text}");
        }
    }

    #[test]
    fn stops_writing_a_text_once_it_is_cut() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("more ")?;
                }
            }
        }
        assert!(error(Endless).to_string().len() <= ERROR + "…".len());
    }
}
