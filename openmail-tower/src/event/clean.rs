//! Removes invisible characters from text written by strangers.

/// Returns whether a character is invisible and could hide or reorder text: zero-width and
/// bidirectional characters, tags, variation selectors, fillers.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the text on one line: without invisible characters, and with a single space for each run
/// of whitespace and control characters (none at the start and the end).
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut blank = false;
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        if c.is_whitespace() || c.is_control() {
            blank = true;
            continue;
        }
        if blank && !line.is_empty() {
            line.push(' ');
        }
        blank = false;
        line.push(c);
    }
    line
}

/// Returns the beginning of a text: at most `bytes` bytes, ending at a character boundary.
// `str::floor_char_boundary` needs Rust 1.91.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let end = bytes.min(text.len());
    let end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_keeps_only_visible_characters() {
        for (text, line) in [
            ("", ""),
            ("  a \t b\r\n", "a b"),
            ("a\u{200b}b\u{202e}c\u{e0041}d", "abcd"),
            ("\u{1b}[31m\u{2028}x\u{85}", "[31m x"),
            ("Zażółć \u{1f48c}", "Zażółć \u{1f48c}"),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
        }
    }
}
