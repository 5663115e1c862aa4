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

/// The lines of a text; each takes six bytes in addition to the text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<u32>,
    kinds: Vec<u16>,
}

impl<'a> Lines<'a> {
    /// Splits a text into lines. A text of 4 GiB or more is treated as one line.
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_end();
        // The lines of short texts are shorter.
        let mut starts = Vec::with_capacity(8 + text.len() / TYPICAL);
        starts.push(0);
        if u32::try_from(text.len()).is_ok() {
            let ends = memchr::memchr_iter(b'\n', text.as_bytes());
            starts.extend(ends.filter_map(|at| u32::try_from(at + 1).ok()));
        }
        let mut lines = Self { text, starts, kinds: Vec::new() };
        lines.kinds = (0..lines.starts.len()).map(|index| lines.kind(index)).collect();
        lines
    }

    fn kind(&self, index: usize) -> u16 {
        let line = self.shown(index);
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

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns a line without its line ending.
    fn get(&self, index: usize) -> &'a str {
        let start = self.starts[index] as usize;
        let line = match self.starts.get(index + 1) {
            Some(next) => &self.text[start..*next as usize - 1],
            None => &self.text[start..],
        };
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Returns a line without whitespace and invisible characters around it.
    pub(super) fn shown(&self, index: usize) -> &'a str {
        let line = self.get(index);
        match line.as_bytes() {
            // Most lines are visible at both ends.
            [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => line,
            _ => line.trim_matches(is_unseen),
        }
    }

    pub(super) fn is_blank(&self, index: usize) -> bool {
        self.kinds[index] & BLANK != 0
    }

    pub(super) fn is_quoted(&self, index: usize) -> bool {
        self.kinds[index] & QUOTED != 0
    }

    pub(super) fn is_dropped(&self, index: usize) -> bool {
        self.kinds[index] & DROPPED != 0
    }

    /// Returns the first line at or after `index` that is not blank.
    pub(super) fn next_text(&self, index: usize) -> Option<usize> {
        (index..self.len()).find(|index| !self.is_blank(*index))
    }

    /// Returns whether a line may be a marker or a delimiter, or end an attribution: it begins with
    /// a dash or an underscore, or ends with a colon.
    pub(super) fn is_marked(&self, index: usize) -> bool {
        self.kinds[index] & MARKED != 0
    }

    /// Returns whether a line is a header.
    pub(super) fn is_header(&self, index: usize) -> bool {
        self.kinds[index] & HEADERS != 0
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
        for kind in self.kinds[at..].iter().take(MOST_HEADERS) {
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
                self.kinds[index] & u16::from(block::FROM | block::TO) != 0
                    && self.get(index).contains(['@', '<'])
            })
        };
        has(block::FROM | block::DATE) && (has(block::SUBJECT) || (has(block::TO) && has_address()))
    }

    pub(super) fn drop(&mut self, from: usize, to: usize) {
        self.kinds[from..to].iter_mut().for_each(|kind| *kind |= DROPPED);
    }

    pub(super) fn keep(&mut self, from: usize, to: usize) {
        self.kinds[from..to].iter_mut().for_each(|kind| *kind &= !DROPPED);
    }

    /// Returns whether any line that is not blank is kept.
    pub(super) fn keeps_text(&self) -> bool {
        self.kinds.iter().any(|kind| kind & (BLANK | DROPPED) == 0)
    }

    /// Calls a function with each part of the text that is kept, between the dropped lines.
    #[cfg(feature = "guard")]
    pub(super) fn each_kept_part(&self, mut part: impl FnMut(&'a str)) {
        let mut at = 0;
        while at < self.len() {
            let end = (at..self.len()).find(|index| self.is_dropped(*index)).unwrap_or(self.len());
            let byte = |line| self.starts.get(line).map_or(self.text.len(), |at| *at as usize);
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

/// Returns whether a character is whitespace or invisible.
pub(super) fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}');
    }
    c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
