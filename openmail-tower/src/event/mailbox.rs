//! Reads names and addresses from the text of a header.
//!
//! OpenMail may send a name decoded and unquoted, so a stranger controls its characters: it may
//! contain an address, quotes, commas and angle brackets. Only the end of the text is certain,
//! where OpenMail writes the address. So the text is read backwards from there.

use std::fmt;

use mail_parser::parsers::MessageStream;

use super::{
    address::{Address, canonical_domain, is_atom},
    clean::{beginning, one_line},
    header::{has_closed_mailbox_before_separator, parts},
};

/// The longest text that is searched for a single mailbox, in bytes.
const LONGEST: usize = 4 << 10;
/// Maximum total length of the texts that are searched for a list of mailboxes, in bytes.
const LONGEST_LIST: usize = 64 << 10;
/// Maximum number of mailboxes read from a list.
const MOST: usize = 1000;

/// A mail address and the display name before it.
///
/// The sender chooses the name: it may be someone else's name, or another address. Base decisions
/// on the address. `Debug` shows neither the name nor the address.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Mailbox {
    /// The display name: decoded, without its quotes, on one line, and without control and
    /// invisible characters.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Reads the only mailbox of a header's text. `None` if there are several or none, or if it is
    /// not clear which one counts.
    pub(super) fn single(text: &str) -> Option<Self> {
        Found::single(text).map(Self::from)
    }

    /// Reads the mailboxes of several headers: separated by commas or semicolons, groups expanded.
    pub(super) fn all(texts: &[String]) -> Vec<Self> {
        Found::all(texts.iter().map(String::as_str)).into_iter().map(Self::from).collect()
    }
}

impl From<Found<'_>> for Mailbox {
    fn from(found: Found<'_>) -> Self {
        let name = name(found.before).or_else(|| found.comment.and_then(name));
        Self { name, address: found.address }
    }
}

/// Returns the only address of a header's text, like [`Mailbox::single`].
pub(crate) fn single_address(text: &str) -> Option<Address> {
    Found::single(text).map(|found| found.address)
}

/// Returns the addresses of several headers, like [`Mailbox::all`].
#[cfg(any(feature = "api", feature = "guard"))]
pub(crate) fn addresses<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Address> {
    Found::all(texts).into_iter().map(|found| found.address).collect()
}

/// Returns whether the text of a header may contain an address. `false` is certain, and is found
/// without parsing the text.
#[cfg(any(feature = "api", feature = "guard"))]
pub(super) fn may_contain(text: &str, address: &Address) -> bool {
    // An address written with quotes, in Unicode or in Punycode may differ from its canonical form
    // by more than the case of its letters.
    let has_dashes = || text.as_bytes().windows(2).any(|pair| pair == b"--");
    if !text.is_ascii() || text.contains('"') || has_dashes() {
        return true;
    }
    let is_prefix = |text: &[u8], prefix: &[u8]| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_suffix = |text: &[u8], suffix: &[u8]| {
        let start = text.len().checked_sub(suffix.len());
        start.is_some_and(|start| text[start..].eq_ignore_ascii_case(suffix))
    };
    let (local, domain) = (address.local_part().as_bytes(), address.domain().as_bytes());
    memchr::memchr_iter(b'@', text.as_bytes()).any(|at| {
        let (before, after) = (&text[..at], text[at + 1..].trim_start());
        is_suffix(before.as_bytes(), local) && is_prefix(after.as_bytes(), domain)
    })
}

/// A mailbox whose name has not been decoded.
struct Found<'a> {
    /// The text before the address in angle brackets.
    before: &'a str,
    /// The comment after the address.
    comment: Option<&'a str>,
    address: Address,
}

impl<'a> Found<'a> {
    fn single(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let text = text.trim().trim_end_matches(',');
        let found = Self::of(text)?;
        if memchr::memchr2(b',', b';', text.as_bytes()).is_none() {
            return Some(found);
        }
        let mut parts = parts(text);
        parts.pop();
        let several = has_closed_mailbox_before_separator(text)
            || parts.into_iter().any(|part| Self::of_list(&text[part]).is_some());
        (!several).then_some(found)
    }

    fn all(texts: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut all = Vec::new();
        let mut left = LONGEST_LIST;
        for text in texts {
            let text = beginning(text, left);
            left -= text.len();
            Self::list(text, &mut all);
            if left == 0 || all.len() == MOST {
                break;
            }
        }
        all
    }

