//! Texts: addresses, subjects, quotes, HTML, and the text of files.

use email_address::{EmailAddress, Options};
use jiff::Timestamp;
use mail_parser::decoders::html::{html_to_text, text_to_html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::state::{File, Mail};

/// Files above this size are not read.
const READ_LIMIT: usize = 10 << 20;
/// The maximum number of characters kept of a file's text.
const TEXT_LIMIT: usize = 50_000;

/// Formats a time as JavaScript does.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Quotes a text for a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns the shell commands that set a receiver's variables.
pub(crate) fn exports(url: &str, key: &str, secret: &str) -> String {
    let variables =
        [("OPENMAIL_API_URL", url), ("OPENMAIL_API_KEY", key), ("OPENMAIL_WEBHOOK_SECRET", secret)];
    variables.map(|(name, value)| format!("export {name}={}", quoted(value))).join("\n")
}

/// Returns whether a text is exactly one address.
pub(crate) fn is_address(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal();
    EmailAddress::parse_with_options(text, options).is_ok()
}

/// Returns the address in `Name <address>`, or the text itself.
pub(crate) fn bare_address(text: &str) -> &str {
    let address = text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<'));
    address.map_or(text, |(_, address)| address).trim()
}

/// Splits a list of addresses, which may have names. A comma in a quoted name does not separate.
pub(crate) fn address_list(text: &str) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        !quoted && matches!(c, ',' | ';' | '\n')
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn reply_subject(subject: &str) -> String {
    match subject.get(..3) {
        Some(start) if start.eq_ignore_ascii_case("re:") => subject.to_owned(),
        _ => format!("Re: {subject}"),
    }
}

pub(crate) fn to_html(text: &str) -> String {
    text_to_html(text)
}

/// Returns a mail's text and HTML, with the quoted mail below.
pub(crate) fn bodies(body: &str, html: Option<&str>, quoted: Option<&Mail>) -> (String, String) {
    let (mut text, mut html) = match html {
        Some(html) => (body.to_owned(), html.to_owned()),
        None if looks_like_html(body) => (html_to_text(body), body.to_owned()),
        None => (body.to_owned(), text_to_html(body)),
    };
    if let Some(mail) = quoted {
        let head = format!("On {}, {} wrote:", mail.created_at.strftime("%F %R UTC"), mail.from);
        text.push_str("\n\n");
        text.push_str(&head);
        for line in mail.text.lines() {
            text.push_str("\n> ");
            text.push_str(line);
        }
        let (head, quote) = (escape(&head), escape(&mail.text));
        html.push_str(&format!(
            "<p>{head}</p><blockquote style=\"white-space:pre-wrap\">{quote}</blockquote>"
        ));
    }
    (text, html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn looks_like_html(text: &str) -> bool {
    const TAGS: [&str; 12] =
        ["a", "b", "body", "br", "div", "h1", "html", "li", "p", "span", "strong", "table"];
    let lower = text.to_ascii_lowercase();
    lower.match_indices('<').any(|(at, _)| {
        let rest = &lower[at + 1..];
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        TAGS.contains(&name) && rest.contains('>')
    })
}

/// A file's text, or the reason why there is none.
pub(crate) struct Found {
    pub(crate) text: Option<String>,
    pub(crate) method: &'static str,
}

/// Extracts the text of plain text, CSV, JSON, XML, YAML and HTML. Other formats, such as PDF,
/// would need a parser that this example does not include.
pub(crate) fn of_file(file: &File) -> Found {
    if file.bytes.len() > READ_LIMIT {
        return Found { text: None, method: "skipped_too_large" };
    }
    let kind = file.content_type.split(';').next().unwrap_or_default().trim();
    let method = match kind {
        "text/csv" => "csv",
        "application/json" | "application/xml" | "application/yaml" => "text",
        kind if kind.starts_with("text/") => "text",
        _ => return Found { text: None, method: "unsupported" },
    };
    let Ok(text) = std::str::from_utf8(&file.bytes) else {
        return Found { text: None, method: "unsupported" };
    };
    let text = if kind == "text/html" { html_to_text(text) } else { text.to_owned() };
    Found { text: Some(text.chars().take(TEXT_LIMIT).collect()), method }
}

/// Returns the URL of an attachment. If several files of a mail have the same name, the URL of each
/// but the first contains its position.
pub(crate) fn attachment_url(api_url: &str, mail: &Mail, place: usize) -> String {
    let filename = &mail.attachments[place].filename;
    let same = |it: &crate::state::Attachment| it.filename == *filename;
    let first = mail.attachments.iter().position(same) == Some(place);
    let part = if first { String::new() } else { format!("?part={}", place + 1) };
    let (id, filename) = (segment(&mail.id), segment(filename));
    format!("{api_url}/v1/attachments/{id}/{filename}{part}")
}

/// Encodes a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    const UNRESERVED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_a_single_bare_address() {
        assert!(is_address("ada@example.com"));
        for text in
            ["", "ada", "Ada <ada@example.com>", "a@b.example, c@d.example", "a b@c.example"]
        {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn comma_in_a_quoted_name_does_not_end_an_address() {
        let list = address_list("\"Lovelace, Ada\" <ada@example.com>, bob@example.com; ");
        assert_eq!(list, ["\"Lovelace, Ada\" <ada@example.com>", "bob@example.com"]);
        assert_eq!(bare_address(&list[0]), "ada@example.com");
    }

    #[test]
    fn subject_of_a_reply_has_one_re() {
        assert_eq!(reply_subject("Order"), "Re: Order");
        assert_eq!(reply_subject("RE: Order"), "RE: Order");
        assert_eq!(reply_subject("é"), "Re: é");
    }

    #[test]
    fn html_is_recognised_by_its_tags() {
        for text in ["<p>Hello</p>", "Hello<br>you", "<!doctype html><html>"] {
            assert!(looks_like_html(text), "{text}");
        }
        for text in ["1 < 2 and 3 > 2", "<ada@example.com>", "a<b", "plain"] {
            assert!(!looks_like_html(text), "{text}");
        }
        let (text, html) = bodies("<p>Hello</p>", None, None);
        assert_eq!((text.trim(), &*html), ("Hello", "<p>Hello</p>"));
    }
}
