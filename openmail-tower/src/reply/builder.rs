//! [`Reply`]: what a handler returns to answer a mail.

use std::{collections::HashSet, fmt};

use crate::{
    api::File,
    handler::IntoOutcome,
    seam::{HandlerError, Outcome, Replies},
};

/// A reply to the mail that a handler was called with.
///
/// Return it from the handler, directly or in an `Option`, a `Vec` or a `Result`:
///
#[cfg_attr(feature = "macros", doc = "```")]
#[cfg_attr(not(feature = "macros"), doc = "```ignore")]
/// use openmail_tower::{MessageReceived, api::File, openmail_handler, reply::Reply};
///
/// #[openmail_handler(event = "message.received")]
/// async fn receipt(mail: &MessageReceived) -> Option<Reply> {
///     let subject = mail.message.subject.as_deref()?;
///     let reply = Reply::text(format!("We have received “{subject}”."));
///     Some(reply.attach(File::new("terms.txt", "Reply within 14 days.")).without_quote())
/// }
/// ```
///
/// The reply goes to the sender of the mail. If the inbox was only copied, the reply goes to the
/// other addresses in the mail's `To` header, if it has any, and OpenMail copies the sender. If the
/// mail has no thread, or cannot be read from its thread, the reply goes to the sender alone. A
/// reply has at most 20 recipients.
///
/// `Debug` shows sizes, settings and the reply's name, but neither its text nor file names.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a reply is sent only if the handler returns it"]
pub struct Reply {
    pub(super) body: String,
    pub(super) files: Vec<File>,
    pub(super) to_all: bool,
    pub(super) quote: bool,
    pub(super) name: Option<String>,
}

impl Reply {
    fn new(body: String) -> Self {
        Self { body, files: Vec::new(), to_all: false, quote: true, name: None }
    }

    /// Creates a reply in plain text: 1 to 100,000 characters. A text that looks like HTML is sent
    /// as HTML, since OpenMail detects the format.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(text.into())
    }

    /// Creates a reply in HTML: 1 to 100,000 characters. OpenMail adds a text version.
    pub fn html(html: impl Into<String>) -> Self {
        Self::new(html.into())
    }

    /// Adds a file. The files may total up to 25 MiB.
    pub fn attach(mut self, file: File) -> Self {
        self.files.push(file);
        self
    }

    /// Also sends the reply to everyone else who received the mail, except the inbox itself. If
    /// there are more than 20 recipients, it goes to the first 20, beginning with the usual ones.
    /// Default: the usual recipients only.
    pub fn to_all(mut self) -> Self {
        self.to_all = true;
        self
    }

    /// Omits the quoted mail. Default: OpenMail appends it.
    pub fn without_quote(mut self) -> Self {
        self.quote = false;
        self
    }

    /// Names the reply, for a handler that returns several replies to one mail. The name is part of
    /// the `Idempotency-Key`: for each mail, one reply of each name is sent. Replies without a name
    /// are distinguished by their order.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("size", &self.body.len())
            .field("files", &self.files)
            .field("to_all", &self.to_all)
            .field("quote", &self.quote)
            .field("name", &self.name)
            .finish()
    }
}

impl IntoOutcome for Reply {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        vec![self].into_outcome()
    }
}

impl IntoOutcome for Option<Reply> {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        self.map_or(Ok(Outcome::Done), Reply::into_outcome)
    }
}

impl IntoOutcome for Vec<Reply> {
    fn into_outcome(self) -> Result<Outcome, HandlerError> {
        if self.is_empty() {
            return Ok(Outcome::Done);
        }
        let mut names = HashSet::new();
        if !self.iter().filter_map(|reply| reply.name.as_deref()).all(|name| names.insert(name)) {
            // They would have the same key, and the second one would never be sent.
            return Err(HandlerError::failed(
                "two replies of one run have the same name: give each its own",
            ));
        }
        Ok(Outcome::Replies(Replies::new(self)))
    }
}

/// Returns the replies of an outcome.
pub(crate) fn replies(replies: &Replies) -> &[Reply] {
    replies.get::<Vec<Reply>>().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returned_replies_become_an_outcome() {
        let count = |outcome: Result<Outcome, HandlerError>| match outcome.unwrap() {
            Outcome::Replies(sent) => replies(&sent).len(),
            Outcome::Done => 0,
            other => panic!("{other:?}"),
        };
        let reply = || Reply::text("t");
        assert_eq!(count(reply().into_outcome()), 1);
        assert_eq!(count(Some(reply()).into_outcome()), 1);
        assert_eq!(count(None::<Reply>.into_outcome()), 0);
        assert_eq!(count(vec![reply(), reply().named("a")].into_outcome()), 2);
        assert_eq!(count(Vec::<Reply>::new().into_outcome()), 0);
        assert_eq!(count(Ok::<_, std::io::Error>(reply()).into_outcome()), 1);
        assert_eq!(count(Ok::<_, std::io::Error>(Some(reply())).into_outcome()), 1);
        assert!(vec![reply().named("a"), reply().named("a")].into_outcome().is_err());
    }

    #[test]
    fn debug_shows_no_mail() {
        let shown = format!("{:?}", Reply::text("hush").attach(File::new("cv.pdf", "x")));
        assert!(!shown.contains("hush") && !shown.contains("cv.pdf"), "{shown}");
    }
}
