//! [`Outgoing`]: a mail to be sent.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use crate::event::{Address, ThreadId};

use super::{
    error::{ApiError, ApiErrorKind},
    form,
};

const SUBJECT: usize = 998;
const BODY: usize = 100_000;
const HTML: usize = 500_000;
const FILES: usize = 25 * 1024 * 1024;
const FILE_NAME: usize = 255;

/// A mail to be sent by [`OpenMail::send`](super::OpenMail::send).
///
/// OpenMail accepts one recipient and any number of copies, but no blind copies. A mail with
/// [`in_thread`](Self::in_thread) is a reply: it has the thread's subject, and headers that make
/// mail programs show it in the thread.
///
/// ```
/// use openmail_tower::api::{File, Outgoing};
///
/// let mail = Outgoing::to("ada@example.com")
///     .subject("Your invoice")
///     .text("Please find it attached.")
///     .attach(File::new("invoice.pdf", &b"%PDF-1.7"[..]));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a mail does nothing until it is sent"]
pub struct Outgoing {
    fields: Fields,
    files: Vec<File>,
}

/// The fields, as OpenMail names them. They are encoded in this order, so that the same mail always
/// has the same bytes.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    pub(super) to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    pub(super) body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_html: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread_id: Option<ThreadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) include_quote: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cc: Vec<String>,
}

impl Outgoing {
    /// Creates a mail to one address, without a display name.
    pub fn to(address: impl Into<String>) -> Self {
        let fields = Fields {
            to: address.into(),
            subject: None,
            body: String::new(),
            body_html: None,
            thread_id: None,
            include_quote: None,
            reply_to: None,
            cc: Vec::new(),
        };
        Self { fields, files: Vec::new() }
    }

    /// Sets the subject: 1 to 998 characters, none of them a control character. Required unless the
    /// mail is [in a thread](Self::in_thread).
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.fields.subject = Some(subject.into());
        self
    }

    /// Sets the body: 1 to 100,000 characters. OpenMail recognises HTML and creates a text version
    /// of it.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.fields.body = text.into();
        self
    }

    /// Sets an HTML version that differs from the [`text`](Self::text): up to 500,000 characters.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.fields.body_html = Some(html.into());
        self
    }

    /// Adds an address that receives a copy.
    pub fn cc(mut self, address: impl Into<String>) -> Self {
        self.fields.cc.push(address.into());
        self
    }

    /// Sets the address for replies. On the free plan, it must be one of your own inboxes.
    pub fn reply_to(mut self, address: impl Into<String>) -> Self {
        self.fields.reply_to = Some(address.into());
        self
    }

    /// Makes the mail a reply within a thread. OpenMail then marks the thread as read.
    pub fn in_thread(mut self, thread: ThreadId) -> Self {
        self.fields.thread_id = Some(thread);
        self
    }

    /// Omits the quoted previous message, which OpenMail otherwise appends to a reply.
    pub fn without_quote(mut self) -> Self {
        self.fields.include_quote = Some(false);
        self
    }

    /// Adds a file. The files may total up to 25 MiB.
    pub fn attach(mut self, file: File) -> Self {
        self.files.push(file);
        self
    }

    /// Checks OpenMail's rules before anything is sent.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let Fields { to, subject, body, body_html, thread_id, reply_to, cc, .. } = &self.fields;
        let invalid = |what| Err(ApiError::new(ApiErrorKind::Invalid, what));
        let is_within =
            |text: &str, longest| text.len() <= longest || text.chars().count() <= longest;
        let addresses = [to].into_iter().chain(reply_to).chain(cc);
        if !addresses.into_iter().all(|address| is_address(address)) {
            return invalid("each address must be a single address without a display name");
        }
        match subject {
            None if thread_id.is_none() => return invalid("a new mail needs a subject"),
            Some(text) if text.is_empty() || !is_within(text, SUBJECT) => {
                return invalid("a subject must have 1 to 998 characters");
            }
            Some(text) if text.chars().any(char::is_control) => {
                return invalid("a subject must not contain control characters");
            }
            _ => {}
        }
        if body.is_empty() || !is_within(body, BODY) {
            return invalid("a body must have 1 to 100,000 characters");
        }
        if body_html.as_ref().is_some_and(|text| !is_within(text, HTML)) {
            return invalid("an HTML body must have at most 500,000 characters");
        }
        if self.files.iter().any(|file| file.name.is_empty() || file.name.len() > FILE_NAME) {
            return invalid("a file's name must have 1 to 255 bytes");
        }
        let size =
            self.files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.bytes.len()));
        if size > FILES {
            return invalid("the files total more than 25 MiB");
        }
        Ok(())
    }

    /// Returns the body of the request and its media type. The same mail always has the same bytes.
    pub(crate) fn prepare(&self) -> Result<Prepared, ApiError> {
        self.check()?;
        if self.files.is_empty() {
            let body = serde_json::to_vec(&self.fields).map_err(|error| {
                ApiError::new(ApiErrorKind::Invalid, "the mail cannot be written as JSON")
                    .caused_by(error)
            })?;
            return Ok(Prepared { content_type: "application/json".to_owned(), body: body.into() });
        }
        Ok(form::encode(&self.fields, &self.files))
    }
}

