//! The lines of a text, what each one is, and which are kept.

use super::block;

/// Maximum number of lines examined in a header block.
const MOST_HEADERS: usize = 10;

/// The typical length of a line, in bytes, from which the number of lines is estimated.
const TYPICAL: usize = 64;

// A line's kind is the sum of these. The lower bits are the headers of `block`.
const BLANK: u16 = 0x20;
const QUOTED: u16 = 0x40;
const DROPPED: u16 = 0x80;
const MARKED: u16 = 0x100;
const HEADERS: u16 = 0x1f;

/// The lines of a text; each takes eight bytes in addition to the text.
pub(super) struct Lines<'a> {
    text: &'a str,
    lines: Vec<Line>,
    /// The kinds of all lines together.
    any: u16,
}

struct Line {
    start: u32,
    kind: u16,
}

impl<'a> Lines<'a> {
    /// Splits a text into lines. A line that ends after 4 GiB is the last.
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_end();
        // The lines of short texts are shorter.
        let mut lines = Vec::with_capacity(8 + text.len() / TYPICAL);
        let (mut start, mut any) = (0, 0);
        for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
            let kind = kind(shown(&text[start as usize..end]));
            lines.push(Line { start, kind });
            any |= kind;
            let Ok(next) = u32::try_from(end + 1) else { break };
            start = next;
        }
        Self { text, lines, any }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns a line without its line ending.
    fn get(&self, index: usize) -> &'a str {
        let start = self.lines[index].start as usize;
        let line = match self.lines.get(index + 1) {
            Some(next) => &self.text[start..next.start as usize - 1],
            None => &self.text[start..],
        };
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Returns a line without whitespace and invisible characters around it.
    pub(super) fn shown(&self, index: usize) -> &'a str {
        shown(self.get(index))
    }

    pub(super) fn is_blank(&self, index: usize) -> bool {
        self.lines[index].kind & BLANK != 0
    }

    pub(super) fn is_quoted(&self, index: usize) -> bool {
        self.lines[index].kind & QUOTED != 0
    }

    pub(super) fn is_dropped(&self, index: usize) -> bool {
        self.lines[index].kind & DROPPED != 0
    }

    /// Returns the first line at or after `index` that is not blank.
    pub(super) fn next_text(&self, index: usize) -> Option<usize> {
        (index..self.len()).find(|index| !self.is_blank(*index))
    }

    /// Returns whether a line may be a marker or a delimiter, or end an attribution: it begins with
    /// a dash or an underscore, or ends with a colon.
    pub(super) fn is_marked(&self, index: usize) -> bool {
        self.lines[index].kind & MARKED != 0
    }

    /// Returns whether no line is quoted, marked or a header, as in most mails that begin a thread.
    pub(super) fn are_plain(&self) -> bool {
        self.any & !BLANK == 0
    }

    /// Returns whether a line is a header.
    pub(super) fn is_header(&self, index: usize) -> bool {
        self.lines[index].kind & HEADERS != 0
    }

    /// Returns whether a header block begins here. It has a sender, a date, and either a subject or
    /// a recipient; without a subject, the sender or the recipient must have an address.
    ///
    /// Mail programs write a subject even if it is empty. Without one, "From", "To" and "Date" may
    /// also be a booking.
    pub(super) fn is_header_block(&self, at: usize) -> bool {
        if !self.is_header(at) {
            return false;
        }
        let (mut seen, mut others) = (0, 0);
        let mut end = at;
        for Line { kind, .. } in self.lines[at..].iter().take(MOST_HEADERS) {
            // A long list of recipients continues over several lines.
            others += u8::from(kind & HEADERS == 0);
            if kind & BLANK != 0 || others > 2 {
                break;
            }
            seen |= kind;
            end += 1;
        }
        let has = |headers| seen & u16::from(headers) == u16::from(headers);
        let has_address = || {
            (at..end).any(|index| {
                self.lines[index].kind & u16::from(block::FROM | block::TO) != 0
                    && self.get(index).contains(['@', '<'])
            })
        };
        has(block::FROM | block::DATE) && (has(block::SUBJECT) || (has(block::TO) && has_address()))
    }

    pub(super) fn drop(&mut self, from: usize, to: usize) {
        self.lines[from..to].iter_mut().for_each(|line| line.kind |= DROPPED);
    }

    pub(super) fn keep(&mut self, from: usize, to: usize) {
        self.lines[from..to].iter_mut().for_each(|line| line.kind &= !DROPPED);
    }

    /// Returns whether any line that is not blank is kept.
    pub(super) fn keeps_text(&self) -> bool {
        self.lines.iter().any(|line| line.kind & (BLANK | DROPPED) == 0)
    }

    /// Calls a function with each part of the text that is kept, between the dropped lines.
    #[cfg(feature = "guard")]
    pub(super) fn each_kept_part(&self, mut part: impl FnMut(&'a str)) {
        let mut at = 0;
        while at < self.len() {
            let end = (at..self.len()).find(|index| self.is_dropped(*index)).unwrap_or(self.len());
            let byte =
                |line: usize| self.lines.get(line).map_or(self.text.len(), |it| it.start as usize);
            part(&self.text[byte(at)..byte(end)]);
            at = (end..self.len()).find(|index| !self.is_dropped(*index)).unwrap_or(self.len());
        }
    }

    /// Returns the lines that are kept, with one blank line in place of each dropped part.
    pub(super) fn kept(&self) -> String {
        let mut kept = String::new();
        let (mut blanks, mut dropped) = (0, false);
        for index in 0..self.len() {
            if self.is_blank(index) {
                blanks += usize::from(!self.is_dropped(index));
            } else if self.is_dropped(index) {
                dropped = true;
            } else {
                if !kept.is_empty() {
                    let count = if dropped { 1 } else { blanks };
                    kept.extend(std::iter::repeat_n('\n', count + 1));
                }
                kept.push_str(self.get(index));
                (blanks, dropped) = (0, false);
            }
        }
        kept.truncate(kept.trim_end().len());
        kept
    }
}

/// Returns the kind of a line, given as [`shown`] returns it.
fn kind(line: &str) -> u16 {
    match line.as_bytes() {
        [] => BLANK,
        [b'>', ..] => QUOTED,
        // The last three bytes are a full-width colon.
        [b'-' | b'_', ..] | [.., b':'] | [.., 0xef, 0xbc, 0x9a] => {
            MARKED | u16::from(block::header(line))
        }
        _ => u16::from(block::header(line)),
    }
}

fn shown(line: &str) -> &str {
    match line.as_bytes() {
        // Most lines are visible at both ends.
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => line,
        _ => line.trim_matches(is_unseen),
    }
}

/// Returns whether a character is whitespace or invisible.
pub(super) fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}');
    }
    c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