    fn list(text: &'a str, all: &mut Vec<Self>) {
        // The start of a name that contains commas: `Lovelace, Ada <ada@b.example>`.
        let mut name: Option<usize> = None;
        for part in parts(text) {
            if all.len() == MOST {
                return;
            }
            let (start, end) = (part.start, part.end);
            match Self::of_list(&text[start..end]) {
                Some(found) => {
                    let whole = name.take().filter(|_| found.has_name());
                    let whole = whole.and_then(|start| Self::of(&text[start..end]));
                    all.push(whole.unwrap_or(found));
                }
                None if text[start..end].trim().is_empty() => {}
                None => name = name.or(Some(start)),
            }
        }
    }

    /// Reads one mailbox of a list, which may be the first of a group.
    fn of_list(part: &'a str) -> Option<Self> {
        Self::of(part).or_else(|| Self::of(part.split_once(':')?.1))
    }

    /// Reads the mailbox at the end of a text.
    fn of(text: &'a str) -> Option<Self> {
        let (text, comment) = without_comments(text.trim())?;
        let Some(before) = text.strip_suffix('>') else {
            let (head, address) = address_at_end(text)?;
            return is_prefix(head).then_some(Self { before: "", comment, address });
        };
        let (head, address) = address_at_end(before.trim_end())?;
        let open = head.rfind('<')?;
        is_prefix(&head[open + 1..]).then_some(Self { before: &head[..open], comment, address })
    }

    fn has_name(&self) -> bool {
        name(self.before).or_else(|| self.comment.and_then(name)).is_some()
    }
}

/// Splits a text into the address at its end and what precedes it. `None` if it does not end with
/// an address.
fn address_at_end(text: &str) -> Option<(&str, Address)> {
    let before = &text[..memchr::memrchr(b'@', text.as_bytes())?];
    let start = if let Some(quoted) = before.strip_suffix('"') {
        let quotes = quoted.rmatch_indices('"');
        quotes.map(|(at, _)| at).find(|at| !is_escaped(before.as_bytes(), *at))?
    } else {
        let before_local = before.char_indices().rev().find(|(_, c)| !is_atom(*c));
        before_local.map_or(0, |(at, c)| at + c.len_utf8())
    };
    Some((&text[..start], text[start..].parse().ok()?))
}

/// Returns whether a text may precede an address: nothing, `mailto:`, or a source route.
fn is_prefix(text: &str) -> bool {
    let text = text.trim();
    let Some(prefix) = text.strip_suffix(':') else { return text.is_empty() };
    let is_hop = |hop: &str| hop.trim().strip_prefix('@').and_then(canonical_domain).is_some();
    prefix.eq_ignore_ascii_case("mailto") || prefix.split(',').all(is_hop)
}

/// Splits off the comments at the end: `ada@b.example (Ada)`. `None` if the parentheses do not
/// match.
fn without_comments(mut text: &str) -> Option<(&str, Option<&str>)> {
    let mut comment = None;
    while text.ends_with(')') {
        let bytes = text.as_bytes();
        let mut depth = 0_usize;
        let open = (0..bytes.len()).rev().find(|at| {
            // Backslashes are counted only before parentheses. Counting them before every byte would
            // take quadratic time for a long run of backslashes.
            if !matches!(bytes[*at], b'(' | b')') || is_escaped(bytes, *at) {
                return false;
            }
            depth = if bytes[*at] == b')' { depth + 1 } else { depth.saturating_sub(1) };
            depth == 0
        })?;
        comment = Some(&text[open + 1..text.len() - 1]);
        text = text[..open].trim_end();
    }
    Some((text, comment))
}

/// Returns whether an odd number of backslashes precedes a byte.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Reads a display name; `None` if nothing is left of it.
fn name(text: &str) -> Option<String> {
    let text = unquoted(text.trim());
    let text = one_line(&text);
    let text = if text.contains("=?") { one_line(&decoded(&text)) } else { text };
    Some(text).filter(|text| !text.is_empty())
}

/// Returns a text without the quotes around it and the escapes in it, if it is quoted as a whole.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            // Two quoted texts, or a quote that belongs to the name.
            '"' => return text.to_owned(),
            '\\' => plain.extend(rest.next()),
            c => plain.push(c),
        }
    }
    plain
}

/// Decodes the encoded words of one line.
fn decoded(line: &str) -> String {
    let line = format!("{line}\n");
    MessageStream::new(line.as_bytes())
        .parse_unstructured()
        .into_text()
        .map_or_else(|| line.clone(), |text| text.into_owned())
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("name", &format_args!("{} bytes", self.name.as_ref().map_or(0, String::len)))
            .field("address", &self.address)
            .finish()
    }
}

#[cfg(test)]
mod tests;