/// Returns whether a text is exactly one address, without a display name.
fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok_and(|address| address.as_str() == text)
}

/// The body of a request to send, and its media type.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// Shows numbers, sizes and media types only, since the rest is mail.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("body", &self.fields.body.len())
            .field("copies", &self.fields.cc.len())
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// A file to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

impl File {
    /// Creates a file from its name (1 to 255 bytes) and content. The name's extension determines
    /// the media type.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let name = name.into();
        let content_type = mime_guess::from_path(&name).first_or_octet_stream().to_string();
        Self { name, content_type, bytes: bytes.into() }
    }

    /// Sets the media type. If it has no `/` or is not valid in a header, it becomes
    /// `application/octet-stream`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        let text = content_type.into();
        let fits = text.contains('/') && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        self.content_type = if fits { text } else { "application/octet-stream".to_owned() };
        self
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("content_type", &self.content_type)
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Outgoing {
        Outgoing::to("ada@example.com").subject("s").text("t")
    }

    fn refusal(mail: &Outgoing) -> Option<ApiErrorKind> {
        mail.check().err().map(|error| error.kind())
    }

    #[test]
    fn mail_that_openmail_would_refuse_is_not_sent() {
        let thread = || ThreadId::from("thr_1");
        let large = || File::new("a.bin", vec![0; FILES / 2 + 1]);
        for (what, bad) in [
            ("recipient", Outgoing::to("Ada <ada@example.com>").subject("s").text("t")),
            ("two recipients", Outgoing::to("a@b.c,d@e.f").subject("s").text("t")),
            ("copy", mail().cc("nobody")),
            ("reply-to", mail().reply_to("nobody")),
            ("no subject", Outgoing::to("a@b.c").text("t")),
            ("empty subject", mail().subject("")),
            ("long subject", mail().subject("x".repeat(999))),
            ("subject of two lines", mail().subject("a\r\nBcc: b@c.d")),
            ("no body", Outgoing::to("a@b.c").in_thread(thread())),
            ("long body", mail().text("x".repeat(100_001))),
            ("long html", mail().html("x".repeat(500_001))),
            ("files", mail().attach(large()).attach(large())),
            ("file without a name", mail().attach(File::new("", "x"))),
        ] {
            assert_eq!(refusal(&bad), Some(ApiErrorKind::Invalid), "{what}");
        }
        for (what, good) in [
            ("mail", mail()),
            ("reply", Outgoing::to("a@b.c").in_thread(thread()).text("t")),
            (
                "characters, not bytes",
                mail().text("\u{20ac}".repeat(100_000)).subject("\u{20ac}".repeat(998)),
            ),
            ("file", mail().attach(large())),
        ] {
            assert_eq!(refusal(&good), None, "{what}");
        }
    }

    #[test]
    fn json_uses_openmails_names_and_omits_unset_fields() {
        let json =
            |mail: &Outgoing| String::from_utf8(mail.prepare().unwrap().body.to_vec()).unwrap();
        assert_eq!(json(&mail()), r#"{"to":"ada@example.com","subject":"s","body":"t"}"#);
        let all = Outgoing::to("a@b.c")
            .in_thread(ThreadId::from("thr_1"))
            .text("t")
            .html("<p>t")
            .without_quote()
            .reply_to("r@b.c")
            .cc("x@b.c")
            .cc("y@b.c");
        assert_eq!(
            json(&all),
            r#"{"to":"a@b.c","body":"t","bodyHtml":"<p>t","threadId":"thr_1","includeQuote":false,"replyTo":"r@b.c","cc":["x@b.c","y@b.c"]}"#
        );
    }

    #[test]
    fn debug_shows_no_mail_and_no_address() {
        let shown = format!("{:?}", mail().text("hello").attach(File::new("cv.pdf", "x")));
        for text in ["ada", "hello", "cv.pdf"] {
            assert!(!shown.contains(text), "{shown}");
        }
    }

    #[test]
    fn accepts_only_one_bare_address() {
        for text in [
            "a@b.example",
            "a+b@b.example",
            "\"System Administrator\"@b.example",
            "z@ż.example",
            "a@[192.0.2.1]",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "Ada <a@b.c>",
            "<a@b.c>",
            "a@b.c,d@e.f",
            "a@b.c, d@e.f",
            "a@b.c;d@e.f",
            "a@b.c\r\nBcc: d@e.f",
            " a@b.c",
            "a@b.c ",
            "a@@b.c",
            "a b@c.d",
            "\"a\"b\"@c.d",
            "a@b c",
        ] {
            assert!(!is_address(text), "{text:?}");
        }
        assert!(!is_address(&format!("{}@b.c", "a".repeat(400))));
    }
}
