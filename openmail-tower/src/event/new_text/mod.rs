//! Finds what a mail adds to its conversation.
//!
//! Everything here works line by line, looks a few lines ahead and back, and takes time
//! proportional to the length of the text.

mod attribution;
mod block;
mod lines;
mod signature;

use attribution::Attributions;
use lines::Lines;

/// Returns the text without its quoted history and its signatures. If nothing would be left, keeps
/// the signatures, or the whole text if there are no signatures. If a separator or the subject says
/// that the mail forwards another one, the forwarded mail is kept from its separator or header block
/// on.
pub(crate) fn new_text(text: &str, subject: Option<&str>) -> String {
    new_lines(text, subject).kept()
}

/// Calls a function with each part of the text that [`new_text`] keeps: consecutive lines, as they
/// are written.
#[cfg(feature = "guard")]
pub(crate) fn each_new_part<'a>(text: &'a str, subject: Option<&str>, part: impl FnMut(&'a str)) {
    new_lines(text, subject).each_kept_part(part);
}

fn new_lines<'a>(text: &'a str, subject: Option<&str>) -> Lines<'a> {
    let mut lines = Lines::new(text);
    let is_forward = subject.is_some_and(block::is_forward_subject);
    let forward = drop_history(&mut lines, is_forward);
    let signatures = signature::drop(&mut lines, forward);
    if !lines.keeps_text() {
        signatures.into_iter().for_each(|range| lines.keep(range.start, range.end));
    }
    if !lines.keeps_text() {
        lines.keep(0, lines.len());
    }
    lines
}

/// Drops the quoted history. Returns where a forwarded mail begins, which is kept whole.
fn drop_history(lines: &mut Lines<'_>, is_forward: bool) -> usize {
    if lines.are_plain() {
        return lines.len();
    }
    let mut attributions = Attributions::default();
    for at in 0..lines.len() {
        if lines.is_blank(at) {
            continue;
        }
        if lines.is_quoted(at) {
            lines.drop(at, at + 1);
            continue;
        }
        if !lines.is_marked(at) && !lines.is_header(at) {
            continue;
        }
        let line = lines.shown(at);
        if block::is_forward_marker(line) {
            return at;
        }
        if block::is_history_marker(line) || lines.is_header_block(at) {
            if !is_forward {
                cut(lines, at);
            }
            return if is_forward { at } else { lines.len() };
        }
        if let Some(found) = attributions.ending_at(lines, at) {
            let next = lines.next_text(at + 1);
            if next.is_none_or(|next| lines.is_quoted(next)) {
                lines.drop(found.first, at + 1);
            } else if found.is_certain {
                cut(lines, found.first);
                break;
            }
        }
    }
    lines.len()
}

/// Drops everything from a line on, including the rule above it.
fn cut(lines: &mut Lines<'_>, mut from: usize) {
    while from > 0 && (lines.is_blank(from - 1) || block::is_rule(lines.shown(from - 1))) {
        from -= 1;
    }
    lines.drop(from, lines.len());
}
