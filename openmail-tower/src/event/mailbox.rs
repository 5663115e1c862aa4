//! Names and addresses, read by the `mail-parser` crate: quoting, comments and encoded words are
//! its business.

use std::fmt;

use mail_parser::{Address, HeaderValue, parsers::MessageStream};

/// A mail address and the name that stands before it.
///
/// Neither holds a control character, a line separator or a sign that turns the direction of text:
/// a blank stands there. They are the sender's own words all the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Mailbox {
    /// The display name, without its quotes.
    pub name: Option<String>,
    /// The address alone, in the case it came in.
    pub address: String,
}

impl Mailbox {
    /// Reads the first mailbox of a header's text. What holds no address at all becomes the address
    /// as it is, on one line: a sender is never lost to its form, and cannot write into a log.
    pub(super) fn first(text: &str) -> Self {
        let whole = || Self { name: None, address: one_line(text).trim().to_owned() };
        Self::all(text).into_iter().next().unwrap_or_else(whole)
    }

    /// Reads every mailbox of a header's text: commas between them, groups taken apart.
    pub(super) fn all(text: &str) -> Vec<Self> {
        // The parser reads one header field and knows its end by the line's.
        let line = one_line(text);
        let HeaderValue::Address(addresses) =
            MessageStream::new(format!("{line}\n").as_bytes()).parse_address().into_owned()
        else {
            return Vec::new();
        };
        let addresses = match addresses {
            Address::List(list) => list,
            Address::Group(groups) => {
                groups.into_iter().flat_map(|group| group.addresses).collect()
            }
        };
        // Encoded words may hold what the text around them does not.
        let plain = |text: &str| Some(one_line(text).trim().to_owned()).filter(|it| !it.is_empty());
        let mailbox = |address: mail_parser::Addr<'_>| {
            Some(Self {
                name: address.name.as_deref().and_then(plain),
                address: address.address.as_deref().and_then(plain)?,
            })
        };
        addresses.into_iter().filter_map(mailbox).collect()
    }
}

/// With blanks for what begins a line, drives a terminal, or turns the order of what follows about.
fn one_line(text: &str) -> String {
    let drives = |c: char| {
        let turns = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let begins_or_turns = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || begins_or_turns || turns.contains(&c)
    };
    text.chars().map(|c| if drives(c) { ' ' } else { c }).collect()
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.pad(&self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String) {
        let Mailbox { name, address } = Mailbox::first(text);
        (name, address)
    }

    #[test]
    fn the_forms_a_sender_comes_in() {
        for (text, name, address) in [
            ("sender@example.com", None, "sender@example.com"),
            ("<sender@example.com>", None, "sender@example.com"),
            ("Ada <Ada@Example.com>", Some("Ada"), "Ada@Example.com"),
            ("\"Lovelace, Ada\" <a@b.c>", Some("Lovelace, Ada"), "a@b.c"),
            (
                "\"boss@bank.example\" <thief@evil.example>",
                Some("boss@bank.example"),
                "thief@evil.example",
            ),
            ("Zażółć <z@ż.example>", Some("Zażółć"), "z@ż.example"),
            ("Ada\r\n <a@b.c>", Some("Ada"), "a@b.c"),
            ("=?utf-8?q?a=0AERROR=1b[31m?= <a@b.c>", Some("a ERROR [31m"), "a@b.c"),
            ("\"=?utf-8?q?a=0AERROR=1b[31m?=\" <a@b.c>", Some("a ERROR [31m"), "a@b.c"),
            ("=?utf-8?b?4oCoYeKAruKBpw==?= <a@b.c>", Some("a"), "a@b.c"),
            ("\u{61c}Ada\u{200e} \u{200f}B\u{202e} <a@b.c>", Some("Ada   B"), "a@b.c"),
            ("=?utf-8?q?=0A?= <a@b.c>", None, "a@b.c"),
            ("not an address", None, "not an address"),
            ("not\r\nan address\u{1b}", None, "not  an address"),
            ("", None, ""),
        ] {
            assert_eq!(read(text), (name.map(Into::into), address.into()), "{text:?}");
        }
    }

    #[test]
    fn lists_are_taken_apart() {
        let all = Mailbox::all("bob@example.com, \"C, D\" <carol@example.org>");
        let addresses: Vec<_> = all.iter().map(|mailbox| mailbox.address.as_str()).collect();
        assert_eq!(addresses, ["bob@example.com", "carol@example.org"]);
        assert_eq!(Mailbox::all(""), []);
    }
}
