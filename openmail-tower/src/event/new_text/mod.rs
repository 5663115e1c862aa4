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

/// Returns the text without its quoted history and its signature, or all of it if nothing else
/// would be left. The subject says whether the mail forwards another one, which is then kept.
pub(crate) fn new_text(text: &str, subject: Option<&str>) -> String {
    let is_forward = subject.is_some_and(block::is_forward_subject);
    let mut lines = Lines::new(text);
    let forward = drop_history(&mut lines, is_forward);
    let signatures = signature::drop(&mut lines, forward);
    let new = lines.kept();
    if !new.is_empty() {
        return new;
    }
    signatures.into_iter().for_each(|range| lines.keep(range.start, range.end));
    let with_signatures = lines.kept();
    if !with_signatures.is_empty() {
        return with_signatures;
    }
    lines.keep(0, lines.len());
    lines.kept()
}

/// Drops the quoted history. Returns where a forwarded mail begins, which is kept whole.
fn drop_history(lines: &mut Lines<'_>, is_forward: bool) -> usize {
    let mut attributions = Attributions::default();
    for at in 0..lines.len() {
        if lines.is_blank(at) {
            continue;
        }
        if lines.is_quoted(at) {
            lines.drop(at, at + 1);
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
